package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"countersign/conf"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/tms"
	"countersign/tms/directory"
	"countersign/tms/enrol"
	"countersign/tms/mail"
)

// newEnrolment builds what leads users to a token.
func (s *server) newEnrolment(cfg *conf.Config) error {
	if err := s.mailer.use(cfg); err != nil {
		return err
	}
	o := enrol.Options{
		Service: s.service, Store: s.store, Sender: &s.mailer,
		Settings: func() enrol.Settings { return enrolSettings(s.cfg.Load()) },
		Policy:   func() otp.Policy { return policy(s.cfg.Load()) },
		Clock:    s.app.clock, Rand: s.app.rand, Logger: s.logger, Registerer: s.registry,
	}
	if s.users != nil {
		o.Users = s.users
	}
	s.enrolment = enrol.New(o)
	s.queued = s.enrolment.Wake
	return nil
}

// styles are the configuration's words in those of enrol.
var styles = map[conf.EnrolStyle]enrol.Style{conf.StyleLink: enrol.LinkStyle, conf.StyleSeedFile: enrol.SeedFileStyle}

// enrolSettings is the configuration's [enrol].
func enrolSettings(cfg *conf.Config) enrol.Settings {
	e := &cfg.Enrol
	settings := enrol.Settings{
		Language: string(e.Language), Style: styles[e.Style], KeyInMail: e.ActivationKeyInMail,
		URL: strings.TrimSuffix(cfg.Web.URL, "/"), ClientURL: clientURL(cfg), Domains: e.MailDomains,
		DialogTime: e.DialogTime, Remind: e.Remind, Grace: e.Grace, CheckEvery: e.CheckEvery, Issuer: e.Issuer, MaxMails: e.MaxMails,
	}
	for _, group := range e.Groups {
		if folded, ok := directory.FoldGroup(group); ok { // checkEnrolment has found those that are not
			settings.Groups = append(settings.Groups, folded)
		}
	}
	return settings
}

// clientURL is where users download the token client, "" when nowhere.
func clientURL(cfg *conf.Config) string {
	if cfg.Enrol.ClientURL != "" || cfg.Web.ClientDir == "" || cfg.Web.URL == "" {
		return cfg.Enrol.ClientURL
	}
	return strings.TrimSuffix(cfg.Web.URL, "/") + "/TMSService/ClientDownload/"
}

// enrolmentPolicy is the configuration's [enrol] and [token] in the words of tms.
func enrolmentPolicy(cfg *conf.Config) tms.EnrolmentPolicy {
	e := &cfg.Enrol
	return tms.EnrolmentPolicy{
		Token: tokenTemplate(&cfg.Token), Valid: e.Valid,
		PIN:           otp.PINPolicy{MinLength: cfg.Login.MinPINLength, AllowWeak: e.WeakPINs, Refused: e.RefusedPINs},
		RecoveryCodes: e.RecoveryCodes, TemporaryTime: e.TemporaryTime, NoPIN: e.NoPIN,
	}
}

// tokenTemplate is the configuration's [token].
func tokenTemplate(t *conf.Token) tms.NewToken {
	template := tms.NewToken{Type: string(t.Type), Digits: t.Digits}
	if t.Type != conf.TokenMobilePASS {
		template.Algorithm = string(t.Algorithm)
	}
	if t.Type == conf.TokenTOTP {
		template.Period = int(t.Period / time.Second)
	}
	return template
}

// enroller is the way to a token in the words of radiusd.
type enroller struct{ *server }

// Invited implements radiusd.Enroller.
func (e enroller) Invited(user []byte) bool { return e.enrolment.Invited(user) }

// Activate implements radiusd.Enroller.
func (e enroller) Activate(ctx context.Context, user otp.UserName, nas string, passcode otp.Passcode) (otp.FirstCode, error) {
	return e.enrolment.Activate(ctx, user, nas, passcode)
}

// Begin implements radiusd.Enroller. Where no mail is sent and nobody has invited the
// user, there is a token that an administrator hands over.
func (e enroller) Begin(ctx context.Context, asked radiusd.Enrolment) (radiusd.Prompt, error) {
	if e.cfg.Load().Mail.Server == "" && !e.enrolment.Invited([]byte(asked.Identity.Name)) {
		caller := tms.Caller{Name: "server@" + asked.NAS, Administrator: true}
		err := e.service.CreateToken(ctx, caller, otp.UserName(asked.Identity.Name), tokenTemplate(&e.cfg.Load().Token))
		return radiusd.Prompt{Verdict: otp.TokenCreated}, err
	}
	return promptOf(e.enrolment.Begin(ctx, askedOf(asked)))
}

// Answer implements radiusd.Enroller.
func (e enroller) Answer(ctx context.Context, asked radiusd.Enrolment) (radiusd.Prompt, error) {
	return promptOf(e.enrolment.Answer(ctx, askedOf(asked)))
}

func askedOf(e radiusd.Enrolment) enrol.Asked {
	return enrol.Asked{Identity: e.Identity, NAS: e.NAS, Challenge: e.Challenge, Dialog: e.Dialog, Typed: e.Typed}
}

func promptOf(p enrol.Prompt, err error) (radiusd.Prompt, error) {
	return radiusd.Prompt{Verdict: p.Verdict, Message: p.Message, Echo: p.Echo, Dialog: p.Dialog}, err
}

// mailer sends letters through the mail server of the configuration, which a reload
// may change.
type mailer struct{ current atomic.Pointer[postOffice] }

// postOffice is a mail server and the templates. There is no sender without a server.
type postOffice struct {
	sender    *mail.Sender
	templates *mail.Templates
	issuer    string
	domain    string // of the sender, for Message-IDs
}

// use takes the mail server and the templates of a configuration.
func (m *mailer) use(cfg *conf.Config) error {
	office, err := newPostOffice(cfg)
	if err == nil {
		m.current.Store(office)
	}
	return err
}

func newPostOffice(cfg *conf.Config) (*postOffice, error) {
	office := &postOffice{issuer: cfg.Enrol.Issuer}
	var err error
	if office.templates, err = mail.LoadTemplates(cfg.Enrol.Templates, string(cfg.Enrol.Language)); err != nil || cfg.Mail.Server == "" {
		return office, err
	}
	office.domain = strings.Trim(cfg.Mail.From[strings.LastIndexByte(cfg.Mail.From, '@')+1:], "> ")
	office.sender, err = mail.New(mailConfig(&cfg.Mail))
	return office, err
}

// encryptions are the configuration's words in those of mail.
var encryptions = map[conf.MailTLS]mail.TLS{conf.MailStartTLS: mail.StartTLS, conf.MailTLSOnly: mail.ImplicitTLS, conf.MailNoTLS: mail.NoTLS}

func mailConfig(m *conf.Mail) mail.Config {
	return mail.Config{
		Server: m.Server, TLS: encryptions[m.TLS], CAFile: m.CAFile, User: m.User, Password: mail.NewPassword(m.Password.Bytes()),
		From: m.From, ReplyTo: m.ReplyTo, Timeout: m.Timeout,
	}
}

var errNoMailServer = errors.New("the configuration has no mail server")

// Send implements enrol.Sender.
func (m *mailer) Send(ctx context.Context, l enrol.Letter) error {
	office := m.current.Load()
	if office.sender == nil {
		return errNoMailServer
	}
	message, err := office.write(l)
	if err != nil {
		return err
	}
	if err := office.sender.Send(ctx, message); errors.Is(err, mail.ErrRefused) {
		return fmt.Errorf("%w: %w", enrol.ErrRefused, err)
	} else if err != nil {
		return err
	}
	return nil
}

// write makes the message of a letter.
func (o *postOffice) write(l enrol.Letter) (*mail.Message, error) {
	data := mail.Data{
		User: string(l.User), Serial: string(l.Serial), Type: l.Type, Link: l.Link, ActivationKey: l.ActivationKey.Reveal(),
		ClientURL: l.ClientURL, SelfServiceURL: l.SelfServiceURL, Expires: l.Expires, Date: l.Date,
		PIN: l.PIN, SeedFile: l.SeedFile != nil, SeedFileName: l.SeedFileName, Issuer: o.issuer,
	}
	m := &mail.Message{To: l.To, ID: l.ID + "@" + o.domain, Date: l.Date}
	var err error
	if m.Subject, m.Text, m.HTML, err = o.templates.Render(string(l.Kind), data); err != nil {
		return nil, err
	}
	if l.SeedFile != nil {
		m.Attachments = []mail.Attachment{{Name: l.SeedFileName, Type: "application/pskc+xml", Data: l.SeedFile}}
	}
	return m, nil
}

// checkEnrolment is a conf.Check: it finds templates, mail servers and groups that
// cannot be used.
func checkEnrolment(cfg *conf.Config, fault func(key, problem, remedy string)) {
	for i, group := range cfg.Enrol.Groups {
		if _, ok := directory.FoldGroup(group); !ok {
			fault(fmt.Sprintf("enrol.groups[%d]", i), fmt.Sprintf("%q is no group", group), `write its name, as "vpn users", or its DN`)
		}
	}
	_, err := newPostOffice(cfg)
	var wrong *mail.SettingError
	switch {
	case errors.As(err, &wrong):
		fault("mail."+wrong.Setting, wrong.Problem, wrong.Remedy)
	case err != nil:
		fault("enrol.templates", err.Error(), "correct it; `countersign mail templates` writes the built-in ones")
	}
}

// watchGroups warns of groups of [enrol] that no directory has, at once and after
// each reload, until ctx is done. No login waits for it.
func (s *server) watchGroups(ctx context.Context) {
	for s.users != nil {
		for _, problem := range missingGroups(ctx, s.users, groupsOf(s.cfg.Load())) {
			if ctx.Err() == nil {
				s.logger.Warn(problem)
			}
		}
		select {
		case <-s.regroup:
		case <-ctx.Done():
			return
		}
	}
}

// checkMail contacts the mail server, if there is one, and prints a line.
func (a *app) checkMail(cfg *conf.Config) error {
	if cfg.Mail.Server == "" {
		return nil
	}
	sender, err := mail.New(mailConfig(&cfg.Mail))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Mail.Timeout)
	defer cancel()
	if err := sender.Check(ctx); err != nil {
		fmt.Fprintln(a.err, err)
		return exitStatus(1)
	}
	a.say("mail server %s: good", cfg.Mail.Server)
	return nil
}
