package audit

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// transferKit is one connection that a test takes step by step, with a clock of its own.
type transferKit struct {
	*syslogTransfer
	t     *testing.T
	feed  *memoryFeed
	peer  net.Conn
	clock atomic.Int64 // nanoseconds after noon
}

// newTransfer connects to a server whose kernel keeps little of what it does not read.
func newTransfer(t *testing.T) *transferKit {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		controlled := conn.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		if controlled != nil {
			return controlled
		}
		return err
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	k := &transferKit{t: t, feed: newFeed()}
	k.feed.cursors["siem"] = Place{}
	s := testSyslog(t, k.feed, "tcp://"+l.Addr().String(), func(o *SyslogOptions) {
		o.Clock = func() time.Time { return noon.Add(time.Duration(k.clock.Load())) }
	})
	conn, err := dialSyslog(t.Context(), &s.server, s.times.patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.close)
	k.peer = accept(t, l)
	k.syslogTransfer = &syslogTransfer{Syslog: s, conn: conn, since: s.o.Clock()}
	return k
}

// sends sends batches of two messages.
func (k *transferKit) sends(batches int) {
	k.t.Helper()
	k.feed.add(batches)
	if _, err := k.round(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// settles lets the time pass that a connection has to hold, and more.
func (k *transferKit) settles() {
	k.t.Helper()
	for range 3 {
		if err := k.settle(k.t.Context()); err != nil {
			k.t.Fatal(err)
		}
		k.clock.Add(int64(time.Hour))
	}
}

// reads has the server read messages up to that of an event.
func (k *transferKit) reads(r *bufio.Reader, event string) {
	k.t.Helper()
	for text := ""; !strings.Contains(text, `event="`+event+`"`); {
		var err error
		if text, err = readFrame(r); err != nil {
			k.t.Fatal(err)
		}
	}
}

// arrived waits until the other end's kernel has acknowledged everything.
func (k *transferKit) arrived() {
	k.t.Helper()
	until(k.t, "all is acknowledged", func() bool {
		n, err := k.conn.acknowledged()
		return err == nil && n == k.conn.offset()
	})
}

// TestSyslogUnacknowledged: what the other end's kernel has not acknowledged does not count,
// however long that takes.
func TestSyslogUnacknowledged(t *testing.T) {
	k := newTransfer(t)
	r := bufio.NewReader(k.peer)
	k.sends(1)
	k.arrived()
	k.sends(120) // more than the kernel of a server keeps that reads nothing
	k.settles()
	if n, err := k.conn.acknowledged(); err != nil || n == k.conn.offset() {
		t.Fatalf("%d of %d bytes were acknowledged, %v: nothing is tested", n, k.conn.offset(), err)
	}
	if at := k.feed.cursor("siem"); at.Batch > 1 {
		t.Errorf("the cursor is at %v, and the server has not got that", at)
	}
	k.reads(r, "121-1")
	k.arrived()
	k.settles()
	if at := k.feed.cursor("siem"); at != (Place{121, 1}) {
		t.Errorf("the cursor is at %v when all was read", at)
	}
}

// TestSyslogBrokenAtLast: what was acknowledged, and for long enough, does not count when the
// connection turns out to be broken.
func TestSyslogBrokenAtLast(t *testing.T) {
	k := newTransfer(t)
	k.sends(1)
	k.arrived()
	if err := k.settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	k.clock.Add(int64(time.Hour))
	k.peer.Close() // with something unread, so that it is reset
	<-k.conn.broken
	if err := k.settle(context.Background()); err == nil || k.feed.cursor("siem") != (Place{}) {
		t.Errorf("the cursor is at %v, %v", k.feed.cursor("siem"), err)
	}
}
