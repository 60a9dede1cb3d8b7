package otp

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// unansweredTime is how long a password to which the directory gave no answer is
// not shown to it again: a NAS retransmits meanwhile, and the directory may have
// counted it.
const unansweredTime = 15 * time.Second

// lostTime is how long passwords without an answer count like wrong ones. It is
// short, because whoever waits for it is left without an answer too.
const lostTime = 2 * time.Minute

// questions are what the directory was asked about passwords. It counts wrong ones
// over all sources and locks the account, so what it is asked is counted over all
// sources too. Bounded, and kept in memory only.
type questions struct {
	mu      sync.Mutex
	entries map[missKey]*question // by user
	news    news
}

// question is what is remembered of one user.
type question struct {
	asking     chan struct{} // somebody asks about this user now, until it is closed
	wrong      []uint64      // keyed hashes of the wrong passwords that this server knows of
	count      int           // how many there were, at any server
	last       int64         // Unix nanoseconds, when one of them was last shown
	unanswered uint64        // keyed hash of a password without an answer
	until      int64         // Unix nanoseconds, how long that counts
	lost       int           // passwords in a row without an answer
	lastLost   int64         // Unix nanoseconds
}

// AskDirectory reports whether the directory may be asked about the password of
// an attempt, which must then be followed by DirectoryAnswered. While somebody else
// asks about this user it waits, until ctx is done. If the directory may not be
// asked it returns the verdict instead: WrongPassword for a password that was wrong
// before, as VPN clients that reconnect by themselves send it; Throttled when the
// user had as many wrong ones as Policy.MaxWrongPasswords within
// Policy.WrongPasswordTime, from wherever; Undecided, to which no answer may be
// given, when the directory has just left this very password without one, or
// several in a row, or ctx is done.
func (v *Verifier) AskDirectory(ctx context.Context, a *Attempt) (instead Verdict, ask bool) {
	for {
		instead, ask, others := v.tryToAsk(a)
		if others == nil {
			return instead, ask
		}
		select {
		case <-others:
		case <-ctx.Done():
			return Undecided, false
		}
	}
}

// tryToAsk is AskDirectory that does not wait: others is closed when nobody asks
// about this user any more.
func (v *Verifier) tryToAsk(a *Attempt) (instead Verdict, ask bool, others <-chan struct{}) {
	p, now := v.policy.Load(), a.At.UnixNano()
	sum := maphash.Bytes(v.misses.seed, a.Passcode.bytes())
	q := &v.questions
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(v.misses.person(a), now, p)
	switch {
	case e.asking != nil:
		return Undecided, false, e.asking
	case e.unanswered == sum && e.until > now:
		return Undecided, false, nil
	case slices.Contains(e.wrong, sum):
		e.last = now
		return WrongPassword, false, nil
	case e.count >= p.MaxWrongPasswords:
		return Throttled, false, nil
	case e.count+e.lost >= p.MaxWrongPasswords:
		return Undecided, false, nil
	}
	e.asking = make(chan struct{})
	return Undecided, true, nil
}

// DirectoryAnswered notes what the directory said: Accepted, another verdict, or
// Undecided when there was no answer.
func (v *Verifier) DirectoryAnswered(a *Attempt, answer Verdict) {
	sum := maphash.Bytes(v.misses.seed, a.Passcode.bytes())
	user, p := v.misses.person(a), v.policy.Load()
	q := &v.questions
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[user]
	close(e.asking)
	e.asking = nil
	if answer == Undecided {
		e.unanswered, e.until = sum, a.At.Add(unansweredTime).UnixNano()
		e.lost, e.lastLost = e.lost+1, a.At.UnixNano()
		return
	}
	e.lost = 0
	switch answer {
	case Accepted:
		delete(q.entries, user)
		if e.count > 0 {
			q.news.forgive(user, p)
		}
	case WrongPassword:
		e.wrong, e.count, e.last = append(e.wrong, sum), e.count+1, a.At.UnixNano()
		q.news.count(user, e.last, p)
	}
}

// entry finds or makes the entry of a user. When there are too many, any other
// makes room.
func (q *questions) entry(user missKey, now int64, p *Policy) *question {
	e := q.entries[user]
	switch {
	case e == nil:
		for other, o := range q.entries {
			if len(q.entries) < p.ThrottleEntries {
				break
			}
			if o.asking == nil {
				delete(q.entries, other)
			}
		}
		e = &question{}
		q.entries[user] = e
	case now-e.last > int64(p.WrongPasswordTime):
		e.wrong, e.count = e.wrong[:0], 0
	}
	if now-e.lastLost > int64(lostTime) {
		e.lost = 0
	}
	return e
}
