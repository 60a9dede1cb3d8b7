package accounting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/radiusd/packet"
)

// long is a log whose first record opens the only session that is left open, of kay, and
// whose last, an hour later, ends it.
func long() []Entry {
	entries := []Entry{start(0)}
	for i := range 2 * chunkEntries {
		entries = append(entries, by("lee", changed(stop(1, 1), packet.AcctSessionID, fmt.Sprint("other", i))))
	}
	return append(entries, stop(3600, 3600))
}

// TestBehind: while a long log is taken nobody is refused by how things stood once, and that
// is told once.
func TestBehind(t *testing.T) {
	k := newKit(t)
	var log bytes.Buffer
	k.Book.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	k.later(time.Hour)
	k.memory.add(with(k.class(1, 0, "staff"), start(0)))
	k.memory.add(long()[1:]...)
	for range 2 {
		_, err := k.Book.take(t.Context())
		must(t, err)
		if k.counts.ofUser([]byte("kay")) != 1 || k.counts.inPool("staff") != 1 {
			t.Fatal("kay has no session half through the log: nothing is tested")
		}
		if of, in := k.OpenOf([]byte("kay")), k.OpenIn("staff"); of+in != 0 {
			t.Errorf("%d and %d open sessions are known of an hour ago", of, in)
		}
	}
	k.wantMetrics("behind_seconds 3599")
	_, err := k.Book.take(t.Context())
	must(t, err)
	k.wantMetrics("behind_seconds 0")
	k.takes(start(4000))
	if n := k.OpenOf([]byte("kay")); n != 1 {
		t.Errorf("%d open sessions, now that all was taken", n)
	}
	if told, over := strings.Count(log.String(), "no login is refused"), strings.Count(log.String(), "are up to date with"); told != 1 || over != 1 {
		t.Errorf("told %d times, and that it is over %d times:\n%s", told, over, &log)
	}
}

// TestBurst: many records at once are no reason to let logins pass, if they have not waited.
func TestBurst(t *testing.T) {
	k := newKit(t)
	k.later(maxLag)
	k.memory.add(long()...)
	_, err := k.Book.take(t.Context())
	must(t, err)
	if n := k.OpenOf([]byte("kay")); n != 1 {
		t.Errorf("%d open sessions", n)
	}
}

// TestGhosts: a session that had gone silent long ago is not counted again when the sessions
// are made again.
func TestGhosts(t *testing.T) {
	k := newKit(t)
	k.later(48 * time.Hour)
	k.takes(long()[:1+chunkEntries]...)
	if s := k.all()[0]; s.State != Stale || k.OpenOf([]byte("kay")) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBehindWhileBroken: what cannot be taken may be a Stop.
func TestBehindWhileBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.takes(start(0))
		k.memory.mu.Lock()
		k.memory.fail = errTest
		k.memory.mu.Unlock()
		k.running(t)
		k.memory.add(stop(10, 10))
		synctest.Wait()
		if n := k.OpenOf([]byte("kay")); n != 1 {
			t.Errorf("%d open sessions at once", n)
		}
		k.later(maxLag + time.Second)
		if n := k.OpenOf([]byte("kay")); n != 0 {
			t.Errorf("%d open sessions after %v", n, maxLag)
		}
	})
}

// TestBehindWhileSlow: nor what is being taken for long.
func TestBehindWhileSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.takes(start(0))
		k.memory.hold = make(chan struct{})
		k.running(t)
		for range 2 { // Run looks at once, and then for what is signalled
			k.memory.hold <- struct{}{}
			synctest.Wait()
		}
		k.memory.add(stop(10, 10))
		synctest.Wait()
		k.later(maxLag + time.Second)
		if n := k.OpenOf([]byte("kay")); n != 0 {
			t.Errorf("%d open sessions after %v", n, maxLag)
		}
		close(k.memory.hold)
	})
}

// TestNASGone: sessions of a NAS that the configuration has no more become stale, and are
// open again when it is back and tells of them.
func TestNASGone(t *testing.T) {
	k := newKit(t)
	var gone []string
	settings := k.Book.options.Settings()
	settings.Known = func(nas string) bool { return !slices.Contains(gone, nas) }
	k.Book.options.Settings = func() Settings { return settings }
	k.takes(start(0), nasOf("lab", start(1)))
	for i := range sweepSessions + 1 { // more than are marked at once
		k.takes(by("lee", changed(start(0), packet.AcctSessionID, fmt.Sprint("other", i))))
	}
	must(t, k.Book.sweep(t.Context()))
	if n := k.OpenOf([]byte("kay")); n != 2 {
		t.Errorf("%d open sessions of known NASes", n)
	}
	gone = []string{"vpn"}
	must(t, k.Book.sweep(t.Context()))
	if kay, lee := k.OpenOf([]byte("kay")), k.OpenOf([]byte("lee")); kay != 1 || lee != 0 {
		t.Errorf("%d and %d open sessions", kay, lee)
	}
	k.verify()
	gone = nil
	k.takes(interim(100, 100))
	if n := k.OpenOf([]byte("kay")); n != 2 {
		t.Errorf("%d open sessions when the NAS is back", n)
	}
}

// countingTx counts the sessions that are listed as living.
type countingTx struct {
	memoryTx
	listed *int
}

func (tx countingTx) Living(nas, gateway string, each func(*Session) error) error {
	return tx.memoryTx.Living(nas, gateway, func(s *Session) error {
		*tx.listed++
		return each(s)
	})
}

// TestRestartsAreCheap: gateways that begin again and again do not have the sessions of
// others read, nor their own each time.
func TestRestartsAreCheap(t *testing.T) {
	k := newKit(t)
	for i := range 100 {
		k.takes(changed(start(0), packet.AcctSessionID, fmt.Sprint(i)), of("", changed(nasOf("lab", start(0)), packet.AcctSessionID, fmt.Sprint(i))))
	}
	listed := 0
	c := newChunk(t.Context(), k.Book, countingTx{memoryTx{k.memory}, &listed})
	var entries []Entry
	for i := range 50 {
		entries = append(entries, of("vpn2", restart(AccountingOn, 100+i)), arrived(restart(AccountingOn, -10), 100+i))
	}
	must(t, c.take(entries))
	if listed != 100 {
		t.Errorf("%d sessions were read for two gateways, of which one has 100", listed)
	}
}

// TestInterrupted: the end of the server does not wait for a chunk.
func TestInterrupted(t *testing.T) {
	k := newKit(t)
	k.takes(start(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newChunk(ctx, k.Book, memoryTx{k.memory})
	if err := c.take([]Entry{interim(1, 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	r, err := Parse(&Entry{At: at(10), NAS: "vpn", Attributes: restart(AccountingOn, 10).Attributes})
	must(t, err)
	if err := c.restart(&r); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
