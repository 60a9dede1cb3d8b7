package migration

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// entry is a token that is in stock, or was learned. What codes it shows never changes;
// everything else does under the lock of the index.
type entry struct {
	otp.Token
	user    otp.UserName // "" in stock
	shift   int64        // how far its factors are from the server's, for the tables
	base    uint64       // the first counter whose code is in the table, of an event token
	place   int          // in the group
	gone    bool         // it is not one of these any more
	listed  uint32       // the load that found it last
	changed uint32       // the load during which we changed it
}

// index finds tokens by the codes they show now.
type index struct {
	building sync.Mutex // held while tables are built
	mu       sync.RWMutex
	ready    bool   // it was loaded once
	loads    uint32 // begun
	tokens   map[otp.Serial]*entry
	holders  map[otp.UserName][]*entry // of learned ones
	groups   map[groupKey]*group
	gone     int // entries of groups
}

func newIndex() *index {
	return &index{tokens: map[otp.Serial]*entry{}, holders: map[otp.UserName][]*entry{}, groups: map[groupKey]*group{}}
}

// load brings the index up to date with the store.
func (x *index) load(ctx context.Context, store Store, p *otp.Policy) error {
	x.mu.Lock()
	x.loads++
	x.mu.Unlock()
	err := store.Tokens(ctx, tms.Filter{Learnable: true}, func(t *tms.Token) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if e := x.tokens[t.Serial]; e != nil && e.changed == x.loads {
			e.listed = x.loads // what was read may be older than what we did
			return nil
		}
		x.put(t, p)
		return nil
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.tokens {
		if e.listed != x.loads {
			x.remove(e)
		}
	}
	for key, g := range x.groups {
		if !key.clock {
			g.tables[0].settle()
		}
	}
	x.ready = true
	return nil
}

// refresh reads one token again.
func (x *index) refresh(ctx context.Context, store Store, serial otp.Serial, p *otp.Policy) error {
	token := tms.Token{Token: otp.Token{Serial: serial}}
	err := store.Tokens(ctx, tms.Filter{Serial: serial}, func(t *tms.Token) error {
		token = *t
		return nil
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(&token, p)
	if e := x.tokens[serial]; e != nil {
		e.changed = x.loads
	}
	return nil
}

// put takes over what the store says of a token.
func (x *index) put(t *tms.Token, p *otp.Policy) {
	e, shift := x.tokens[t.Serial], shiftOf(&t.Token, p)
	learnable := t.Exists && t.Type != otp.CodeList && (t.User == "" || t.Learned)
	if e != nil && (!learnable || !e.shows(&t.Token, shift)) {
		x.remove(e)
		e = nil
	}
	switch {
	case !learnable:
		return
	case e == nil:
		e = &entry{Token: t.Token, shift: shift}
		e.Serial, e.Seed = otp.Serial(strings.Clone(string(t.Serial))), oath.NewSeed(bytes.Clone(t.Seed.Bytes()))
		x.tokens[e.Serial] = e
		x.enter(e, p)
	case !e.Type.Clock() && e.base != t.State.Counter:
		e.State = t.State
		x.addEvent(e, p)
	}
	e.State, e.Disabled, e.Learned = t.State, t.Disabled, t.Learned
	e.ValidFrom, e.ValidUntil = t.ValidFrom, t.ValidUntil
	e.listed = x.loads
	x.give(e, t.User)
}

// shiftOf is how far from the server's the factors of a token are put into the tables.
// That of a token whose clock is about right need none, as logins look a little further.
func shiftOf(t *otp.Token, p *otp.Policy) int64 {
	if drift := int64(t.State.Drift); t.Type.Clock() && max(drift, -drift) > int64(p.Window) {
		return drift
	}
	return 0
}

// shows reports whether an entry shows the codes that a token does.
func (e *entry) shows(t *otp.Token, shift int64) bool {
	return e.key() == keyOf(t) && e.Algorithm == t.Algorithm && e.shift == shift && e.Seed.Equal(t.Seed)
}

func (e *entry) key() groupKey { return keyOf(&e.Token) }

func keyOf(t *otp.Token) groupKey {
	key := groupKey{clock: t.Type.Clock(), digits: t.Digits}
	if key.clock {
		key.period, key.t0 = t.Period, t.T0
	}
	return key
}

// enter puts a new entry into its group.
func (x *index) enter(e *entry, p *otp.Policy) {
	key := e.key()
	g := x.groups[key]
	if g == nil {
		g = &group{groupKey: key, tables: map[int64]*table{}}
		if !key.clock {
			g.tables[0] = &table{}
		}
		x.groups[key] = g
	}
	e.place = len(g.entries)
	g.entries = append(g.entries, e)
	if !key.clock {
		x.addEvent(e, p)
	}
}

// addEvent puts the next codes of an event token into its table. Those before stay, and
// are found to be none when they are looked at.
func (x *index) addEvent(e *entry, p *otp.Policy) {
	var gen oath.Generator
	gen.Init(e.Algorithm, e.Seed.Bytes())
	t := x.groups[e.key()].tables[0]
	e.base = e.State.Counter
	for i := range uint64(p.LookAhead) + 1 {
		t.add(number(gen.Code(e.base+i, int(e.Digits)), e.place))
	}
	if x.ready && len(t.recent) > maxRecent {
		t.settle()
	}
}

// give makes an entry a user's, or nobody's.
func (x *index) give(e *entry, user otp.UserName) {
	if e.user == user {
		return
	}
	if e.user != "" {
		x.holders[e.user] = slices.DeleteFunc(x.holders[e.user], func(held *entry) bool { return held == e })
		if len(x.holders[e.user]) == 0 {
			delete(x.holders, e.user)
		}
	}
	e.user = user
	if user != "" {
		x.holders[user] = append(x.holders[user], e)
	}
}

// remove takes an entry out. Its place in the group stays.
func (x *index) remove(e *entry) {
	x.give(e, "")
	e.gone = true
	x.gone++
	delete(x.tokens, e.Serial)
}

// moved notes what we did with a token, before the next load says so: it was learned
// by a user, or taken back when the user is "".
func (x *index) moved(serial otp.Serial, user otp.UserName, next uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.tokens[serial]
	if e == nil {
		return
	}
	x.give(e, user)
	e.Learned, e.changed = user != "", x.loads
	e.State.Agreed, e.State.Counter = 0, max(e.State.Counter, next)
}

// holder is who has learned a token. It is not found when it is not in the index.
func (x *index) holder(serial otp.Serial) (user otp.UserName, found bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if e := x.tokens[serial]; e != nil {
		return e.user, true
	}
	return "", false
}

// size is how many tokens there are.
func (x *index) size() (stock, learned int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, held := range x.holders {
		learned += len(held)
	}
	return len(x.tokens) - learned, learned
}

// wasteful reports whether more entries of the groups are gone than are there.
func (x *index) wasteful() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.gone > inlineLimit && x.gone > len(x.tokens)
}

// prepare builds the tables that logins need from one instant to another. It is done by
// one at a time.
func (x *index) prepare(at, until time.Time, p *otp.Policy) {
	x.building.Lock()
	defer x.building.Unlock()
	for _, g := range x.clocks() {
		from, _ := g.steps(at, p.Window)
		_, to := g.steps(until, p.Window)
		for step := from; step <= to; step++ {
			x.build(g, step)
		}
		x.mu.Lock()
		g.prune(from, to)
		x.mu.Unlock()
	}
}

// clocks are the groups of clock tokens, none before the index is ready.
func (x *index) clocks() (clocks []*group) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for key, g := range x.groups {
		if key.clock && x.ready {
			clocks = append(clocks, g)
		}
	}
	return clocks
}

// build brings the table of a time step up to date. Logins go on meanwhile.
func (x *index) build(g *group, step int64) {
	x.mu.RLock()
	entries, have := g.entries, 0
	if t := g.tables[step]; t != nil {
		have = t.upto
	}
	x.mu.RUnlock()
	if have == len(entries) {
		return
	}
	numbers := compute(entries[have:], step, have)
	x.mu.Lock()
	defer x.mu.Unlock()
	t := g.tables[step]
	if t == nil {
		t = &table{}
		g.tables[step] = t
	}
	t.sorted, t.upto = merge(t.sorted, numbers), len(entries)
}
