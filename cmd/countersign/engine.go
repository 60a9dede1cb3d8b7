package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/store/embedded"
	"countersign/tms/store/postgres"
)

// engine is a store, whichever keeps it.
type engine interface {
	otp.TokenStore
	tms.Store
	tms.EnrolmentStore
	tms.TokenImporter
	tms.MigrationStore
	tms.Audit
	accounting.Store

	AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool
	RememberMessageAuthenticator(ctx context.Context, nas string) error
	MessageAuthenticatorSeen(ctx context.Context) ([]string, error)
	BoxKey(ctx context.Context) ([]byte, error)
	KeepNote(ctx context.Context, kind, name string, value []byte) error
	Notes(ctx context.Context, kind string) (map[string][]byte, error)
	Prune(ctx context.Context, before time.Time, upTo uint64, act tms.Act) (batches int64, err error)
	PruneAccounting(ctx context.Context, before time.Time, upTo accounting.Position) (records int64, err error)
	Backup(ctx context.Context, file string, progress func(done, total int64)) error
	RotateKeys(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error
	Check(ctx context.Context) error
	Ready() error
	Close() error
}

var (
	_ engine = (*embedded.Store)(nil)
	_ engine = (*postgres.Store)(nil)
)

// openEngine opens the store of the configuration.
func (a *app) openEngine(ctx context.Context, cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer, maxFailures func() int) (engine, error) {
	if cfg.Store.Driver == conf.StorePostgres {
		options, err := a.postgresOptions(cfg, logger, registry)
		if err != nil {
			return nil, err
		}
		options.MaxFailures = maxFailures
		s, err := postgres.Open(ctx, options)
		if err != nil {
			return nil, ofKeyFile(cfg, err) // and not a nil pointer in an interface
		}
		return s, nil
	}
	options, err := a.storeOptions(cfg, logger, registry)
	if err != nil {
		return nil, err
	}
	options.MaxFailures = maxFailures
	s, err := embedded.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ofKeyFile names the key file in an error that says that it does not open the store.
func ofKeyFile(cfg *conf.Config, err error) error {
	if errors.Is(err, seal.ErrOpen) {
		return fmt.Errorf("key file %s: %w", cfg.KeyFile(credentials()), err)
	}
	return err
}

// postgresOptions are the options of the driver postgres, with the keys read.
func (a *app) postgresOptions(cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer) (postgres.Options, error) {
	o := a.postgresDatabase(cfg, logger, registry)
	path := cfg.KeyFile(credentials())
	var err error
	o.KeyFile = path
	o.ReadKEKs = func() ([]seal.KEK, error) { return seal.ReadKeyFile(path) }
	if o.KEKs, err = o.ReadKEKs(); errors.Is(err, os.ErrNotExist) {
		return o, fmt.Errorf("there is no key file %s: copy it from another server of this database; for the first one `countersign store migrate` makes it", path)
	}
	return o, err
}

// postgresDatabase is postgresOptions without the keys. A command, which has no registry, is
// not the node whose configuration it reads, and must not be taken for it.
func (a *app) postgresDatabase(cfg *conf.Config, logger *slog.Logger, registry prometheus.Registerer) postgres.Options {
	host, err := os.Hostname()
	if err != nil {
		host = "countersign"
	}
	node := cfg.NodeName(host)
	if registry == nil {
		node = fmt.Sprintf("%s/command-%d", node, os.Getpid())
	}
	return postgres.Options{
		DSN: cfg.Store.DSN, Password: postgres.NewPassword(cfg.Store.Password.Bytes()).From(cfg.Store.PasswordFile), Rand: a.rand, Clock: a.clock, Logger: logger,
		Registerer: registry, CacheUsers: cfg.Store.CacheUsers, Node: node, Version: version,
	}
}

// cluster is the store where it is one that several nodes share, nil where it is not.
func (p *parts) cluster() *postgres.Store {
	s, _ := p.store.(*postgres.Store)
	return s
}

// work does what only one node may do at a time: run is called while this is the one, until
// ctx is done. A node alone always is.
func (p *parts) work(ctx context.Context, name string, run func(context.Context)) {
	if shared := p.cluster(); shared != nil {
		shared.Work(ctx, name, run)
		return
	}
	run(ctx)
}

// clusterOptions are the options of a RADIUS server that is one of several. The root key is
// one that all of them have.
func (s *server) clusterOptions(cfg *conf.Config, root []byte, o *radiusd.Options) error {
	shared := s.cluster()
	if shared == nil {
		return nil
	}
	key, err := hkdf.Key(sha256.New, root, nil, "countersign: what several servers know of logins", sharedKeySize)
	if err != nil {
		return err
	}
	o.SharedKey = (*[sharedKeySize]byte)(key)
	o.Node, o.Sightings = shared.Node(), sightings{shared}
	o.ExcludedWhenStoreDown = cfg.Cluster.ExcludedWhenStoreDown
	s.verifier.ShareMisses(*o.SharedKey)
	return nil
}

// sharedKeySize is the length of radiusd.Options.SharedKey.
const sharedKeySize = 32

// sightings is what several servers have shown to the TMS, in the words of radiusd.
type sightings struct{ store *postgres.Store }

// Claim implements radiusd.Sightings.
func (s sightings) Claim(c radiusd.Claim, done func(radiusd.Sighting, error)) {
	s.store.Claim(postgres.Claim(c), func(known postgres.Sighting, err error) { done(radiusd.Sighting(known), err) })
}

// Settle implements radiusd.Sightings.
func (s sightings) Settle(key [16]byte, state uint8, keep time.Duration) {
	s.store.Settle(key, state, keep)
}

// listenToOthers has this node take over what others change.
func (s *server) listenToOthers(ctx context.Context) {
	shared := s.cluster()
	if shared == nil {
		return
	}
	said := ""
	shared.OnChange("rules", func() error {
		err := s.rules.Changed(ctx)
		if err == nil {
			said = ""
		} else if ctx.Err() == nil && err.Error() != said { // it is tried again each half second
			said = err.Error()
			s.logger.Error("rules that another node has changed are not in force here: the old ones stay, and this is tried again", "error", err)
		}
		return err
	})
	shared.OnChange("senders", func() error {
		senders, err := s.store.MessageAuthenticatorSeen(ctx)
		if err == nil {
			s.radius.SetSenders(senders)
		}
		return err
	})
	shared.OnChange("mails", func() error { return told(nil, s.queued) })
	shared.OnChange("stock", func() error { return told(nil, s.stocked) })
}
