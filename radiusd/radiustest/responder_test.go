package radiustest

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// responder is a server on the library's codec that answers as the test says
// and keeps what it was asked.
type responder struct {
	addr netip.AddrPort

	mu        sync.Mutex
	datagrams [][]byte            // all, as they came
	passcodes map[string][]string // by user, in order
	inFlight  map[string]bool     // users with a request and no reply
	twice     int                 // logins of a user who had one in flight
}

// respond starts a responder whose answer to a login is of the code that
// answer returns, unless that is 0, which is silence. Its replies are signed.
func respond(t testing.TB, secret Secret, answer func(user, passcode string) radius.Code) *responder {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	r := &responder{
		addr:      conn.LocalAddr().(*net.UDPAddr).AddrPort(),
		passcodes: make(map[string][]string),
		inFlight:  make(map[string]bool),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.serve(conn, secret, answer)
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return r
}

func (r *responder) serve(conn *net.UDPConn, secret Secret, answer func(user, passcode string) radius.Code) {
	buffer := make([]byte, maxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		datagram := append([]byte(nil), buffer[:n]...)
		request, err := radius.Parse(datagram, secret.Reveal())
		if err != nil {
			continue
		}
		user := rfc2865.UserName_GetString(request)
		r.arrived(datagram, user, rfc2865.UserPassword_GetString(request))
		code := answer(user, rfc2865.UserPassword_GetString(request))
		if code == 0 {
			continue
		}
		response := request.Response(code)
		signed(response)
		b, err := response.Encode()
		if err != nil {
			panic(err)
		}
		r.mu.Lock()
		r.inFlight[user] = false
		r.mu.Unlock()
		_, _ = conn.WriteToUDPAddrPort(b, from)
	}
}

func (r *responder) arrived(datagram []byte, user, passcode string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.datagrams = append(r.datagrams, datagram)
	r.passcodes[user] = append(r.passcodes[user], passcode)
	if r.inFlight[user] {
		r.twice++
	}
	r.inFlight[user] = true
}

// asked returns the datagrams that arrived so far.
func (r *responder) asked() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.datagrams...)
}

// always answers every login with one code.
func always(code radius.Code) func(string, string) radius.Code {
	return func(string, string) radius.Code { return code }
}
