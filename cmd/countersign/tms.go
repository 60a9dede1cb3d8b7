package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/conf"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/radiusd/packet"
	"countersign/radiusd/remote"
	"countersign/tms"
	"countersign/tms/migration"
	"countersign/tms/safenet"
)

// backend is the TMS of the configuration in the words of radiusd: SafeNet's OTP
// service or RADIUS servers, of which one is nil.
type backend struct {
	service *safenet.Client
	servers *remote.Client
	learner learner
	names   func() *conf.TMS // how it is told users' names
}

// learner is told of logins that the TMS has accepted.
type learner interface {
	Accepted(ctx context.Context, user otp.UserName, passcode otp.Passcode, at time.Time) migration.Outcome
}

// openTMS makes the clients of the TMS. Nobody is contacted yet.
func (a *app) openTMS(cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer) (*backend, error) {
	t := &cfg.TMS
	b := &backend{names: func() *conf.TMS { return t }}
	var err error
	if t.OTPServiceURL != "" {
		b.service, err = safenet.New(safenet.Options{
			URL: t.OTPServiceURL, CAFile: t.CAFile, Timeout: t.Timeout, MaxInFlight: t.MaxInFlight,
			UserAgent: "countersign/" + version, Rand: a.rand, Clock: a.clock,
		})
		return b, err
	}
	o := remote.Options{
		Timeout: t.Timeout, Watchdog: t.ProbeEvery, UnsignedReplies: t.RadiusMessageAuthenticator == conf.BackendMessageAuthenticatorOff,
		Clock: a.clock, Rand: a.rand, Logger: logger, Registerer: registry,
	}
	for _, address := range t.Radius {
		o.Servers = append(o.Servers, remote.Server{Address: address, Secret: packet.NewSecret(t.RadiusSecret.Bytes())})
	}
	b.servers, err = remote.New(o)
	return b, err
}

// newTMS builds what stands behind the server; there is nothing without a TMS.
func (s *server) newTMS(cfg *conf.Config) error {
	if !cfg.TMS.Exists() {
		return nil
	}
	var err error
	if s.behind, err = s.app.openTMS(cfg, s.logger, s.registry); err != nil {
		return err
	}
	s.behind.names = func() *conf.TMS { return &s.cfg.Load().TMS }
	s.lessons, err = migration.New(migration.Options{
		Store: s.store, Service: s.service,
		Settings: func() migration.Settings { return migration.Settings{Learn: s.cfg.Load().TMS.Learn} },
		Policy:   func() otp.Policy { return policy(s.cfg.Load()) },
		Clock:    s.app.clock, Logger: s.logger, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.behind.learner = s.lessons
	s.service.Behind, s.stocked = s, s.lessons.Changed
	return nil
}

// backendOptions are the configuration's [tms] in the words of radiusd.
func (s *server) backendOptions(cfg *conf.Config, o *radiusd.Options) {
	o.Realms = realmsOf(cfg)
	if s.behind == nil {
		return
	}
	t := &cfg.TMS
	o.Backend = s.behind
	o.BackendLogins, o.BackendTime = t.MaxInFlight, t.Timeout+queueTime
	o.BackendFailures, o.BackendPause = t.MaxErrors, t.ProbeEvery
	o.RejectWhenDown = t.WhenDown == conf.WhenDownReject
	o.AcceptedOnce, o.BackendRepeatTime = t.AcceptedOnce, cfg.Login.RepeatTime
}

// realmsOf are the realms that mean nothing where there is no directory, folded.
func realmsOf(cfg *conf.Config) []string {
	var realms []string
	for _, realm := range cfg.TMS.Realms {
		if folded, ok := foldUser(realm); ok {
			realms = append(realms, folded)
		}
	}
	return realms
}

// withoutRealm is a folded name without one of the realms that mean nothing, as a login has
// it.
func withoutRealm(cfg *conf.Config, name string) string {
	return string(radiusd.WithoutRealm([]byte(name), realmsOf(cfg)))
}

// queueTime is how long a login may wait until it is shown to the TMS.
const queueTime = 500 * time.Millisecond

// runTMS looks after the TMS until ctx is done.
func (s *server) runTMS(ctx context.Context) {
	if s.behind == nil {
		return
	}
	var parts sync.WaitGroup
	parts.Go(func() { s.lessons.Run(ctx) })
	if s.behind.servers != nil {
		parts.Go(func() { s.behind.servers.Run(ctx) })
	}
	parts.Wait()
}

func (b *backend) close() {
	switch {
	case b == nil:
	case b.service != nil:
		b.service.Close()
	default:
		b.servers.Close()
	}
}

// Verify implements radiusd.Backend. What the TMS has accepted the learner is told of.
func (b *backend) Verify(ctx context.Context, l *radiusd.BackendLogin) (radiusd.BackendReply, error) {
	verify := b.askServers
	if b.service != nil {
		verify = b.askService
	}
	reply, err := verify(ctx, l)
	if err == nil && reply.Verdict == otp.AcceptedByTMS && !l.Doubtful {
		passcode := l.Passcode
		if l.Method != otp.PAP || l.Dialog != nil {
			passcode = otp.Passcode{} // PIN and code were not seen: there is nothing to learn
		}
		b.learner.Accepted(ctx, l.User, passcode, l.At)
	}
	return reply, err
}

// askService shows a login to SafeNet's OTP service, which knows PAP, as MS-CHAPv2, and
// MS-CHAPv2.
func (b *backend) askService(ctx context.Context, l *radiusd.BackendLogin) (radiusd.BackendReply, error) {
	var answer safenet.Answer
	var err error
	switch l.Method {
	case otp.PAP:
		answer, err = b.service.VerifyPasscode(ctx, b.nameOf(l), l.Passcode)
	case otp.MSCHAPv2:
		answer, err = b.service.Relay(ctx, b.nameOf(l), l.Packet.UserName, l.Packet.MSCHAPChallenge, l.Packet.MSCHAP2Response)
	default:
		return radiusd.BackendReply{Verdict: otp.NeedsPAP}, nil
	}
	if err != nil || !answer.Accepted {
		unasked := errors.Is(err, safenet.ErrUserName) // such a user the TMS cannot have
		return radiusd.BackendReply{Verdict: otp.RefusedByTMS, Unasked: unasked}, serviceError(err)
	}
	reply := radiusd.BackendReply{Verdict: otp.AcceptedByTMS}
	if l.Method == otp.MSCHAPv2 {
		send, recv := answer.Keys()
		reply.SendKey, reply.RecvKey = send[:], recv[:]
		reply.Attributes = packet.AppendMSCHAP2Success(nil, l.Packet.MSCHAP2Response[0], answer.AuthenticatorResponse())
	}
	return reply, nil
}

// serviceError is an error of the OTP service in the words of radiusd.
func serviceError(err error) error {
	var network *net.OpError
	switch {
	case errors.Is(err, safenet.ErrUserName):
		return nil
	case errors.Is(err, safenet.ErrOddAnswer):
		return fmt.Errorf("%w: %w", radiusd.ErrOddAnswer, err)
	case errors.As(err, &network) && network.Op == "dial": // there was no connection to send it on
		return fmt.Errorf("%w: %w", radiusd.ErrNotShown, err)
	}
	return err
}

// verdictOf are the answers of a RADIUS server as verdicts.
var verdictOf = map[packet.Code]otp.Verdict{
	packet.AccessAccept: otp.AcceptedByTMS, packet.AccessReject: otp.RefusedByTMS, packet.AccessChallenge: otp.AskedByTMS,
}

// askServers shows a login to the RADIUS servers.
func (b *backend) askServers(ctx context.Context, l *radiusd.BackendLogin) (radiusd.BackendReply, error) {
	login := remote.Login{UserName: []byte(b.nameOf(l)), Packet: l.Packet, Dialog: l.Dialog}
	switch l.Method {
	case otp.PAP:
		login.Passcode = l.Passcode.Bytes()
	case otp.MSCHAP, otp.MSCHAPv2: // the name is part of what was proven
		login.UserName = l.Packet.UserName
	}
	reply, err := b.servers.Verify(ctx, &login)
	if errors.Is(err, remote.ErrLost) {
		err = fmt.Errorf("%w: %w", radiusd.ErrLost, err)
	}
	if errors.Is(err, remote.ErrNotSent) {
		err = fmt.Errorf("%w: %w", radiusd.ErrNotShown, err)
	}
	return radiusd.BackendReply{
		Verdict: verdictOf[reply.Code], Attributes: reply.Attributes,
		SendKey: reply.SendKey, RecvKey: reply.RecvKey, MSCHAPKeys: reply.MSCHAPKeys, Dialog: reply.Dialog,
	}, err
}

// Probe implements radiusd.Backend.
func (b *backend) Probe(ctx context.Context) error {
	if b.service != nil {
		return b.service.Probe(ctx)
	}
	return b.servers.Probe(ctx)
}

// nameOf is the user's name as the TMS is told it.
func (b *backend) nameOf(l *radiusd.BackendLogin) string {
	typed, names := string(l.Packet.UserName), b.names()
	if names.UserNameFormat == conf.UserNameTyped {
		return typed
	}
	plain, realm := splitRealm(typed)
	if l.Identity != nil {
		if name, _ := splitRealm(l.Identity.Name); l.Identity.Directory != "" {
			plain = name
		}
		realm = l.Identity.Realm
	}
	if names.Domain != "" {
		realm = names.Domain
	}
	switch format := names.UserNameFormat; {
	case realm == "":
		return plain
	case format == conf.UserNameDomain:
		return realm + `\` + plain
	case format == conf.UserNameUPN:
		return plain + "@" + realm
	}
	return plain
}

// splitRealm takes the realm off a user's name: EXAMPLE\kay and kay@example.com are kay.
func splitRealm(name string) (plain, realm string) {
	if domain, user, found := strings.Cut(name, `\`); found {
		return user, domain
	}
	if at := strings.LastIndexByte(name, '@'); at > 0 {
		return name[:at], name[at+1:]
	}
	return name, ""
}

// tellTMS logs what the server stands in front of.
func (s *server) tellTMS() {
	if t := s.cfg.Load().TMS; t.Exists() {
		s.logger.Info("a TMS stands behind this server", "otp_service_url", t.OTPServiceURL, "radius", t.Radius,
			"order", string(t.Order), "user_repository", t.UserRepository, "learn", t.Learn, "shadow", t.Shadow)
	}
}

// tellBackend is how it stands with the TMS, for the status page.
func (s *server) tellBackend() string {
	state, since, _ := s.radius.BackendState()
	if state != "closed" {
		return "does not answer since " + since.Format(time.RFC3339)
	}
	if s.behind.servers == nil {
		return "logins are shown to it"
	}
	up, states := 0, s.behind.servers.States()
	for _, server := range states {
		if server.Up {
			up++
		}
	}
	return fmt.Sprintf("%d of %d servers up", up, len(states))
}

// Behind implements tms.Behind.
func (s *server) Behind() tms.BehindView {
	v := tms.BehindView{Address: s.behind.names().OTPServiceURL}
	v.State, v.Since, v.LastError = s.radius.BackendState()
	if s.behind.servers != nil {
		for _, state := range s.behind.servers.States() {
			v.Servers = append(v.Servers, tms.BehindPeer{Address: state.Server, Up: state.Up, Since: state.Since})
		}
	}
	for _, a := range s.lessons.Ambiguities() {
		doubt := tms.Doubt{User: string(a.User), At: a.At, Why: a.Outcome.String()}
		for _, serial := range a.Serials {
			doubt.Serials = append(doubt.Serials, string(serial))
		}
		v.Doubts = append(v.Doubts, doubt)
	}
	return v
}
