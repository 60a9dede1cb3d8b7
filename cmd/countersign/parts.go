package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd"
	"countersign/radiusd/packet"
	"countersign/tms"
	"countersign/tms/directory"
	"countersign/tms/migration"
	"countersign/tms/store/embedded"
)

// parts are the parts that the server and the commands that work without one
// have in common.
type parts struct {
	cfg     atomic.Pointer[conf.Config] // replaced by a reload
	store   engine
	service *tms.Service
	users   *directory.Repository // nil when there is no directory
	rules   *rulebook
	clock   func() time.Time
	queued  func() // has mails sent that an act has queued; nil where nobody sends any
	stocked func() // has the tokens in stock looked at that an act has brought there; nil where nobody learns
}

// watchedStore is the store that tells the server what it waits for.
type watchedStore struct {
	engine
	parts *parts
}

// ChangeHolder implements tms.EnrolmentStore.
func (w watchedStore) ChangeHolder(ctx context.Context, name otp.UserName, act tms.Act, change func(*tms.Holder) error) error {
	return told(w.engine.ChangeHolder(ctx, name, act, change), w.parts.queued)
}

// ChangeStock implements tms.TokenImporter.
func (w watchedStore) ChangeStock(ctx context.Context, rows []tms.TokenRow, change func(*tms.Stock) (tms.Act, error)) error {
	return told(w.engine.ChangeStock(ctx, rows, change), w.parts.stocked)
}

// ChangeToken implements tms.Store. Who learns knows what it has done itself.
func (w watchedStore) ChangeToken(ctx context.Context, serial otp.Serial, act tms.Act, change func(*tms.Token) error) error {
	err := w.engine.ChangeToken(ctx, serial, act, change)
	if act.Actor == migration.Actor {
		return err
	}
	return told(err, w.parts.stocked)
}

// told tells somebody, if there is one, of a change that has not failed.
func told(err error, tell func()) error {
	if err == nil && tell != nil {
		tell()
	}
	return err
}

func storePath(cfg *conf.Config) string { return filepath.Join(cfg.DataDir, "countersign.db") }

// credentials is where systemd puts what LoadCredential= names.
func credentials() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

// openParts opens the store and builds the service over it.
func (a *app) openParts(ctx context.Context, cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer) (*parts, error) {
	users, err := openUsers(cfg, a.clock, logger, registry)
	if err != nil {
		return nil, err
	}
	p := &parts{users: users, clock: a.clock}
	p.cfg.Store(cfg)
	store, err := a.openEngine(ctx, cfg, logger, registry, func() int { return p.cfg.Load().Login.MaxFailures })
	if err != nil {
		if users != nil {
			users.Close()
		}
		return nil, err
	}
	p.store = store
	p.rules = &rulebook{parts: p}
	watched := watchedStore{store, p}
	service := tms.Options{
		Store:        watched,
		Keeper:       &keeper{app: a, parts: p},
		Clock:        a.clock,
		Rand:         a.rand,
		Policy:       func() otp.Policy { return policy(p.cfg.Load()) },
		MinPINLength: func() int { return p.cfg.Load().Login.MinPINLength },
		Rulebook:     p.rules,
		Explainer:    &explainer{p},

		CanonicalUser: canonicalName(cfg, users),

		Enrolment:       watched,
		EnrolmentPolicy: func() tms.EnrolmentPolicy { return enrolmentPolicy(p.cfg.Load()) },

		Migration: store,

		Sessions:   store,
		Accounting: store,
		Audit:      store,
		Exporter:   auditExporter(),

		NASSettings: func() []tms.NASSettings { return nasSettings(p.cfg.Load()) },
	}
	if users != nil {
		service.Directory = users
	}
	if shared := p.cluster(); shared != nil {
		service.Cluster = shared
	}
	p.service = tms.NewService(service)
	return p, nil
}

// storeOptions are the options of the store, with the keys read.
func (a *app) storeOptions(cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer) (embedded.Options, error) {
	keks, err := a.keys(cfg)
	if err != nil {
		return embedded.Options{}, err
	}
	return embedded.Options{
		Path: storePath(cfg), KEKs: keks, Rand: a.rand, Clock: a.clock, Logger: logger, Registerer: registry,
		CacheUsers: cfg.Store.CacheUsers,
	}, nil
}

// keys reads the key file. On the very first start, when there is no store yet
// either, it makes one.
func (a *app) keys(cfg *conf.Config) ([]seal.KEK, error) {
	path := cfg.KeyFile(credentials())
	if keks, err := seal.ReadKeyFile(path); !errors.Is(err, os.ErrNotExist) {
		return keks, err
	}
	if _, err := os.Stat(storePath(cfg)); err == nil {
		return nil, fmt.Errorf("there is a store %s but no key file %s: put the key file back; without it no token can be used", storePath(cfg), path)
	}
	if _, _, err := a.makeKey(cfg); err != nil {
		return nil, err
	}
	return seal.ReadKeyFile(path)
}

// makeKey makes the key file, unless there is one.
func (a *app) makeKey(cfg *conf.Config) (path string, made bool, err error) {
	path = cfg.KeyFile(credentials())
	if _, err := os.Stat(path); err == nil {
		return path, false, nil
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return path, false, fmt.Errorf("making the data folder: %w", err)
	}
	err = seal.CreateKeyFile(path, a.rand)
	return path, err == nil, err
}

func (p *parts) close() error {
	if p.users != nil {
		p.users.Close()
	}
	return p.store.Close()
}

// begin makes the rules of the configuration those in force. Who acts is named in
// the audit record.
func (p *parts) begin(ctx context.Context, cfg *conf.Config, actor string) error {
	return p.rules.take(ctx, cfg, actor, func(*ruleset) {})
}

// policy is the configuration's [login] in the words of package otp.
func policy(cfg *conf.Config) otp.Policy {
	l := &cfg.Login
	return otp.Policy{
		Window: l.Window, MaxDrift: l.MaxDrift, LookAhead: l.LookAhead, ResyncWindow: l.ResyncWindow, ResyncSteps: l.ResyncSteps,
		ResyncTime: l.ResyncTime, MaxFailures: l.MaxFailures, LockTime: l.LockTime, RepeatTime: l.RepeatTime,
		ThrottleAfter: l.ThrottleAfter, ThrottleFirst: l.ThrottleFirst, ThrottleMax: l.ThrottleMax,
		ThrottleForget: l.ThrottleForget, ThrottleEntries: l.ThrottleEntries,
		MaxWrongPasswords: l.MaxWrongPasswords, WrongPasswordTime: l.WrongPasswordTime,
		Agreements:      cfg.TMS.Agreements,
		SameLoginWindow: cfg.Cluster.SameLoginWindow, RepeatSameLogin: cfg.Cluster.OnSameLogin == conf.SameLoginRepeat,
	}
}

// requirements and placements are the configuration's words in radiusd's.
var (
	requirements = map[conf.MessageAuthenticator]radiusd.Requirement{
		conf.MessageAuthenticatorAuto:    radiusd.RequireAuto,
		conf.MessageAuthenticatorRequire: radiusd.RequireAlways,
		conf.MessageAuthenticatorOff:     radiusd.RequireNever,
	}
	placements = map[conf.ReplyMessageAuthenticator]packet.Placement{
		conf.ReplyMessageAuthenticatorFirst: packet.First,
		conf.ReplyMessageAuthenticatorLast:  packet.Last,
		conf.ReplyMessageAuthenticatorOff:   packet.Off,
	}
)

// nasTable is the configuration's [[nas]].
func nasTable(cfg *conf.Config, senders []string) (*radiusd.NASTable, error) {
	table := make([]radiusd.NASConfig, len(cfg.NAS))
	for i := range cfg.NAS {
		table[i] = nasConfig(cfg, &cfg.NAS[i])
	}
	return radiusd.NewNASTable(table, senders)
}

// modes and passes are the configuration's words in those of exclusions.
var (
	modes = map[conf.Mode]exclusions.Mode{
		conf.ModeMandatory:    exclusions.Mandatory,
		conf.ModeCreateToken:  exclusions.CreateToken,
		conf.ModeTokenHolders: exclusions.TokenHolders,
	}
	passes = map[conf.Excluded]exclusions.Pass{
		conf.ExcludedUnsaid:            exclusions.NoPass,
		conf.ExcludedAccept:            exclusions.PassAccept,
		conf.ExcludedDirectoryPassword: exclusions.PassDirectoryPassword,
	}
)

func nasConfig(cfg *conf.Config, n *conf.NAS) radiusd.NASConfig {
	preset := presetOf(n)
	c := radiusd.NASConfig{
		Name: n.Name, Prefixes: n.Addresses, Secret: packet.NewSecret(n.Secret.Bytes()),
		MessageAuthenticator:      requirements[n.MessageAuthenticator],
		ReplyMessageAuthenticator: placements[n.ReplyMessageAuthenticator],
		Mode:                      modes[cfg.ModeOf(n)], Excluded: passes[n.Excluded],
		ClientIPFrom: preset.ClientIPFrom, MACFrom: preset.MACFrom,
		TrustNASIPAddress: n.TrustNASIPAddress, Challenge: n.Challenge, Order: orders[cfg.OrderOf(n)],
		Class: n.SendsClass(),
	}
	if n.ClientIPFrom != nil {
		c.ClientIPFrom = origins(n.ClientIPFrom)
	}
	return c
}

// origins are attributes by their words.
func origins(words []string) []exclusions.Origin {
	all := make([]exclusions.Origin, len(words))
	for i, word := range words {
		var err error
		if all[i], err = exclusions.ParseOrigin(word); err != nil {
			panic(err) // conf takes no other words; TestEveryOriginIsKnown
		}
	}
	return all
}
