package safenettest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp/oath"
)

// Path is where the service is, in whatever case.
const Path = "/OTPAuthentication/Service.asmx"

// Certificate says what certificate a TMS has.
type Certificate int

// The certificates. All but NoTLS are issued by an authority of the test's own.
const (
	NoTLS     Certificate = iota // it speaks http
	Valid                        // for 127.0.0.1
	Expired                      // for 127.0.0.1, until yesterday
	WrongName                    // for another host
	EndsSoon                     // for 127.0.0.1, until tomorrow
)

// Options says what kind of TMS is started. The zero Options are usual.
type Options struct {
	Certificate Certificate
	Clock       func() time.Time // nil: time.Now
	// NewConn is told of every connection; nil: nobody.
	NewConn func()
}

// TMS is a running service. Its methods may be used by several goroutines.
type TMS struct {
	URL    string // of the service, with its path
	CAFile string // PEM; "" without TLS

	clock func() time.Time

	mu        sync.Mutex
	users     map[string]*user
	behaviour Behaviour
	delay     time.Duration
	requests  map[string]int // by user name
	all       int
}

// user is a passcode that stays, or a PIN and a token.
type user struct {
	passcode string
	pin      string
	seed     oath.Seed
	period   uint32 // 0: an event token
	next     uint64 // the lowest factor that is not burned
}

// Start starts a TMS that lives until the test ends.
func Start(t testing.TB, o Options) *TMS {
	t.Helper()
	tms := &TMS{clock: o.Clock, users: map[string]*user{}, requests: map[string]int{}}
	if tms.clock == nil {
		tms.clock = time.Now
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if o.Certificate != NoTLS {
		var certificate tls.Certificate
		certificate, tms.CAFile = issue(t, o.Certificate)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
		scheme = "https"
	}
	tms.URL = scheme + "://" + listener.Addr().String() + Path
	server := &http.Server{Handler: tms, ErrorLog: discard}
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew && o.NewConn != nil {
			o.NewConn()
		}
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(listener)
		close(ended)
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return tms
}

// AddUser gives a user a passcode that stays. User names are as Windows has them: upper
// case is lower case.
func (tms *TMS) AddUser(name, passcode string) { tms.add(name, &user{passcode: passcode}) }

// AddTOTP gives a user a PIN and a clock token of 6 digits and 30 s (SHA-1).
func (tms *TMS) AddTOTP(name, pin string, seed []byte) {
	tms.add(name, &user{pin: pin, seed: oath.NewSeed(seed), period: 30})
}

// AddHOTP gives a user a PIN and an event token of 6 digits (SHA-1) whose next code is
// that of counter.
func (tms *TMS) AddHOTP(name, pin string, seed []byte, counter uint64) {
	tms.add(name, &user{pin: pin, seed: oath.NewSeed(seed), next: counter})
}

func (tms *TMS) add(name string, u *user) {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	tms.users[strings.ToLower(name)] = u
}

// Requests is how many requests there were that could be read, whatever became of them.
func (tms *TMS) Requests() int {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	return tms.all
}

// RequestsOf is how many of them were of a user.
func (tms *TMS) RequestsOf(name string) int {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	return tms.requests[strings.ToLower(name)]
}

// Behave changes what it does from the next request on.
func (tms *TMS) Behave(b Behaviour) {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	tms.behaviour = b
}

// Delay makes every answer take so long.
func (tms *TMS) Delay(d time.Duration) {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	tms.delay = d
}

// began counts a request and returns what to do.
func (tms *TMS) began(name string) (Behaviour, time.Duration) {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	tms.all++
	tms.requests[strings.ToLower(name)]++
	return tms.behaviour, tms.delay
}

// passcodeOf returns the passcode that made the proof, having burned its code, or false.
func (tms *TMS) passcodeOf(name string, proves func(passcode string) bool) (string, bool) {
	tms.mu.Lock()
	defer tms.mu.Unlock()
	u := tms.users[strings.ToLower(name)]
	switch {
	case u == nil:
		return "", false
	case u.seed.IsZero():
		return u.passcode, proves(u.passcode)
	}
	first, last := u.window(tms.clock())
	for factor := first; factor <= last; factor++ {
		passcode := u.pin + oath.HOTP(oath.SHA1, u.seed, factor, 6)
		if factor >= u.next && proves(passcode) {
			u.next = factor + 1
			return passcode, true
		}
	}
	return "", false
}

// window is the factors whose codes are accepted.
func (u *user) window(now time.Time) (first, last uint64) {
	if u.period == 0 {
		return u.next, u.next + 10
	}
	step := uint64(now.Unix()) / uint64(u.period)
	return step - 1, step + 1
}

// wait lets a time pass, or the client give up.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
