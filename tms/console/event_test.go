package console

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// eventStore is a tms.Store of events, which remembers what it was asked for.
type eventStore struct {
	tms.Store
	asked  tms.Filter
	mu     sync.Mutex
	events []tms.Event // by their IDs
}

// happen adds events.
func (s *eventStore) happen(events ...tms.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
}

func (s *eventStore) Users(context.Context, tms.Filter, func(*tms.User) error) error { return nil }

func (s *eventStore) Events(_ context.Context, f tms.Filter, each func(*tms.Event) error) error {
	s.asked = f
	for i := len(s.events) - 1; i >= 0; i-- {
		if err := each(&s.events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *eventStore) LastEvent(context.Context) (otp.EventID, error) {
	if len(s.events) == 0 {
		return otp.EventID{}, nil
	}
	return s.events[len(s.events)-1].ID, nil
}

func (s *eventStore) EventsAfter(_ context.Context, after otp.EventID, most int, each func(*tms.Event) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if s.events[i].ID.Batch <= after.Batch {
			continue
		}
		if err := each(&s.events[i]); err != nil {
			return err
		}
	}
	return nil
}

// login is a login of alice at ras.
func login(batch uint64, verdict otp.Verdict) tms.Event {
	return tms.Event{
		ID: otp.EventID{Batch: batch}, At: time.Unix(1_800_000_000+int64(batch), 5).In(time.FixedZone("", 3600)), Kind: tms.LoginEvent,
		Login: tms.Login{User: "alice", NAS: "ras", Decision: otp.Decision{Verdict: verdict, Serial: "A1"}},
	}
}

func TestWhatEventsAreChosenByTravels(t *testing.T) {
	store := &eventStore{events: []tms.Event{login(1, otp.Accepted), login(2, otp.WrongCode)}}
	c := mount(t, tms.NewService(tms.Options{Store: store, Clock: time.Now}), true)
	f := tms.Filter{
		User: "alice", Serial: "A1", NAS: "ras", Verdict: otp.WrongCode, Limit: 7, Differing: true,
		From: time.Unix(1_800_000_000, 0).UTC(), To: time.Unix(1_800_000_900, 0).UTC(), Before: otp.EventID{Batch: 17, Index: 3},
	}
	var listed []string
	each := func(e EventView) error { listed = append(listed, e.ID); return nil }
	if err := c.Events(context.Background(), f, each); err != nil || !reflect.DeepEqual(store.asked, f) || len(listed) != 2 || listed[0] != "2-0" {
		t.Errorf("%+v, %v, %v", store.asked, listed, err)
	}
	for _, r := range []listRequest{{Verdict: "right"}, {Verdict: "undecided"}, {Before: "17"}} {
		if _, err := r.filter(); !errors.Is(err, tms.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Exports are compared with what this makes of their records, years later: it must not
// change. What EventView has besides is to be left out.
func TestRenderedEventsStayTheSame(t *testing.T) {
	trace := exclusions.Trace{
		Login: exclusions.Login{User: []byte("alice"), Groups: []string{"vpn"}, ClientIP: netip.MustParseAddr("192.0.2.7"), ClientMACs: []exclusions.MAC{0x0010A42319C0}},
		Typed: []byte(`CORP\Alice`), Directory: "corp", Rule: "printers", GroupsLeft: 2, MACsLeft: 1, Sessions: exclusions.Sessions{Open: 3, Most: 2},
	}
	full, damaged := login(17, otp.AcceptedByTMS), login(18, otp.WrongCode)
	full.Station, full.Method, full.Trace = "00-10-A4-23-19-C0", otp.MSCHAPv2, trace.Append(nil)
	full.Decision.Own, full.Decision.Offset, full.Decision.Repeated, full.Decision.LockedNow = otp.WrongPIN, -4, true, true
	damaged.Trace, damaged.Rule = []byte("\xff\xff"), 7
	at := login(19, 0).At
	for want, e := range map[string]tms.Event{
		`{"id":"17-0","at":"2027-01-15T08:00:17.000000005Z","kind":"login","user":"alice","nas":"ras","station":"00-10-A4-23-19-C0","method":"mschapv2","verdict":"accepted_by_tms","serial":"A1","offset":-4,"repeated":true,"locked_now":true,"own":"wrong_pin","rule":"printers","typed":"CORP\\Alice","directory":"corp","groups":["vpn"],"client_ip":"192.0.2.7","client_macs":["00-10-A4-23-19-C0"],"limit":"max_sessions: 3 of 2","groups_left":2,"macs_left":1}`: full,
		`{"id":"18-0","at":"2027-01-15T08:00:18.000000005Z","kind":"login","user":"alice","nas":"ras","method":"pap","verdict":"wrong_code","serial":"A1","rule":"rule number 7"}`: damaged,
		`{"id":"19-0","at":"2027-01-15T08:00:19.000000005Z","kind":"act","actor":"root@cli","verb":"user.add","object":"a\u003cb","detail":"more"}`:                                {ID: otp.EventID{Batch: 19}, At: at, Kind: tms.ActEvent, Act: tms.Act{Actor: "root@cli", Verb: "user.add", Object: "a<b", Detail: "more"}},
		`{"id":"19-0","at":"2027-01-15T08:00:19.000000005Z","kind":"accounting","nas":"ras","source":"192.0.2.1","attributes":"AQID"}`:                                             {ID: otp.EventID{Batch: 19}, At: at, Kind: tms.AccountingEvent, Accounting: tms.Accounting{AccountingNAS: "ras", Source: "192.0.2.1", Attributes: []byte{1, 2, 3}}},
	} {
		got, err := RenderEvent(&e)
		if err != nil || string(got) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
	if v := ViewEvent(&damaged); v.TraceFault == "" {
		t.Error("a listing does not say that the trace is damaged")
	}
	if v := ViewEvent(&full); v.Difference == "" {
		t.Error("a listing does not say that they differ")
	}
}
