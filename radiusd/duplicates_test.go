package radiusd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

func TestARetransmissionGetsTheSameReply(t *testing.T) {
	b := newBench(t, func(o *Options) { o.ReplyCacheTime = time.Second }) // is 30 s all the same
	datagram := b.build(pap(1, "alice", passcodeAt(0)))
	first := b.hand(b.auth, gateway, datagram)
	for range 3 {
		b.wait(9 * time.Second)
		again := b.hand(b.auth, gateway, datagram)
		if len(first) != 1 || len(again) != 1 || !bytes.Equal(first[0].reply, again[0].reply) {
			t.Fatalf("first reply %x, then %x", first, again)
		}
	}
	b.wantMetric(3, "duplicates_answered_total")
	b.wantMetric(1, "replies_total", "Access-Accept")
	if b.store.decided != 1 {
		t.Errorf("%d attempts, want 1", b.store.decided)
	}
	b.wait(3 * time.Second) // now it is forgotten, and the code burned
	b.wantCode(b.verified(pap(1, "alice", passcodeAt(0)), b.hand(b.auth, gateway, datagram)), reject)
}

func TestWhatMakesARepeat(t *testing.T) {
	base := pap(1, "alice", passcodeAt(0))
	otherID, otherAuthenticator := base, base
	otherID.identifier = 2
	otherAuthenticator.serial = 2
	for name, c := range map[string]struct {
		from  string
		order order
		code  packet.Code
	}{
		"the same":                      {gateway, base, accept},
		"another port":                  {"192.0.2.10:40001", base, reject},
		"another address":               {"192.0.2.11:40000", base, reject},
		"another Identifier":            {gateway, otherID, reject},
		"another Request Authenticator": {gateway, otherAuthenticator, reject},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.want(base, accept)
			b.wantCode(b.verified(c.order, b.hand(b.auth, c.from, b.build(c.order))), c.code)
		})
	}
}

// TestBothAddressesOfOursAnswer: a NAS that asks two of our addresses at once
// numbers the requests to each on its own.
func TestBothAddressesOfOursAnswer(t *testing.T) {
	b := newBench(t, nil)
	p := newPeer(netip.MustParseAddrPort(gateway))
	q := p
	p.local, q.local = [16]byte{192, 0, 2, 1}, [16]byte{192, 0, 2, 2}
	datagram := b.build(pap(1, "alice", passcodeAt(0)))
	b.auth.serve(&p, datagram)
	b.auth.serve(&q, datagram)
	replies := b.collect()
	if len(replies) != 2 || replies[0].to != p || replies[1].to != q {
		t.Fatalf("replies %v", replies)
	}
	if b.store.decided != 2 {
		t.Errorf("%d attempts, want 2", b.store.decided)
	}
}

func TestARepeatInFlightWaitsSilently(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	o := pap(1, "alice", passcodeAt(0))
	b.want(o, silence)
	b.want(o, silence)
	b.want(o, silence)
	b.wantMetric(2, "dropped_total", "duplicate_in_flight")
	b.wantMetric(1, "in_flight", "auth")
	b.store.release()
	b.wantCode(b.verified(o, b.collect()), accept) // one reply
	b.want(o, accept)
	if b.store.decided != 1 {
		t.Errorf("%d attempts, want 1", b.store.decided)
	}
}

// TestANewRequestTakesTheSlotOver: the NAS uses an Identifier again while its
// first request is in flight, so it no longer wants the reply to that.
func TestANewRequestTakesTheSlotOver(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	first, second := pap(1, "alice", passcodeAt(0)), pap(257, "bob", passcodeAt(0))
	b.want(first, silence)
	b.want(second, silence)
	b.store.release()
	b.wantCode(b.verified(second, b.collect()), accept)
	b.wantMetric(1, "dropped_total", "superseded")
	b.wantMetric(2, "logins_total", "accepted") // both were decided
	b.wantMetric(0, "in_flight", "auth")
	b.want(second, accept)
	b.want(first, reject) // is no repeat any more, and its code is burned
}

func TestUndecidedIsSilentAndTriedAgain(t *testing.T) {
	b := newBench(t, nil)
	o := pap(1, "alice", passcodeAt(0))
	b.store.fail = errDisk
	b.want(o, silence)
	b.wantMetric(1, "dropped_total", "undecided")
	b.wantMetric(0, "in_flight", "auth")
	b.wantMetric(0, "reply_cache_entries", "auth")
	b.wantMetric(0, "logins_total", "accepted")
	b.wantLog(1, `error="disk on fire"`)
	b.wantLog(0, "msg=login")
	b.store.fail, b.store.busy = nil, true
	b.want(o, silence)
	b.wantMetric(1, "dropped_total", "store_busy")
	b.store.busy = false
	b.want(o, accept)
}

// shrug is a store that tells without having decided.
type shrug struct{}

func (shrug) Submit(a *otp.Attempt) bool {
	a.Waiter.Decided(a, nil)
	return true
}

func TestNoVerdictIsNoReject(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Verifier = otp.NewVerifier(shrug{}, otp.DefaultPolicy()) })
	b.want(pap(1, "alice", passcodeAt(0)), silence)
	b.wantMetric(1, "dropped_total", "undecided")
}

func TestTheReplyCacheIsBounded(t *testing.T) {
	b := newBench(t, func(o *Options) { o.ReplyCacheEntries = 3 })
	for i := range uint64(3) {
		b.want(pap(i, "alice", passcodeAt(i)), accept)
	}
	b.want(pap(3, "alice", passcodeAt(3)), silence)
	b.wantMetric(1, "dropped_total", "reply_cache_full")
	b.want(pap(2, "alice", passcodeAt(2)), accept)       // a repeat needs no room
	b.want(pap(2+256, "alice", passcodeAt(2+1)), accept) // nor a slot taken over
	b.wait(30 * time.Second)
	b.want(pap(4, "alice", passcodeAt(4)), accept)
	b.wantMetric(2, "reply_cache_entries", "auth") // one of the other two is still to expire
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	b := newBench(t, func(o *Options) { o.MaxInFlight = 2 })
	b.store.hold = true
	for i := range uint64(3) {
		b.want(pap(i, fmt.Sprint("user", i), passcodeAt(0)), silence)
	}
	b.wantMetric(1, "dropped_total", "too_many_in_flight")
	b.wantMetric(2, "in_flight", "auth")
	b.store.release()
	if replies := b.collect(); len(replies) != 2 {
		t.Fatalf("%d replies, want 2", len(replies))
	}
	b.want(pap(2, "user2", passcodeAt(0)), accept)
}

// TestDuplicatesAgainstAModel plays random requests, replies and waits to the
// cache and to a plain map that does the same slowly.
// Replies with long Proxy-States count by their size, and what was kept for them
// is given back.
func TestTheReplyCacheIsBoundedInBytes(t *testing.T) {
	const limit, keep = 1000, 30 * time.Second
	d := newDuplicates(limit, keep)
	long := make([]byte, packet.MaxLength)
	kept := 0
	for i := range limit {
		key := slotKey{peer: newPeer(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i)))}
		s, got := d.begin(key, new([packet.AuthenticatorLength]byte), 0)
		if got == cacheFull {
			continue
		}
		d.finish(s, s.generation, long, 0)
		kept++
	}
	if want := limit * averageReply / packet.MaxLength; kept < want-1 || kept > want+1 {
		t.Errorf("%d replies of %d bytes were kept, want about %d", kept, packet.MaxLength, want)
	}
	for range kept {
		d.begin(slotKey{identifier: 1}, new([packet.AuthenticatorLength]byte), keep)
		d.release(d.slots[slotKey{identifier: 1}], d.slots[slotKey{identifier: 1}].generation)
	}
	if d.bytes != 0 {
		t.Errorf("%d bytes are still kept when all has expired", d.bytes)
	}
}

func TestDuplicatesAgainstAModel(t *testing.T) {
	type entry struct {
		authenticator byte
		inFlight      bool
		expires       time.Duration
		reply         string
	}
	type flight struct {
		slot       *slot
		generation uint32
		key        slotKey
		serial     int
	}
	const limit, keep = 12, 30 * time.Second
	d := newDuplicates(limit, keep)
	model := map[slotKey]*entry{}
	owner := map[slotKey]int{} // the serial of the request in flight
	var flights []flight
	now := time.Duration(0)
	random := rand.New(rand.NewPCG(1, 2))
	for serial := range 20000 {
		now += time.Duration(random.IntN(4000)) * time.Millisecond
		for key, e := range model {
			if !e.inFlight && e.expires <= now {
				delete(model, key)
			}
		}
		if random.IntN(2) == 0 && len(flights) > 0 {
			i := random.IntN(len(flights))
			f := flights[i]
			flights = append(flights[:i], flights[i+1:]...)
			mine := owner[f.key] == f.serial && model[f.key] != nil && model[f.key].inFlight
			if random.IntN(4) == 0 {
				d.release(f.slot, f.generation)
				if mine {
					delete(model, f.key)
				}
				continue
			}
			reply := fmt.Sprint("reply", f.serial)
			if got := d.finish(f.slot, f.generation, []byte(reply), now); got != mine {
				t.Fatalf("finish is %v, want %v", got, mine)
			}
			if mine {
				e := model[f.key]
				e.inFlight, e.expires, e.reply = false, now+keep, reply
			}
			continue
		}
		key := slotKey{identifier: byte(random.IntN(20))}
		a := byte(random.IntN(3))
		s, got := d.begin(key, &[packet.AuthenticatorLength]byte{a}, now)
		e := model[key]
		switch {
		case e != nil && e.authenticator == a && e.inFlight:
			if got != repeated {
				t.Fatalf("standing %d of a request in flight", got)
			}
		case e != nil && e.authenticator == a:
			if got != answered || string(s.reply) != e.reply {
				t.Fatalf("standing %d, reply %q, want %q", got, s.reply, e.reply)
			}
		case got == cacheFull:
			if e != nil || len(model) < limit-1 { // begin expires two at a time
				t.Fatalf("full with %d entries", len(model))
			}
		default:
			if got != fresh {
				t.Fatalf("standing %d of a fresh request", got)
			}
			model[key] = &entry{authenticator: a, inFlight: true}
			owner[key] = serial
			flights = append(flights, flight{s, s.generation, key, serial})
		}
		if d.made > limit || d.len() > limit {
			t.Fatalf("%d slots made, %d used", d.made, d.len())
		}
	}
}
