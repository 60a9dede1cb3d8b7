package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// maxRound is how many messages are read from the feed and sent at a time: at most
	// 2 MiB.
	maxRound = 256
	// lookTime is how often it is found out what waits, while there is a connection.
	lookTime = 10 * time.Second
)

// syslogTransfer is what goes through one connection.
type syslogTransfer struct {
	*Syslog
	conn  *syslogConn
	sent  progress // what was written
	saved progress // what the server has for sure
	marks []mark   // between the two
	buf   []byte   // messages of a round

	since  time.Time // when the connection was made
	holds  bool      // for long enough
	looked time.Time // when it was found out what waits
}

// mark says how far the server will have come once it has all bytes up to an offset.
type mark struct {
	offset       int64
	written      time.Time
	acknowledged time.Time // when that was seen, zero before
	progress     progress
}

// run sends until the connection breaks or ctx is done. settled says that the
// server has got something.
func (t *syslogTransfer) run(ctx context.Context) (settled bool, err error) {
	begin := t.saved
	for {
		var more bool
		more, err = t.round(ctx)
		if err == nil {
			err = t.settle(ctx)
		}
		if err == nil && !more {
			err = t.wait(ctx)
		}
		if ctx.Err() != nil {
			t.finish(err)
			return t.saved != begin, ctx.Err()
		}
		if err != nil {
			return t.saved != begin, err
		}
	}
}

// wait waits until there is something to do.
func (t *syslogTransfer) wait(ctx context.Context) error {
	wait := t.times.poll
	if len(t.marks) > 0 {
		wait = t.times.tick
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-t.wake:
	case <-timer.C:
	case <-t.conn.broken:
		return t.conn.fault()
	}
	return nil
}

// round sends what is next, and reports whether there may be more.
func (t *syslogTransfer) round(ctx context.Context) (more bool, err error) {
	t.buf = t.buf[:0]
	next, records, err := t.records(ctx)
	if err != nil {
		return false, err
	}
	checkpoints, more, err := t.checkpoints(ctx, &next, records < maxRound)
	if err != nil || records+checkpoints == 0 {
		return false, err
	}
	if err := t.conn.write(ctx, t.buf); err != nil {
		return false, fmt.Errorf("sending: %w", err)
	}
	t.sent = next
	t.count(records + checkpoints)
	t.mark()
	return more || records == maxRound, nil
}

// records adds the next messages about records. They are sent when the feed is not being
// read any more, so that a slow server does not hold it up.
func (t *syslogTransfer) records(ctx context.Context) (next progress, n int, err error) {
	next = t.sent
	err = t.o.Feed.After(ctx, next.records, maxRound, func(m *Message) error {
		t.buf = t.from.appendFrame(t.buf, m)
		next.records = m.Place
		n++
		return nil
	})
	if err != nil {
		return next, n, fmt.Errorf("reading the journal: %w", err)
	}
	return next, n, nil
}

// checkpoints adds the next checkpoints: those of batches whose records were sent and,
// when all were sent, the others too.
func (t *syslogTransfer) checkpoints(ctx context.Context, next *progress, all bool) (n int, more bool, err error) {
	before := next.records.Batch
	if all {
		before = math.MaxUint64
	}
	err = t.o.Feed.Checkpoints(ctx, next.checkpoints, func(c *Checkpoint) error {
		if c.Batch >= before || n == maxRound {
			more = n == maxRound
			return errStop
		}
		t.buf = t.from.appendFrame(t.buf, checkpointMessage(c))
		next.checkpoints = c.Batch
		n++
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return n, more, fmt.Errorf("reading the checkpoints: %w", err)
	}
	return n, more, nil
}

// checkpointMessage is a checkpoint as a message, so that it is noted elsewhere.
func checkpointMessage(c *Checkpoint) *Message {
	text := c.String()
	return &Message{
		At: c.At, Severity: SeverityInformational, ID: "checkpoint",
		Params: []Param{{"checkpoint", text}}, Text: "audit checkpoint " + text,
	}
}

// mark notes what was just written. What is written within a tick has one mark.
func (t *syslogTransfer) mark() {
	now := t.o.Clock()
	next := mark{offset: t.conn.offset(), written: now, progress: t.sent}
	if n := len(t.marks); n > 0 && t.marks[n-1].acknowledged.IsZero() && now.Sub(t.marks[n-1].written) < t.times.tick {
		next.written = t.marks[n-1].written
		t.marks[n-1] = next
		return
	}
	t.marks = append(t.marks, next)
}

// settle saves how far the server has come for sure: what its kernel has acknowledged, on
// a connection that has held for some time since. A server that dies with
// something unread breaks it within that time.
func (t *syslogTransfer) settle(ctx context.Context) error {
	now := t.o.Clock()
	if len(t.marks) > 0 {
		at, err := t.settled(now)
		if err == nil {
			err = t.keep(ctx, at)
		}
		if err != nil {
			return err
		}
	} else if !t.holds && now.Sub(t.since) >= t.times.settle {
		t.holds = true
		t.Syslog.holds()
	}
	if now.Sub(t.looked) >= lookTime {
		t.looked = now
		return t.look(ctx)
	}
	return nil
}

// settled takes the marks that have settled.
func (t *syslogTransfer) settled(now time.Time) (progress, error) {
	at := t.saved
	acknowledged, err := t.conn.acknowledged()
	if err != nil {
		return at, err
	}
	for len(t.marks) > 0 && t.marks[0].settled(now, t.times.settle) {
		at = t.marks[0].progress
		t.marks = t.marks[1:]
	}
	for i := range t.marks {
		if m := &t.marks[i]; m.acknowledged.IsZero() && m.offset <= acknowledged {
			m.acknowledged = now
		}
	}
	return at, nil
}

func (m *mark) settled(now time.Time, settle time.Duration) bool {
	return !m.acknowledged.IsZero() && now.Sub(m.acknowledged) >= settle
}

// keep saves how far the server has come, unless the connection has broken.
func (t *syslogTransfer) keep(ctx context.Context, at progress) error {
	if at == t.saved {
		return nil
	}
	select {
	case <-t.conn.broken:
		return t.conn.fault()
	default:
	}
	if err := t.save(ctx, t.saved, at); err != nil {
		return err
	}
	t.saved = at
	return nil
}

// finish ends a connection that is whole, and saves all that was written if the server has
// read it.
func (t *syslogTransfer) finish(err error) {
	if err != nil || t.sent == t.saved || t.conn.finish(t.times.stop) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.times.stop)
	defer cancel()
	if err := t.save(ctx, t.saved, t.sent); err != nil {
		t.o.Logger.Warn("a syslog server will get messages again", "syslog", t.o.Name, "error", err)
		return
	}
	t.saved = t.sent
}
