package radiusd

import (
	"sync"
	"time"

	"countersign/radiusd/packet"
)

// standing is what the reply cache knows of a request.
type standing uint8

const (
	fresh     standing = iota // never seen: it is in flight now
	repeated                  // seen, and its reply is not ready yet
	answered                  // seen, and its reply is in the slot
	unheard                   // seen, and there is no reply to it
	cacheFull                 // never seen, and there is no slot left for it
)

// slotKey is what RFC 5080 section 2.2.2 tells requests apart by, besides the
// Request Authenticator: where it came from and went to, and its Identifier.
type slotKey struct {
	peer
	identifier uint8
}

// slot is one entry of the reply cache: a request in flight, or one that was
// answered and the reply to it.
type slot struct {
	key           slotKey
	authenticator [packet.AuthenticatorLength]byte
	// generation grows each time the slot is given to another request, so that
	// a reply that comes too late is not taken for the answer to that one.
	generation uint32
	inFlight   bool
	repeats    uint32        // how many there were, for begin alone, like the next
	came       time.Duration // since the start of the server
	expires    time.Duration // since the start of the server, once answered
	reply      []byte
	prev, next *slot // in the list of the answered, or of the free (next only)
}

const (
	// slabSize is how many slots are allocated at once.
	slabSize = 64
	// averageReply is how many bytes a kept reply may have on average over all
	// slots. Usual ones have 40 to 250; only long Proxy-States make more.
	averageReply = 512
	// spareReply is how large a slot's buffer may be to be used again.
	spareReply = 256
)

// duplicates is the reply cache of one loop (RFC 5080 section 2.2.2). An
// answered slot is kept for a fixed time, so the slots expire in the order in
// which they were answered, and every operation takes the same short time. Its
// methods are safe for concurrent use, but begin is for the receiving loop
// alone: the reply it returns is valid until the next begin.
type duplicates struct {
	keep  time.Duration
	limit int // slots

	mu    sync.Mutex
	slots map[slotKey]*slot
	made  int
	bytes int // of all replies' buffers
	free  *slot
	ring  slot // sentinel of the answered, the next to expire first
}

func newDuplicates(limit int, keep time.Duration) *duplicates {
	d := &duplicates{keep: keep, limit: limit, slots: map[slotKey]*slot{}}
	d.ring.prev, d.ring.next = &d.ring, &d.ring
	return d
}

// begin looks a request up and, when it is fresh, takes a slot for it. Another
// request that had the same key is forgotten: a NAS reuses an Identifier only
// when it no longer waits for the answer.
func (d *duplicates) begin(key slotKey, authenticator *[packet.AuthenticatorLength]byte, now time.Duration) (*slot, standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	s := d.slots[key]
	switch {
	case s == nil:
		if d.bytes < d.limit*averageReply {
			s = d.take()
		}
		if s == nil {
			return nil, cacheFull
		}
		s.key = key
		d.slots[key] = s
	case s.authenticator == *authenticator && (s.inFlight || s.expires > now):
		s.repeats++
		return s, s.standing()
	case !s.inFlight:
		s.unlink()
	}
	s.authenticator = *authenticator
	s.inFlight = true
	s.generation++
	s.repeats, s.came = 0, now
	return s, fresh
}

// standing is how a repeat finds the request.
func (s *slot) standing() standing {
	switch {
	case s.inFlight:
		return repeated
	case len(s.reply) == 0:
		return unheard
	}
	return answered
}

// finish keeps a copy of the reply to the request that was given the slot in
// this generation, or, when that is empty, that there is none. It returns false when the slot is another request's now:
// then the reply must not go out.
func (d *duplicates) finish(s *slot, generation uint32, reply []byte, now time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.generation != generation {
		return false
	}
	s.inFlight = false
	d.bytes -= cap(s.reply)
	s.reply = append(s.reply[:0], reply...)
	d.bytes += cap(s.reply)
	s.expires = now + d.keep
	s.linkBefore(&d.ring)
	return true
}

// release forgets a request that gets no reply, so that its retransmission is
// tried anew.
func (d *duplicates) release(s *slot, generation uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.generation == generation {
		d.put(s)
	}
}

// awaits reports whether the slot still is that of the request which was given it in this
// generation.
func (d *duplicates) awaits(s *slot, generation uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.generation == generation
}

// len is how many requests are remembered.
func (d *duplicates) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.slots)
}

// expire frees up to two slots whose time is over. That is one more than begin
// takes, so that after a rush the cache shrinks again.
func (d *duplicates) expire(now time.Duration) {
	for range 2 {
		s := d.ring.next
		if s == &d.ring || s.expires > now {
			return
		}
		s.unlink()
		d.put(s)
	}
}

// take returns a free slot, nil when the limit is reached.
func (d *duplicates) take() *slot {
	if d.free == nil {
		d.grow(min(slabSize, d.limit-d.made))
	}
	s := d.free
	if s != nil {
		d.free, s.next = s.next, nil
	}
	return s
}

func (d *duplicates) grow(n int) {
	slab := make([]slot, n)
	d.made += n
	for i := range slab {
		slab[i].next, d.free = d.free, &slab[i]
	}
}

// put frees a slot that is not in the list of the answered.
func (d *duplicates) put(s *slot) {
	delete(d.slots, s.key)
	if cap(s.reply) > spareReply {
		d.bytes -= cap(s.reply)
		s.reply = nil
	}
	s.generation++
	s.inFlight = false
	s.next, d.free = d.free, s
}

func (s *slot) unlink() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

func (s *slot) linkBefore(other *slot) {
	s.prev, s.next = other.prev, other
	s.prev.next, other.prev = s, s
}
