package tms

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms/audit"
)

// logbook is an Audit of one batch.
type logbook struct {
	m      *memory
	signed []string // what was recorded when a checkpoint was made
}

var logKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func (l *logbook) AuditKey(context.Context) (ed25519.PublicKey, error) {
	return logKey.Public().(ed25519.PublicKey), nil
}

func (l *logbook) Begin(context.Context) (audit.Checkpoint, bool, error) {
	return audit.Checkpoint{}, false, nil
}

func (l *logbook) Batches(_ context.Context, after uint64, each func(*audit.Batch) error) error {
	if after >= 1 {
		return nil
	}
	records := []byte("records")
	return each(&audit.Batch{Number: 1, Records: records, Chain: audit.Link(audit.Hash{}, 1, records)})
}

func (l *logbook) Checkpoints(_ context.Context, after uint64, each func(*audit.Checkpoint) error) error {
	if after >= 1 {
		return nil
	}
	c, _ := l.Checkpoint(context.Background())
	return each(&c)
}

func (l *logbook) Checkpoint(context.Context) (audit.Checkpoint, error) {
	l.signed = append(l.signed, fmt.Sprint(len(l.m.acts)))
	return audit.NewCheckpoint(logKey, 1, now, audit.Link(audit.Hash{}, 1, []byte("records"))), nil
}

// whole is a Format in which a batch is its only record.
func whole() audit.Format {
	return audit.Format{
		Split: func(records []byte, each func(uint32, []byte) error) error { return each(0, records) },
		Join:  func(records [][]byte) []byte { return bytes.Join(records, nil) },
		Parse: func([]byte) (time.Time, error) { return now, nil },
		Render: func(batch uint64, index uint32, record []byte) ([]byte, error) {
			return fmt.Appendf(nil, `{"id":"%d-%d","text":%q}`, batch, index, record), nil
		},
	}
}

func TestTheAuditLog(t *testing.T) {
	s, m := serving()
	if _, err := s.AuditKey(ctx, root); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := s.SignAudit(ctx, root); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	l := &logbook{m: m}
	s.Audit, s.Exporter = l, audit.Exporter{Format: whole(), Version: "1.2.3"}
	key, err := s.AuditKey(ctx, root)
	if err != nil || !key.Equal(logKey.Public()) || len(m.acts) != 0 {
		t.Errorf("%x, %v, recorded %v", key, err, m.acts)
	}
	c, err := s.SignAudit(ctx, root)
	if err != nil || !c.SignedBy(key) || fmt.Sprint(l.signed) != "[1]" || m.verbs() != "[audit.checkpoint]" {
		t.Errorf("%+v, %v, signed %v", c, err, l.signed)
	}
	var file bytes.Buffer
	exported, err := s.ExportAudit(ctx, root, AuditRange{From: now.Add(-time.Hour)}, &file)
	if err != nil || exported.Batches != 1 || exported.Records != 1 || !bytes.Contains(file.Bytes(), []byte("1.2.3")) {
		t.Errorf("%+v, %v:\n%s", exported, err, &file)
	}
	if len(m.acts) != 1 || m.acts[0].Verb != "audit.export" || m.acts[0].Detail != "from=2026-05-04T11:00:00Z" || l.signed[1] != "1" {
		t.Errorf("recorded %+v, signed %v", m.acts, l.signed)
	}
	report, err := audit.VerifyExport(ctx, &file, audit.VerifyOptions{Key: key, Format: whole()})
	if err != nil || !report.OK() || report.Records != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestRangesAreRecorded(t *testing.T) {
	for want, r := range map[string]AuditRange{
		"":                        {},
		"to=2026-05-04T12:00:00Z": {To: now},
		"from=2026-05-04T11:59:00Z to=2026-05-04T12:00:00Z": {From: now.Add(-time.Minute), To: now},
	} {
		if r.String() != want {
			t.Errorf("%s, want %s", r, want)
		}
	}
}

// LastEvent and EventsAfter implement Store.
func (m *memory) LastEvent(context.Context) (last otp.EventID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.event {
		if after(id, last) {
			last = id
		}
	}
	return last, nil
}

func (m *memory) EventsAfter(_ context.Context, last otp.EventID, most int, each func(*Event) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range most {
		next := otp.EventID{}
		for id := range m.event {
			if after(id, last) && (next == otp.EventID{} || after(next, id)) {
				next = id
			}
		}
		if next == (otp.EventID{}) {
			return nil
		}
		e := m.event[next]
		e.ID, last = next, next
		if err := each(&e); err != nil {
			return err
		}
	}
	return nil
}

// watched is what Watch tells of when this happens after it has begun.
func watched(t *testing.T, s *Service, m *memory, w Watching, happens func()) string {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ticks := make(chan time.Time, 1)
	var told []string
	turn := 0
	err := s.Watch(ctx, root, w, ticks, func(e *Event) error {
		told = append(told, e.ID.String())
		return nil
	}, func() error {
		if turn++; turn == 1 {
			happens()
			ticks <- now
			return nil
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return fmt.Sprint(told)
}

func TestWatch(t *testing.T) {
	for want, w := range map[string]Watching{
		"[50-0 51-0 52-0 55-0]":           {},
		"[50-0 51-0 52-0]":                {User: "alice"},
		"[55-0]":                          {NAS: "portal"},
		"[51-0]":                          {Verdict: otp.WrongPIN},
		"[51-0 52-0]":                     {Failures: true, User: "alice"},
		"[50-0 51-0 52-0 53-0 54-0 55-0]": {Acts: true},
		"[50-0 51-0 52-0 53-0]":           {Acts: true, User: "Alice"},
	} {
		s, m := serving()
		m.happened(49, 9, otp.Decision{Verdict: otp.Accepted})
		got := watched(t, s, m, w, func() {
			m.happened(50, 3, otp.Decision{Verdict: otp.Accepted})
			m.happened(51, 2, otp.Decision{Verdict: otp.WrongPIN})
			m.happened(52, 1, otp.Decision{Verdict: otp.WrongCode})
			m.event[otp.EventID{Batch: 53}] = Event{Kind: ActEvent, Act: Act{Verb: "user.set", Object: "alice"}}
			m.event[otp.EventID{Batch: 54}] = Event{Kind: ActEvent, Act: Act{Verb: "user.set", Object: "bob"}}
			m.event[otp.EventID{Batch: 55}] = Event{Kind: LoginEvent, Login: Login{User: "bob", NAS: "portal", Decision: otp.Decision{Verdict: otp.WrongCode}}}
			m.event[otp.EventID{Batch: 56}] = Event{Kind: AccountingEvent}
		})
		if w.Failures && w.User == "" {
			t.Fatal("bad test")
		}
		if got != want {
			t.Errorf("%+v: %s, want %s", w, got, want)
		}
	}
}

// However much comes at once, nothing is left out.
func TestWatchOfABurst(t *testing.T) {
	s, m := serving()
	n := 0
	watched(t, s, m, Watching{}, func() {
		for batch := range uint64(2*watchPage + 1) {
			m.happened(batch+1, 0, otp.Decision{Verdict: otp.Accepted})
		}
	})
	last, err := s.watchOn(ctx, otp.EventID{}, func(*Event) error { n++; return nil })
	if err != nil || n != 2*watchPage+1 || last.Batch != 2*watchPage+1 {
		t.Errorf("%d events up to %v, %v", n, last, err)
	}
	gone := errors.New("the client has gone")
	err = s.Watch(ctx, root, Watching{}, nil, nil, func() error { return gone })
	if !errors.Is(err, gone) {
		t.Error(err)
	}
}
