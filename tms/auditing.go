package tms

import (
	"context"
	"crypto/ed25519"
	"io"
	"time"

	"countersign/otp"
	"countersign/tms/audit"
)

// errNoAudit is a mistake of the program.
var errNoAudit = invalid("no audit log is kept here")

// AuditKey is the public key that signs the checkpoints of the audit log.
func (s *Service) AuditKey(ctx context.Context, c Caller) (ed25519.PublicKey, error) {
	if _, err := s.gate(c, "audit.key", "", ""); err != nil {
		return nil, err
	}
	if s.Audit == nil {
		return nil, errNoAudit
	}
	return s.Audit.AuditKey(ctx)
}

// SignAudit signs how far the audit log has come by now, this act included.
func (s *Service) SignAudit(ctx context.Context, c Caller) (audit.Checkpoint, error) {
	if err := s.recordAudit(ctx, c, "audit.checkpoint", ""); err != nil {
		return audit.Checkpoint{}, err
	}
	return s.Audit.Checkpoint(ctx)
}

// AuditRange is what of the audit log is exported: not before From, and before To; zero is
// no bound.
type AuditRange struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// String is the range for the audit record.
func (r AuditRange) String() string {
	text := ""
	for _, bound := range []struct {
		word string
		at   time.Time
	}{{"from=", r.From}, {"to=", r.To}} {
		if bound.at.IsZero() {
			continue
		}
		if text != "" {
			text += " "
		}
		text += bound.word + date(bound.at)
	}
	return text
}

// ExportAudit writes the audit log, or a range of it, as JSON lines. When it fails nothing
// may have been written, or a part.
func (s *Service) ExportAudit(ctx context.Context, c Caller, r AuditRange, w io.Writer) (audit.Exported, error) {
	if err := s.recordAudit(ctx, c, "audit.export", r.String()); err != nil {
		return audit.Exported{}, err
	}
	// What is exported has its end signed, and the record of this export with it.
	if _, err := s.Audit.Checkpoint(ctx); err != nil {
		return audit.Exported{}, err
	}
	e := s.Exporter
	e.Log, e.From, e.To = s.Audit, r.From, r.To
	return e.Export(ctx, w)
}

// recordAudit records an act on the audit log.
func (s *Service) recordAudit(ctx context.Context, c Caller, verb, detail string) error {
	act, err := s.gate(c, verb, "", detail)
	if err != nil {
		return err
	}
	if s.Audit == nil {
		return errNoAudit
	}
	return s.Store.Record(ctx, act)
}

// Watching chooses what Watch tells of. Zero values choose all logins.
type Watching struct {
	User     string      `json:"user"` // in whatever way the name is written
	NAS      string      `json:"nas"`
	Verdict  otp.Verdict `json:"verdict"`
	Failures bool        `json:"failures"` // logins that were not let in
	Acts     bool        `json:"acts"`     // acts too
}

// watchPage is how many events Watch reads at once.
const watchPage = 1000

// Watch calls each with what happens from now on, the oldest first, and told whenever there
// is nothing more for the moment. It looks at every tick, until ctx is done, an error of
// each or told, or of the store.
func (s *Service) Watch(ctx context.Context, c Caller, w Watching, ticks <-chan time.Time, each func(*Event) error, told func() error) error {
	if _, err := s.gate(c, "event.watch", w.User, ""); err != nil {
		return err
	}
	f, err := s.meant(ctx, c, Filter{User: otp.UserName(w.User)})
	if err != nil {
		return err
	}
	last, err := s.Store.LastEvent(ctx)
	if err != nil {
		return err
	}
	for {
		if err := told(); err != nil {
			return err
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return ctx.Err()
		}
		if last, err = s.watchOn(ctx, last, func(e *Event) error {
			if !w.wants(f.User, e) {
				return nil
			}
			return each(e)
		}); err != nil {
			return err
		}
	}
}

// watchOn calls each with the events after one, and returns the last of them.
func (s *Service) watchOn(ctx context.Context, last otp.EventID, each func(*Event) error) (otp.EventID, error) {
	for {
		n := 0
		err := s.Store.EventsAfter(ctx, last, watchPage, func(e *Event) error {
			last = e.ID
			n++
			return each(e)
		})
		if err != nil || n < watchPage {
			return last, err
		}
	}
}

// wants reports whether an event is to be told of.
func (w *Watching) wants(user otp.UserName, e *Event) bool {
	switch e.Kind {
	case LoginEvent:
		return (user == "" || e.User == string(user)) && w.wantsLogin(&e.Login)
	case ActEvent:
		return w.Acts && (user == "" || e.Object == string(user))
	}
	return false
}

// wantsLogin reports whether a login is to be told of, whoever it is of.
func (w *Watching) wantsLogin(l *Login) bool {
	verdict := l.Decision.Verdict
	return (w.NAS == "" || l.NAS == w.NAS) && (w.Verdict == otp.Undecided || verdict == w.Verdict) && (!w.Failures || !verdict.Accepts())
}
