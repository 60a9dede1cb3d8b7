package remote

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestLookups that fail: a name that stands for nothing is a server that is down, and a
// caller who gives up meanwhile says nothing about it.
func TestLookups(t *testing.T) {
	unknown := &net.DNSError{Err: "no such host", Name: "tms.example", IsNotFound: true}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancelLate := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancelLate()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error // of the look-up
		want error
		up   bool
	}{
		{"unknown", context.Background(), unknown, errNotReceived, false},
		{"without an address", context.Background(), nil, errNoAddress, false},
		{"cancelled", gone, context.Canceled, errAbandoned, true},
		{"late", late, context.DeadlineExceeded, errAbandoned, true},
	} {
		k := newKit(t, Options{}, "tms.example:1812")
		k.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, test.err }
		_, err := k.Verify(test.ctx, pap("alice", "1"))
		if !errors.Is(err, test.want) || !errors.Is(err, ErrNotSent) || !errors.Is(err, errLookup) || errors.Is(err, ErrLost) || k.States()[0].Up != test.up {
			t.Errorf("%s: %v, %+v", test.name, err, k.States())
		}
		if errors.Is(err, errAbandoned) == errors.Is(err, errNotReceived) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestKnownAddress: while the name cannot be looked up again the server is where it was.
func TestKnownAddress(t *testing.T) {
	k := newKit(t, Options{}, "tms.example:1812")
	s := k.servers[0]
	s.at = netip.MustParseAddrPort("192.0.2.1:1812")
	for _, err := range []error{nil, errors.New("test: no DNS")} {
		k.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, err }
		if at, err := s.locate(context.Background(), true); err != nil || at != s.at || !at.IsValid() {
			t.Errorf("it is at %v, %v", at, err)
		}
	}
}

// TestCheckLooksUp: a name that stands for nothing is the name's fault, not the server's.
func TestCheckLooksUp(t *testing.T) {
	k := newKit(t, Options{}, "tms.example:1812")
	for _, ctx := range []context.Context{context.Background(), func() context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}()} {
		k.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "tms.example", IsNotFound: true}
		}
		r := k.Check(ctx, 0)
		if r.Err == nil || !strings.Contains(r.Err.Error(), "lookup tms.example: no such host): correct the name, or mend the DNS of this machine") {
			t.Errorf("it says %v", r.Err)
		}
	}
}
