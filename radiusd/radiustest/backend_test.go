package radiustest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
)

// knows are the names of a Backend's own users.
func knows(name string) bool { return strings.HasPrefix(name, "tms") }

func backend(t *testing.T, delay time.Duration, accepts func(string) bool) (*Backend, *NAS) {
	t.Helper()
	secret := NewSecret("between us")
	b, err := NewBackend(secret, delay, accepts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	nas, err := Dial(b.Addr(), secret, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nas.Close() })
	return b, nas
}

func loginOf(t *testing.T, nas *NAS, name string) *radius.Packet {
	t.Helper()
	p, err := nas.AccessRequest(name, NewSecret("1234755224"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBackendAnswers(t *testing.T) {
	b, nas := backend(t, 0, knows)
	status := radius.New(radius.CodeStatusServer, nas.codec.secret)
	status.Add(attrMessageAuthenticator, make(radius.Attribute, 16))
	for _, test := range []struct {
		request *radius.Packet
		want    radius.Code
	}{
		{loginOf(t, nas, "tms1"), radius.CodeAccessAccept},
		{loginOf(t, nas, "alice"), radius.CodeAccessReject},
		{status, radius.CodeAccessAccept},
	} {
		reply, err := nas.Exchange(t.Context(), test.request)
		if err != nil || reply.Code != test.want {
			t.Errorf("%v is answered %v, error %v, want %v", test.request.Code, reply.Code, err, test.want)
		}
		if at, _ := findMessageAuthenticator(reply.Datagram); at == 0 {
			t.Error("the reply has no Message-Authenticator")
		}
	}
	if b.Asked() != 2 || b.Lost() != 0 {
		t.Errorf("asked about %d logins, lost %d, want 2 and none", b.Asked(), b.Lost())
	}
}

// The line keeps the order, so what is answered at all is answered before the last.
func TestBackendIsSilent(t *testing.T) {
	asked := make(chan struct{}, 2)
	b, nas := backend(t, 0, func(string) bool { asked <- struct{}{}; return true })
	bare := loginOf(t, nas, "tms1")
	bare.Del(attrMessageAuthenticator)
	forged, err := nas.Encode(loginOf(t, nas, "tms1"))
	if err != nil {
		t.Fatal(err)
	}
	forged[len(forged)-1] ^= 1
	if err := nas.Send(bare); err != nil {
		t.Fatal(err)
	}
	for _, datagram := range [][]byte{forged, forged[:12], {}} {
		if err := nas.SendDatagram(datagram); err != nil {
			t.Fatal(err)
		}
	}
	b.Hang(true)
	if err := nas.Send(loginOf(t, nas, "tms1")); err != nil {
		t.Fatal(err)
	}
	<-asked
	b.Hang(false)
	last := loginOf(t, nas, "tms1")
	if err := nas.Send(last); err != nil {
		t.Fatal(err)
	}
	got, err := nas.Receive(t.Context())
	if err != nil || got[1] != last.Identifier {
		t.Errorf("the answer % x is not to the last login; error %v", got, err)
	}
}

func TestBackendTakesItsTime(t *testing.T) {
	const delay = 20 * time.Millisecond
	b, _ := backend(t, delay, knows)
	u := User{Name: "tms1", Digits: 6}
	v := User{Name: "tms2", Digits: 6}
	r, err := (&Load{
		Server: b.Addr(), Secret: NewSecret("between us"), Users: slices.Values([]User{u, v}), Duration: 3 * delay,
	}).Run(t.Context())
	if err != nil || r.Accepted == 0 || r.P50 < delay-delay/100 {
		t.Errorf("%d accepted, half of them within %v, error %v; want some, none before %v", r.Accepted, r.P50, err, delay)
	}
}
