package tms

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/accounting"
)

// book is a Sessions of some sessions, the newest first, with a record each.
type book struct {
	sessions []accounting.Session
	records  []accounting.Entry // of the log
	asked    []accounting.Filter
	broken   error
}

func (b *book) Sessions(_ context.Context, f accounting.Filter, each func(*accounting.Session) error) error {
	b.asked = append(b.asked, f)
	listed := 0
	for i := range b.sessions {
		s := &b.sessions[i]
		if !f.ID.IsZero() && s.ID != f.ID || f.User != "" && s.Name() != f.User || f.Station != "" && s.Station != f.Station {
			continue
		}
		if f.Limit > 0 && listed == f.Limit {
			break
		}
		listed++
		if err := each(s); err != nil {
			return err
		}
	}
	return b.broken
}

func (b *book) Records(_ context.Context, session accounting.Position, each func(*accounting.Entry) error) error {
	return each(&accounting.Entry{Position: session, NAS: "ras"})
}

// Forwardable leaves out records with an odd batch, as if they were repeats.
func (b *book) Forwardable(_ context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error) {
	for i := range b.records {
		e := &b.records[i]
		if e.Position.Compare(after) <= 0 {
			continue
		}
		if most == 0 {
			break
		}
		most--
		after = e.Position
		if e.Position.Batch%2 == 1 {
			continue
		}
		if err := each(e); err != nil {
			return after, err
		}
	}
	return after, b.broken
}

// nas is a Disconnector that answers what it is told to.
type nas struct {
	answer accounting.Answer
	err    error
	asked  []accounting.Position
	before func()
}

func (n *nas) Disconnect(_ context.Context, s *accounting.Session) (accounting.Answer, error) {
	n.asked = append(n.asked, s.ID)
	if n.before != nil {
		n.before()
	}
	return n.answer, n.err
}

// recorder is a memory that records nothing for who has gone, or when it is full.
type recorder struct {
	*memory
	full error
}

func (r *recorder) Record(ctx context.Context, act Act) error {
	if err := ctx.Err(); err != nil || r.full != nil {
		return errors.Join(err, r.full)
	}
	return r.memory.Record(ctx, act)
}

func position(batch uint64) accounting.Position { return accounting.Position{Batch: batch} }

// reporting is a service with three sessions: 3-0 of alice by her login, 2-0 of
// EXAMPLE\Alice without one, 1-0 of bob, which has ended.
func reporting() (*Service, *recorder, *book, *nas) {
	s, memory := serving()
	m := &recorder{memory: memory}
	s.Store = m
	withRealms(s)
	s.Directory = nil
	b := &book{sessions: []accounting.Session{
		{ID: position(3), Key: accounting.Key{NAS: "ras"}, User: "alice@example.org", Login: accounting.Login{User: "alice"}, State: accounting.Open, Started: now.Add(-time.Hour), Station: "0010.a423.19c0", Source: "192.0.2.1"},
		{ID: position(2), Key: accounting.Key{NAS: "vpn"}, User: `EXAMPLE\Alice`, State: accounting.Stale, Station: "00-10-A4-23-19-C0", Source: "192.0.2.2"},
		{ID: position(1), Key: accounting.Key{NAS: "ras"}, User: "bob", State: accounting.Closed, Ended: now.Add(-time.Hour), Station: "198.51.100.7"},
	}}
	n := &nas{}
	s.Sessions, s.Disconnector = b, n
	return s, m, b, n
}

func sessionIDs(t *testing.T, s *Service, f accounting.Filter) string {
	t.Helper()
	var ids []string
	if err := s.ListSessions(ctx, root, f, func(session *accounting.Session) error {
		ids = append(ids, session.ID.String())
		return nil
	}); err != nil {
		t.Error(err)
	}
	return strings.Join(ids, " ")
}

func TestSessionsAreFoundAsPeopleWriteThem(t *testing.T) {
	s, _, b, _ := reporting()
	for _, test := range []struct {
		filter accounting.Filter
		want   string
	}{
		{accounting.Filter{}, "3-0 2-0 1-0"},
		{accounting.Filter{Limit: 2}, "3-0 2-0"},
		{accounting.Filter{User: "alice"}, "3-0"},
		{accounting.Filter{User: "ALICE@example.org"}, "3-0"},
		{accounting.Filter{User: `EXAMPLE\Alice`}, "3-0 2-0"}, // as the login has it, and as the NAS has
		{accounting.Filter{User: `EXAMPLE\Alice`, Limit: 1}, "3-0"},
		{accounting.Filter{User: "carol"}, ""},
		{accounting.Filter{Station: "198.51.100.7"}, "1-0"},
		{accounting.Filter{Station: "00:10:a4:23:19:c0"}, "3-0 2-0"},
		{accounting.Filter{Station: "0010A42319C0", User: "alice"}, "3-0"},
	} {
		if got := sessionIDs(t, s, test.filter); got != test.want {
			t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
	b.asked = nil
	from := now.Add(-time.Hour)
	f := accounting.Filter{NAS: "ras", Serial: "T1", Rule: "r", Address: netip.MustParseAddr("192.0.2.7"), From: from, To: now, States: []accounting.State{accounting.Open}, Limit: 3}
	if sessionIDs(t, s, f); fmt.Sprint(b.asked) != fmt.Sprint([]accounting.Filter{f}) {
		t.Errorf("asked for %+v, want %+v", b.asked, f)
	}
	wantError(t, s.ListSessions(ctx, root, accounting.Filter{User: "a\x00"}, nil), ErrInvalid, "user name")
	b.broken = errors.New("the disk is gone")
	wantError(t, s.ListSessions(ctx, root, accounting.Filter{User: `EXAMPLE\Alice`}, nil), b.broken, "")
}

func TestTheNotationsOfAMAC(t *testing.T) {
	got := macNotations(0x0010A42319C0)
	for _, want := range []string{"00-10-A4-23-19-C0", "00:10:a4:23:19:c0", "0010a42319c0", "0010a4-2319c0", "0010.a423.19c0", "0010-A423-19C0", "\x00\x10\xa4\x23\x19\xc0"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestASession(t *testing.T) {
	s, _, _, _ := reporting()
	session, err := s.Session(ctx, root, "2-0")
	if err != nil || session.User != `EXAMPLE\Alice` {
		t.Errorf("%+v, %v", session, err)
	}
	var records []accounting.Entry
	if err := s.SessionRecords(ctx, root, "2-0", func(e *accounting.Entry) error { records = append(records, *e); return nil }); err != nil || len(records) != 1 || records[0].Position != position(2) {
		t.Errorf("%+v, %v", records, err)
	}
	for id, kind := range map[string]error{"9-0": ErrNotFound, "0-0": ErrNotFound, "nine": ErrInvalid, "": ErrInvalid} {
		_, err := s.Session(ctx, root, id)
		wantError(t, err, kind, id)
		wantError(t, s.SessionRecords(ctx, root, id, nil), kind, id)
		_, err = s.DisconnectSession(ctx, root, id)
		wantError(t, err, kind, id)
	}
	s.Sessions = nil
	_, err = s.Session(ctx, root, "2-0")
	wantError(t, err, ErrInvalid, "no sessions are kept")
	wantError(t, s.ListSessions(ctx, root, accounting.Filter{}, nil), ErrInvalid, "no sessions are kept")
}

// Whatever the NAS answers, what was asked of it and what it said are in the journal.
func TestDisconnecting(t *testing.T) {
	silence := errors.New("no answer from 192.0.2.1:3799 within 10s")
	for name, test := range map[string]struct {
		answer   accounting.Answer
		err      error
		want     Disconnection
		recorded string
	}{
		"ack": {accounting.Answer{Acknowledged: true}, nil, Disconnection{Answer: DisconnectDone}, "answer=ack"},
		"nak": {
			accounting.Answer{Cause: 503, Text: "Session Context Not Found"}, nil,
			Disconnection{Answer: DisconnectRefused, Cause: 503, Text: "Session Context Not Found"}, "answer=nak Session Context Not Found",
		},
		"silence": {accounting.Answer{}, silence, Disconnection{Answer: DisconnectSilence, Text: silence.Error()}, "answer=silence " + silence.Error()},
	} {
		s, m, _, n := reporting()
		log := new(endings)
		s.Accounting = log
		n.answer, n.err = test.answer, test.err
		n.before = func() {
			if len(m.acts) != 1 || m.acts[0].Detail != `user="alice" nas="ras" asked` {
				t.Errorf("%s: before the NAS was asked there was %+v", name, m.acts)
			}
		}
		test.want.Session, test.want.User, test.want.NAS, test.want.Address = "3-0", "alice", "ras", "192.0.2.1"
		if d, err := s.DisconnectSession(ctx, root, "3-0"); err != nil || d != test.want {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if len(m.acts) != 2 || m.acts[1].Detail != `user="alice" nas="ras" `+test.recorded || m.acts[1].Verb != "session.disconnect" || m.acts[1].Object != "3-0" {
			t.Errorf("%s: recorded %+v", name, m.acts)
		}
		if ended := len(log.records) == 1; ended != (name == "nak") { // the NAS does not know it any more
			t.Errorf("%s: records of its end: %+v", name, log.records)
		}
	}
}

// endings is an AccountingLog.
type endings struct {
	records []accounting.Record
	failure error
	full    bool
}

func (l *endings) AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool {
	if l.full {
		return false
	}
	r, err := accounting.Parse(&accounting.Entry{At: at, NAS: nas, Source: source, Attributes: attributes})
	l.records = append(l.records, r)
	done(errors.Join(err, l.failure))
	return true
}

// A session is closed by a Stop as its NAS would have sent it.
func TestClosingASession(t *testing.T) {
	s, m, _, n := reporting()
	log := new(endings)
	s.Accounting = log
	if err := s.CloseSession(ctx, root, "3-0"); err != nil {
		t.Fatal(err)
	}
	if r := log.records[0]; r.Status != accounting.Stop || r.NAS != "ras" || r.Source != "192.0.2.1" || r.Cause != 6 {
		t.Errorf("record %+v", r)
	}
	if len(m.acts) != 1 || m.acts[0].Verb != "session.close" || m.acts[0].Object != "3-0" || len(n.asked) > 0 {
		t.Errorf("recorded %+v, asked %v", m.acts, n.asked)
	}
	wantError(t, s.CloseSession(ctx, root, "1-0"), ErrInvalid, "bob at ras is over")
	wantError(t, s.CloseSession(ctx, root, "9-0"), ErrNotFound, "9-0")
	log.full = true
	if err := s.CloseSession(ctx, root, "3-0"); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("with a full log: %v", err)
	}
	log.full, log.failure = false, errors.New("no disk")
	if err := s.CloseSession(ctx, root, "3-0"); !errors.Is(err, log.failure) {
		t.Errorf("with a failing one: %v", err)
	}
	s.Accounting = nil
	wantError(t, s.CloseSession(ctx, root, "3-0"), ErrInvalid, "no sessions are kept")
}

func TestWhatCannotBeDisconnected(t *testing.T) {
	s, m, _, n := reporting()
	_, err := s.DisconnectSession(ctx, root, "1-0")
	wantError(t, err, ErrInvalid, "bob at ras ended at 2026-05-04T11:00:00Z")
	if len(m.acts)+len(n.asked) > 0 {
		t.Errorf("%+v, %v", m.acts, n.asked)
	}
	for _, kind := range []error{ErrInvalid, ErrNotFound} {
		n.err = fmt.Errorf("NAS %q: %w", "ras", kind)
		_, err = s.DisconnectSession(ctx, root, "3-0")
		wantError(t, err, kind, "ras")
	}
	if last := m.acts[len(m.acts)-1]; len(m.acts) != 4 || !strings.Contains(last.Detail, "not asked: ") {
		t.Errorf("%+v", m.acts)
	}
	s.Disconnector = nil
	_, err = s.DisconnectSession(ctx, root, "3-0")
	wantError(t, err, ErrNotFound, "no server runs")
	m.full = errors.New("the disk is full")
	s.Disconnector, n.asked = n, nil
	if _, err = s.DisconnectSession(ctx, root, "3-0"); !errors.Is(err, m.full) || len(n.asked) > 0 {
		t.Errorf("%v, and asked %v without a record", err, n.asked)
	}
}

// Who has asked may not wait for the answer: it is recorded all the same.
func TestDisconnectingGoesOnRecord(t *testing.T) {
	s, m, _, n := reporting()
	leaving, leave := context.WithCancel(ctx)
	n.before, n.err = leave, context.Canceled
	if d, err := s.DisconnectSession(leaving, root, "3-0"); err != nil || d.Answer != DisconnectSilence || len(m.acts) != 2 {
		t.Errorf("%+v, %v, %+v", d, err, m.acts)
	}
}

func TestRecordsInOrder(t *testing.T) {
	s, _, b, _ := reporting()
	for i := range uint64(5000) {
		b.records = append(b.records, accounting.Entry{Position: position(i + 1)})
	}
	for _, test := range []struct{ after, most, want, last, next uint64 }{
		{0, 0, 2500, 5000, 5000},
		{0, 1, 1, 2, 2},
		{10, 1700, 1700, 3410, 3410},
		{4999, 10, 1, 5000, 5000},
		{5000, 10, 0, 0, 5000},
	} {
		count, last := uint64(0), uint64(0)
		next, err := s.AccountingRecords(ctx, root, position(test.after), int(test.most), func(e *accounting.Entry) error {
			if e.Position.Batch <= last || e.Position.Batch <= test.after {
				t.Fatalf("%v after %d", e.Position, last)
			}
			count, last = count+1, e.Position.Batch
			return nil
		})
		if err != nil || next != position(test.next) || count != test.want || last != test.last {
			t.Errorf("%+v: %d records up to %d, then %v, %v", test, count, last, next, err)
		}
	}
	_, err := s.AccountingRecords(ctx, root, position(1), -1, nil)
	wantError(t, err, ErrInvalid, "negative")
	enough := errors.New("enough")
	_, err = s.AccountingRecords(ctx, root, position(1), 0, func(*accounting.Entry) error { return enough })
	wantError(t, err, enough, "")
	b.broken = errors.New("the disk is gone")
	_, err = s.AccountingRecords(ctx, root, position(5000), 0, nil)
	wantError(t, err, b.broken, "")
}

func TestCollectors(t *testing.T) {
	s, _, _, _ := reporting()
	_, err := s.CollectorStates(ctx, root)
	wantError(t, err, ErrNotFound, "no server runs")
	s.Collectors = func(context.Context) ([]CollectorState, error) { return []CollectorState{{Name: "billing"}}, nil }
	if states, err := s.CollectorStates(ctx, root); err != nil || len(states) != 1 || states[0].Name != "billing" {
		t.Errorf("%+v, %v", states, err)
	}
}
