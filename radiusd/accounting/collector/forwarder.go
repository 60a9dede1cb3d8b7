package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/radiusd/accounting"
)

const (
	beat        = 250 * time.Millisecond
	beatsToSave = 4
	beatsToPoll = 12
	windowSize  = 4096
	page        = 1024                  // records read at once
	gather      = 20 * time.Millisecond // what comes within it is read together
	farewell    = time.Second
	lastWord    = 5 * time.Second // for the cursor, when all is over
)

// forwarder is a Collector at work. All of it is of one goroutine.
type forwarder struct {
	*Collector
	window   window
	read     accounting.Position // how far the queue was read
	saved    accounting.Position
	more     bool // there may be more to read
	beats    int
	soon     <-chan time.Time // when there is more; nil when that is not known
	troubles map[string]error // with the store, by what could not be done
	later    []*item
	results  chan result
	inFlight int
	backlog  backlog

	down   bool
	why    string
	falls  int // deliveries in a row that were in vain
	resume time.Time
}

// What is done with the store, for errors.
const (
	beginning = "reading how far the collector has come"
	reading   = "reading the queue"
	measuring = "measuring the queue"
	saving    = "saving how far the collector has come"
)

// result is what became of a delivery.
type result struct {
	batch []*item
	done  int
	err   error
}

func newForwarder(c *Collector) *forwarder {
	f := &forwarder{Collector: c, more: true, results: make(chan result, mostInFlight), troubles: map[string]error{}}
	if c.RADIUS != nil {
		f.window.lanes = map[lane]*item{}
	}
	f.backlog.forwarder = f
	return f
}

// begin finds out where to begin. It reports false when ctx is done before.
func (f *forwarder) begin(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		err := f.locate(ctx)
		if ctx.Err() != nil {
			return false
		}
		f.note(ctx, beginning, err)
		if err == nil {
			f.publish()
			return true
		}
		f.mu.Lock()
		f.standing.fault = f.fault()
		f.mu.Unlock()
		timer := time.NewTimer(pause(failures, f.Rand))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// locate reads the cursor. Without one it begins with what comes from now on, and keeps
// that, so that after a restart it does not begin later.
func (f *forwarder) locate(ctx context.Context) error {
	p, ok, err := f.Cursors.Cursor(ctx, f.Name)
	if err == nil && !ok {
		if _, _, p, err = f.Queue.Waiting(ctx, accounting.Position{}); err == nil {
			err = f.Cursors.SaveCursor(ctx, f.Name, p)
		}
	}
	if err != nil {
		return err
	}
	f.read, f.saved = p, p
	return nil
}

// run forwards until ctx is done.
func (f *forwarder) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	f.backlog.measure(ctx)
	for {
		f.fill(ctx)
		f.dispatch(work)
		f.publish()
		select {
		case <-ctx.Done():
			f.finish(cancel)
			return
		case <-f.wake:
			if f.soon == nil {
				f.soon = time.After(gather)
			}
		case <-f.soon:
			f.soon, f.more = nil, true
		case r := <-f.results:
			f.settle(r)
		case <-ticker.C:
			f.tick(ctx)
		}
	}
}

// tick does what is to be done now and then.
func (f *forwarder) tick(ctx context.Context) {
	f.beats++
	f.recall()
	if f.beats%beatsToSave == 0 {
		f.save(ctx)
	}
	if f.beats%beatsToPoll == 0 {
		f.more = true
		f.backlog.measure(ctx)
	}
	f.backlog.report()
}

// finish waits a moment for what is on its way, so that it does not go a second time, and
// keeps how far it came.
func (f *forwarder) finish(cancel context.CancelFunc) {
	timer := time.AfterFunc(farewell, cancel)
	defer timer.Stop()
	for f.inFlight > 0 {
		f.settle(<-f.results)
	}
	ctx, done := context.WithTimeout(context.Background(), lastWord)
	defer done()
	f.save(ctx)
	f.backlog.loggedAt = time.Time{}
	f.backlog.report()
	f.publish()
}

// fill reads from the queue while there is room.
func (f *forwarder) fill(ctx context.Context) {
	for f.more && f.window.len() <= windowSize-page {
		before := f.read
		next, err := f.Queue.Forwardable(ctx, before, page, func(e *accounting.Entry) error {
			if !f.backlog.refuses(e) {
				f.window.add(e, f.read)
			}
			f.read = e.Position
			return nil
		})
		f.note(ctx, reading, err)
		if err != nil {
			f.more = false
			return
		}
		f.read, f.more = next, next != before
	}
}

// dispatch sends what can go.
func (f *forwarder) dispatch(work context.Context) {
	for f.mayGo() {
		batch := f.window.take(f.sink.most())
		if len(batch) == 0 {
			return
		}
		f.inFlight++
		go func() {
			done, err := f.sink.deliver(work, batch)
			f.results <- result{batch, done, err}
		}()
	}
}

// mayGo reports whether one more delivery may be on its way. While all are in vain it is
// one, and after a pause.
func (f *forwarder) mayGo() bool {
	if f.down {
		return f.inFlight == 0 && !f.Clock().Before(f.resume)
	}
	return f.inFlight < f.sink.limit()
}

// settle takes what became of a delivery.
func (f *forwarder) settle(r result) {
	f.inFlight--
	for _, it := range r.batch[:r.done] {
		f.window.finish(it)
	}
	f.figures.forwarded.Add(float64(r.done))
	rest := r.batch[r.done:]
	switch {
	case r.err == nil:
		f.rise()
		f.window.putBack(rest)
	case errors.Is(r.err, errUnsendable):
		f.Logger.Error("an accounting record cannot be forwarded and is skipped", "record", rest[0].Position, "error", r.err)
		f.backlog.skip(rest[0])
	case errors.Is(r.err, errRefused):
		f.postpone(rest[0], r.err)
	case errors.Is(r.err, context.Canceled):
		f.window.putBack(rest)
	default:
		f.fall(r.err)
		f.window.putBack(rest)
	}
}

// fall is for a delivery that was in vain through no fault of the record's.
func (f *forwarder) fall(err error) {
	f.why = err.Error()
	if !f.down {
		f.down, f.falls = true, 0
		f.Logger.Error("the collector takes no accounting records; they wait until it does", "to", f.destination(), "error", err)
	}
	if f.inFlight == 0 {
		f.falls++
		f.resume = f.Clock().Add(pause(f.falls, f.Rand))
	}
	f.sink.failed()
}

func (f *forwarder) rise() {
	if f.down {
		f.down, f.why = false, ""
		f.Logger.Info("the collector takes accounting records again", "to", f.destination())
	}
}

// save keeps how far it came.
func (f *forwarder) save(ctx context.Context) {
	p := f.cursor()
	if p == f.saved {
		return
	}
	err := f.Cursors.SaveCursor(ctx, f.Name, p)
	f.note(ctx, saving, err)
	if err == nil {
		f.saved = p
	}
}

// cursor is up to where all is done.
func (f *forwarder) cursor() accounting.Position {
	if first := f.window.first(); first != nil {
		return first.before
	}
	return f.read
}

// note notes whether the store could do something, and logs it when it could not and could
// before.
func (f *forwarder) note(ctx context.Context, doing string, err error) {
	switch {
	case err == nil:
		delete(f.troubles, doing)
	case ctx.Err() != nil: // it was not given the time
	default:
		if f.troubles[doing] == nil {
			f.Logger.Error("accounting records may not be forwarded", "doing", doing, "error", err)
		}
		f.troubles[doing] = err
	}
}

// publish tells others how it stands.
func (f *forwarder) publish() {
	s := standing{known: true, read: f.read, done: f.cursor(), inHand: f.window.len(), skipped: f.backlog.skipped, fault: f.fault()}
	if first := f.window.first(); first != nil {
		s.oldest = first.At
	}
	f.mu.Lock()
	f.standing = s
	f.mu.Unlock()
	up := 1.0
	if f.down {
		up = 0
	}
	f.figures.up.Set(up)
	f.figures.inFlight.Set(float64(f.inFlight))
}

// fault says why records wait.
func (f *forwarder) fault() string {
	switch {
	case f.down:
		return f.why
	case len(f.later) > 0:
		return fmt.Sprintf("record %s of NAS %s is not answered, though others are: look into the log of the collector", f.later[0].Position, f.later[0].NAS)
	}
	for _, doing := range []string{beginning, reading, measuring, saving} {
		if err := f.troubles[doing]; err != nil {
			return fmt.Sprintf("%s: %v", doing, err)
		}
	}
	return ""
}
