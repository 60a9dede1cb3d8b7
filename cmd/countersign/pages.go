package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"countersign/conf"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/console"
)

// listenHTTPS opens the addresses of the pages for users. The root key is for their
// cookies.
func (s *server) listenHTTPS(cfg *conf.Config, root []byte) error {
	if len(cfg.Web.ListenHTTPS) == 0 {
		return nil
	}
	certificate, err := s.openCertificate(cfg)
	if err != nil {
		return err
	}
	handler, err := s.userPages(root, certificate)
	if err != nil {
		return err
	}
	options := certificate.TLSConfig()
	options.NextProtos = []string{"h2", "http/1.1"}
	for _, addr := range cfg.Web.ListenHTTPS {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			return fmt.Errorf("opening %s of web.listen_https: %w", addr, err)
		}
		s.addHTTP(tls.NewListener(l, options), handler)
	}
	s.logger.Info("serving the pages for users", "url", cfg.Web.URL, "self_made_certificate", certificate.SelfMade(), "fingerprint", certificate.Fingerprint())
	return nil
}

// webHosts are the names and addresses that a self-made certificate is for.
func webHosts(cfg *conf.Config) []string {
	var hosts []string
	if u, err := url.Parse(cfg.Web.URL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	for _, addr := range slices.Concat(cfg.Web.ListenHTTPS, cfg.OTPService.ListenHTTPS) {
		if !addr.Addr().IsUnspecified() {
			hosts = append(hosts, addr.Addr().String())
		}
	}
	return hosts
}

// userPages are the pages for users.
func (s *server) userPages(root []byte, certificate *console.Certificate) (http.Handler, error) {
	box, err := seal.NewBox(root, "web cookie", s.app.rand)
	if err != nil {
		return nil, err
	}
	pages := console.NewPages(console.PagesOptions{
		Box: box, Clock: s.app.clock, Logger: s.logger,
		Settings: func() console.PageSettings {
			cfg := s.cfg.Load()
			settings := console.PageSettings{Issuer: cfg.Enrol.Issuer, Language: string(cfg.Enrol.Language), URL: cfg.Web.URL, ClientURL: cfg.Enrol.ClientURL}
			if certificate.SelfMade() {
				settings.Fingerprint = certificate.Fingerprint()
			}
			return settings
		},
	})
	self := console.SelfServiceOptions{Pages: pages, Service: s.service, Verifier: s.verifier}
	if s.users != nil {
		self.Users = userRepository{s.users}
	}
	return pages.Handler(
		console.NewSelfService(self),
		console.NewActivation(console.ActivationOptions{
			Pages: pages, Service: s.service,
			SeedFile: func(_ context.Context, i *tms.Invitation) ([]byte, error) { return s.enrolment.SeedFile(i) },
			// The dialog at the login shows the key then, so the mail has to be had as well.
			KeyAlone: func() bool { return s.cfg.Load().Enrol.Style != conf.StyleSeedFile },
		}),
		&console.Downloads{Pages: pages, Folder: func() string { return s.cfg.Load().Web.ClientDir }},
	), nil
}
