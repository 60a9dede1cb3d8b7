package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
	"countersign/radiusd/remote/remotetest"
)

// behind is the table [tms] of these RADIUS servers, with further keys.
func behind(keys string, servers ...*remotetest.FreeRADIUS) string {
	addresses := make([]string, len(servers))
	for i, s := range servers {
		addresses[i] = strconv.Quote(s.Addr.String())
	}
	return fmt.Sprintf("[tms]\nradius = [%s]\nradius_secret = %q\n%s\n", strings.Join(addresses, ", "), remotetest.Secret, keys)
}

// tmsUsers are users of the TMS: alice has a token and a PIN, bob a password, and carol is
// asked for a second word.
func tmsUsers() []remotetest.User {
	return []remotetest.User{
		{Name: "alice", PIN: "4711", Seed: aliceSeed.Bytes()},
		{Name: "bob", Password: "bobs-password"},
		{Name: "carol", Password: "first", Asked: "What is the second word?", Second: "second"},
	}
}

// Users of the TMS log in by every method, and get what the TMS gives them.
func TestUsersOfTheTMS(t *testing.T) {
	need(t, "radclient")
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	in := install(t, "")
	in.nasKeys = "message_authenticator = \"off\"\n" // some of the programs here send one, and some do not
	in.write("127.0.0.0/8", sharedSecret, behind("", tms))
	in.start()
	nas := in.nas(in.auth)
	accepted := in.login(nas, "alice", passcode(0), radius.CodeAccessAccept)
	if filter := rfc2865.FilterID_GetString(accepted.Packet); filter != "vpn-users" || string(rfc2865.Class_Get(accepted.Packet)) != "v1" {
		t.Errorf("the Access-Accept lacks what the TMS gives: %q %q", filter, rfc2865.Class_Get(accepted.Packet))
	}
	in.login(nas, "alice", passcode(0), radius.CodeAccessReject) // FreeRADIUS would take it again
	rejected := in.login(nas, "alice", "4711000000", radius.CodeAccessReject)
	if rfc2865.FilterID_GetString(rejected.Packet) != "" || rfc2865.ReplyMessage_GetString(rejected.Packet) == "" {
		t.Error("a refusal is like all others")
	}
	for _, credentials := range []string{"User-Password", "CHAP-Password", "MS-CHAP-Password"} {
		out := in.radclient(`User-Name = "bob"`, fmt.Sprintf("%s = %q", credentials, "bobs-password"))
		contains(t, received(out), "Access-Accept", "Filter-Id")
	}
	out, _ := in.try("bobs-password\n", "login", "bob", "--method", "mschapv2")
	contains(t, out, "Access-Accept")
	events := in.run("", "event", "list")
	contains(t, events, "accepted_by_tms", "refused_by_tms", "replayed")
	in.await("alice and bob to be known as users of the TMS", func() bool {
		return strings.Count(in.run("", "migrate", "status", "--users"), "on TMS") == 2
	})
	in.noWord("bobs-password")
}

// noWord demands that a word is in nothing that the server wrote.
func (in *installation) noWord(word string) {
	in.Helper()
	if strings.Contains(in.log.String(), word) {
		in.Errorf("the log has %q in it", word)
	}
	_ = filepath.WalkDir(filepath.Join(in.dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), word) {
			in.Errorf("%s has %q in it", path, word)
		}
		return nil
	})
}

// The dialog of the TMS goes through to the user of pam_radius, and back.
func TestDialogOfTheTMS(t *testing.T) {
	need(t, "pamtester")
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	in := installNeighbours(t)
	in.nasKeys = "challenge = true\n"
	in.write("127.0.0.0/8", sharedSecret, behind("accepted_once = \"0s\"\n", tms)) // its States are all alike
	in.start()
	in.pam("otp-test")
	login := func(first, second string) (string, error) {
		return in.shell(fmt.Sprintf("printf '%%s\\n%%s\\n' %s %s | LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=%s/pam.d pamtester -v otp-test carol authenticate", first, second, in.dir))
	}
	out, err := login("first", "second")
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, in.log)
	}
	contains(t, out, "What is the second word?")
	if out, err := login("first", "third"); err == nil {
		t.Errorf("a wrong second word passed:\n%s", out)
	}
	contains(t, in.run("", "event", "list"), "asked_by_tms", "accepted_by_tms", "refused_by_tms")

	// Of one dialog the State is good for this user alone, and somebody else's State is none.
	asked := in.dial("carol", "first").asked("What is the second word?")
	before := tms.Requests()
	asked.then("bob", "second").want("Access-Reject")
	asked.then("carol", "second").want("Access-Accept")
	if n := tms.Requests() - before; n != 2 {
		t.Errorf("%d requests to the TMS, want 2: a login of bob, and an answer of carol", n)
	}
}

// Of two servers the second takes over when the first dies; when both are dead nobody
// waits, and nothing counts against anybody; and no login is sent twice.
func TestTMSThatDies(t *testing.T) {
	first, second := remotetest.StartFreeRADIUS(t, tmsUsers()...), remotetest.StartFreeRADIUS(t, tmsUsers()...)
	in := install(t, behind("timeout = \"1s\"\nprobe_every = \"200ms\"\naccepted_once = \"0s\"\n", first, second))
	in.start()
	nas := in.nas(in.auth)
	nas.Retry = 100 * time.Millisecond // so that every login is retransmitted, while there is no answer
	login := func(want radius.Code) { in.login(nas, "bob", "bobs-password", want) }
	for range 5 {
		login(radius.CodeAccessAccept)
	}
	if a, b := first.Requests(), second.Requests(); a != 5 || b != 0 {
		t.Errorf("%d and %d logins at the servers, want 5 and 0", a, b)
	}
	first.Stop()
	in.await("the second server to take over", func() bool { return in.tried(nas) == radius.CodeAccessAccept })
	taken := second.Requests()
	for range 5 {
		login(radius.CodeAccessAccept)
	}
	if n := second.Requests() - taken; n != 5 {
		t.Errorf("%d logins at the second server, want 5", n)
	}
	second.Stop()
	for i := range 5 { // one that was lost is not shown again for a minute
		if code, err := exchange(nas, "bob", fmt.Sprint("wrong ", i), time.Second); err == nil {
			t.Errorf("%v while no server answers", code)
		}
	}
	in.await("the breaker to open", func() bool {
		return in.metric("countersign_tms_breaker_open") == "1"
	})
	out, status := in.try("", "check")
	if status != 1 {
		t.Errorf("check: status %d\n%s", status, out)
	}
	contains(t, out, first.Addr.String(), second.Addr.String(), "breaker")
	second.Start()
	in.await("the breaker to close", func() bool { return in.metric("countersign_tms_breaker_open") == "0" })
	for range 3 {
		login(radius.CodeAccessAccept)
	}
	if n := second.Requests(); n != 3 {
		t.Errorf("%d logins at the second server since its start, want 3", n)
	}
	first.Start()
	in.await("the first server to be back", func() bool { return in.tried(nas) == radius.CodeAccessAccept && first.Requests() > 0 })
	contains(t, in.log.String(), "the TMS does not answer", "the TMS answers again")
	contains(t, in.run("", "check"), "good")
	if events := in.run("", "event", "list"); strings.Contains(events, "refused_by_tms") || strings.Contains(events, "wrong") {
		t.Errorf("bob was refused while the TMS was dead:\n%s", events)
	}
}

// tried is the answer to a login of bob, 0 when there is none in time.
func (in *installation) tried(nas *radiustest.NAS) radius.Code {
	in.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	reply, err := nas.Exchange(ctx, in.request(nas, "bob", "bobs-password"))
	if err != nil {
		return 0
	}
	return reply.Code
}

// With when_down = "reject" there is an answer.
func TestRejectWhenTheTMSIsDown(t *testing.T) {
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	in := install(t, behind("timeout = \"500ms\"\nwhen_down = \"reject\"\n", tms))
	in.alice()
	in.run("", "migrate", "rollback", "--user", "alice") // she has a token here, and is asked at the TMS all the same
	in.start()
	tms.Stop()
	nas := in.nas(in.auth)
	in.login(nas, "bob", "bobs-password", radius.CodeAccessReject)
	in.login(nas, "alice", passcode(0), radius.CodeAccessReject)
	contains(t, in.run("", "event", "list"), "tms_down")
	in.run("", "migrate", "cutover", "--user", "alice")
	in.login(nas, "alice", passcode(0), radius.CodeAccessAccept)
	if failures := in.run("", "token", "list", "--json"); !strings.Contains(failures, `"failures":0`) {
		t.Errorf("a dead TMS counted against the user: %s", failures)
	}
}

// Who verifies the code is a matter of the NAS and of the user's group or name.
func TestOrders(t *testing.T) {
	elsewhere := oath.NewSeed([]byte("another-seed-of-alice"))
	tms := remotetest.StartFreeRADIUS(t, remotetest.User{Name: "alice", PIN: "0815", Seed: elsewhere.Bytes()}, tmsUsers()[1])
	there := func() string {
		return "0815" + oath.TOTP(oath.SHA1, elsewhere, time.Now(), 0, 30, 6)
	}
	in := install(t, behind("accepted_once = \"0s\"\n", tms)+"[[order]]\nusers = \"bob\"\norder = \"local\"\n")
	in.alice()
	in.start()
	nas := in.nas(in.auth)
	in.login(nas, "bob", "bobs-password", radius.CodeAccessReject) // by his [[order]]
	in.login(nas, "alice", there(), radius.CodeAccessReject)       // local-then-tms, and she holds a token
	in.login(nas, "alice", passcode(0), radius.CodeAccessAccept)
	if n := tms.Requests(); n != 0 {
		t.Errorf("the TMS was asked %d times", n)
	}
	contains(t, in.run("", "explain", "--user", "alice", "--nas", "loopback"), "verified by", "tokens here")
	contains(t, in.run("", "explain", "--user", "dora", "--nas", "loopback"), "verified by", "the TMS")

	in.change("[tms]\n", "[tms]\norder = \"tms-then-local\"\n")
	in.hup("reloaded")
	in.login(nas, "alice", there(), radius.CodeAccessAccept)
	in.login(nas, "alice", passcode(1), radius.CodeAccessAccept)
	in.change("order = \"tms-then-local\"\n", "order = \"tms\"\n")
	in.hupTimes(2)
	in.login(nas, "alice", there(), radius.CodeAccessAccept)
	in.login(nas, "alice", passcode(1), radius.CodeAccessReject)
}
