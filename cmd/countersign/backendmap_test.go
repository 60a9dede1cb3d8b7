package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/conf"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/radiusd/packet"
	"countersign/radiusd/radiustest"
	"countersign/radiusd/remote"
	"countersign/radiusd/remote/remotetest"
	"countersign/tms/migration"
	"countersign/tms/safenet"
	"countersign/tms/safenet/safenettest"
)

// pupil is a learner that keeps what it is told.
type pupil struct{ lessons []string }

func (p *pupil) Accepted(_ context.Context, user otp.UserName, passcode otp.Passcode, _ time.Time) migration.Outcome {
	p.lessons = append(p.lessons, fmt.Sprintf("%s %s", user, passcode.Bytes()))
	return migration.Off
}

// atService is a backend with SafeNet's OTP service behind it.
func atService(t *testing.T, url string) (*backend, *pupil) {
	t.Helper()
	client, err := safenet.New(safenet.Options{URL: url, Timeout: 5 * time.Second, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	p := new(pupil)
	b := &backend{service: client, learner: p, names: func() *conf.TMS { return &conf.TMS{UserNameFormat: conf.UserNameTyped} }}
	t.Cleanup(b.close)
	return b, p
}

// atServers is a backend with RADIUS servers behind it.
func atServers(t *testing.T, timeout time.Duration, servers ...netip.AddrPort) (*backend, *pupil) {
	t.Helper()
	o := remote.Options{Timeout: timeout}
	for _, server := range servers {
		o.Servers = append(o.Servers, remote.Server{Address: server.String(), Secret: packet.NewSecret([]byte(remotetest.Secret))})
	}
	client, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := new(pupil)
	b := &backend{servers: client, learner: p, names: func() *conf.TMS { return &conf.TMS{UserNameFormat: conf.UserNameTyped} }}
	t.Cleanup(b.close)
	return b, p
}

// loginOf is a login as radiusd shows it to a backend.
func loginOf(t *testing.T, method otp.Method, user, typed string) *radiusd.BackendLogin {
	t.Helper()
	words := map[otp.Method]string{otp.PAP: "pap", otp.CHAP: "chap", otp.MSCHAPv2: "mschapv2"}
	n := &nasClient{secret: packet.NewSecret([]byte(sharedSecret)), rand: rand.Reader, flags: &loginFlags{method: words[method], sign: true}}
	datagram, _, err := n.request(user, []byte(typed))
	l := &radiusd.BackendLogin{At: time.Now(), User: otp.UserName(user), NAS: "loopback", Method: method, Packet: new(packet.Request), MayAsk: true}
	if err == nil {
		err = l.Packet.Parse(datagram)
	}
	if err != nil {
		t.Fatal(err)
	}
	if method == otp.PAP {
		l.Passcode = otp.NewPasscode([]byte(typed))
	}
	return l
}

// silentServer is a RADIUS server that answers nothing.
func silentServer(t *testing.T) *radiustest.Backend {
	t.Helper()
	server, err := radiustest.NewBackend(radiustest.NewSecret(remotetest.Secret), 0, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	server.Hang(true)
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// What nobody has received may be shown again; what was received may not, whatever became
// of it; and what was lost says nothing about the next login.
func TestErrorsOfTheTMS(t *testing.T) {
	service := safenettest.Start(t, safenettest.Options{})
	service.AddUser("kay", "kays-passcode")
	asked, _ := atService(t, service.URL)
	nobody, _ := atService(t, "http://"+freePort(t, "tcp").String()+safenet.ServicePath)
	silent := silentServer(t).Addr()
	unheard, _ := atServers(t, 5*time.Second, freePort(t, "udp"), freePort(t, "udp"))
	unanswered, _ := atServers(t, 100*time.Millisecond, silent, silentServer(t).Addr())
	notShown, lost, odd := []error{radiusd.ErrNotShown}, []error{radiusd.ErrLost}, []error{radiusd.ErrOddAnswer}
	for _, test := range []struct {
		about     string
		backend   *backend
		behaviour safenettest.Behaviour
		method    otp.Method
		want      []error // of radiusd, and no others
	}{
		{"nothing listens at the OTP service", nobody, safenettest.Honest, otp.PAP, notShown},
		{"nothing listens at the OTP service", nobody, safenettest.Honest, otp.MSCHAPv2, notShown},
		{"the OTP service has an error", asked, safenettest.ErrorPage, otp.PAP, nil},
		{"the OTP service resets the connection", asked, safenettest.Reset, otp.PAP, nil},
		{"the OTP service closes the connection", asked, safenettest.Closes, otp.MSCHAPv2, nil},
		{"the OTP service forges its accept", asked, safenettest.Forged, otp.PAP, nil},
		{"the OTP service does not like this login", asked, safenettest.Fault, otp.PAP, odd},
		{"the OTP service says what nobody knows", asked, safenettest.UnknownCode, otp.MSCHAPv2, odd},
		{"no RADIUS server listens", unheard, safenettest.Honest, otp.PAP, notShown},
		{"a RADIUS server is silent, and another is there", unanswered, safenettest.Honest, otp.PAP, lost},
		{"a RADIUS server is silent, and another is there", unanswered, safenettest.Honest, otp.MSCHAPv2, lost},
	} {
		service.Behave(test.behaviour)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		reply, err := test.backend.Verify(ctx, loginOf(t, test.method, "kay", "kays-passcode"))
		cancel()
		if err == nil {
			t.Errorf("%s: %v, and no error", test.about, reply.Verdict)
			continue
		}
		for _, sentinel := range []error{radiusd.ErrNotShown, radiusd.ErrLost, radiusd.ErrOddAnswer} {
			if is, want := errors.Is(err, sentinel), slices.Contains(test.want, sentinel); is != want {
				t.Errorf("%s: that %q is %t, want %t: %v", test.about, sentinel, is, want, err)
			}
		}
	}
}

// What the TMS cannot be asked is said to be unasked.
func TestUnaskedAtTheOTPService(t *testing.T) {
	service := safenettest.Start(t, safenettest.Options{})
	b, p := atService(t, service.URL)
	for _, test := range []struct {
		login *radiusd.BackendLogin
		want  otp.Verdict
	}{
		{loginOf(t, otp.CHAP, "kay", "kays-passcode"), otp.NeedsPAP},
		{loginOf(t, otp.PAP, "kay\x01", "kays-passcode"), otp.RefusedByTMS},
	} {
		reply, err := b.Verify(t.Context(), test.login)
		if err != nil || reply.Verdict != test.want || test.want == otp.RefusedByTMS && !reply.Unasked {
			t.Errorf("%q: %v, unasked %t, %v; want %v, unasked", test.login.User, reply.Verdict, reply.Unasked, err, test.want)
		}
	}
	if n := service.Requests(); n != 0 || len(p.lessons) > 0 {
		t.Errorf("%d requests to the TMS, and the learner was told of %d logins; want none", n, len(p.lessons))
	}
}

// The learner is told of all whom the TMS has let in, but for those of whom nobody knows
// who they are, and of a passcode only where it was typed as PIN and code.
func TestWhatTheLearnerIsTold(t *testing.T) {
	service := safenettest.Start(t, safenettest.Options{})
	service.AddUser("bob", "bobs-password")
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	atSafeNet, safeNets := atService(t, service.URL)
	atFreeRADIUS, freeRADIUSs := atServers(t, 10*time.Second, tms.Addr)
	for _, behind := range []struct {
		*backend
		*pupil
	}{{atSafeNet, safeNets}, {atFreeRADIUS, freeRADIUSs}} {
		verify := func(want otp.Verdict, l *radiusd.BackendLogin) radiusd.BackendReply {
			t.Helper()
			reply, err := behind.Verify(t.Context(), l)
			if err != nil || reply.Verdict != want {
				t.Fatalf("%s: %v, %v; want %v", l.User, reply.Verdict, err, want)
			}
			return reply
		}
		doubtful := loginOf(t, otp.PAP, "bob", "bobs-password")
		doubtful.Doubtful = true
		verify(otp.AcceptedByTMS, doubtful)
		verify(otp.RefusedByTMS, loginOf(t, otp.PAP, "bob", "wrong"))
		if len(behind.lessons) > 0 {
			t.Errorf("the learner was told of %q, want nothing", behind.lessons)
		}
		verify(otp.AcceptedByTMS, loginOf(t, otp.PAP, "bob", "bobs-password"))
		verify(otp.AcceptedByTMS, loginOf(t, otp.MSCHAPv2, "bob", "bobs-password"))
		want := []string{"bob bobs-password", "bob "}
		if behind.servers != nil {
			asked := verify(otp.AskedByTMS, loginOf(t, otp.PAP, "carol", "first"))
			answer := loginOf(t, otp.PAP, "carol", "second")
			answer.Dialog = slices.Clone(asked.Dialog)
			verify(otp.AcceptedByTMS, answer)
			want = append(want, "carol ") // the second word is no PIN and code
		}
		if !slices.Equal(behind.lessons, want) {
			t.Errorf("the learner was told of %q, want %q", behind.lessons, want)
		}
	}
}

// A TMS that hangs holds up nobody who does not need it: however many logins wait for it,
// there is room for those of the holders of active tokens.
func TestHangingTMSHoldsUpNobodyElse(t *testing.T) {
	const logins, sockets, chunk = 4500, 18, 125
	tms := silentServer(t)
	in := install(t, fmt.Sprintf("[tms]\nradius = [%q]\nradius_secret = %q\ntimeout = \"60s\"\n", tms.Addr(), remotetest.Secret))
	in.change("[radius]\n", "[radius]\nloops = 1\n") // all of them at the same one
	in.alice("--type", "hotp")
	in.start()
	crowd := make([]*radiustest.NAS, sockets)
	for i := range crowd {
		crowd[i] = in.nas(in.auth)
	}
	taken := func() int {
		return in.sum("countersign_tms_queue", "countersign_tms_in_flight", `countersign_radius_dropped_total{reason="tms_busy"}`,
			`countersign_radius_dropped_total{reason="too_many_in_flight"}`)
	}
	for i := range logins {
		nas := crowd[i%sockets]
		request := in.request(nas, fmt.Sprintf("user%04d", i), "1234567890")
		request.Identifier = byte(i / sockets)
		if err := nas.Send(request); err != nil {
			t.Fatal(err)
		}
		if (i+1)%chunk == 0 { // so that no buffer overflows
			in.await("the logins to be taken", func() bool { return taken() == i+1 })
		}
	}
	for i := range 40 {
		nas := crowd[i%sockets]
		request := in.request(nas, "alice", eventPasscode(uint64(i)))
		request.Identifier = byte(255 - i/sockets)
		if reply := in.ask(nas, request); reply.Code != radius.CodeAccessAccept {
			t.Fatalf("login %d of alice: %v", i, reply.Code)
		}
	}
	if n := in.sum(`countersign_radius_dropped_total{reason="too_many_in_flight"}`); n != 0 {
		t.Errorf("%d logins were dropped because too many are in flight", n)
	}
	if n := in.sum("countersign_radius_duplicates_answered_total"); n != 0 {
		t.Errorf("%d logins of alice were sent again", n)
	}
	if n := in.sum("go_goroutines"); n > 400 {
		t.Errorf("%d goroutines while %d logins wait for the TMS, want 400 at most", n, in.sum("countersign_tms_queue"))
	}
	if n := in.sum("countersign_tms_queue", "countersign_tms_in_flight"); n < 1000 {
		t.Errorf("%d logins wait for the TMS, too few to hold up anybody", n)
	}
}

// sum is the sum of metrics; one that is not there is 0.
func (in *installation) sum(names ...string) int {
	in.Helper()
	sum, metrics := 0, in.get("/metrics")
	for line := range strings.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(names, name) {
			n, err := strconv.Atoi(value)
			if err != nil {
				in.Fatalf("%s: %v", name, err)
			}
			sum += n
		}
	}
	return sum
}
