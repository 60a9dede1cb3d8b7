package radiustest

import (
	"errors"
	"iter"
	"time"
)

// crowd is the users of a load and the passcodes they have left. Those without
// a login in flight wait in a ring, who waited longest first.
type crowd struct {
	people  []person
	saved   []byte // the saved HMAC states of all seeds
	macs    [algorithms]*savedMAC
	steps   Steps
	waiting []int32
	first   int // in waiting
	length  int // of waiting
	space   []byte
}

// person is a User in as little memory as a million of them should take.
type person struct {
	name      string
	pin       []byte
	saved     int    // where in crowd.saved
	next      uint64 // event token: the next counter; clock token: the first step not yet used
	period    uint32 // seconds; 0 is an event token
	algorithm Algorithm
	digits    uint8
}

func newCrowd(users iter.Seq[User], steps Steps) (*crowd, error) {
	c := &crowd{steps: steps, space: make([]byte, 0, maxPasscode)}
	for a := range algorithms {
		c.macs[a] = newSavedMAC(a.newHash())
	}
	for u := range users {
		if err := u.verify(); err != nil {
			return nil, err
		}
		c.people = append(c.people, person{
			name:      u.Name,
			pin:       u.PIN.Reveal(),
			saved:     len(c.saved),
			next:      u.Counter,
			period:    uint32(u.Period / time.Second),
			algorithm: u.Algorithm,
			digits:    uint8(u.Digits),
		})
		c.saved = append(c.saved, c.macs[u.Algorithm].key(u.Seed.Reveal())...)
	}
	if len(c.people) == 0 {
		return nil, errors.New("no users")
	}
	c.waiting = make([]int32, len(c.people))
	for i := range c.people {
		c.waiting[i] = int32(i)
	}
	c.length = len(c.people)
	return c, nil
}

// next takes the user who waited longest out of the ring and returns the
// index, with a passcode that is good until the next call. It reports false
// when nobody it looks at has a fresh code at the given Unix time; with tokens
// of one period, who waited longest has one if anybody has.
func (c *crowd) next(unix uint64) (index int32, passcode []byte, ok bool) {
	const looks = 16
	for range min(c.length, looks) {
		index = c.waiting[c.first]
		c.first = (c.first + 1) % len(c.waiting)
		c.length--
		if passcode, ok = c.passcode(&c.people[index], unix); ok {
			return index, passcode, true
		}
		c.back(index)
	}
	return 0, nil, false
}

// back puts a user at the end of the ring.
func (c *crowd) back(index int32) {
	c.waiting[(c.first+c.length)%len(c.waiting)] = index
	c.length++
}

func (c *crowd) passcode(p *person, unix uint64) ([]byte, bool) {
	factor, ok := p.factor(unix, c.steps)
	if !ok {
		return nil, false
	}
	c.space = append(c.space[:0], p.pin...)
	c.space = appendCode(c.space, c.macs[p.algorithm], c.saved[p.saved:], factor, int(p.digits))
	return c.space, true
}

// factor returns the counter or time step of the next fresh code, and marks it
// used. It reports false when a clock token has none.
func (p *person) factor(unix uint64, steps Steps) (uint64, bool) {
	if p.period == 0 {
		p.next++
		return p.next - 1, true
	}
	now := unix / uint64(p.period)
	if steps.Reuse {
		return now, true
	}
	p.next = max(p.next, now-min(now, uint64(steps.Back)))
	if p.next > now+uint64(steps.Ahead) {
		return 0, false
	}
	p.next++
	return p.next - 1, true
}
