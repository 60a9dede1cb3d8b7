package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp/seal"
)

// logins is the part of a Store that decides logins and makes them durable.
//
// A login is decided at once by the account in the cache, in the goroutine that submits it,
// and joins the group that fills. One goroutine, burnLoop, makes one group after the other
// durable on a connection of its own; another, answerLoop, tells those who wait. What loses
// to another node goes to a third, loadLoop, which reads the accounts anew and decides again;
// so does what is not in the cache.
type logins struct {
	store  *Store
	begun  time.Time     // what now counts from
	stamps atomic.Uint64 // the last that was given
	down   atomic.Bool   // no login is taken

	state     sync.Mutex
	obstacles obstacles
	resumed   chan struct{} // the database may be back
	epoch     atomic.Uint64 // rises with each connection that logins are made durable on
	waryUntil atomic.Int64  // by now: until when groups do not wait for rows

	cache      cache
	queue      queue
	loader     loader
	burner     burner
	answers    chan answer
	accounting accountingLog
	claims     claims
	throttles  throttles
	metrics    loginMetrics

	stop       context.CancelFunc
	background sync.WaitGroup
	answering  sync.WaitGroup
}

func (l *logins) init(s *Store) error {
	var random [8]byte
	if _, err := io.ReadFull(s.options.Rand, random[:]); err != nil {
		return fmt.Errorf("reading randomness: %w", err)
	}
	l.store, l.begun = s, time.Now()
	l.stamps.Store(binary.LittleEndian.Uint64(random[:]))
	l.connected(false)
	l.cache.init(s.options.CacheUsers)
	l.queue.init()
	l.loader.init(s)
	l.burner.init(s)
	l.accounting.init(s)
	l.claims.init(s)
	l.throttles.link = link{store: s}
	l.resumed = make(chan struct{}, 1)
	l.answers = make(chan answer, 2)
	l.metrics.init(l)
	return nil
}

// now is a clock that never goes back.
func (l *logins) now() time.Duration { return time.Since(l.begun) }

func (l *logins) keyring() *seal.Keyring { return l.store.keyring }

// start connects, and starts the goroutines. An error is that of the first connection.
func (l *logins) start(ctx context.Context) error {
	if err := l.burner.connect(ctx); err != nil {
		return err
	}
	l.queue.open()
	l.connected(true)
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.answering.Go(l.answerLoop)
	l.background.Go(func() { l.burnLoop(ctx) })
	l.background.Go(func() { l.loadLoop(ctx) })
	if !l.store.isCommand() {
		l.background.Go(func() { l.warmLoop(ctx) })
	}
	l.background.Go(func() { l.accounting.loop(ctx) })
	l.background.Go(func() { l.claims.loop(ctx) })
	return nil
}

// close refuses logins and accounting records from now on, waits until what is under way is
// answered, and ends the goroutines.
func (l *logins) close() {
	l.obstruct(func(o *obstacles) { o.closed = true })
	for l.queue.depth.Load() > 0 { // not for longer than a group may take
		time.Sleep(time.Millisecond)
	}
	if l.stop != nil {
		l.stop()
	}
	l.background.Wait()
	close(l.answers)
	l.answering.Wait()
	for _, k := range []*link{&l.loader.link, &l.claims.link, &l.throttles.link} {
		k.close()
	}
}
