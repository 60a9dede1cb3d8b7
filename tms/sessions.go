package tms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/exclusions"
	"countersign/radiusd/accounting"
	"countersign/tms/audit"
)

// Sessions keeps the sessions that NASes report (accounting.Store).
type Sessions interface {
	Sessions(ctx context.Context, f accounting.Filter, each func(*accounting.Session) error) error
	Records(ctx context.Context, session accounting.Position, each func(*accounting.Entry) error) error
	// Forwardable lists the records of all sessions (accounting.Store).
	Forwardable(ctx context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error)
}

// Disconnector ends sessions.
type Disconnector interface {
	// Disconnect asks the NAS of a session to end it (RFC 5176). An error that wraps
	// ErrNotFound says that its NAS is not in the configuration, ErrInvalid that it takes
	// no Disconnect-Requests; any other that there was no answer.
	Disconnect(ctx context.Context, s *accounting.Session) (accounting.Answer, error)
}

// Audit is the chain of the journal.
type Audit interface {
	audit.Log
	// Checkpoint signs how far the chain has gone by now, and returns the newest checkpoint.
	Checkpoint(ctx context.Context) (audit.Checkpoint, error)
}

// CollectorState is how it stands with who gets the accounting, or as a syslog server the
// journal.
type CollectorState struct {
	Name    string              `json:"name"`
	Type    string              `json:"type"`              // radius, jsonl or syslog
	To      string              `json:"to"`                // its servers, or its file
	Waiting int64               `json:"waiting"`           // records it has not got yet; batches of a syslog server
	Oldest  time.Time           `json:"oldest,omitzero"`   // when the first of them came
	Done    accounting.Position `json:"done"`              // all up to this one it has got
	Skipped uint64              `json:"skipped,omitempty"` // records it never got, because the queue was at its limit
	Fault   string              `json:"fault,omitempty"`   // why it gets nothing at present
}

// The words of Disconnection.Answer.
const (
	DisconnectDone    = "ack"     // the NAS has ended the session
	DisconnectRefused = "nak"     // it says that it has not
	DisconnectSilence = "silence" // it has not answered
)

// Disconnection is what a NAS said when it was asked to end a session.
type Disconnection struct {
	Session string `json:"session"`
	User    string `json:"user"`
	NAS     string `json:"nas"`
	Address string `json:"address"` // where the NAS sends its records from, and was asked
	Answer  string `json:"answer"`
	Cause   uint32 `json:"cause,omitempty"` // Error-Cause (RFC 5176 section 3.5)
	Text    string `json:"text,omitempty"`  // what the answer means, or why there is none
}

// errNoSessions is why there are none.
var errNoSessions = invalid("no sessions are kept here")

// ListSessions lists sessions, the newest first. The filter's user is the one who logged in, in
// whatever way the name is written, or User-Name as the NAS has it; its station may be a
// MAC in any of the notations of exclusions.ParseMAC.
func (s *Service) ListSessions(ctx context.Context, c Caller, f accounting.Filter, each func(*accounting.Session) error) error {
	if _, err := s.gate(c, "session.list", f.User, ""); err != nil {
		return err
	}
	if s.Sessions == nil {
		return errNoSessions
	}
	filters, err := s.meantSessions(ctx, c, f)
	if err != nil {
		return err
	}
	if len(filters) == 1 {
		return s.Sessions.Sessions(ctx, filters[0], each)
	}
	return s.listTogether(ctx, filters, f.Limit, each)
}

// meantSessions are the filters that together choose what one of a person chooses.
func (s *Service) meantSessions(ctx context.Context, c Caller, f accounting.Filter) ([]accounting.Filter, error) {
	users, stations := []string{f.User}, []string{f.Station}
	if f.User != "" {
		name, err := s.userName(ctx, c, f.User)
		if err != nil {
			return nil, err
		}
		users = append(users, string(name))
	}
	if mac, ok := exclusions.ParseMAC([]byte(f.Station)); ok {
		stations = append(stations, macNotations(mac)...)
	}
	var filters []accounting.Filter
	for _, f.User = range unique(users) {
		for _, f.Station = range unique(stations) {
			filters = append(filters, f)
		}
	}
	return filters, nil
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// macNotations are the ways in which gateways write a MAC, and its octets.
func macNotations(mac exclusions.MAC) []string {
	digits := strings.ReplaceAll(mac.String(), "-", "")
	var texts []string
	for _, notation := range []struct {
		separator string
		group     int // of so many digits
	}{{"-", 2}, {":", 2}, {"", 12}, {"-", 6}, {".", 4}, {"-", 4}} {
		var groups []string
		for group := range slices.Chunk([]byte(digits), notation.group) {
			groups = append(groups, string(group))
		}
		text := strings.Join(groups, notation.separator)
		texts = append(texts, text, strings.ToLower(text))
	}
	octets := make([]byte, 6)
	for i := range octets {
		octets[i] = byte(mac >> (8 * (5 - i)))
	}
	return append(texts, string(octets))
}

// listTogether lists what any of some filters chooses.
func (s *Service) listTogether(ctx context.Context, filters []accounting.Filter, limit int, each func(*accounting.Session) error) error {
	var all []accounting.Session
	for _, f := range filters {
		if err := s.Sessions.Sessions(ctx, f, func(found *accounting.Session) error {
			all = append(all, *found)
			return nil
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b accounting.Session) int {
		return cmp.Or(b.Started.Compare(a.Started), b.ID.Compare(a.ID))
	})
	all = slices.CompactFunc(all, func(a, b accounting.Session) bool { return a.ID == b.ID })
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	for i := range all {
		if err := each(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// Session finds a session by its ID.
func (s *Service) Session(ctx context.Context, c Caller, id string) (accounting.Session, error) {
	if _, err := s.gate(c, "session.show", id, ""); err != nil {
		return accounting.Session{}, err
	}
	return s.findSession(ctx, id)
}

func (s *Service) findSession(ctx context.Context, id string) (accounting.Session, error) {
	if s.Sessions == nil {
		return accounting.Session{}, errNoSessions
	}
	position, err := accounting.ParsePosition(id)
	if err != nil {
		return accounting.Session{}, invalid("%w", err)
	}
	if position.IsZero() { // as a filter it chooses all
		return accounting.Session{}, notFound("session", id)
	}
	var found []accounting.Session
	err = s.Sessions.Sessions(ctx, accounting.Filter{ID: position, Limit: 1}, func(session *accounting.Session) error {
		found = append(found, *session)
		return nil
	})
	if err == nil && len(found) == 0 {
		err = notFound("session", id)
	}
	if err != nil {
		return accounting.Session{}, err
	}
	return found[0], nil
}

// SessionRecords lists the accounting records of a session, in their order, without
// repeats.
func (s *Service) SessionRecords(ctx context.Context, c Caller, id string, each func(*accounting.Entry) error) error {
	if _, err := s.gate(c, "session.records", id, ""); err != nil {
		return err
	}
	session, err := s.findSession(ctx, id)
	if err != nil {
		return err
	}
	return s.Sessions.Records(ctx, session.ID, each)
}

// recordsAtOnce is how many records AccountingRecords reads in one go.
const recordsAtOnce = 1000

// AccountingRecords lists up to so many accounting records of all sessions that came after
// a position, in the order in which they came and without repeats; 0 lists all. It returns
// the position to go on after.
func (s *Service) AccountingRecords(ctx context.Context, c Caller, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error) {
	if _, err := s.gate(c, "session.records", "", ""); err != nil {
		return after, err
	}
	switch {
	case s.Sessions == nil:
		return after, errNoSessions
	case most < 0:
		return after, invalid("%d records: must not be negative; 0 is all", most)
	}
	listed := 0
	count := func(e *accounting.Entry) error {
		listed++
		return each(e)
	}
	for most == 0 || listed < most {
		want := recordsAtOnce
		if most > 0 {
			want = min(want, most-listed)
		}
		next, err := s.Sessions.Forwardable(ctx, after, want, count)
		if err != nil || next == after {
			return after, err
		}
		after = next
	}
	return after, nil
}

// DisconnectSession has the NAS of a session end it. That is recorded before the NAS is
// asked, and what it has answered afterwards. A session that is over wraps ErrInvalid; so
// does one whose NAS takes no Disconnect-Requests. Whether the NAS does it, refuses, or is
// silent is no error. One that the NAS does not know any more ends here (CloseSession).
func (s *Service) DisconnectSession(ctx context.Context, c Caller, id string) (Disconnection, error) {
	act, err := s.gate(c, "session.disconnect", id, "")
	if err != nil {
		return Disconnection{}, err
	}
	session, err := s.findSession(ctx, id)
	if err != nil {
		return Disconnection{}, err
	}
	if err := s.disconnectable(&session); err != nil {
		return Disconnection{}, err
	}
	d := Disconnection{Session: id, User: session.Name(), NAS: session.NAS, Address: session.Source}
	of := fmt.Sprintf("user=%q nas=%q", d.User, d.NAS)
	act.Detail = of + " asked"
	if err := s.Store.Record(ctx, act); err != nil {
		return Disconnection{}, err
	}
	answer, asking := s.Disconnector.Disconnect(ctx, &session)
	act.At, act.Detail = s.Clock(), of+" "+d.take(answer, asking)
	// Who asked may be gone by now, and that it was done is recorded all the same.
	if err := s.Store.Record(context.WithoutCancel(ctx), act); err != nil {
		return d, fmt.Errorf("recording that the answer of NAS %q to the disconnection of session %s is %s: %w", d.NAS, id, d.Answer, err)
	}
	if errors.Is(asking, ErrNotFound) || errors.Is(asking, ErrInvalid) {
		return Disconnection{}, asking
	}
	if d.Answer == DisconnectRefused && d.Cause == contextNotFound { // it has ended, and the report was lost
		return d, s.endSession(context.WithoutCancel(ctx), &session, lostService)
	}
	return d, nil
}

// disconnectable is the error of a session that cannot be ended.
func (s *Service) disconnectable(session *accounting.Session) error {
	switch {
	case session.State == accounting.Closed:
		return invalid("session %v of %s at %s ended at %s: there is nothing to disconnect", session.ID, session.Name(), session.NAS, session.Ended.UTC().Format(time.RFC3339))
	case s.Disconnector == nil:
		return fmt.Errorf("no server runs that could ask NAS %q: %w: start it", session.NAS, ErrNotFound)
	}
	return nil
}

// take notes what the NAS has answered, and returns it as the audit record has it.
func (d *Disconnection) take(a accounting.Answer, err error) string {
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid):
		return "not asked: " + err.Error()
	case err != nil:
		d.Answer, d.Text = DisconnectSilence, err.Error()
	case a.Acknowledged:
		d.Answer, d.Text = DisconnectDone, a.Text
	default:
		d.Answer, d.Cause, d.Text = DisconnectRefused, a.Cause, a.Text
	}
	return strings.TrimSpace("answer=" + d.Answer + " " + d.Text)
}

// CollectorStates tells how it stands with who gets the accounting. The error wraps
// ErrNotFound where no server runs.
func (s *Service) CollectorStates(ctx context.Context, c Caller) ([]CollectorState, error) {
	if _, err := s.gate(c, "collector.list", "", ""); err != nil {
		return nil, err
	}
	if s.Collectors == nil {
		return nil, fmt.Errorf("no server runs: %w: start it, and see then what its collectors have", ErrNotFound)
	}
	return s.Collectors(ctx)
}
