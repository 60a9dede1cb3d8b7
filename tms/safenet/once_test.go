package safenet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/tms/safenet/safenettest"
)

// watched is a connection that tells when the client has closed it, and that can be made
// to break as soon as it is written to.
type watched struct {
	net.Conn
	broken *atomic.Bool
	writes *atomic.Int64
	once   sync.Once
	closed chan<- struct{}
}

func (w *watched) Close() error {
	err := w.Conn.Close()
	w.once.Do(func() { w.closed <- struct{}{} })
	return err
}

func (w *watched) Write(b []byte) (int, error) {
	if w.broken.Load() {
		return 0, errors.New("test: it is broken")
	}
	w.writes.Add(1)
	return w.Conn.Write(b)
}

// watch has the connections of a client watched.
func watch(c *Client) (closed <-chan struct{}, breaks func(), dialled *atomic.Int64) {
	told, dialled := make(chan struct{}, 100), new(atomic.Int64)
	var last *atomic.Bool
	dial := c.transport.DialContext
	c.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dialled.Add(1)
		last = new(atomic.Bool)
		return &watched{Conn: conn, broken: last, writes: new(atomic.Int64), closed: told}, nil
	}
	return told, func() { last.Store(true) }, dialled
}

// TestSentOnce: a server that has read a request and breaks off on a connection that was
// kept does not get it again. net/http would send a GET again there.
func TestSentOnce(t *testing.T) {
	for _, behaviour := range []safenettest.Behaviour{safenettest.Closes, safenettest.Reset, safenettest.CutOff} {
		tms, c := start(t, safenettest.Options{})
		_, _, dialled := watch(c)
		tms.AddHOTP("kay", "", []byte("12345678901234567890"), 0)
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		tms.Behave(behaviour)
		answer, err := c.VerifyPasscode(t.Context(), "kay", passcode("755224"))
		if err == nil || answer.Accepted {
			t.Errorf("behaviour %d: accepted is %v, %v", behaviour, answer.Accepted, err)
		}
		if got := tms.RequestsOf("kay"); got != 1 || dialled.Load() != 1 {
			t.Errorf("behaviour %d: it was asked %d times on %d connections", behaviour, got, dialled.Load())
		}
	}
}

// TestClosedWhileIdle: a connection that the server has closed meanwhile costs no login.
func TestClosedWhileIdle(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	closed, _, dialled := watch(c)
	tms.AddUser("kay", goldenPasscode)
	tms.Behave(safenettest.KeepsNone)
	for range 3 {
		if answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); err != nil || !answer.Accepted {
			t.Fatalf("accepted is %v, %v", answer.Accepted, err)
		}
		<-closed
	}
	if tms.Requests() != 3 || dialled.Load() != 3 {
		t.Errorf("%d requests on %d connections", tms.Requests(), dialled.Load())
	}
}

// TestIdle: a connection is kept while it is used now and then, and closed before IIS
// would, or a proxy in front of it, which do so after 60 s.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{URL: "http://tms.example.com" + ServicePath})
		dialled, closed := 0, make(chan struct{}, 9)
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dialled++
			ours, theirs := net.Pipe()
			go func() { serveRefusals(theirs); closed <- struct{}{} }()
			return ours, nil
		}
		for range 3 {
			if err := c.Probe(t.Context()); err != nil || dialled != 1 || len(closed) != 0 {
				t.Fatalf("%v; %d connections, %d closed", err, dialled, len(closed))
			}
			time.Sleep(25 * time.Second) // of the bubble's clock
		}
		time.Sleep(30 * time.Second) // 55 s idle
		if synctest.Wait(); len(closed) != 1 {
			t.Errorf("%d were closed", len(closed))
		}
		if err := c.Probe(t.Context()); err != nil || dialled != 2 {
			t.Errorf("%v; %d connections", err, dialled)
		}
		c.Close()
		<-closed
	})
}

// serveRefusals refuses what comes on a connection until it is closed.
func serveRefusals(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	answer := (&outcome{code: codeRefused}).write()
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
}

// TestNothingWritten: a request of which not one byte could be written is sent on another
// connection.
func TestNothingWritten(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	_, breaks, dialled := watch(c)
	tms.AddUser("kay", goldenPasscode)
	for i := range 3 {
		if i > 0 {
			breaks()
		}
		if answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); err != nil || !answer.Accepted {
			t.Fatalf("accepted is %v, %v", answer.Accepted, err)
		}
	}
	if tms.Requests() != 3 || dialled.Load() != 3 {
		t.Errorf("%d requests on %d connections", tms.Requests(), dialled.Load())
	}
}

// TestConnections: there are as many as may be in flight, and they are kept.
func TestConnections(t *testing.T) {
	const inFlight = 4
	var conns atomic.Int64
	tms := safenettest.Start(t, safenettest.Options{NewConn: func() { conns.Add(1) }})
	tms.AddUser("kay", goldenPasscode)
	c := newClient(t, Options{URL: tms.URL, MaxInFlight: inFlight})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); err != nil || !answer.Accepted {
				t.Errorf("accepted is %v, %v", answer.Accepted, err)
			}
		})
	}
	all.Wait()
	if got := conns.Load(); got < 1 || got > inFlight {
		t.Errorf("there were %d connections for %d in flight", got, inFlight)
	}
	if tms.Requests() != 100 {
		t.Errorf("%d requests", tms.Requests())
	}
}
