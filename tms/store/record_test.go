package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

var at = time.Unix(1_800_000_000, 123_456_789)

// everything is one record of each kind, with every field set.
var everything = []Record{
	{
		Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: tms.Login{
			User: "alice", NAS: "ras-gateway", Station: strings.Repeat("\xff\x00", 126), Method: otp.MSCHAPv2,
			Decision: otp.Decision{Verdict: otp.Locked, Serial: "T1", Offset: -19, Repeated: true, LockedNow: true},
		}},
		Changes: []Change{
			{Token: 1, Rev: 1, State: otp.State{Counter: 60_000_000, Drift: -3}},
			{Token: math.MaxInt64, Rev: math.MaxUint64, State: full},
		},
	},
	deciding(math.MaxUint64, strings.Repeat("\xff\x00", 400)),
	compared(otp.AcceptedByTMS, otp.NextCode, 9, "trace"),
	compared(otp.RefusedByTMS, otp.Accepted, 0, ""),
	compared(otp.RefusedByTMS, otp.WrongPIN, 0, ""),
	deciding(1, ""),
	deciding(0, "\x00"),
	{Event: tms.Event{At: at, Kind: tms.ActEvent, Act: tms.Act{
		At: at, Actor: "root@cli", Verb: "token.unlock", Object: "T1", Detail: "because",
	}}, Changes: []Change{{Token: 7, Rev: 2}}},
	{Event: tms.Event{At: at, Kind: tms.AccountingEvent, Accounting: tms.Accounting{
		AccountingNAS: "ras", Source: "[2001:db8::1]:1646", Attributes: bytes.Repeat([]byte{40, 6, 0, 0, 0, 1}, 600),
	}}},
}

// deciding is a login with a rule and a trace.
func deciding(rule uint64, trace string) Record {
	login := tms.Login{User: "bob", NAS: "ras", Decision: otp.Decision{Verdict: otp.Excluded}, Rule: rule}
	if trace != "" {
		login.Trace = []byte(trace)
	}
	return Record{Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: login}}
}

// compared is a login that the TMS decided and our own tokens have seen.
func compared(verdict, own otp.Verdict, rule uint64, trace string) Record {
	r := deciding(rule, trace)
	r.Event.Decision = otp.Decision{Verdict: verdict, Own: own, Serial: "T1", Offset: 3}
	r.Changes = []Change{{Token: 7, Rev: 9, State: otp.State{Counter: 3, Agreed: 1, Disagreed: 200}}}
	return r
}

// golden are logins as they were written before logins had rules and traces.
var golden = map[string]Record{
	"0115cd0f9b76e2fa180107c80102808ece1c0105616c6963650b7261732d676174657761791130302d31312d32322d33332d34342d353500010002543101": {
		Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: tms.Login{
			User: "alice", NAS: "ras-gateway", Station: "00-11-22-33-44-55", Method: otp.PAP,
			Decision: otp.Decision{Verdict: otp.Accepted, Serial: "T1", Offset: -1},
		}},
		Changes: []Change{{Token: 7, Rev: 200, State: otp.State{Counter: 60_000_000, Drift: -1}}},
	},
	"0115cd0f9b76e2fa1800076d616c6c6f727903726173000302010000": {
		Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: tms.Login{
			User: "mallory", NAS: "ras", Method: otp.MSCHAPv2, Decision: otp.Decision{Verdict: otp.UnknownUser, Repeated: true},
		}},
	},
}

// compare is a login that was compared with our own tokens, as it is written since there
// are such.
const compare = "0115cd0f9b76e2fa18010709200301c80103626f620372617300001c04025431060509057472616365"

func TestComparedLoginStays(t *testing.T) {
	want := compared(otp.RefusedByTMS, otp.WrongPIN, 9, "trace")
	if got := hex.EncodeToString(AppendRecord(nil, &want)); got != compare {
		t.Errorf("now it is %s\n   it was %s", got, compare)
	}
}

// TestOldRecords reads records of before, and holds new ones that have no more to
// tell to the same bytes.
func TestOldRecords(t *testing.T) {
	for text, want := range golden {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRecord(b)
		if err != nil || !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("got  %+v, error %v\nwant %+v", got, err, want)
		}
		changes, use, err := ParseChanges(nil, b)
		if err != nil || use != (Use{}) || !reflect.DeepEqual(changes, want.Changes) {
			t.Errorf("changes %+v, use %+v, error %v", changes, use, err)
		}
		if k, err := ParseKeys(b); err != nil || k.Differs {
			t.Errorf("keys %+v of a login of before, error %v", k, err)
		}
		if again := AppendRecord(nil, &want); !bytes.Equal(again, b) {
			t.Errorf("now it is %x\n   it was %x", again, b)
		}
	}
}

// full is a state with every field set to its extreme.
var full = otp.State{
	Counter: math.MaxUint64, Drift: math.MinInt32, Failures: math.MaxUint16, MustResync: true,
	LockedUntil: math.MaxInt64, ResyncFactor: math.MaxUint64, ResyncUntil: math.MinInt64,
	Agreed: math.MaxUint16, Disagreed: math.MaxUint16,
}

func TestRecordsKeepEverything(t *testing.T) {
	for _, want := range everything {
		b := AppendRecord(nil, &want)
		got, err := ParseRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Event.At.Equal(want.Event.At) {
			t.Errorf("at %v, want %v", got.Event.At, want.Event.At)
		}
		if !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		changes, use, err := ParseChanges(nil, b)
		if err != nil || !reflect.DeepEqual(changes, want.Changes) || use != useOf(&want) {
			t.Errorf("changes %+v, use %+v, error %v, want %+v", changes, use, err, want)
		}
		if keys, err := ParseKeys(b); err != nil || printed(keys) != printed(keysOf(&want.Event)) {
			t.Errorf("keys %+v, error %v, of %+v", keys, err, want)
		}
	}
}

// TestDamagedKeys cuts off a login, whose keys go as far as its end, and others.
func TestDamagedKeys(t *testing.T) {
	b := AppendRecord(nil, &everything[0])
	for n := range len(b) {
		if k, err := ParseKeys(b[:n]); !errors.Is(err, errRecord) {
			t.Errorf("cut off after %d of %d bytes: keys %+v, error %v", n, len(b), k, err)
		}
	}
	if _, err := ParseKeys(append([]byte{99}, b[1:]...)); !errors.Is(err, errRecord) {
		t.Errorf("of an unknown kind: error %v", err)
	}
}

// printed makes keys comparable, where nil and empty are the same.
func printed(k Keys) string {
	return fmt.Sprintf("%d %q %q %q %v %v", k.At, k.User, k.Serial, k.NAS, k.Verdict, k.Differs)
}

// useOf is what ParseChanges has to say about a record.
func useOf(r *Record) Use {
	if r.Event.Rule == 0 {
		return Use{}
	}
	return Use{Rule: r.Event.Rule, At: r.Event.At.Unix()}
}

// normal takes out of a record what reflect.DeepEqual is too strict about.
func normal(r Record) Record {
	r.Event.At = r.Event.At.UTC()
	if !r.Event.Act.At.IsZero() {
		r.Event.Act.At = r.Event.Act.At.UTC()
	}
	if len(r.Event.Attributes) == 0 {
		r.Event.Attributes = nil
	}
	return r
}

func TestAppendLoginIsAppendRecord(t *testing.T) {
	for i := range everything {
		r := &everything[i]
		if r.Event.Kind != tms.LoginEvent {
			continue
		}
		e := &r.Event
		a := &otp.Attempt{
			At: e.At, User: []byte(e.User), NAS: e.NAS, Station: []byte(e.Station), Method: e.Method, Decision: e.Decision,
			Rule: e.Rule, Trace: e.Trace,
		}
		got, want := AppendLogin(nil, a, r.Changes), AppendRecord(nil, r)
		if !bytes.Equal(got, want) {
			t.Errorf("got  %x\nwant %x", got, want)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for _, r := range everything {
		b := AppendRecord(nil, &r)
		for n := range len(b) {
			if _, err := ParseRecord(b[:n]); !errors.Is(err, errRecord) && n != bare(&r) {
				t.Fatalf("cut off after %d of %d bytes: error %v", n, len(b), err)
			}
		}
		for _, more := range []string{"\x00", "\x00\x00"} {
			if _, err := ParseRecord(append(b, more...)); !errors.Is(err, errRecord) {
				t.Errorf("%d bytes more: error %v", len(more), err)
			}
		}
	}
	for _, b := range [][]byte{nil, {1 << 6, 0}, {flagAgreed, 0, 1}, {flagAgreed, 0, 0x80, 0x80, 0x04, 0}, {flagAgreed, 0, 0, 0x80, 0x80, 0x04}, {0xff, 0}, {flagFailures, 0, 0xff, 0xff, 0x04}, {flagDrift, 0, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		if s, err := ParseState(b); err == nil {
			t.Errorf("state %x is taken for %+v", b, s)
		}
	}
}

// bare is how long a login is without its rule and trace, which is whole too.
func bare(r *Record) int {
	without := *r
	without.Event.Rule, without.Event.Trace = 0, nil
	return len(AppendRecord(nil, &without))
}

func TestStateKeepsEverything(t *testing.T) {
	for _, want := range []otp.State{{}, full, {Counter: 60_000_000}, {Failures: 1}, {ResyncFactor: 1}, {ResyncUntil: 1}, {LockedUntil: 1}, {MustResync: true}, {Drift: 1}, {Agreed: 1}, {Disagreed: 1}} {
		got, err := ParseState(AppendState(nil, &want))
		if err != nil || got != want {
			t.Errorf("got %+v, error %v, want %+v", got, err, want)
		}
	}
	if n := len(AppendState(nil, &otp.State{Counter: 60_000_000, Drift: 1})); n != 6 {
		t.Errorf("the state of a clock token takes %d bytes, want 6", n)
	}
}

func TestBatchKeepsRecordsInOrder(t *testing.T) {
	batch := BeginBatch(nil)
	for i := range everything {
		batch = AppendToBatch(batch, AppendRecord(nil, &everything[i]))
	}
	n := uint32(0)
	err := Records(batch, func(index uint32, record []byte) error {
		if index != n || !bytes.Equal(record, AppendRecord(nil, &everything[n])) {
			t.Errorf("record %d comes as number %d: %x", n, index, record)
		}
		n++
		return nil
	})
	if err != nil || int(n) != len(everything) {
		t.Errorf("%d records, error %v", n, err)
	}
	ignore := func(uint32, []byte) error { return nil }
	for _, damaged := range [][]byte{nil, {0}, {2}, batch[:len(batch)-1], {version, 0xff}} {
		if err := Records(damaged, ignore); !errors.Is(err, errRecord) {
			t.Errorf("batch of %d bytes: error %v", len(damaged), err)
		}
	}
	stop := errors.New("stop")
	if err := Records(batch, func(uint32, []byte) error { return stop }); err != stop {
		t.Errorf("error %v, want that of the callback", err)
	}
}

// TestStoredNumbers holds the types whose numbers are in every journal to growing
// at their ends.
func TestStoredNumbers(t *testing.T) {
	for word, number := range map[string]otp.Verdict{
		"undecided": 0, "accepted": 1, "unknown_user": 2, "user_disabled": 3, "no_token": 4, "wrong_pin": 5, "wrong_code": 6,
		"wrong_passcode": 7, "replayed": 8, "next_code": 9, "locked": 10, "throttled": 11, "no_credentials": 12, "unreadable": 13,
		"bad_user_name": 14, "excluded": 15, "needs_pap": 16, "wrong_password": 17, "password_expired": 18, "directory_disabled": 19,
		"directory_locked": 20, "directory_refused": 21, "token_created": 22, "token_expired": 23, "enrolling": 24, "invited": 25,
		"enrolment_refused": 26, "accepted_by_tms": 27, "refused_by_tms": 28, "asked_by_tms": 29, "cannot_ask": 30, "tms_down": 31,
	} {
		if number.String() != word {
			t.Errorf("verdict %d is %v, was %s", number, number, word)
		}
		r := Record{Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: tms.Login{User: "bob", Decision: otp.Decision{Verdict: number}}}}
		if got, err := ParseRecord(AppendRecord(nil, &r)); err != nil || got.Event.Decision.Verdict != number {
			t.Errorf("verdict %s is read as %v, error %v", word, got.Event.Decision.Verdict, err)
		}
	}
	for word, number := range map[string]otp.Method{"pap": 0, "chap": 1, "mschap": 2, "mschapv2": 3, "none": 4} {
		if number.String() != word {
			t.Errorf("method %d is %v, was %s", number, number, word)
		}
	}
	for word, number := range map[string]otp.TokenType{"totp": 0, "hotp": 1, "mobilepass": 2, "code-list": 3} {
		if number.String() != word {
			t.Errorf("token type %d is %v, was %s", number, number, word)
		}
	}
	for word, number := range map[string]oath.Algorithm{"sha1": 0, "sha256": 1, "sha512": 2} {
		if number.String() != word {
			t.Errorf("algorithm %d is %v, was %s", number, number, word)
		}
	}
	for word, number := range map[string]otp.Home{"unsaid": 0, "local": 1, "tms": 2} {
		if number.String() != word {
			t.Errorf("home %d is %v, was %s", number, number, word)
		}
	}
	if tms.LoginEvent != 1 || tms.ActEvent != 2 || tms.AccountingEvent != 3 {
		t.Error("the kinds of events have other numbers")
	}
}

func TestSelected(t *testing.T) {
	noon := time.Unix(1_800_000_000, 0)
	login := &tms.Event{ID: otp.EventID{Batch: 7, Index: 1}, At: noon, Kind: tms.LoginEvent, Login: tms.Login{
		User: "alice", NAS: "ras", Decision: otp.Decision{Serial: "T1", Verdict: otp.Accepted},
	}}
	user := &tms.Event{ID: otp.EventID{Batch: 7, Index: 2}, At: noon.Add(1), Kind: tms.ActEvent, Act: tms.Act{Object: "alice"}}
	token := &tms.Event{ID: otp.EventID{Batch: 8}, At: noon.Add(2), Kind: tms.ActEvent, Act: tms.Act{Object: "T1"}}
	accounting := &tms.Event{ID: otp.EventID{Batch: 8, Index: 1}, At: noon.Add(3), Kind: tms.AccountingEvent, Accounting: tms.Accounting{AccountingNAS: "ras"}}
	differing := *login
	differing.ID = otp.EventID{Batch: 9}
	differing.Decision.Verdict, differing.Decision.Own = otp.AcceptedByTMS, otp.WrongCode
	for _, test := range []struct {
		filter tms.Filter
		want   [5]bool // login, user, token, accounting, differing
	}{
		{tms.Filter{}, [5]bool{true, true, true, true, true}},
		{tms.Filter{User: "alice"}, [5]bool{true, true, false, false, true}},
		{tms.Filter{User: "ali"}, [5]bool{}},
		{tms.Filter{Serial: "T1"}, [5]bool{true, false, true, false, true}},
		{tms.Filter{User: "alice", Serial: "T1"}, [5]bool{true, false, false, false, true}},
		{tms.Filter{User: "alice", Serial: "T2"}, [5]bool{}},
		{tms.Filter{Differing: true}, [5]bool{4: true}},
		{tms.Filter{User: "alice", Serial: "T1", Differing: true}, [5]bool{4: true}},
		{tms.Filter{User: "bob", Differing: true}, [5]bool{}},
		{tms.Filter{NAS: "ras"}, [5]bool{true, false, false, true, true}},
		{tms.Filter{NAS: "ra"}, [5]bool{}},
		{tms.Filter{Verdict: otp.Accepted}, [5]bool{0: true}},
		{tms.Filter{NAS: "ras", Verdict: otp.AcceptedByTMS}, [5]bool{4: true}},
		{tms.Filter{From: noon.Add(1)}, [5]bool{false, true, true, true, false}},
		{tms.Filter{To: noon.Add(1)}, [5]bool{true, false, false, false, true}},
		{tms.Filter{From: noon.Add(1), To: noon.Add(3)}, [5]bool{false, true, true, false, false}},
		{tms.Filter{From: noon, To: noon.AddDate(8000, 0, 0)}, [5]bool{true, true, true, true, true}},
	} {
		for i, e := range []*tms.Event{login, user, token, accounting, &differing} {
			if got := selected(&test.filter, e); got != test.want[i] {
				t.Errorf("%+v of event %d: %v", test.filter, i, got)
			}
		}
	}
}

// TestDiffering goes through what the TMS and our own tokens may say.
func TestDiffering(t *testing.T) {
	for _, test := range []struct {
		verdict, own otp.Verdict
		want         bool
	}{
		{otp.AcceptedByTMS, otp.Undecided, false},
		{otp.AcceptedByTMS, otp.Accepted, false},
		{otp.AcceptedByTMS, otp.NextCode, true},
		{otp.AcceptedByTMS, otp.Replayed, true},
		{otp.RefusedByTMS, otp.Accepted, true},
		{otp.RefusedByTMS, otp.WrongCode, false},
		{otp.RefusedByTMS, otp.Undecided, false},
		{otp.Replayed, otp.Replayed, false},
		{otp.Accepted, otp.Undecided, false},
	} {
		r := compared(test.verdict, test.own, 0, "")
		if got := selected(&tms.Filter{Differing: true}, &r.Event); got != test.want {
			t.Errorf("%v, our own %v: %v", test.verdict, test.own, got)
		}
	}
}

func TestAppendLoginDoesNotAllocate(t *testing.T) {
	a := &otp.Attempt{At: at, User: []byte("alice"), NAS: "ras", Station: []byte("station"), Decision: otp.Decision{Verdict: otp.Accepted, Serial: "T1"}}
	dst, changes := make([]byte, 0, 256), []Change{{Token: 1, Rev: 2, State: otp.State{Counter: 3}}}
	for range 2 {
		if n := testing.AllocsPerRun(100, func() { AppendLogin(dst, a, changes) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		a.Rule, a.Trace = 10_000, make([]byte, 100)
		a.Decision.Own = otp.WrongCode
		changes[0].State.Disagreed = 1
	}
}

func BenchmarkAppendLogin(b *testing.B) {
	a := &otp.Attempt{
		At: at, User: []byte("alice.liddell"), NAS: "ras-gateway", Station: []byte("00-11-22-33-44-55"),
		Decision: otp.Decision{Verdict: otp.Accepted, Serial: "4F214C507612A26A"},
	}
	changes := []Change{{Token: 123456, Rev: 200, State: otp.State{Counter: 60_000_000, Drift: 1}}}
	for _, trace := range []int{0, 60} {
		a.Trace = make([]byte, trace)
		b.Run(fmt.Sprint("trace=", trace), func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendLogin(dst[:0], a, changes)
			}
			b.ReportMetric(float64(len(dst)), "bytes/login")
		})
	}
}

func BenchmarkParseKeys(b *testing.B) {
	record := AppendRecord(nil, &everything[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseKeys(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseChanges(b *testing.B) {
	record := AppendRecord(nil, &everything[0])
	var changes []Change
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if changes, _, err = ParseChanges(changes[:0], record); err != nil {
			b.Fatal(err)
		}
	}
}
