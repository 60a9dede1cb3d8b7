package postgres

import (
	"errors"

	"countersign/otp"
	"countersign/tms/store"
)

// Submit implements otp.TokenStore. With the account in the cache it decides
// right here, in the caller's goroutine; else a loader does.
func (s *Store) Submit(a *otp.Attempt) bool {
	l := &s.logins
	if !l.enter() {
		return false
	}
	i := item{attempt: a, began: l.now()}
	sh := l.cache.shard(a.User)
	sh.mu.Lock()
	var p *cached
	if a.NeedsAccount() {
		if p = sh.accounts[string(a.User)]; p == nil {
			sh.mu.Unlock()
			return l.later(i)
		}
	}
	what := l.decide(sh, p, i)
	sh.mu.Unlock()
	switch what {
	case outstanding:
		l.tell(a, nil)
	case refused:
		l.queue.leave()
		l.metrics.dropped(droppedFailed)
	}
	return what != refused
}

// enter takes a place among what is under way.
func (l *logins) enter() bool {
	switch {
	case l.down.Load():
		l.metrics.dropped(droppedFailed)
		return false
	case l.queue.enter():
		return true
	}
	l.metrics.dropped(droppedFull)
	return false
}

// tell tells who waits for an attempt that does not get as far as a group.
func (l *logins) tell(a *otp.Attempt, err error) {
	a.Waiter.Decided(a, err)
	l.queue.leave()
}

// outcome is what became of an attempt. Once its record is in a group the attempt
// may be answered and used again, so nobody can tell by looking at it.
type outcome uint8

const (
	refused     outcome = iota // the store is away
	recorded                   // the record is in the next group
	outstanding                // there is nothing to record (otp.Decision.Outstanding)
)

// decide decides an attempt by an account, nil when there is none or it need not be
// known, and puts it into the next group. The caller holds the lock of the shard, so the
// records of an account stand in the order of the decisions.
func (l *logins) decide(sh *shard, p *cached, i item) outcome {
	a, d := i.attempt, &sh.decided
	if p == nil {
		sh.account = otp.Account{Tokens: sh.account.Tokens[:0]}
	} else {
		p.account.Unpack(&sh.account)
		p.last.fill(&sh.account.Last, l.now())
	}
	a.Decide(&sh.account)
	if a.Decision.Outstanding {
		return outstanding
	}
	*d = decided{changes: d.changes[:0], record: d.record[:0]}
	if p != nil && len(sh.account.Tokens) > 0 {
		l.apply(sh, p, a)
	}
	d.record = store.AppendLogin(d.record, a, d.changes)
	if l.queue.login(i, d) {
		return recorded
	}
	if d.owner != nil {
		l.cache.remove(sh, p) // what it holds now will not happen
	}
	return refused
}

// apply brings a cached account up to a decision about it, and notes what has to be won
// for that in the database. Even what changes no state takes the row, so that nothing is
// decided by an account that is out of date.
func (l *logins) apply(sh *shard, p *cached, a *otp.Attempt) {
	d := &sh.decided
	d.owner, d.before, d.stamp, d.rev = p, p.stamp, l.stamp(), p.account.Rev(0)
	for _, d.token = range p.account.IDs() {
		break
	}
	d.changes = p.account.Apply(&sh.account, a.Decision.Changed, d.changes)
	d.newer, d.state = p.account.Rev(0), sh.account.Tokens[0].State
	p.stamp = d.stamp
	if a.Decision.Renews {
		p.last = last{a.Login, a.Decision.Verdict, l.now()}
	}
}

// forget drops the account of a user, so that the next login reads it. Without that it would
// lose, and be decided twice.
func (l *logins) forget(name string) { l.cache.forget(name) }

// stamp is a number that no decision had before, of whatever server.
func (l *logins) stamp() int64 { return int64(l.stamps.Add(1) &^ (1 << 63)) }

// errRaces says that others were always faster, or did not let go.
var errRaces = errors.New("the account kept changing under the decision, or was kept locked: another server decides logins of the same user all the time, or an act stands still")
