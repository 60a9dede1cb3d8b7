package radiustest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
)

// people returns users with event tokens whose names begin so and are of
// different lengths.
func people(names string, n int) []User {
	users := make([]User, n)
	for i := range users {
		users[i] = User{
			Name:   fmt.Sprint(names, i),
			PIN:    NewSecret(fmt.Sprintf("%04d", i)),
			Seed:   NewSecret(fmt.Sprintf("seed of %s%d", names, i)),
			Digits: 6,
		}
	}
	return users
}

// quickly is a load of tests: a fifth of a second in all.
func quickly(server *responder, users []User) *Load {
	return &Load{
		Server: server.addr, Secret: testSecret, Users: slices.Values(users),
		Sockets: 4, Window: 8,
		Warmup: 50 * time.Millisecond, Duration: 150 * time.Millisecond, Timeout: 50 * time.Millisecond,
	}
}

func run(t *testing.T, load *Load) Result {
	t.Helper()
	result, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestLoadCountsByReply(t *testing.T) {
	server := respond(t, testSecret, func(user, _ string) radius.Code {
		switch user[0] {
		case 'a':
			return radius.CodeAccessAccept
		case 'r':
			return radius.CodeAccessReject
		case 'c':
			return radius.CodeAccessChallenge
		case 'x':
			return radius.CodeAccountingResponse
		default:
			return 0
		}
	})
	users := slices.Concat(people("a", 20), people("r", 10), people("c", 10), people("x", 1), people("silent", 1))
	load := quickly(server, users)
	load.ServerPID = os.Getpid()
	got := run(t, load)
	if got.Accepted == 0 || got.Rejected == 0 || got.Challenged == 0 || got.TimedOut == 0 || got.Malformed == 0 {
		t.Errorf("%+v: want some of each", got)
	}
	if got.Accepted < got.Rejected {
		t.Errorf("%d accepted and %d rejected, though twice as many users are accepted", got.Accepted, got.Rejected)
	}
	if got.BadAuthenticator+got.Stale+got.Unsent != 0 {
		t.Errorf("%+v: want no bad authenticator, no stale reply, none unsent", got)
	}
	if got.Elapsed < load.Duration || got.P50 <= 0 || got.P50 > got.P99 || got.P99 > got.Max || got.Max > 2*time.Second {
		t.Errorf("%+v: times out of order", got)
	}
	if got.ServerCPU <= 0 || got.GeneratorCPU <= 0 || got.GeneratorCPU > got.ServerCPU {
		t.Errorf("CPU time %v of this process, %v of the generator in it", got.ServerCPU, got.GeneratorCPU)
	}
	if got.Memory.Resident < 1<<20 || got.Memory.Peak < got.Memory.Resident/2 {
		t.Errorf("memory %+v", got.Memory)
	}
}

func TestLoadSendsEachCodeOnce(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	users := people("u", 50)
	got := run(t, quickly(server, users))
	if got.Accepted == 0 {
		t.Fatalf("%+v: nothing accepted", got)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.twice > 0 {
		t.Errorf("%d logins of users who had one in flight", server.twice)
	}
	for _, user := range users {
		for counter, passcode := range server.passcodes[user.Name] {
			if want := user.Passcode(uint64(counter)); passcode != string(want.Reveal()) {
				t.Fatalf("%s, login %d: not the passcode of that counter", user.Name, counter)
			}
		}
	}
	// Signed, and the identifiers of a socket used in turn.
	for _, datagram := range server.datagrams {
		p, err := radius.Parse(datagram, testSecret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if !rightMessageAuthenticator(datagram, p.Get(attrMessageAuthenticator)) {
			t.Fatal("wrong Message-Authenticator")
		}
	}
}

func TestLoadWarmsUpWithEachUser(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	users := people("u", 500)
	load := quickly(server, users)
	load.Warmup, load.WarmupLogins = 0, len(users)
	var seen int
	load.Begun = func() {
		server.mu.Lock()
		defer server.mu.Unlock()
		seen = len(server.passcodes)
	}
	if run(t, load); seen != len(users) {
		t.Errorf("%d of %d users logged in before the measured part", seen, len(users))
	}
}

func TestLoadRunsOutOfClockCodes(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	users := people("u", 3)
	for i := range users {
		users[i].Period = 24 * time.Hour
	}
	load := quickly(server, users)
	load.Warmup, load.Steps = 0, Steps{Back: 2, Ahead: 1}
	first := users[0].Step(time.Now()) - 2
	got := run(t, load)
	// At midnight there is one more code.
	if got.Accepted != 12 && got.Accepted != 15 || got.Starved < got.Elapsed/10 {
		t.Errorf("%d accepted, starved for %v of %v; want the 4 codes of 3 users and then none", got.Accepted, got.Starved, got.Elapsed)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	for _, user := range users {
		for i, passcode := range server.passcodes[user.Name] {
			if want := user.Passcode(first + uint64(i)); passcode != string(want.Reveal()) {
				t.Errorf("%s, login %d: not the passcode of the step %d after the first", user.Name, i, i)
			}
		}
	}
}

func TestLoadReusesClockCodes(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	users := people("u", 1)
	users[0].Period = 24 * time.Hour
	load := quickly(server, users)
	load.Steps.Reuse = true
	if got := run(t, load); got.Accepted == 0 || got.Starved != 0 {
		t.Errorf("%+v: want logins and no want of codes", got)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if sent := slices.Compact(server.passcodes["u0"]); len(sent) > 2 { // two at midnight
		t.Errorf("%d passcodes sent, want one", len(sent))
	}
}

func TestLoadTakesNoForgery(t *testing.T) {
	server := respond(t, NewSecret("another secret"), always(radius.CodeAccessAccept))
	got := run(t, quickly(server, people("u", 100)))
	if got.Answered() != 0 || got.BadAuthenticator == 0 || got.TimedOut == 0 {
		t.Errorf("%+v: want bad authenticators and time-outs alone", got)
	}
}

func TestLoadModes(t *testing.T) {
	for name, change := range map[string]func(*Load){
		"spinning":     func(l *Load) { l.Spin = true },
		"polling":      func(l *Load) { l.Poll = 100 * time.Microsecond },
		"open":         func(l *Load) { l.Rate = 2000 },
		"open, spins":  func(l *Load) { l.Rate, l.Spin = 2000, true },
		"one a socket": func(l *Load) { l.Sockets, l.Window = 64, 1 },
		"full window":  func(l *Load) { l.Sockets, l.Window = 1, identifiers },
		"unsigned":     func(l *Load) { l.Unsigned = true },
	} {
		t.Run(name, func(t *testing.T) {
			server := respond(t, testSecret, always(radius.CodeAccessAccept))
			load := quickly(server, people("u", 300))
			change(load)
			got := run(t, load)
			if got.Accepted == 0 || got.Answered() != got.Accepted || got.BadAuthenticator+got.Malformed > 0 {
				t.Errorf("%+v: want all accepted", got)
			}
			if due := load.Rate * (load.Warmup + load.Duration).Seconds(); load.Rate > 0 && float64(got.Accepted) > 1.5*due {
				t.Errorf("%d accepted, though %g were due", got.Accepted, due)
			}
			if p, err := radius.Parse(server.asked()[0], nil); err != nil || load.Unsigned == (p.Get(attrMessageAuthenticator) != nil) {
				t.Errorf("signed is %v (%v)", p.Get(attrMessageAuthenticator) != nil, err)
			}
		})
	}
}

func TestLoadWithoutServer(t *testing.T) {
	load := &Load{
		Server: netip.MustParseAddrPort("127.0.0.1:47999"), Secret: testSecret, Users: slices.Values(people("u", 10)),
		Duration: 50 * time.Millisecond, Timeout: 20 * time.Millisecond,
	}
	if got := run(t, load); got.Answered() != 0 || got.TimedOut == 0 {
		t.Errorf("%+v: want time-outs alone", got)
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	load := quickly(server, people("u", 10))
	load.Duration = time.Hour
	if _, err := load.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one of a cancelled context", err)
	}
}

func TestLoadFaults(t *testing.T) {
	load := &Load{Sockets: -1, Window: 257, Rate: -1, Warmup: -1, WarmupLogins: -1, Duration: -1, Timeout: -1, Poll: -1, Steps: Steps{Back: -1}}
	_, err := load.Run(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"no server address", "no shared secret", "no users", "-1 sockets", "window of 257", "rate of -1",
		"warm-up of -1ns", "warm-up of -1 logins", "duration", "timeout", "poll interval", "-1 back",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: does not say %q", err, want)
		}
	}
	load = &Load{Server: netip.MustParseAddrPort("127.0.0.1:1"), Secret: testSecret, Users: slices.Values([]User(nil))}
	if _, err := load.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no users") {
		t.Errorf("error %v, want one of no users", err)
	}
	load.Users = slices.Values([]User{{Name: "short", Digits: 5}})
	if _, err := load.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `"short"`) {
		t.Errorf("error %v, want one that names the user", err)
	}
}

// Where the path cannot segment, each request goes on its own.
func TestOutboxWithoutSegmentation(t *testing.T) {
	server := respond(t, testSecret, always(0))
	fd, err := connect(server.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, whole := range []bool{false, true} {
		out := &outbox{whole: whole}
		c := newCodec(testSecret, true)
		for i := range batchLen {
			name := strings.Repeat("n", 1+i/20) // runs of 20 of one length
			out.add(c.accessRequest(out.next(), byte(i), name, []byte("pass")))
		}
		if !out.full() {
			t.Error("not full")
		}
		if lost, err := out.flush(fd); lost != 0 || err != nil {
			t.Errorf("whole %v: %d lost, error %v", whole, lost, err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); len(server.asked()) < 2*batchLen; {
		if time.Now().After(deadline) {
			t.Fatalf("%d datagrams arrived, want %d", len(server.asked()), 2*batchLen)
		}
	}
	for i, datagram := range server.asked() {
		if datagram[1] != byte(i%batchLen) {
			t.Fatalf("datagram %d has identifier %d", i, datagram[1])
		}
	}
}
