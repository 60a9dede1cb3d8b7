package postgres

import (
	"context"
	"time"
)

// warmTime is how long a page of users may take to be read.
const warmTime = 5 * time.Second

// warmLoop reads all users in order until the cache is full. It steps aside for
// logins.
func (l *logins) warmLoop(ctx context.Context) {
	k := link{store: l.store, repeats: true, settings: byIndex}
	defer k.close()
	for last, more := "", true; more && ctx.Err() == nil; {
		began := time.Now()
		last, more = l.warmPage(ctx, &k, last)
		if l.queue.depth.Load() > 0 {
			pause(ctx, 4*time.Since(began))
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// warmPage fills in the users after last and returns the new last one, and whether it is
// worth to go on. While the database is away it waits.
func (l *logins) warmPage(ctx context.Context, k *link, last string) (string, bool) {
	var accounts []*account
	err := k.use(ctx, warmTime, func(c *conn) (err error) {
		accounts, err = l.readComplete(c, selectPage, last, int64(warmPage))
		return err
	})
	if err != nil {
		if ctx.Err() == nil && !l.down.Load() {
			l.store.options.Logger.Warn("filling the cache of accounts is interrupted", "error", err)
		}
		pause(ctx, time.Second)
		return last, true
	}
	for _, a := range accounts {
		last = a.Name
		if a.damage != nil || len(a.Tokens) == 0 {
			continue
		}
		sh := l.cache.shardOf(a.Name)
		sh.mu.Lock()
		if !l.cache.full() && sh.accounts[a.Name] == nil {
			l.cache.put(sh, a.cached())
		}
		sh.mu.Unlock()
	}
	return last, len(accounts) == warmPage && !l.cache.full()
}
