package directory

import (
	"context"
	"errors"
	"sync"
)

// errClosed says that the Repository was closed.
var errClosed = errors.New("the user repository is closed")

// life is the time a Repository is open, and the goroutines it has meanwhile.
type life struct {
	ctx        context.Context
	end        context.CancelFunc
	mu         sync.Mutex
	over       bool
	goroutines sync.WaitGroup
}

func newLife() *life {
	l := new(life)
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// begin lets the goroutine that calls it take part; it reports whether it may,
// and then has to call done.
func (l *life) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.goroutines.Add(1)
	}
	return !l.over
}

func (l *life) done() { l.goroutines.Done() }

// start starts a goroutine, whose context ends with l.
func (l *life) start(run func(context.Context)) {
	if !l.begin() {
		return
	}
	go func() {
		defer l.done()
		run(l.ctx)
	}()
}

// finish ends the goroutines and waits for them.
func (l *life) finish() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.end()
	l.goroutines.Wait()
}
