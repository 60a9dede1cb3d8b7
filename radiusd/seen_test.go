package radiusd

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// seen is what was seen of the gateway.
func (b *bench) seen() NASSeen {
	b.Helper()
	all := b.server.Seen()
	if len(all) != 1 || all[0].Name != "gateway" {
		b.Fatalf("seen %+v", all)
	}
	return all[0]
}

func (b *bench) wantSeen(want NASSeen) {
	b.Helper()
	want.Name = "gateway"
	if got := b.seen(); got != want {
		b.Errorf("seen %+v\nwant %+v", got, want)
	}
}

func TestWhatIsSeenOfLogins(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, nil)
	b.wantSeen(NASSeen{})
	b.want(pap(1, "alice", passcodeAt(0)), accept)
	b.wait(time.Hour)
	b.want(pap(2, "alice", "wrong").signed(), reject)
	late := pap(3, "bob", "gr\u00fcn")
	late.placement = packet.Last
	b.want(late, reject)
	b.want(pap(4, "carol", "gr\xfcn"), reject) // ISO 8859-1
	b.want(pap(5, "carol", ""), reject)
	b.want(chap(6, "alice", "x"), reject)
	b.want(mschap1(7, "alice"), reject)
	b.want(mschap2(8, "alice", "x"), reject)
	b.want(bare(9, "alice"), reject)
	b.wantSeen(NASSeen{
		Since: epoch, Last: epoch.Add(time.Hour), Logins: 9, PAP: 5, CHAP: 1, MSCHAP: 1, MSCHAPv2: 1, NoMethod: 1,
		MessageAuthenticators: 6, Leading: 5, ASCII: 3, UTF8: 1, Unreadable: 1,
	})
}

// TestOnlyWhatIsRightIsSeen: what anybody can send says nothing of a NAS.
func TestOnlyWhatIsRightIsSeen(t *testing.T) {
	b := newBench(t, nil)
	forged := pap(1, "alice", "x").signed()
	forged.secret = packet.NewSecret([]byte("another secret"))
	b.hand(b.auth, gateway, b.build(forged))
	b.hand(b.auth, "203.0.113.1:1", b.build(pap(2, "alice", "x")))
	wrong := record(3, "s1")
	wrong.secret = forged.secret
	b.hand(b.acct, gateway, b.build(wrong))
	b.wantSeen(NASSeen{})
	b.wait(time.Minute)
	status := order{code: packet.StatusServer, identifier: 4, serial: 4}
	b.want(status, accept)
	b.wantSeen(NASSeen{Since: epoch.Add(time.Minute), Last: epoch.Add(time.Minute)})
}

func TestWhatIsSeenOfRetransmissions(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	first := pap(1, "alice", passcodeAt(0))
	b.want(first, silence)
	b.wait(4 * time.Second)
	b.want(first, silence)
	b.store.release()
	b.collect()
	b.wait(time.Second)
	b.want(first, accept)
	got := b.seen()
	if got.Retransmissions != 2 || got.Repeated != 1 || got.Interval != 4*time.Second || got.IntervalUsual != 4*time.Second || got.Logins != 1 {
		t.Errorf("seen %+v", got)
	}
	for i := range uint64(20) {
		b.want(pap(2+i, "bob", "x"), reject)
		b.wait(2 * time.Second)
		b.want(pap(2+i, "bob", "x"), reject)
	}
	got = b.seen()
	if got.Retransmissions != 22 || got.Repeated != 21 || got.Interval != 2*time.Second || got.IntervalUsual < 2*time.Second || got.IntervalUsual > 2200*time.Millisecond {
		t.Errorf("seen %+v", got)
	}
	b.wait(time.Minute) // it is forgotten, so it is a login
	b.want(pap(2, "bob", "x"), reject)
	if got := b.seen(); got.Retransmissions != 22 || got.Logins != 22 {
		t.Errorf("seen %+v", got)
	}
	// At once is not never.
	b.want(pap(99, "bob", "x"), reject)
	b.want(pap(99, "bob", "x"), reject)
	if got := b.seen(); got.Interval != 1 {
		t.Errorf("interval %v", got.Interval)
	}
	b.wantMetric(23, "nas_retransmissions_total", "gateway")
	b.wantMetric(23+23, "nas_requests_total", "gateway")
}

func TestWhatIsSeenOfChallenges(t *testing.T) {
	b := newTalkingBench(t, nil)
	junk := strings.Repeat("YWJj", 20) // the beginning of 97 octets, if it were one
	want := func(challenges, answered, cut uint64) {
		t.Helper()
		if got := b.seen(); got.Challenges != challenges || got.Answered != answered || got.Cut != cut {
			t.Errorf("%d challenges, %d answered, %d cut, want %d, %d, %d", got.Challenges, got.Answered, got.Cut, challenges, answered, cut)
		}
	}
	b.want(pap(1, "eve", "x").state(junk), reject)
	want(0, 0, 0) // there is none that it could be
	state := b.challenged(pap(2, "alice", passcodeAt(50)))
	want(1, 0, 0)
	for i, n := range []int{len(state) - 1, 64, 63, 62, 61, 32, 3, 2} {
		b.want(pap(uint64(3+i), "alice", "x").state(state[:n]), reject)
		want(1, 0, uint64(1+i))
	}
	for i, other := range []string{
		"", "Y", "\n\n\n", state + "A", "+" + state[1:60], state[:40] + "\x00", "\xff\xff", strings.Repeat("_", 60),
	} {
		b.want(pap(uint64(20+i), "alice", "x").state(other), reject)
		want(1, 0, 8)
	}
	b.want(pap(30, "bob", "x").state(state), reject) // of somebody else
	want(1, 0, 8)
	b.want(pap(31, "alice", "x").state(state), reject)
	want(1, 1, 8)
	b.want(pap(31, "alice", "x").state(state), reject) // a retransmission
	want(1, 1, 8)
	b.wait(time.Hour)
	b.want(pap(32, "alice", "x").state(state), reject) // ours, though too late
	want(1, 2, 8)
	b.want(pap(33, "alice", "x").state(state[:32]), reject)
	want(1, 2, 8) // nothing is open any more
}

// TestEveryBeginningOfAState is known as one, and no State is.
func TestEveryBeginningOfAState(t *testing.T) {
	short, long := &dialog{kind: nextCodeDialog}, fullDialog()
	for _, d := range []*dialog{short, long} {
		state := []byte(stateOf(t, box(t, zeros{}), d))
		for n := range len(state) {
			if got, want := isCut(state[:n]), n >= 2; got != want {
				t.Errorf("%d of %d characters: %t", n, len(state), got)
			}
		}
		if isCut(state) {
			t.Errorf("a whole State of %d characters is cut", len(state))
		}
	}
}

func TestWhatIsSeenOfAccounting(t *testing.T) {
	b := newBench(t, nil)
	b.account(record(1, "s1"), response)
	b.wait(time.Minute)
	b.account(record(2, "s2"), response)
	b.account(record(2, "s2"), response)
	b.wait(time.Second / 2)
	b.account(record(2, "s2"), response)
	last := epoch.Add(time.Minute)
	b.wantSeen(NASSeen{Since: epoch, Last: last, Accounting: 2, AccountingLast: last})
	b.journal.busy = true // what the store does not take will come again
	b.account(record(3, "s3"), silence)
	b.journal.busy, b.journal.fail = false, errDisk
	b.account(record(3, "s3"), silence)
	b.wantSeen(NASSeen{Since: epoch, Last: last, Accounting: 2, AccountingLast: last})
	b.journal.fail = nil
	b.account(record(3, "s3"), response)
	b.wantSeen(NASSeen{Since: epoch, Last: last, Accounting: 3, AccountingLast: last.Add(time.Second / 2)})
	b.wantMetric(2, "nas_retransmissions_total", "gateway")
	b.wantMetric(7, "nas_requests_total", "gateway")
}

// TestWhatWasSeenBefore counts on.
func TestWhatWasSeenBefore(t *testing.T) {
	b := newTalkingBench(t, nil)
	o := pap(1, "alice", passcodeAt(50)).signed()
	state := b.challenged(o)
	b.wait(3 * time.Second)
	b.want(o, challenge)
	b.want(pap(2, "alice", passcodeAt(51)).signed().state(state), accept)
	b.want(pap(3, "bob", "\u00fc").signed().state(state[:20]), reject)
	b.want(pap(4, "bob", "\xff").signed(), reject)
	for i, o := range []order{chap(5, "a", "x"), mschap1(6, "a"), mschap2(7, "a", "x"), bare(8, "a")} {
		if i < 3 {
			o = o.signed()
		}
		b.want(o, reject)
	}
	b.account(record(9, "s1"), response)
	once := b.seen()
	value := reflect.ValueOf(once)
	for i := range value.NumField() { // there is one of each
		if value.Field(i).IsZero() {
			t.Errorf("%s is zero: %+v", value.Type().Field(i).Name, once)
		}
	}

	later := newBench(t, nil)
	later.wait(24 * time.Hour)
	later.server.Recall([]NASSeen{{Name: "gone", Logins: 5}, once})
	later.wantSeen(once)
	later.server.SetNASes(table(t, nil, testNAS(nil))) // a reload forgets nothing
	later.wantSeen(once)
	later.want(pap(1, "alice", passcodeAt(0)), accept)
	want := once
	want.Logins++
	want.PAP++
	want.ASCII++
	want.Last = epoch.Add(24 * time.Hour)
	later.wantSeen(want)
	later.server.Recall([]NASSeen{{Name: "gateway"}})
	later.wantSeen(want)
	later.wantMetric(0, "nas_retransmissions_total", "gateway") // figures begin anew

	// What was seen meanwhile counts too.
	last := newBench(t, nil)
	last.want(pap(1, "alice", passcodeAt(0)), accept)
	old := NASSeen{Name: "gateway", Since: epoch.Add(-time.Hour), Last: epoch.Add(-time.Minute), Logins: 2, CHAP: 2, Interval: 5, IntervalUsual: 6}
	last.server.Recall([]NASSeen{old})
	last.wantSeen(NASSeen{
		Since: old.Since, Last: epoch, Logins: 3, PAP: 1, CHAP: 2, ASCII: 1, Interval: 5, IntervalUsual: 6,
	})
}

// TestSeenIsInOrder by name, of all NASes in the table.
func TestSeenIsInOrder(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.NASes = table(t, nil, testNAS(func(c *NASConfig) { c.Name = "b" }),
			testNAS(func(c *NASConfig) { c.Name, c.Prefixes = "a", prefixes("198.51.100.1/32") }))
	})
	b.want(pap(1, "alice", passcodeAt(0)), accept)
	seen := b.server.Seen()
	if len(seen) != 2 || seen[0].Name != "a" || seen[0].Logins != 0 || seen[1].Name != "b" || seen[1].Logins != 1 {
		t.Errorf("seen %+v", seen)
	}
}

// TestEachMethodIsSeen: a new one needs its place.
func TestEachMethodIsSeen(t *testing.T) {
	var o observations
	if len(o.logins) != int(otp.NoMethod)+1 || otp.NoMethod != 4 {
		t.Errorf("%d methods", len(o.logins))
	}
}
