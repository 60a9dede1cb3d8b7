package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/store/embedded"
)

func socketPath(cfg *conf.Config) string { return filepath.Join(cfg.DataDir, "admin.sock") }

// adminDialer connects to the running server.
func adminDialer(cfg *conf.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socketPath(cfg))
	}
}

// connected is a command's run function with a connection to the API.
func (a *app) connected(run func(ctx context.Context, c *console.Client, cfg *conf.Config) error) error {
	ctx := context.Background()
	cfg, err := a.load()
	if err != nil {
		return a.connectedAllTheSame(ctx, err, run)
	}
	client, closing, err := a.connect(ctx, cfg)
	if err != nil {
		return err
	}
	client.OnProgress = a.showProgress
	return errors.Join(run(ctx, client, cfg), closing())
}

// connectedAllTheSame is connected when the configuration has faults: a server that
// runs goes on with the one it has, and can be told to take a rule away or to
// disable a user all the same.
func (a *app) connectedAllTheSame(ctx context.Context, faults error, run func(context.Context, *console.Client, *conf.Config) error) error {
	dir, ok := conf.DataDir(a.config)
	if !ok {
		return faults
	}
	cfg := &conf.Config{DataDir: dir}
	dial := adminDialer(cfg)
	conn, err := dial(ctx)
	if err != nil {
		return faults
	}
	_ = conn.Close()
	fmt.Fprintf(a.err, "countersign: warning: the running server goes on with its configuration of before, because the file has faults:\n%v\n", faults)
	client := console.NewClient(dial)
	defer client.Close()
	client.OnProgress = a.showProgress
	return run(ctx, client, cfg)
}

// connect finds the running server by its socket; when there is none it opens
// the store and serves the API to itself.
func (a *app) connect(ctx context.Context, cfg *conf.Config) (*console.Client, func() error, error) {
	dial := adminDialer(cfg)
	conn, dialErr := dial(ctx)
	if dialErr == nil {
		_ = conn.Close()
		client := console.NewClient(dial)
		return client, func() error { client.Close(); return nil }, nil
	}
	p, err := a.openParts(ctx, cfg, slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn})), nil)
	if errors.Is(err, embedded.ErrLocked) {
		return nil, nil, fmt.Errorf("%w; and its admin socket does not answer: %w", err, dialErr)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := p.begin(ctx, cfg, actorName()+"@cli"); err != nil {
		fmt.Fprintln(a.err, "countersign: warning: the server will not start:", err) // the command may be the cure
	}
	client, stop := serveInProcess(p.service)
	return client, func() error { stop(); return p.close() }, nil
}

// serveInProcess serves the API to a Client in the same process.
func serveInProcess(service *tms.Service) (*console.Client, func()) {
	caller := tms.Caller{Name: actorName() + "@cli", Administrator: true}
	api := &console.API{Service: service, Caller: func(*http.Request) tms.Caller { return caller }}
	mux := http.NewServeMux()
	api.Mount(mux)
	pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(pipes) }()
	client := console.NewClient(pipes.dial)
	return client, func() { client.Close(); _ = server.Close() }
}

// actorName is the account that runs the command.
func actorName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// pipeListener is a net.Listener whose connections never leave the process.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "in process", Net: "pipe"} }

// group is a command that only has commands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short}
	g.AddCommand(commands...)
	onlyCommands(g)
	return g
}

// onlyCommands has a command refuse words that are none of its commands, where
// cobra would show its help and say that all went well. Without a word it does.
func onlyCommands(g *cobra.Command) {
	g.SuggestionsMinimumDistance = 2
	g.DisableFlagsInUseLine = true
	g.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		remedy := "choose " + strings.Join(commandNames(c), ", ")
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			remedy = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("unknown command %q for %q: %s", args[0], c.CommandPath(), remedy)
	}
	g.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// commandNames are the names of the commands of a command.
func commandNames(c *cobra.Command) []string {
	var names []string
	for _, command := range c.Commands() {
		if command.IsAvailableCommand() {
			names = append(names, command.Name())
		}
	}
	return names
}
