package accounting

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// whole is a session of ten minutes, with all its records as a NAS sends them.
func whole(stamped bool) []Entry {
	common := func(status Status) says { return record(status, "1").text(packet.CallingStationID, "198.51.100.7") }
	entries := []Entry{
		common(Start).came(0),
		common(InterimUpdate).used(200).address(packet.FramedIPAddress, "10.8.0.5").came(200),
		common(InterimUpdate).used(400).address(packet.FramedIPAddress, "10.8.0.5").came(400),
		common(Stop).used(600).number(packet.AcctTerminateCause, 1).came(600),
	}
	if stamped {
		for i := range entries {
			entries[i].Attributes = says(entries[i].Attributes).stamp(int(entries[i].At.Sub(epoch).Seconds()))
		}
	}
	return entries
}

// permutations calls each with every order of the numbers below n.
func permutations(n int, each func([]int)) {
	order := make([]int, n)
	var place func(int)
	place = func(i int) {
		if i == n {
			each(order)
			return
		}
		for v := range n {
			if !slices.Contains(order[:i], v) {
				order[i] = v
				place(i + 1)
			}
		}
	}
	place(0)
}

// TestOrders: in whatever order the records of a session come, with repeats or without,
// and whether the NAS stamps them or tells the delay, the session is the same in the end.
func TestOrders(t *testing.T) {
	for _, stamped := range []bool{false, true} {
		entries := whole(stamped)
		permutations(len(entries), func(order []int) {
			for repeats := range 1 << len(order) {
				k := newKit(t)
				for i, n := range order {
					k.takes(late(entries[n], 1000+10*i))
					if repeats>>i&1 == 1 {
						k.takes(late(entries[n], 1000+10*i+5))
					}
				}
				got := k.one()
				want := Session{
					ID: Position{1, 0}, Key: Key{"vpn", "vpn1 192.0.2.1", "1"}, Source: "192.0.2.1", NASAddress: got.NASAddress,
					User: "kay", Station: "198.51.100.7", Address: got.Address, State: Closed, Started: at(0), Last: at(600), Ended: at(600),
					Heard: at(1030), Cause: 1, Begun: true, Records: 4, Figures: Figures{Has: true, Time: 10 * time.Minute, InputOctets: 6000},
				}
				if !reflect.DeepEqual(got, want) || got.Address.String() != "10.8.0.5" || got.NASAddress.String() != "192.0.2.1" {
					t.Fatalf("stamped %v, order %v, repeats %b:\ngot  %+v\nwant %+v", stamped, order, repeats, got, want)
				}
				if k.OpenOf([]byte("kay")) != 0 {
					t.Fatalf("order %v: %d open", order, k.OpenOf([]byte("kay")))
				}
			}
		})
	}
}

// late is an entry that came so many seconds after the epoch, after what happened before.
func late(e Entry, seconds int) Entry {
	came := at(seconds)
	e.Attributes = says(e.Attributes).number(packet.AcctDelayTime, int(came.Sub(e.At).Seconds()))
	e.At = came
	return e
}

// TestPartial: what is missing is made up from what there is.
func TestPartial(t *testing.T) {
	entries := whole(true)
	permutations(len(entries), func(order []int) {
		for n := 1; n < len(order); n++ {
			k := newKit(t)
			var stopped, used bool
			for i, e := range order[:n] {
				k.takes(late(entries[e], 1000+i))
				stopped, used = stopped || e == 3, used || e > 0
			}
			s := k.one()
			if !s.Started.Equal(at(0)) || (s.State == Closed) != stopped || s.Has != used || s.Records != n {
				t.Errorf("%v: %+v", order[:n], s)
			}
			if open := k.OpenOf([]byte("kay")); (open == 0) != stopped {
				t.Errorf("%v: %d open", order[:n], open)
			}
		}
	})
}

// story is a test told by the records that come, and the sessions there are then.
type story struct {
	name    string
	entries []Entry
	want    []string
}

// short is a session in few words: begun at (~ if that is reckoned), its state and, when
// it is closed, its end and who ended it, the time of its figures and its records.
func short(s *Session) string {
	text := "~"
	if s.Begun {
		text = ""
	}
	text += fmt.Sprintf("%v %s", s.Started.Sub(epoch).Seconds(), s.State)
	if s.State == Closed {
		text += fmt.Sprintf(" %v%s", s.Ended.Sub(epoch).Seconds(), s.By)
	}
	return text + fmt.Sprintf(" %v/%d", s.Time.Seconds(), s.Records)
}

// happened is a stamped record that came when it happened.
func happened(a says, seconds int) Entry { return a.stamp(seconds).came(seconds) }

func start(seconds int) Entry { return happened(record(Start, "1"), seconds) }
func interim(seconds, used int) Entry {
	return happened(record(InterimUpdate, "1").used(used), seconds)
}
func stop(seconds, used int) Entry     { return happened(record(Stop, "1").used(used), seconds) }
func restart(s Status, sec int) Entry  { return happened(gatewaySays(s), sec) }
func arrived(e Entry, sec int) Entry   { e.At = at(sec); return e }
func by(user string, e Entry) Entry    { return changed(e, packet.UserName, user) }
func of(gateway string, e Entry) Entry { return changed(e, packet.NASIdentifier, gateway) }

func nasOf(nas string, e Entry) Entry { e.NAS = nas; return e }

func gatewaySays(status Status) says {
	return says{}.number(packet.AcctStatusType, int(status)).text(packet.NASIdentifier, "vpn1").address(packet.NASIPAddress, "192.0.2.1")
}

// changed is an entry with another text in an attribute, or without it.
func changed(e Entry, which packet.Type, text string) Entry {
	var a says
	for t, value := range packet.EncodedAttributes(e.Attributes) {
		switch {
		case t != which:
			a = a.add(t, value)
		case text != "":
			a = a.text(t, text)
		}
	}
	e.Attributes = a
	return e
}

// unstamped is an entry without Event-Timestamp.
func unstamped(e Entry) Entry { return changed(e, packet.EventTimestamp, "") }

var stories = []story{
	{"a Start", []Entry{start(0)}, []string{"0 open 0/1"}},
	{"a Start again, stamped anew", []Entry{start(0), start(3)}, []string{"0 open 0/2"}},
	{"a Start again that was before", []Entry{start(2), arrived(start(0), 3)}, []string{"0 open 0/2"}},
	{"a Start again when the user roams", []Entry{start(0), interim(600, 600), start(700), interim(1200, 1200)}, []string{"0 open 1200/4"}},
	{"an Interim-Update first", []Entry{interim(600, 590)}, []string{"~10 open 590/1"}},
	{"an Interim-Update without figures first", []Entry{happened(record(InterimUpdate, "1"), 600)}, []string{"~600 open 0/1"}},
	{"absurd figures", []Entry{interim(600, 1<<32-1)}, []string{"~600 open 4.294967295e+09/1"}},
	{"a Stop alone", []Entry{stop(600, 600)}, []string{"~0 closed 600 600/1"}},
	{"a Stop, then its Start", []Entry{stop(600, 590), start(0)}, []string{"0 closed 600 590/2"}},
	{"a Start that comes after its Stop, without saying so", []Entry{unstamped(stop(600, 590)), unstamped(arrived(start(0), 640))}, []string{"10 closed 600 590/2"}},
	{"an Interim-Update after the Stop", []Entry{start(0), stop(600, 600), arrived(interim(300, 300), 700)}, []string{"0 closed 600 600/3"}},
	{"one that happened after the Stop", []Entry{start(0), stop(600, 600), interim(601, 601)}, []string{"0 closed 600 601/3"}},
	{"a Stop repeated long after, unstamped", []Entry{start(0), unstamped(stop(600, 600)), unstamped(arrived(stop(600, 600), 4000))}, []string{"0 closed 600 600/2"}},
	{"a second Stop with more", []Entry{start(0), stop(600, 600), stop(620, 620)}, []string{"0 closed 620 620/3"}},
	{"a second Stop with the same", []Entry{start(0), stop(600, 600), stop(603, 600)}, []string{"0 closed 600 600/3"}},
	{"a second Stop with less", []Entry{start(0), stop(600, 600), stop(620, 10)}, []string{"0 closed 600 600/2", "~610 closed 620 10/1"}},

	{"used again", []Entry{start(0), stop(600, 600), start(1000), stop(1100, 100)}, []string{"0 closed 600 600/2", "1000 closed 1100 100/2"}},
	{"used again at once by another", []Entry{start(0), stop(600, 600), by("lee", start(600))}, []string{"0 closed 600 600/2", "600 open 0/1"}},
	{"used again at once by nobody else", []Entry{start(0), stop(600, 600), start(601), interim(901, 300)}, []string{"0 closed 600 600/3", "~601 open 300/1"}},
	{"used again, the Stop lost, by another", []Entry{start(0), interim(300, 300), by("lee", start(1000))}, []string{"0 closed 300reuse 300/2", "1000 open 0/1"}},
	{"used again, the Stop lost, by the same", []Entry{start(0), interim(300, 300), start(1000), interim(1100, 100)}, []string{"0 closed 1000reuse 300/3", "~1000 open 100/1"}},
	{"used again, the Stop late", []Entry{start(0), by("lee", start(1000)), arrived(stop(600, 600), 1001)}, []string{"0 closed 600 600/2", "1000 open 0/1"}},
	{"used again, the Start late", []Entry{by("lee", start(1000)), arrived(start(0), 1001), arrived(stop(600, 600), 1002)}, []string{"1000 open 0/1", "0 closed 600 600/2"}},
	{"used again, both Starts lost", []Entry{stop(600, 600), stop(1000, 200)}, []string{"~0 closed 600 600/1", "~800 closed 1000 200/1"}},
	{"used again, the Interim-Update late", []Entry{start(0), stop(600, 600), start(1000), arrived(interim(300, 300), 1001)}, []string{"0 closed 600 600/3", "1000 open 0/1"}},
	{"used again, its Start late", []Entry{start(0), stop(600, 600), interim(1200, 150), arrived(start(1000), 1300)}, []string{"0 closed 600 600/2", "1000 open 150/2"}},
	{"the clock set back an hour", []Entry{start(4000), interim(700, 300), stop(1000, 600)}, []string{"4000 closed 1000 600/3"}},

	{"Accounting-On", []Entry{start(0), interim(300, 300), restart(AccountingOn, 400)}, []string{"0 closed 400accounting-on 300/2"}},
	{"Accounting-Off", []Entry{start(0), restart(AccountingOff, 400)}, []string{"0 closed 400accounting-off 0/1"}},
	{"Accounting-Off twice", []Entry{start(0), restart(AccountingOff, 400), restart(AccountingOff, 401)}, []string{"0 closed 400accounting-off 0/1"}},
	{"a late Accounting-On", []Entry{start(100), arrived(restart(AccountingOn, 50), 200)}, []string{"100 open 0/1"}},
	{"a late Accounting-On in the life of a session", []Entry{start(100), interim(300, 200), arrived(restart(AccountingOn, 200), 400)}, []string{"100 open 200/2"}},
	{"Accounting-On in the second of a Start", []Entry{start(100), restart(AccountingOn, 100)}, []string{"100 open 0/1"}},
	{"used again after Accounting-On", []Entry{start(0), restart(AccountingOn, 10), start(10), stop(12, 2)}, []string{"0 closed 10accounting-on 0/1", "10 closed 12 2/2"}},
	{"the Stop after Accounting-Off", []Entry{start(0), restart(AccountingOff, 400), arrived(stop(390, 390), 410)}, []string{"0 closed 390 390/2"}},
	{"one that lives on after Accounting-On", []Entry{start(0), restart(AccountingOn, 400), interim(500, 500)}, []string{"0 open 500/2"}},
	{"the same the other way round", []Entry{start(0), interim(500, 500), arrived(restart(AccountingOn, 400), 501)}, []string{"0 open 500/2"}},
	{"one that was before Accounting-On", []Entry{start(0), restart(AccountingOn, 400), arrived(interim(300, 300), 500)}, []string{"0 closed 400accounting-on 300/2"}},

	{"Accounting-On of another NAS", []Entry{start(0), nasOf("lab", start(1)), restart(AccountingOn, 50)}, []string{"0 closed 50accounting-on 0/1", "1 open 0/1"}},
	{"one that is told of after Accounting-On came", []Entry{start(0), interim(500, 500), arrived(interim(300, 300), 501), arrived(restart(AccountingOn, 400), 502)}, []string{"0 open 500/3"}},
	{"Accounting-On by Acct-Delay-Time", []Entry{start(0), late(unstamped(restart(AccountingOn, 400)), 500)}, []string{"0 closed 400accounting-on 0/1"}},
	{"Accounting-On where nobody says who they are", []Entry{of("", changed(start(0), packet.NASIPAddress, "")), restart(AccountingOn, 50)}, []string{"0 closed 50accounting-on 0/1"}},
	{"Accounting-On twice in a life", []Entry{start(0), interim(45, 45), restart(AccountingOn, 40), restart(AccountingOn, 50)}, []string{"0 closed 50accounting-on 45/2"}},
	{"Accounting-On that comes late", []Entry{start(0), arrived(restart(AccountingOn, 400), 500)}, []string{"0 closed 400accounting-on 0/1"}},

	{"two gateways", []Entry{start(0), of("vpn2", start(1)), stop(10, 10)}, []string{"0 closed 10 10/2", "1 open 0/1"}},
	{"two gateways, one restarts", []Entry{start(0), of("vpn2", start(1)), restart(AccountingOn, 50)}, []string{"0 closed 50accounting-on 0/1", "1 open 0/1"}},
	{"the whole NAS restarts", []Entry{start(0), of("vpn2", start(1)), happened(says{}.number(packet.AcctStatusType, 7), 50)}, []string{"0 closed 50accounting-on 0/1", "1 closed 50accounting-on 0/1"}},
	{"one that does not always say its name", []Entry{start(0), of("", interim(300, 300)), stop(600, 600)}, []string{"0 closed 600 600/3"}},
	{"one that says its name later", []Entry{of("", start(0)), interim(300, 300), of("", stop(600, 600))}, []string{"0 closed 600 600/3"}},
	{"two that say no name once", []Entry{start(0), of("vpn2", start(0)), of("", stop(600, 600))}, []string{"0 open 0/1", "0 open 0/1", "~0 closed 600 600/1"}},

	{"without Acct-Session-Id", []Entry{changed(start(0), packet.AcctSessionID, ""), changed(stop(1, 1), packet.AcctSessionID, "")}, nil},
	{"a tunnel", []Entry{happened(record(9, "1"), 0), happened(record(15, "1"), 0)}, nil},
	{"no record at all", []Entry{says{1, 2, 3}.came(0), {At: epoch, NAS: "vpn"}}, nil},
}

func TestStories(t *testing.T) {
	for _, story := range stories {
		for alone := range len(story.entries) + 1 { // the rest is taken together
			k := newKit(t)
			for _, e := range story.entries[:alone] {
				k.takes(e)
			}
			k.takes(story.entries[alone:]...)
			var got []string
			for _, s := range k.all() {
				got = append(got, short(&s))
			}
			if !slices.Equal(got, story.want) {
				t.Errorf("%s, %d alone:\n got %q\nwant %q", story.name, alone, got, story.want)
			}
			k.verify()
		}
	}
}

// verify holds the counts against the store.
func (k *kit) verify() {
	k.t.Helper()
	users, nas := make(map[string]int), make(map[string]living)
	for _, s := range k.all() {
		if s.State == Open && s.Name() != "" {
			users[s.Name()]++
		}
		if n := nas[s.NAS]; s.State != Closed {
			n[s.State]++
			nas[s.NAS] = n
		}
	}
	for user, n := range users {
		if got := k.OpenOf([]byte(user)); got != n {
			k.t.Errorf("%s has %d open sessions, not %d", user, n, got)
		}
	}
	if got := k.counts.ofNASes(); len(got)+len(nas) > 0 && !reflect.DeepEqual(got, nas) {
		k.t.Errorf("counted %v, there are %v", got, nas)
	}
}

// TestRandomOrders: records of several sessions of several gateways, in any order and in
// chunks of any size, make the same sessions.
func TestRandomOrders(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var entries []Entry
		want := make(map[string]string)
		for i := range 20 {
			session, gateway, user := fmt.Sprint(i%7), fmt.Sprintf("vpn%d", i%3), fmt.Sprintf("user%d", i)
			begin := 10000 * (i / 7) // the next with this Acct-Session-Id
			for j, e := range whole(true) {
				e = changed(changed(changed(e, packet.AcctSessionID, session), packet.NASIdentifier, gateway), packet.UserName, user)
				e.Attributes = says(changed(e, packet.EventTimestamp, "").Attributes).stamp(begin + 200*j)
				entries = append(entries, e)
			}
			want[user] = fmt.Sprintf("%d closed %d 600/4", begin, begin+600)
		}
		random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		entries = append(entries, entries[:random.IntN(20)]...)
		for i := range entries {
			entries[i].At = at(100000 + i)
		}
		k := newKit(t)
		for len(entries) > 0 {
			n := min(len(entries), 1+random.IntN(30))
			k.takes(entries[:n]...)
			entries = entries[n:]
		}
		for _, s := range k.all() {
			if got := short(&s); got != want[s.User] {
				t.Errorf("%s: %s, want %s", s.User, got, want[s.User])
			}
			delete(want, s.User)
		}
		if len(want) > 0 {
			t.Errorf("no session of %v", want)
		}
		k.verify()
	}
}
