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
	"sync"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/store/embedded"
)

func socketPath(cfg *conf.Config) string { return filepath.Join(cfg.DataDir, "admin.sock") }

// connected is a command's run function with a connection to the API.
func (a *app) connected(run func(ctx context.Context, c *console.Client, cfg *conf.Config) error) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, closing, err := a.connect(ctx, cfg)
	if err != nil {
		return err
	}
	client.OnProgress = a.showProgress
	return errors.Join(run(ctx, client, cfg), closing())
}

// connect finds the running server by its socket; when there is none it opens
// the store and serves the API to itself.
func (a *app) connect(ctx context.Context, cfg *conf.Config) (*console.Client, func() error, error) {
	path := socketPath(cfg)
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
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
	return g
}
