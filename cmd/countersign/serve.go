package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd"
	"countersign/tms/audit"
	"countersign/tms/console"
	"countersign/tms/enrol"
	"countersign/tms/migration"
	"countersign/tms/safenet"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		Long: "Run the server until SIGTERM or SIGINT. SIGHUP reads the configuration anew, with the files of secrets and\n" +
			"dictionaries that it names, and takes over NASes, secrets, rules, replies, [login], [[session_limit]], [accounting], [audit], [token], [enrol], [mail] and the log level without\n" +
			"losing a packet. The log tells which changes need a restart.",
		RunE: func(*cobra.Command, []string) error { return a.serve(nil) },
	}
}

// server is a running Countersign.
type server struct {
	*parts
	app      *app
	logger   *slog.Logger
	level    *slog.LevelVar
	verifier *otp.Verifier
	radius   *radiusd.Server
	registry *prometheus.Registry

	behind      *backend                        // the TMS, nil without one
	lessons     *migration.Learner              // from what the TMS has accepted
	programs    atomic.Pointer[safenet.Handler] // those that ask us in the place of SafeNet's service
	asked       *prometheus.CounterVec          // by them
	syslogs     []*audit.Syslog
	accounts    accounts // what becomes of what NASes report
	retention   retention
	kept        map[string]time.Time // up to when it is kept what was seen of each NAS
	mailer      mailer
	enrolment   *enrol.Enrolment
	regroup     chan struct{}        // has an element when the groups of [enrol] are to be looked for
	certificate *console.Certificate // of [web]; nil where nothing needs it
	status      *console.Status
	http        []*http.Server
	listen      []net.Listener // one for each of http
}

// serve runs the server. started, when not nil, is called once it answers.
func (a *app) serve(started func(*server) error) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	level := new(slog.LevelVar)
	logger, buffer := newLogger(cfg.Log, a.err, level)
	logging, stopLogging := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { buffer.run(logging) })
	defer background.Wait()
	defer stopLogging()

	if os.Getenv("GOGC") == "" {
		// A login allocates next to nothing, so collecting sooner costs no time
		// and saves memory where a million accounts are cached.
		debug.SetGCPercent(40)
	}
	s, err := a.newServer(cfg, logger, level)
	if err != nil {
		return err
	}
	return s.run(signals, started)
}

// newServer builds all parts and opens all addresses, so that a fault is told
// before anybody is answered.
func (a *app) newServer(cfg *conf.Config, logger *slog.Logger, level *slog.LevelVar) (*server, error) {
	s := &server{app: a, logger: logger, level: level, registry: prometheus.NewRegistry(), regroup: make(chan struct{}, 1)}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil { // for the admin socket; the store may be elsewhere
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	p, err := a.openParts(context.Background(), cfg, logger, s.registry)
	if err != nil {
		return nil, err
	}
	s.parts = p
	if err := s.build(cfg); err != nil {
		for _, l := range s.listen {
			_ = l.Close()
		}
		return nil, errors.Join(err, p.close())
	}
	return s, nil
}

func (s *server) build(cfg *conf.Config) error {
	senders, err := s.store.MessageAuthenticatorSeen(context.Background())
	if err != nil {
		return err
	}
	table, err := nasTable(cfg, senders)
	if err != nil {
		return err
	}
	if err := s.begin(context.Background(), cfg, "server"); err != nil {
		return err
	}
	s.rules.warn(s.logger)
	s.verifier = otp.NewVerifier(s.store, policy(cfg))
	if err := s.newEnrolment(cfg); err != nil {
		return err
	}
	if err := s.newTMS(cfg); err != nil {
		return err
	}
	root, err := s.store.BoxKey(context.Background())
	if err != nil {
		return err
	}
	if err := s.newAccounts(context.Background(), cfg, root); err != nil {
		return err
	}
	if err := s.newSyslogs(cfg); err != nil {
		return err
	}
	if err := s.newRadius(cfg, table, root); err != nil {
		return err
	}
	if err := s.recallSeen(context.Background()); err != nil {
		return err
	}
	s.service.NASes = s.nasesSeen
	s.status = &console.Status{
		Version: version, Started: s.app.clock(), Clock: s.app.clock, Ready: s.store.Ready, Listening: addresses(s.radius.Addrs()),
	}
	if s.behind != nil {
		s.status.TMS = s.tellBackend
	}
	if err := s.listenHTTP(cfg); err != nil {
		return err
	}
	if err := s.listenOTPService(cfg); err != nil {
		return err
	}
	return s.listenHTTPS(cfg, root)
}

// newRadius builds the RADIUS server of these NASes and opens its addresses. The root key
// is for States.
func (s *server) newRadius(cfg *conf.Config, table *radiusd.NASTable, root []byte) error {
	states, err := seal.NewBox(root, "RADIUS State", s.app.rand)
	if err != nil {
		return err
	}
	options := radiusd.Options{
		Auth: cfg.Radius.Auth, Acct: cfg.Radius.Acct, Loops: cfg.Radius.Loops, NASes: table,
		Verifier: s.verifier, Accounting: s.store, Memory: s.store, Ready: func() bool { return s.store.Ready() == nil },
		Clock: s.app.clock, Rand: s.app.rand, Logger: s.logger, Registerer: s.registry,
		ReplyCacheEntries: cfg.Radius.ReplyCacheEntries, ReplyCacheTime: cfg.Radius.ReplyCacheTime,
		MaxInFlight: cfg.Radius.MaxInFlight, ReceiveBuffer: int(cfg.Radius.ReceiveBuffer), RejectMessage: cfg.Login.RejectMessage,
		NoTokenMessage: cfg.Login.NoTokenMessage, ChallengeMessage: cfg.Login.ChallengeMessage, ChallengeTime: cfg.Login.ChallengeTime,
		Rules:    &s.rules.current.Load().Rules,
		Enroller: enroller{s}, States: states, EnrolmentTime: cfg.Enrol.DialogTime,
		EnrolmentOverMessage: enrol.OverMessage(string(cfg.Enrol.Language)),
	}
	if s.users != nil {
		options.Users = userRepository{s.users}
	}
	if err := s.clusterOptions(cfg, root, &options); err != nil {
		return err
	}
	if len(cfg.Radius.Acct) > 0 {
		options.Classes, options.Sessions = s.accounts.classes, s.accounts.book
	}
	s.backendOptions(cfg, &options)
	if s.radius, err = radiusd.New(options); err != nil {
		return err
	}
	s.rules.use = s.radius.SetRules
	return s.radius.Listen()
}

func addresses[T fmt.Stringer](addrs []T) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return texts
}

// listenHTTP opens the admin socket, the metrics and the web addresses.
func (s *server) listenHTTP(cfg *conf.Config) error {
	admin := http.NewServeMux()
	(&console.API{Service: s.service, Caller: callerOf}).Mount(admin)
	l, err := listenAdmin(socketPath(cfg))
	if err != nil {
		return err
	}
	s.addHTTP(l, admin)

	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.status.Mount(metrics)
	if err := s.listenTCP("metrics.listen", cfg.Metrics.Listen, metrics); err != nil {
		return err
	}

	web := http.NewServeMux()
	s.status.Mount(web)
	s.status.MountPage(web)
	return s.listenTCP("web.listen", cfg.Web.Listen, web)
}

func (s *server) listenTCP(key string, addrs []netip.AddrPort, handler http.Handler) error {
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			return fmt.Errorf("opening %s of %s: %w", addr, key, err)
		}
		s.addHTTP(l, handler)
	}
	return nil
}

func (s *server) addHTTP(l net.Listener, handler http.Handler) {
	s.listen = append(s.listen, l)
	s.http = append(s.http, &http.Server{
		Handler: handler, ConnContext: withCaller, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	})
}

// run answers until a signal or a failure ends it.
func (s *server) run(signals <-chan os.Signal, started func(*server) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, len(s.http)+2)
	radius := make(chan error, 1)
	go func() { radius <- s.radius.Serve(ctx) }()
	for i, h := range s.http {
		h.BaseContext = func(net.Listener) context.Context { return ctx } // so that who watches is not waited for
		go func() {
			if err := h.Serve(s.listen[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	var background sync.WaitGroup
	background.Go(func() { s.work(ctx, "outbox", s.enrolment.Run) })
	background.Go(func() { s.watchGroups(ctx) })
	background.Go(func() { s.runTMS(ctx) })
	background.Go(func() { s.runAccounts(ctx) })
	background.Go(func() { s.keepHouse(ctx) })
	background.Go(func() { s.work(ctx, "retention", func(ctx context.Context) { every(ctx, pruneEvery, s.prune) }) })
	if s.cluster() != nil {
		background.Go(func() { every(ctx, pruneEvery, s.watchClock) })
	}
	for i, l := range s.syslogs {
		background.Go(func() { s.work(ctx, "syslog "+s.cfg.Load().Syslogs[i].Name, l.Run) })
	}
	background.Go(func() { s.shareMisses(ctx) })
	s.listenToOthers(ctx)
	s.begun(ctx)
	s.logger.Info("started", append([]any{"version", version, "radius", s.status.Listening, "nas", len(s.cfg.Load().NAS)}, s.storeWords()...)...)
	s.tellTMS()
	s.notify(daemon.SdNotifyReady)
	if started != nil {
		go func() {
			if err := started(s); err != nil {
				failed <- err
			}
		}()
	}
	var err error
	select {
	case err = <-s.signalled(signals):
	case err = <-failed:
	case err = <-radius:
		radius <- nil
	}
	s.notify(daemon.SdNotifyStopping)
	cancel()
	err = errors.Join(err, <-radius)
	background.Wait()
	s.note(context.Background(), "server.stop", "version "+version)
	return errors.Join(err, s.stop())
}

// storeWords say in the log where the store is, and what the others call this server.
func (s *server) storeWords() []any {
	words := []any{"store", string(s.cfg.Load().Store.Driver)}
	if shared := s.cluster(); shared != nil {
		words = append(words, "node", shared.Node(), "database", shared.Database())
	}
	return words
}

// signalled answers signals; the channel gets nil when one says to stop.
func (s *server) signalled(signals <-chan os.Signal) <-chan error {
	stop := make(chan error, 1)
	go func() {
		for sig := range signals {
			if sig != syscall.SIGHUP {
				s.logger.Info("stopping", "signal", sig.String())
				stop <- nil
				return
			}
			s.reload()
		}
	}()
	return stop
}

// stop closes what answered, and then the store. No packet is in flight then.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	for _, h := range s.http {
		if h.Shutdown(ctx) != nil {
			err = errors.Join(err, h.Close())
		}
	}
	s.behind.close()
	err = errors.Join(err, s.close())
	s.logger.Info("stopped")
	return err
}

// reload takes over what can change while packets fly. A configuration with a
// fault changes nothing.
func (s *server) reload() {
	s.notify(daemon.SdNotifyReloading)
	defer s.notify(daemon.SdNotifyReady)
	cfg, err := s.takeOver(context.Background())
	if err != nil {
		s.logger.Error("the configuration was not reloaded, the old one stays", "error", err)
		return
	}
	s.note(context.Background(), "server.reload", fmt.Sprintf("%d NASes, %d exclusions", len(cfg.NAS), len(cfg.Exclusions)))
	s.logger.Info("reloaded", "nas", len(cfg.NAS), "exclusions", len(cfg.Exclusions))
	select {
	case s.regroup <- struct{}{}:
	default:
	}
}

// takeOver makes a new configuration the one in use. What can fail comes first.
func (s *server) takeOver(ctx context.Context) (*conf.Config, error) {
	cfg, err := s.app.load()
	if err != nil {
		return nil, err
	}
	senders, err := s.store.MessageAuthenticatorSeen(ctx)
	if err != nil {
		return nil, err
	}
	fixed := keepFixed(s.cfg.Load(), cfg)
	table, err := nasTable(cfg, senders)
	if err != nil {
		return nil, err
	}
	office, err := newPostOffice(cfg)
	if err != nil {
		return nil, err
	}
	err = s.rules.take(ctx, cfg, "server", func(set *ruleset) { s.radius.Set(table, &set.Rules) })
	if err != nil {
		return nil, err
	}
	s.rules.warn(s.logger)
	for _, key := range fixed {
		s.logger.Warn("this setting changes with a restart only", "key", key)
	}
	s.mailer.current.Store(office)
	s.programs.Store(s.newPrograms(cfg))
	s.verifier.SetPolicy(policy(cfg))
	if s.stocked != nil {
		s.stocked() // learning may begin now
	}
	s.level.Set(cfg.Log.Level)
	return cfg, nil
}

// keepFixed gives the new configuration the old values of what a reload cannot
// take over, and returns the keys that differed.
func keepFixed(old, new *conf.Config) []string {
	var keys []string
	radius := old.Radius
	radius.Dictionaries = new.Radius.Dictionaries // come with the replies
	behind, programs := old.TMS, old.OTPService
	if behind.Exists() != new.TMS.Exists() { // who belongs to a TMS that goes on is not the new file's to say
		keys = append(keys, "[tms]")
		new.TMS, new.Orders = behind, old.Orders
	}
	behind.Order, behind.UserRepository, behind.Shadow = new.TMS.Order, new.TMS.UserRepository, new.TMS.Shadow // come with the rules
	behind.Learn, behind.Agreements = new.TMS.Learn, new.TMS.Agreements
	behind.UserNameFormat, behind.Domain = new.TMS.UserNameFormat, new.TMS.Domain
	programs.Allow = new.OTPService.Allow
	keys = append(keys, differing("tms", behind, new.TMS)...)
	keys = append(keys, differing("otp_service", programs, new.OTPService)...)
	new.TMS, new.OTPService = behind, programs
	for _, part := range []struct {
		key      string
		old, new any
	}{
		{"data_dir", &old.DataDir, &new.DataDir}, {"[radius]", &radius, &new.Radius}, {"[store]", &old.Store, &new.Store}, {"[cluster]", &old.Cluster, &new.Cluster},
		{"[web]", &old.Web, &new.Web}, {"[metrics]", &old.Metrics, &new.Metrics}, {"log.format", &old.Log.Format, &new.Log.Format},
		{"[users]", &old.Users, &new.Users}, {"[[directory]]", &old.Directories, &new.Directories},
		{"[[collector]]", &old.Collectors, &new.Collectors}, {"[[syslog]]", &old.Syslogs, &new.Syslogs},
		{"login.reject_message", &old.Login.RejectMessage, &new.Login.RejectMessage},
		{"login.no_token_message", &old.Login.NoTokenMessage, &new.Login.NoTokenMessage},
		{"login.challenge_message", &old.Login.ChallengeMessage, &new.Login.ChallengeMessage},
		{"login.challenge_time", &old.Login.ChallengeTime, &new.Login.ChallengeTime},
		{"enrol.dialog_time", &old.Enrol.DialogTime, &new.Enrol.DialogTime}, {"enrol.language", &old.Enrol.Language, &new.Enrol.Language},
	} {
		if !reflect.DeepEqual(part.old, part.new) {
			keys = append(keys, part.key)
			reflect.ValueOf(part.new).Elem().Set(reflect.ValueOf(part.old).Elem())
		}
	}
	return keys
}

// differing are the keys of a table, a struct of package conf, that have other values.
func differing(table string, old, new any) []string {
	var keys []string
	before, after := reflect.ValueOf(old), reflect.ValueOf(new)
	for i := range before.NumField() {
		if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			keys = append(keys, table+"."+before.Type().Field(i).Tag.Get("toml"))
		}
	}
	return keys
}

// notify tells systemd, when it is there.
func (s *server) notify(state string) {
	if state == daemon.SdNotifyReloading {
		// systemd.service(5): Type=notify-reload wants the monotonic time.
		var now unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
			state += fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
		}
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.logger.Warn("telling systemd failed", "error", err)
	}
}
