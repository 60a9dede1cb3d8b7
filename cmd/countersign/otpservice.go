package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms/console"
	"countersign/tms/safenet"
)

// listenOTPService opens the addresses at which SafeNet's OTP service is answered from our
// own tokens. The certificate is that of the pages for users.
func (s *server) listenOTPService(cfg *conf.Config) error {
	if len(cfg.OTPService.Listen)+len(cfg.OTPService.ListenHTTPS) == 0 {
		return nil
	}
	handler := s.otpService(cfg)
	for _, addr := range cfg.OTPService.Listen {
		if !addr.Addr().IsLoopback() {
			s.logger.Warn("programs ask the OTP service over plain HTTP: who can read that can guess passcodes; listen_https is safe", "address", addr.String())
		}
	}
	if err := s.listenTCP("otp_service.listen", cfg.OTPService.Listen, handler); err != nil {
		return err
	}
	if len(cfg.OTPService.ListenHTTPS) == 0 {
		return nil
	}
	certificate, err := s.openCertificate(cfg)
	if err != nil {
		return err
	}
	options := certificate.TLSConfig()
	options.NextProtos = []string{"http/1.1"}
	for _, addr := range cfg.OTPService.ListenHTTPS {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			return fmt.Errorf("opening %s of otp_service.listen_https: %w", addr, err)
		}
		s.addHTTP(tls.NewListener(l, options), handler)
	}
	return nil
}

// otpService answers as SafeNet's does, by the handler of the present configuration.
func (s *server) otpService(cfg *conf.Config) http.Handler {
	s.asked = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_otp_service_requests_total", Help: "Requests to [otp_service], by the status of HTTP and the verdict.",
	}, []string{"status", "verdict"})
	s.registry.MustRegister(s.asked)
	s.programs.Store(s.newPrograms(cfg))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime)) // this server can
		s.programs.Load().ServeHTTP(w, r)
	})
}

// newPrograms is the handler of a configuration, nil when it has none.
func (s *server) newPrograms(cfg *conf.Config) *safenet.Handler {
	if s.asked == nil {
		return nil
	}
	return safenet.NewHandler(safenet.HandlerOptions{
		Verify: s.verifyForProgram, Allow: cfg.OTPService.Allow, Clock: s.app.clock, Logger: s.logger,
		Done: func(e safenet.Exchange) {
			verdict := "none"
			if e.Verdict != otp.Undecided {
				verdict = e.Verdict.String()
			}
			s.asked.WithLabelValues(strconv.Itoa(e.Status), verdict).Inc()
		},
	})
}

// requestTime is how long a request to the OTP service may take to come.
const requestTime = 10 * time.Second

// verifyForProgram has an attempt decided of a user whom a program names as the TMS would
// have it: with or without a realm.
func (s *server) verifyForProgram(ctx context.Context, a *otp.Attempt) (otp.Verdict, error) {
	switch {
	case a.Preset != otp.Undecided:
	case s.users == nil:
		a.User = []byte(withoutRealm(s.cfg.Load(), string(a.User)))
	default:
		identity, source := s.users.Find(ctx, a.User)
		a.User = []byte(identity.Name)
		a.Doubtful = source == exclusions.Unavailable
		if identity.Disabled {
			a.Preset = otp.DirectoryDisabled
		}
	}
	return s.verifier.Verify(ctx, a)
}

// openCertificate is the certificate of [web], the same one whoever asks.
func (s *server) openCertificate(cfg *conf.Config) (*console.Certificate, error) {
	if s.certificate != nil {
		return s.certificate, nil
	}
	certificate, err := console.OpenCertificate(console.CertificateOptions{
		CertFile: cfg.Web.CertificateFile, KeyFile: cfg.Web.KeyFile, DataDir: cfg.DataDir, Hosts: webHosts(cfg),
		Clock: s.app.clock, Rand: s.app.rand, Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	s.certificate = certificate
	return certificate, s.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "countersign_web_certificate_expiry_timestamp_seconds", Help: "When the certificate of the pages for users ends, as Unix time.",
	}, func() float64 { return float64(certificate.Ends().Unix()) }))
}
