package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/radiusd/accounting/collector"
	"countersign/radiusd/packet"
	"countersign/tms"
)

// accounts is what becomes of what NASes report: sessions, and what collectors get.
type accounts struct {
	classes    *accounting.Classes
	book       *accounting.Book
	collectors []*collector.Collector
}

// newAccounts builds it. The root key is for Classes.
func (s *server) newAccounts(ctx context.Context, cfg *conf.Config, root []byte) error {
	a := &s.accounts
	a.classes = accounting.NewClasses(root)
	var err error
	a.book, err = accounting.NewBook(ctx, accounting.Options{
		Store: takenStore{s.store, a.wake}, Classes: a.classes, Login: s.loginOf, UserName: s.accountName(cfg),
		Settings: func() accounting.Settings {
			now := s.cfg.Load()
			names := nasNames(now)
			set := accounting.Settings{Known: func(nas string) bool { return slices.Contains(names, nas) }}
			if s.retention.steady.Load() {
				set.StaleAfter, set.Keep = now.Accounting.StaleAfter, days(now.Accounting.KeepDays)
			}
			return set
		},
		Clock: s.app.clock, Logger: s.logger, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	for i := range cfg.Collectors {
		c, err := collector.New(s.collectorOptions(&cfg.Collectors[i]))
		if err != nil {
			return fmt.Errorf("collector %q: %w", cfg.Collectors[i].Name, err)
		}
		a.collectors = append(a.collectors, c)
	}
	s.service.Disconnector, s.service.Collectors = disconnector{s.parts}, s.forwarding
	return nil
}

// accountName is the name by which a User-Name of accounting is known here.
func (s *server) accountName(cfg *conf.Config) func(string) string {
	canonical := canonicalName(cfg, s.users)
	return func(name string) string {
		folded, ok := foldUser(name)
		if !ok {
			return name
		}
		return canonical(folded)
	}
}

// days is a time of the configuration in days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// collectorOptions are a [[collector]] in the words of package collector.
func (s *server) collectorOptions(c *conf.Collector) collector.Options {
	o := collector.Options{
		Name: c.Name, Queue: s.store, Cursors: cursors{s.store, "collector"}, MaxRecords: int64(c.MaxRecords), MaxAge: c.MaxAge,
		Clock: s.app.clock, Logger: s.logger, Registerer: s.registry,
	}
	if c.Type == conf.CollectorJSONL {
		o.File = &collector.File{Path: c.File, MaxSize: int64(c.MaxSize), Keep: c.KeepFiles}
		return o
	}
	o.RADIUS = &collector.RADIUS{Timeout: c.Timeout}
	for _, server := range c.Servers {
		o.RADIUS.Servers = append(o.RADIUS.Servers, collector.Server{
			Address: netip.MustParseAddrPort(server), Secret: packet.NewSecret(c.Secret.Bytes()), // conf has verified it
		})
	}
	return o
}

// runAccounts looks after sessions and collectors until ctx is done. Of several nodes one
// makes the sessions and one sends to a collector; all count the sessions.
func (s *server) runAccounts(ctx context.Context) {
	a := &s.accounts
	var group sync.WaitGroup
	group.Go(func() { s.work(ctx, "sessions", a.book.Run) })
	if s.cluster() != nil {
		group.Go(func() { a.book.Follow(ctx) })
	}
	for _, c := range a.collectors {
		group.Go(func() { s.work(ctx, "collector "+c.Name, c.Run) })
	}
	group.Wait()
}

// wake tells the collectors that there is something for them.
func (a *accounts) wake() {
	for _, c := range a.collectors {
		c.Wake()
	}
}

// states tells how it stands with the collectors.
func (a *accounts) states(ctx context.Context) ([]tms.CollectorState, error) {
	states := make([]tms.CollectorState, 0, len(a.collectors))
	for _, c := range a.collectors {
		state, err := c.State(ctx)
		if err != nil {
			return nil, err
		}
		states = append(states, tms.CollectorState(state))
	}
	return states, nil
}

// done is the position up to which all collectors have everything; ok is false when there
// are none.
func (a *accounts) done(ctx context.Context) (least accounting.Position, ok bool, err error) {
	states, err := a.states(ctx)
	for i, state := range states {
		if i == 0 || state.Done.Before(least) {
			least = state.Done
		}
	}
	return least, len(states) > 0, err
}

// takenStore tells when sessions were made of entries.
type takenStore struct {
	engine
	taken func()
}

// Take implements accounting.Store.
func (t takenStore) Take(ctx context.Context, most int, take func(accounting.Tx, []accounting.Entry) error) (int, error) {
	n, err := t.engine.Take(ctx, most, take)
	if n > 0 && err == nil {
		t.taken()
	}
	return n, err
}

// loginOf finds the login that a Class names.
func (s *server) loginOf(ctx context.Context, batch uint64, index uint32) (accounting.Login, bool, error) {
	e, err := s.store.Event(ctx, otp.EventID{Batch: batch, Index: index})
	switch {
	case errors.Is(err, tms.ErrNotFound):
		return accounting.Login{}, false, nil
	case err != nil || e.Kind != tms.LoginEvent || !e.Decision.Verdict.Accepts():
		return accounting.Login{}, false, err
	}
	l := accounting.Login{Event: e.ID.String(), At: e.At, User: e.User, Serial: string(e.Decision.Serial), NAS: e.NAS}
	if trace, err := exclusions.ParseTrace(e.Trace); err == nil && len(e.Trace) > 0 {
		l.Rule = trace.Rule
	}
	return l, true, nil
}

// cursors keeps how far something has come as notes of a kind.
type cursors struct {
	store engine
	kind  string
}

// Cursor implements collector.Cursors.
func (c cursors) Cursor(ctx context.Context, name string) (p accounting.Position, ok bool, err error) {
	notes, err := c.store.Notes(ctx, c.kind)
	text, ok := notes[name]
	if err != nil || !ok {
		return p, false, err
	}
	if err := p.UnmarshalText(text); err != nil {
		return p, false, fmt.Errorf("reading how far %s %q has come: %w", c.kind, name, err)
	}
	return p, true, nil
}

// SaveCursor implements collector.Cursors.
func (c cursors) SaveCursor(ctx context.Context, name string, p accounting.Position) error {
	return c.store.KeepNote(ctx, c.kind, name, []byte(p.String()))
}

// disconnector is the tms.Disconnector: it knows the NASes of the configuration.
type disconnector struct{ parts *parts }

// disconnectTime is how long a NAS may take to answer, repeats included.
const disconnectTime = 10 * time.Second

// Disconnect implements tms.Disconnector.
func (d disconnector) Disconnect(ctx context.Context, s *accounting.Session) (accounting.Answer, error) {
	nas, err := findNAS(d.parts.cfg.Load(), s.NAS)
	if err != nil {
		return accounting.Answer{}, err
	}
	if nas.DisconnectPort == 0 {
		return accounting.Answer{}, fmt.Errorf("NAS %q: %w: it takes no Disconnect-Requests (disconnect_port = 0)", nas.Name, tms.ErrInvalid)
	}
	source, err := netip.ParseAddr(s.Source)
	if err != nil {
		return accounting.Answer{}, fmt.Errorf("reading the source address of session %v: %w", s.ID, err)
	}
	if !slices.ContainsFunc(nas.Addresses, func(p netip.Prefix) bool { return p.Contains(source.Unmap()) }) {
		return accounting.Answer{}, fmt.Errorf("NAS %q: %w: its accounting came from %v, which is not one of its addresses any more", nas.Name, tms.ErrInvalid, source)
	}
	ctx, cancel := context.WithTimeout(ctx, disconnectTime)
	defer cancel()
	return accounting.Disconnect(ctx, accounting.Target{
		Address: netip.AddrPortFrom(source, uint16(nas.DisconnectPort)), Secret: packet.NewSecret(nas.Secret.Bytes()),
	}, s)
}
