package audit

import (
	"fmt"
	"time"
)

const (
	// maxUnsigned is for how long records may go on with no checkpoint between them. One is
	// written once a minute, when something was recorded, and at each start and stop, so that
	// also a server that is killed leaves nothing unsigned before it goes on. The rest is for
	// acts that took long, whose time is that of their beginning.
	maxUnsigned = 5 * time.Minute
	// maxNeverSigned is the same for a log without any checkpoint, as a new server has one in
	// its first minute.
	maxNeverSigned = 2 * time.Minute
	// maxStep bounds what two records that follow each other count of that: in between, the
	// clock may have been set, or the machine have slept.
	maxStep = 2 * time.Minute
	// maxLeap is from how long between two such records on that is said.
	maxLeap = 10 * time.Minute
)

// span is what lies between two checkpoints, or after the last: how long the log went on
// with none, by the times of its records. Times that go back count nothing, for acts may
// overlap.
type span struct {
	first         uint64    // batch, 0 for none
	from, to      time.Time // of the earliest record, and the latest
	length        time.Duration
	leap          time.Duration // the longest step
	before, after time.Time     // of its two records
}

// take takes the time of a record of a batch.
func (s *span) take(batch uint64, at time.Time) {
	if s.first == 0 {
		s.first, s.from, s.to = batch, at, at
		return
	}
	if at.Before(s.from) {
		s.from = at
	}
	step := at.Sub(s.to)
	if step <= 0 {
		return
	}
	if step > s.leap {
		s.leap, s.before, s.after = step, s.to, at
	}
	s.length += min(step, maxStep)
	s.to = at
}

// endSpan finds whether checkpoints were left out up to a batch, which is the next that one
// is of, or the last of the log.
func (v *verifier) endSpan(last uint64, signed bool) {
	s, limit := v.span, maxUnsigned
	v.span = span{}
	if !signed && v.report.Checkpoint == nil && v.begin == 0 {
		limit = maxNeverSigned
	}
	if s.first == 0 || s.length <= limit && s.leap <= maxLeap {
		return
	}
	f := Fault{Kind: NotSigned, Batch: s.first, To: max(s.first, last), Line: v.line}
	text := func(at time.Time) string { return at.UTC().Format(timeText) }
	const why = "checkpoints, of which there is one a minute, were removed, or could not be written. What they covered can have been made anew"
	switch {
	case s.length <= limit:
		f.why = fmt.Sprintf("{batches} {has} no checkpoint between %s and %s: the clock was set then, or the machine slept, or checkpoints were removed", text(s.before), text(s.after))
		v.doubts.add(f)
		return
	case signed:
		f.why = fmt.Sprintf("{batches}, from %s to %s, {was} not signed in time, but only all at once with batch %d: %s", text(s.from), text(s.to), last, why)
	default:
		f.why = fmt.Sprintf("{batches}, from %s to %s, {is} not signed: %s", text(s.from), text(s.to), why)
	}
	v.faults.add(f)
}

// linkBare takes a batch without a hash: the next hash will cover it.
func (v *verifier) linkBare(b *Batch, made []Hash) {
	if v.chained {
		v.faults.next(Fault{Kind: Unchained, Batch: b.Number, Line: v.line, why: "{batches} {has} no hash, though there is one before, or a checkpoint"})
	}
	if v.bare == 0 {
		v.bare = b.Number
	}
	v.known = made
	if len(made) > 0 {
		v.report.Chain = made[0]
	}
}

// bareSigned finds that a checkpoint is of a batch that has no hash: checkpoints are only of
// those that have.
func (v *verifier) bareSigned(c *Checkpoint) {
	if v.bare == 0 || c.Batch != v.last {
		return
	}
	if !v.chained {
		v.fault(Fault{Kind: Unchained, Batch: v.bare, To: c.Batch, why: fmt.Sprintf("{batches} {has} no hash any more: there is a checkpoint of batch %d", c.Batch)})
	}
	v.chained = true
}

// bareCovered finds that no hash covers batches that have none of their own, or that it is
// not signed.
func (v *verifier) bareCovered() {
	r := &v.report
	switch {
	case v.bare > 0 && !v.chained:
		v.fault(Fault{Kind: Unchained, Batch: v.bare, To: r.Last, why: "{batches} {has} no hash, and no batch after that covers them: their hashes were removed"})
	case r.Bare > 0 && r.Checkpoint == nil && v.begin == 0:
		v.fault(Fault{Kind: NotSigned, Batch: r.First, To: r.First + r.Bare - 1, why: "{batches} {has} no hash, and what covers them is not signed: checkpoints were removed"})
	}
}
