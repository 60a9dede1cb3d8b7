package console

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms"
)

// book is a tms.Sessions of the session 17-3 and three records, a Disconnector, and a
// store that keeps acts.
type book struct {
	tms.Store
	session accounting.Session
	asked   accounting.Filter
	answer  accounting.Answer
	acts    []tms.Act
}

func (b *book) Users(context.Context, tms.Filter, func(*tms.User) error) error { return nil }

func (b *book) Record(_ context.Context, act tms.Act) error {
	b.acts = append(b.acts, act)
	return nil
}

func (b *book) Sessions(_ context.Context, f accounting.Filter, each func(*accounting.Session) error) error {
	b.asked = f
	if !f.ID.IsZero() && f.ID != b.session.ID {
		return nil
	}
	return each(&b.session)
}

func (b *book) Records(_ context.Context, session accounting.Position, each func(*accounting.Entry) error) error {
	return each(&accounting.Entry{Position: session, At: heard, NAS: "ras", Source: "192.0.2.1", Attributes: []byte("\x01\x07alice")})
}

func (b *book) Forwardable(_ context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error) {
	for i := uint64(1); i <= 3 && most > 0; i++ {
		if i <= after.Batch {
			continue
		}
		after.Batch, most = i, most-1
		if err := each(&accounting.Entry{Position: after}); err != nil {
			return after, err
		}
	}
	return after, nil
}

func (b *book) Disconnect(context.Context, *accounting.Session) (accounting.Answer, error) {
	return b.answer, nil
}

var heard = time.Date(2026, 5, 4, 12, 0, 0, 123456789, time.UTC)

// full is a session of which all is known.
func full() accounting.Session {
	return accounting.Session{
		ID: accounting.Position{Batch: 17, Index: 3}, Key: accounting.Key{NAS: "ras", Gateway: "gw-1", SessionID: "0A"},
		Source: "192.0.2.1", NASAddress: netip.MustParseAddr("10.0.0.1"), NASPort: "7", User: `EXAMPLE\Alice`, Station: "192.0.2.7", Address: netip.MustParseAddr("10.8.0.6"),
		Login: accounting.Login{Event: "12-0", At: heard.Add(-time.Hour), User: "alice", Serial: "T1", Rule: "r", NAS: "ras", Pool: "contractors"},
		State: accounting.Closed, Started: heard.Add(-time.Hour), Heard: heard, Last: heard, Ended: heard, Cause: 1, By: "accounting-off", Begun: true, Records: 4,
		Figures: accounting.Figures{Has: true, Time: 90 * time.Second, InputOctets: 1 << 33, OutputOctets: 2, InputPackets: 3, OutputPackets: 4},
	}
}

func connectBook(t *testing.T, administrator bool) (*Client, *book) {
	t.Helper()
	b := &book{session: full()}
	options := tms.Options{Store: b, Sessions: b, Disconnector: b, Clock: func() time.Time { return heard }}
	options.Collectors = func(context.Context) ([]tms.CollectorState, error) {
		return []tms.CollectorState{{Name: "billing", Type: "radius", Waiting: 7, Oldest: heard, Done: accounting.Position{Batch: 9}}, {Name: "file"}}, nil
	}
	options.NASes = func() []tms.NASSeen { return []tms.NASSeen{{Name: "ras", Logins: 10, PAP: 10, Interval: time.Second}} }
	options.NASSettings = func() []tms.NASSettings { return []tms.NASSettings{{Name: "ras", Slowest: time.Minute}, {Name: "vpn"}} }
	return mount(t, tms.NewService(options), administrator), b
}

// Nothing of a session is lost on the way, and its view has a field for each of its own.
func TestSessionsTravel(t *testing.T) {
	c, b := connectBook(t, true)
	f := accounting.Filter{
		User: "alice", NAS: "ras", Serial: "T1", Rule: "r", Station: "192.0.2.7", Address: netip.MustParseAddr("10.8.0.6"),
		States: []accounting.State{accounting.Stale, accounting.Closed}, From: heard, To: heard.Add(time.Hour), Limit: 3,
	}
	var views []SessionView
	if err := c.Sessions(t.Context(), f, func(v SessionView) error { views = append(views, v); return nil }); err != nil || len(views) != 1 {
		t.Fatalf("%+v, %v", views, err)
	}
	if !reflect.DeepEqual(b.asked, f) {
		t.Errorf("asked for %+v, want %+v", b.asked, f)
	}
	v := views[0]
	if want := viewSession(&b.session); !reflect.DeepEqual(v, want) || v.Raw != nil {
		t.Errorf("%+v, want %+v", v, want)
	}
	for _, part := range []any{v, *v.SessionFigures, *v.SessionLogin} {
		fields := reflect.ValueOf(part)
		for i := range fields.NumField() {
			if name := fields.Type().Field(i).Name; fields.Field(i).IsZero() && name != "Raw" {
				t.Errorf("%T.%s is not filled", part, name)
			}
		}
	}
	if v.User != "alice" || v.State != "closed" || v.Cause != "User-Request" || v.Seconds != 90 || v.InputOctets != 1<<33 || v.Limit != "contractors" {
		t.Errorf("%+v", v)
	}
	if one, err := c.Session(t.Context(), "17-3"); err != nil || !reflect.DeepEqual(one, v) {
		t.Errorf("%+v, %v", one, err)
	}
	_, err := c.Session(t.Context(), "18-3")
	if !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}
	for want, f := range map[string]accounting.Filter{"limit -1": {Limit: -1}, "state": {States: []accounting.State{9}}} {
		if err := c.Sessions(t.Context(), f, nil); !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// What a NAS sends need not be text.
func TestTextsThatAreNone(t *testing.T) {
	c, b := connectBook(t, true)
	b.session.Station, b.session.User, b.session.Login = "\x00\x10\xa4\x23\x19\xc0", "M\xfcller", accounting.Login{}
	v, err := c.Session(t.Context(), "17-3")
	if err != nil || v.Station != b.session.Station || v.User != b.session.User || v.UserName != b.session.User || v.SessionLogin != nil {
		t.Errorf("%+v, %v", v, err)
	}
	if len(v.Raw) != 3 || string(v.Raw["user"]) != "M\xfcller" {
		t.Errorf("%q", v.Raw)
	}
	b.session.Has = false
	if v, err = c.Session(t.Context(), "17-3"); err != nil || v.SessionFigures != nil {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestRecordsTravel(t *testing.T) {
	c, _ := connectBook(t, true)
	var records []RecordView
	each := func(v RecordView) error { records = append(records, v); return nil }
	err := c.SessionRecords(t.Context(), "17-3", each)
	want := RecordView{accounting.Position{Batch: 17, Index: 3}, heard, "ras", "192.0.2.1", []byte("\x01\x07alice")}
	if err != nil || len(records) != 1 || !reflect.DeepEqual(records[0], want) {
		t.Errorf("%+v, %v", records, err)
	}
	records = nil
	next, err := c.AccountingRecords(t.Context(), accounting.Position{Batch: 1}, 1, each)
	if err != nil || next.String() != "2-0" || len(records) != 1 || records[0].Record != next {
		t.Errorf("%v, %+v, %v", next, records, err)
	}
	records = nil
	if next, err = c.AccountingRecords(t.Context(), accounting.Position{}, 0, each); err != nil || next.String() != "3-0" || len(records) != 3 {
		t.Errorf("%v, %+v, %v", next, records, err)
	}
}

func TestDisconnectionsTravel(t *testing.T) {
	c, b := connectBook(t, true)
	if _, err := c.DisconnectSession(t.Context(), "17-3"); !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), "ended at") {
		t.Error(err)
	}
	b.session.State, b.answer = accounting.Open, accounting.Answer{Cause: 504, Text: "Session-Context-Not-Removable"}
	d, err := c.DisconnectSession(t.Context(), "17-3")
	want := tms.Disconnection{Session: "17-3", User: "alice", NAS: "ras", Address: "192.0.2.1", Answer: tms.DisconnectRefused, Cause: 504, Text: "Session-Context-Not-Removable"}
	if err != nil || d != want || len(b.acts) != 2 {
		t.Errorf("%+v, %v, %+v", d, err, b.acts)
	}
}

func TestCollectorsAndNASesTravel(t *testing.T) {
	c, _ := connectBook(t, true)
	var got []string
	err := c.Collectors(t.Context(), func(s tms.CollectorState) error {
		got = append(got, fmt.Sprint(s.Name, " ", s.Waiting, " ", s.Done))
		return nil
	})
	if err != nil || strings.Join(got, ", ") != "billing 7 9-0, file 0 0-0" {
		t.Errorf("%v, %v", got, err)
	}
	got = nil
	each := func(n tms.NASReport) error {
		got = append(got, fmt.Sprint(n.Name, " ", n.Logins, " ", n.Interval, " ", n.Settings.Slowest, " ", len(n.Advice)))
		return nil
	}
	if err := c.NASReports(t.Context(), "", each); err != nil || strings.Join(got, ", ") != "ras 10 1s 1m0s 1, vpn 0 0s 0s 1" {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.NASReports(t.Context(), "none", each); !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}
}

func TestSessionsAreForAdministrators(t *testing.T) {
	c, _ := connectBook(t, false)
	ctx := t.Context()
	_, show := c.Session(ctx, "17-3")
	_, disconnect := c.DisconnectSession(ctx, "17-3")
	_, records := c.AccountingRecords(ctx, accounting.Position{}, 0, nil)
	for _, err := range []error{show, disconnect, records, c.Sessions(ctx, accounting.Filter{}, nil), c.SessionRecords(ctx, "17-3", nil), c.Collectors(ctx, nil), c.NASReports(ctx, "", nil)} {
		if !errors.Is(err, tms.ErrForbidden) {
			t.Error(err)
		}
	}
}
