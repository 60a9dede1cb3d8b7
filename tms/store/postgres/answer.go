package postgres

import (
	"countersign/otp"
)

// answer is a group whose fate is known.
type answer struct {
	*group
	number uint64 // of its batch in the journal
	err    error
}

// answerLoop tells those who wait, while the next group is already in flight.
func (l *logins) answerLoop() {
	var lost []item
	for a := range l.answers {
		lost = l.give(a, lost[:0])
		l.again(lost)
		clear(lost)
	}
}

// give answers what has won, or has failed, and appends to lost what has lost.
func (l *logins) give(a answer, lost []item) []item {
	answered := 0
	free := uint32(0)
	for _, i := range a.items {
		index := &free
		if i.entry != noEntry {
			e := &a.entries[i.entry]
			if index = &e.next; a.err == nil && !e.won {
				i.lost, i.before = true, e.before
				lost = append(lost, i)
				continue
			}
		}
		if a.err == nil {
			i.attempt.Event = otp.EventID{Batch: a.number, Index: *index}
			*index++
		}
		answered++
		i.attempt.Waiter.Decided(i.attempt, a.err)
	}
	if a.err != nil {
		l.metrics.unanswered.Add(float64(answered))
	}
	l.queue.recycle(a.group)
	l.queue.depth.Add(-int64(answered))
	return lost
}
