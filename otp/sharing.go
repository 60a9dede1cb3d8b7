package otp

import (
	"sync"
	"time"
)

// Miss is how often what a user typed was wrong, as servers tell each other. Key stands for
// the user and the source, or for the user and a directory, and is the same on all servers
// that were given the same key.
type Miss struct {
	Key [16]byte
	// Wrong is how often: of TakeMisses how often more, or less when below 0, of PutMisses in
	// all.
	Wrong int
	// Age is how long ago the last one was.
	Age time.Duration
	// Forgiven, of TakeMisses: what was counted before, anywhere, is forgiven, and only Wrong
	// counts.
	Forgiven bool
}

// what is counted, in the first bit of a key.
const (
	passcodes byte = 0
	passwords byte = 0x80
)

// of marks a key.
func (k missKey) of(what byte) missKey {
	k[0] = k[0]&^passwords | what
	return k
}

// person stands for the user whose password a directory is shown.
func (m *misses) person(a *Attempt) missKey { return m.key(a, true).of(passwords) }

// sharedKey is key that is the same on all servers.
func (m *misses) sharedKey(a *Attempt, alone bool) missKey {
	k := m.keyers.Get().(*Keyer)
	defer m.keyers.Put(k)
	k.Add(a.User)
	if !alone {
		k.AddString(a.NAS)
		k.Add(a.Station)
	}
	return k.Sum()
}

// ShareMisses has the Verifier keep what it counts for other servers, which have the same
// key. It is called before the first attempt.
func (v *Verifier) ShareMisses(key [32]byte) {
	v.misses.keyers = &sync.Pool{New: func() any { return NewKeyer(key, "misses") }}
	v.misses.news, v.questions.news = news{}, news{}
	v.misses.news.items, v.questions.news.items = map[missKey]item{}, map[missKey]item{}
}

// TakeMisses appends to dst what this server has counted since the last time, and what it
// has forgiven: at most so many, the others the next time. Nothing without ShareMisses.
func (v *Verifier) TakeMisses(dst []Miss, now time.Time, most int) []Miss {
	m, q := &v.misses, &v.questions
	m.mu.Lock()
	dst = m.news.take(dst, now.UnixNano(), most)
	m.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.news.take(dst, now.UnixNano(), most)
}

// PutMisses takes in what all servers have counted together. What TakeMisses has given is
// among it; what was counted here since then is added.
func (v *Verifier) PutMisses(all []Miss, now time.Time) {
	p := v.policy.Load()
	for i := range all {
		if miss := &all[i]; miss.Key[0]&passwords != 0 {
			v.questions.put(miss, now.UnixNano(), p)
		} else {
			v.misses.put(miss, now.UnixNano(), p)
		}
	}
}

// put takes in what is known of one source.
func (m *misses) put(miss *Miss, now int64, p *Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := missKey(miss.Key)
	wrong, last, newer := m.news.sum(miss, now)
	switch {
	case newer, m.entries[key] == nil && (wrong == 0 || now-last > int64(p.ThrottleForget)):
		return
	case wrong == 0:
		m.drop(key)
		return
	}
	e := m.entry(key, now, p)
	e.wrongPINs, e.last = wrong, last
	e.waitUntil = last + int64(p.wait(wrong))
}

// put takes in what is known of one user. What this server has left without an answer
// stays.
func (q *questions) put(miss *Miss, now int64, p *Policy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := missKey(miss.Key)
	wrong, last, newer := q.news.sum(miss, now)
	if newer || q.entries[key] == nil && (wrong == 0 || now-last > int64(p.WrongPasswordTime)) {
		return
	}
	e := q.entry(key, now, p)
	if e.count = wrong; wrong == 0 {
		e.wrong = e.wrong[:0]
	}
	e.last = last
}

// news is what other servers have to be told. Items is nil where there are none.
type news struct {
	items map[missKey]item
}

// item is what was counted since it was told last. Last is in Unix nanoseconds.
type item struct {
	wrong    int
	last     int64
	forgiven bool
}

func (n *news) count(key missKey, now int64, p *Policy) {
	if n.items == nil {
		return
	}
	i := n.items[key]
	i.wrong, i.last = i.wrong+1, now
	n.set(key, i, p)
}

// takeBack may come after count was told: then one less is told.
func (n *news) takeBack(key missKey, p *Policy) {
	if n.items == nil {
		return
	}
	i := n.items[key]
	i.wrong--
	n.set(key, i, p)
}

func (n *news) forgive(key missKey, p *Policy) {
	if n.items != nil {
		n.set(key, item{forgiven: true}, p)
	}
}

// set makes room as misses.entry does.
func (n *news) set(key missKey, i item, p *Policy) {
	for other := range n.items {
		if len(n.items) < p.ThrottleEntries {
			break
		}
		delete(n.items, other)
	}
	n.items[key] = i
}

func (n *news) take(dst []Miss, now int64, most int) []Miss {
	for key, i := range n.items {
		if len(dst) >= most {
			break
		}
		dst = append(dst, Miss{Key: key, Wrong: i.wrong, Age: i.age(now), Forgiven: i.forgiven})
		delete(n.items, key)
	}
	return dst
}

// age is how long ago the last wrong one was, 0 when there was none.
func (i *item) age(now int64) time.Duration {
	if i.last == 0 {
		return 0
	}
	return time.Duration(max(0, now-i.last))
}

// sum adds what was not told yet. Newer: what others have counted is forgiven here, which
// they do not know yet.
func (n *news) sum(miss *Miss, now int64) (wrong int, last int64, newer bool) {
	i := n.items[missKey(miss.Key)]
	return miss.Wrong + i.wrong, max(now-int64(miss.Age), i.last), i.forgiven
}
