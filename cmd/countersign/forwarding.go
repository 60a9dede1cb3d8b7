package main

import (
	"context"
	"fmt"
	"os"

	"countersign/conf"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/audit"
)

// newSyslogs makes what sends the journal to the servers of [[syslog]].
func (s *server) newSyslogs(cfg *conf.Config) error {
	if len(cfg.Syslogs) == 0 {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("finding the name of this machine for [[syslog]]: %w", err)
	}
	for i := range cfg.Syslogs {
		c := &cfg.Syslogs[i]
		l, err := audit.NewSyslog(audit.SyslogOptions{
			Name: c.Name, Server: c.Server, CAFile: c.CAFile, Facility: string(c.Facility), Hostname: host,
			Feed: syslogFeed{s.store}, Cursors: syslogCursors{cursors{s.store, "syslog"}},
			Clock: s.app.clock, Logger: s.logger, Registerer: s.registry,
		})
		if err != nil {
			return fmt.Errorf("syslog %q: %w", c.Name, err)
		}
		s.syslogs = append(s.syslogs, l)
	}
	return nil
}

// syslogCursors keeps how far each syslog server has come.
type syslogCursors struct{ cursors }

// Cursor implements audit.Cursors.
func (c syslogCursors) Cursor(ctx context.Context, name string) (audit.Place, bool, error) {
	p, ok, err := c.cursors.Cursor(ctx, name)
	return audit.Place(p), ok, err
}

// SaveCursor implements audit.Cursors.
func (c syslogCursors) SaveCursor(ctx context.Context, name string, p audit.Place) error {
	return c.cursors.SaveCursor(ctx, name, accounting.Position(p))
}

// forwarding tells how it stands with all who get something: collectors and syslog
// servers.
func (s *server) forwarding(ctx context.Context) ([]tms.CollectorState, error) {
	states, err := s.accounts.states(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range s.syslogs {
		state, err := l.State(ctx)
		if err != nil {
			return nil, err
		}
		states = append(states, tms.CollectorState{
			Name: state.Name, Type: "syslog", To: state.Server, Waiting: int64(state.Waiting), Oldest: state.Oldest,
			Done: accounting.Position(state.Done), Fault: state.Fault,
		})
	}
	return states, nil
}
