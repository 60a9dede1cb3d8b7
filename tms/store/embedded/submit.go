package embedded

import (
	"time"

	"countersign/otp"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// Submit implements otp.TokenStore. With the account in the cache it decides
// right here, in the caller's goroutine; else a loader does.
func (s *Store) Submit(a *otp.Attempt) bool {
	if !s.enter() {
		return false
	}
	sh := s.cache.shard(a.User)
	sh.mu.Lock()
	p := sh.accounts[string(a.User)]
	if p == nil && a.NeedsAccount() {
		sh.mu.Unlock()
		return s.later(a)
	}
	what := s.decide(sh, p, a)
	sh.mu.Unlock()
	switch what {
	case outstanding:
		s.tell(a, nil)
	case refused:
		s.leave()
		s.metrics.dropped(droppedFailed)
	}
	return what != refused
}

// enter takes a place among what is under way; leave gives it back when it does
// not get as far as a batch.
func (s *Store) enter() bool {
	if !s.queue.enter() {
		s.metrics.dropped(droppedFull)
		return false
	}
	if s.closing.Load() {
		s.leave()
		return false
	}
	return true
}

func (s *Store) leave() { s.queue.depth.Add(-1) }

// tell tells who waits for an attempt that does not get as far as a batch.
func (s *Store) tell(a *otp.Attempt, err error) {
	a.Waiter.Decided(a, err)
	s.leave()
}

// outcome is what became of an attempt. Once its record is in a batch the attempt
// may be answered and used again, so nobody can tell by looking at it.
type outcome uint8

const (
	refused     outcome = iota // the store has failed
	recorded                   // the record is in the next batch
	outstanding                // there is nothing to record (otp.Decision.Outstanding)
)

// decide decides an attempt by an account, nil when there is no such user, and
// puts the record into the next batch. The caller holds the lock of the shard, so
// the records of an account stand in the order of the decisions. A batch refuses
// only when the store has failed, and then the cache, with what the attempt changed
// there, is emptied before anything else is decided.
func (s *Store) decide(sh *shard, p *tables.Account, a *otp.Attempt) outcome {
	sh.changes = sh.changes[:0]
	if p != nil {
		p.Unpack(&sh.account)
	} else {
		sh.account = otp.Account{Tokens: sh.account.Tokens[:0]}
	}
	a.Decide(&sh.account)
	if a.Decision.Outstanding {
		return outstanding
	}
	if changed := a.Decision.Changed; changed != 0 && p != nil {
		sh.changes = p.Apply(&sh.account, changed, sh.changes)
		p.SetEpoch(s.overlay.epoch.Load())
	}
	sh.record = store.AppendLogin(sh.record[:0], a, sh.changes)
	if !s.queue.login(sh.record, a) {
		return refused
	}
	return recorded
}

// AppendAccounting makes the record of an Accounting-Request durable and then
// calls done, which must not block. nas is its name, source the address it came
// from, attributes are as received (RFC 2866 section 3); nothing of them is kept.
// It returns false, and never calls done, when the queue is full, the disk nearly so, or
// the store not ready.
func (s *Store) AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool {
	if s.disk.refuses(veryLow) {
		s.metrics.dropped(droppedDisk)
		return false
	}
	if !s.enter() {
		return false
	}
	var space [512]byte
	record := store.AppendAccounting(space[:0], at, nas, source, attributes)
	if !s.queue.account(record, done) {
		s.leave()
		s.metrics.dropped(droppedFull)
		return false
	}
	return true
}
