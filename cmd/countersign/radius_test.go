package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
)

// ask sends a request and waits for its reply.
func (in *installation) ask(n *radiustest.NAS, request *radius.Packet) radiustest.Reply {
	in.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply, err := n.Exchange(ctx, request)
	if err != nil {
		in.Fatalf("%v\n%s", err, in.log)
	}
	return reply
}

func (in *installation) request(n *radiustest.NAS, user, passcode string) *radius.Packet {
	in.Helper()
	request, err := n.AccessRequest(user, radiustest.NewSecret(passcode))
	if err != nil {
		in.Fatal(err)
	}
	return request
}

// login logs in and demands a reply's code.
func (in *installation) login(n *radiustest.NAS, user, passcode string, want radius.Code) radiustest.Reply {
	in.Helper()
	reply := in.ask(n, in.request(n, user, passcode))
	if reply.Code != want {
		in.Fatalf("%v, want %v\n%s", reply.Code, want, in.log)
	}
	return reply
}

// A code is good once; the same packet again is not a second login but gets the
// same reply, byte for byte.
func TestLoginReplayRetransmission(t *testing.T) {
	in := install(t, "")
	in.alice()
	in.start()
	n := in.nas(in.auth)
	code := passcode(0)
	first := in.request(n, "alice", code)
	reply := in.ask(n, first)
	if reply.Code != radius.CodeAccessAccept {
		t.Fatalf("%v\n%s", reply.Code, in.log)
	}
	second := in.request(n, "alice", code)
	second.Identifier = first.Identifier + 1 // the same would take the first one's place in the reply cache
	if reply := in.ask(n, second); reply.Code != radius.CodeAccessReject {
		t.Errorf("the same code again: %v", reply.Code)
	}
	if again := in.ask(n, first); !bytes.Equal(again.Datagram, reply.Datagram) {
		t.Errorf("the same packet got another reply:\n%x\n%x", reply.Datagram, again.Datagram)
	}
	if got := in.metric("countersign_radius_duplicates_answered_total"); got != "1" {
		t.Errorf("%s duplicates answered, want 1", got)
	}
	in.stop()
	events := in.run("", "event", "list", "--user", "alice", "--json")
	if n := strings.Count(events, `"verdict":"accepted"`); n != 1 {
		t.Errorf("%d accepted logins in the events, want 1:\n%s", n, events)
	}
	if !strings.Contains(events, `"verdict":"replayed"`) {
		t.Errorf("no replayed login in the events:\n%s", events)
	}
}

func TestParallelRequestsWithOneCode(t *testing.T) {
	in := install(t, "")
	in.alice()
	in.start()
	n := in.nas(in.auth)
	code := passcode(0)
	requests := make([]*radius.Packet, 200)
	for i := range requests {
		requests[i] = in.request(n, "alice", code)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	replies, err := radiustest.Parallel(ctx, in.auth, radiustest.NewSecret(sharedSecret), requests)
	if err != nil {
		t.Fatal(err)
	}
	count := map[radius.Code]int{}
	for _, reply := range replies {
		count[reply.Code]++
	}
	if count[radius.CodeAccessAccept] != 1 || count[radius.CodeAccessReject] != 199 {
		t.Errorf("%v, want one Access-Accept and 199 Access-Reject", count)
	}
}

// The real process is killed in the middle of 1,000 logins. Every code that was
// accepted before is refused after.
func TestKillInTheMiddleOfLogins(t *testing.T) {
	const users = 1000
	in := install(t, "")
	var csv strings.Builder
	csv.WriteString("user,pin,serial,type,seed_hex\n")
	for i := range users {
		fmt.Fprintf(&csv, "user%d,4711,S%d,hotp,%x\n", i, i, userSeed(i))
	}
	in.run(csv.String(), "user", "import", "-")
	in.start()

	accepted := in.loginUntilKilled(users)
	if len(accepted) == 0 || len(accepted) == users {
		t.Fatalf("%d of %d logins were accepted before the kill: it was not in the middle", len(accepted), users)
	}
	in.start()
	n := in.nas(in.auth)
	for i := range accepted {
		reply := in.ask(n, in.request(n, fmt.Sprintf("user%d", i), userPasscode(i)))
		if reply.Code != radius.CodeAccessReject {
			t.Fatalf("user%d: the code that was accepted before the kill got %v after it", i, reply.Code)
		}
	}
	t.Logf("%d of %d accepted before the kill, none of them after", len(accepted), users)
}

func userSeed(i int) []byte { return fmt.Appendf(nil, "seed-of-user-%08d", i) }

func userPasscode(i int) string {
	return "4711" + oath.HOTP(oath.SHA1, oath.NewSeed(userSeed(i)), 0, 6)
}

// loginUntilKilled logs users in from several sockets, kills the server on the
// way and returns who was accepted.
func (in *installation) loginUntilKilled(users int) map[int]bool {
	in.Helper()
	accepted := map[int]bool{}
	var mu sync.Mutex
	var once sync.Once
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	const sockets = 8
	for s := range sockets {
		n := in.nas(in.auth)
		wg.Go(func() {
			for i := s; i < users; i += sockets {
				request, err := n.AccessRequest(fmt.Sprintf("user%d", i), radiustest.NewSecret(userPasscode(i)))
				if err != nil {
					in.Error(err)
					return
				}
				reply, err := n.Exchange(ctx, request)
				if err != nil {
					return
				}
				mu.Lock()
				accepted[i] = reply.Code == radius.CodeAccessAccept
				middle := len(accepted) >= users/2
				mu.Unlock()
				if middle {
					once.Do(func() {
						in.kill()
						cancel()
					})
				}
			}
		})
	}
	wg.Wait()
	for i, ok := range accepted {
		if !ok {
			in.Errorf("user%d was refused before the kill", i)
		}
	}
	return accepted
}

func TestRadclient(t *testing.T) {
	need(t, "radclient")
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	counter := uint64(0)
	next := func() string { counter++; return eventPasscode(counter - 1) }
	send := func(attributes string, server, kind string) string {
		out, _ := in.shell(fmt.Sprintf("printf '%s' | radclient -x -r 1 -t 5 %s %s %s", attributes, server, kind, sharedSecret))
		return out
	}
	for _, test := range []struct{ what, attributes, server, kind, want string }{
		{"Status-Server to 1812", "Message-Authenticator=0x00", in.auth.String(), "status", "Received Access-Accept"},
		{"Status-Server to 1813", "Message-Authenticator=0x00", in.acct.String(), "status", "Received Accounting-Response"},
		{"PAP", "User-Name=alice,User-Password=" + next(), in.auth.String(), "auth", "Received Access-Accept"},
		{"PAP wrong", "User-Name=alice,User-Password=4711000000", in.auth.String(), "auth", "Received Access-Reject"},
		{"PAP Message-Authenticator", "User-Name=alice,Message-Authenticator=0x00,User-Password=" + next(), in.auth.String(), "auth", "Received Access-Accept"},
		{"PAP without, after it was seen", "User-Name=alice,User-Password=" + next(), in.auth.String(), "auth", "No reply"},
		{"CHAP", "User-Name=ALICE,Message-Authenticator=0x00,CHAP-Password=" + next(), in.auth.String(), "auth", "Received Access-Accept"},
		{"MS-CHAP", "User-Name=alice,Message-Authenticator=0x00,MS-CHAP-Password=" + next(), in.auth.String(), "auth", "MS-CHAP-MPPE-Keys"},
		{"accounting", "Acct-Status-Type=Start,Acct-Session-Id=a1,User-Name=alice", in.acct.String(), "acct", "Received Accounting-Response"},
		{"unknown user", "User-Name=nobody,Message-Authenticator=0x00,User-Password=4711123456", in.auth.String(), "auth", "Received Access-Reject"},
	} {
		if out := send(test.attributes, test.server, test.kind); !strings.Contains(out, test.want) {
			t.Errorf("%s: no %q in\n%s", test.what, test.want, out)
		}
	}
	in.stop()
	events := in.run("", "event", "list", "--json")
	for _, want := range []string{`"method":"mschap"`, `"method":"chap"`, `"verdict":"unknown_user"`} {
		if !strings.Contains(events, want) {
			t.Errorf("no %s in the events:\n%s", want, events)
		}
	}
}

func TestMSCHAPv2AndOthersWithLogin(t *testing.T) {
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	for counter, method := range []string{"pap", "chap", "mschapv2"} {
		out, status := in.try(eventPasscode(uint64(counter))+"\n", "login", "alice", "--method", method)
		if status != 0 || !strings.Contains(out, "Access-Accept") {
			t.Errorf("%s: exit status %d: %s", method, status, out)
		}
		out, status = in.try(eventPasscode(uint64(counter))+"\n", "login", "alice", "--method", method)
		if status != 1 || !strings.Contains(out, "Access-Reject") {
			t.Errorf("%s again: exit status %d: %s", method, status, out)
		}
	}
	uri := "otpauth://hotp/x:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=5"
	if out, status := in.try("", "login", "alice", "--pin", "4711", "--otpauth", uri); status != 0 {
		t.Errorf("with a URI: exit status %d: %s", status, out)
	}
	in.stop()
	if out, status := in.try("x\n", "login", "alice", "--timeout", "50ms", "--retries", "0"); status != 2 {
		t.Errorf("no server: exit status %d: %s", status, out)
	}
}

// Everything that real programs and other projects' test suites have sent, and
// worse. The server must stay alive and answer right afterwards.
func TestPacketsOfOthers(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "peers", "*.hex"))
	if len(files) == 0 {
		message := "no packets of others beside this checkout (../shared/peers/*.hex)"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Log(message)
		return
	}
	in := install(t, "")
	in.alice()
	in.start()
	auth, acct := in.nas(in.auth), in.nas(in.acct)
	sent := 0
	for _, file := range files {
		sent += in.replay(file, auth, acct)
	}
	in.login(auth, "alice", passcode(0), radius.CodeAccessAccept)
	if sent == 0 {
		t.Error("nothing was sent")
	}
	t.Logf("%d packets", sent)
}

// replay sends each line of a file, a packet in hex, as it is and as the
// attributes of an Access-Request.
func (in *installation) replay(file string, servers ...*radiustest.NAS) int {
	in.Helper()
	f, err := os.Open(file)
	if err != nil {
		in.Fatal(err)
	}
	defer f.Close()
	sent := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		packet, err := hex.DecodeString(strings.TrimSpace(lines.Text()))
		if err != nil {
			continue
		}
		header := append([]byte{1, byte(sent), byte((len(packet) + 20) >> 8), byte(len(packet) + 20)}, make([]byte, 16)...)
		for _, n := range servers {
			for _, datagram := range [][]byte{packet, append(header, packet...)} {
				if err := n.SendDatagram(datagram); err == nil {
					sent++
				}
			}
		}
	}
	return sent
}

func TestReloadTakesOverSecretsWithoutLosingAPacket(t *testing.T) {
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	old := in.nas(in.auth)
	in.login(old, "alice", eventPasscode(0), radius.CodeAccessAccept)

	// A fault changes nothing.
	in.write("127.0.0.300", sharedSecret, "")
	in.hup("not reloaded")
	in.login(old, "alice", eventPasscode(1), radius.CodeAccessAccept)

	// A flood of Status-Server while the configuration is read again and again.
	in.write("127.0.0.0/8", sharedSecret, "[login]\nlook_ahead = 20")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	answered := 0
	prober := in.nas(in.auth)
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			request := radius.New(radius.CodeStatusServer, []byte(sharedSecret))
			request.Add(80, make([]byte, 16))
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := prober.Exchange(ctx, request)
			cancel()
			if err != nil {
				t.Error(err)
				return
			}
			answered++
		}
	})
	for i := range 5 {
		in.hupTimes(i + 1)
	}
	close(stop)
	wg.Wait()
	if answered == 0 {
		t.Error("nothing was answered meanwhile")
	}
	in.login(old, "alice", eventPasscode(2+15), radius.CodeAccessAccept) // the new look-ahead

	in.write("127.0.0.0/8", "another-secret", "")
	in.hupTimes(6)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if reply, err := old.Exchange(ctx, in.request(old, "alice", eventPasscode(18))); err == nil {
		t.Errorf("the old secret still gets %v", reply.Code)
	}
}

func (in *installation) hup(want string) {
	in.Helper()
	if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
		in.Fatal(err)
	}
	in.await("the log to say "+want, func() bool { return strings.Contains(in.log.String(), want) })
}

// hupTimes reloads for the nth time.
func (in *installation) hupTimes(n int) {
	in.Helper()
	if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
		in.Fatal(err)
	}
	in.await("a reload", func() bool { return strings.Count(in.log.String(), "msg=reloaded") == n })
}

// Of logins that are under way when SIGTERM comes, every one that was recorded
// got its answer.
func TestTerminateAnswersWhatIsInFlight(t *testing.T) {
	in := install(t, "")
	in.alice()
	in.start()
	const attempts = 300
	var nases []*radiustest.NAS
	for range attempts {
		n := in.nas(in.auth)
		nases = append(nases, n)
		if err := n.Send(in.request(n, "alice", passcode(0))); err != nil {
			t.Fatal(err)
		}
	}
	in.stop()
	var answered atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // they are there; this is to read them
	defer cancel()
	for _, n := range nases {
		wg.Go(func() {
			if _, err := n.Receive(ctx); err == nil {
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	if !strings.Contains(in.log.String(), "msg=stopped") {
		t.Errorf("it did not say that it stopped:\n%s", in.log)
	}
	recorded := strings.Count(in.run("", "event", "list", "--limit", "0", "--json"), `"kind":"login"`)
	if recorded == 0 || recorded != int(answered.Load()) {
		t.Errorf("%d logins recorded, %d answered", recorded, answered.Load())
	}
}

// Commands work beside the running server, and their effect is immediate.
func TestCommandsBesideTheServer(t *testing.T) {
	in := install(t, "")
	in.start()
	in.alice("--type", "hotp")
	n := in.nas(in.auth)
	in.login(n, "alice", eventPasscode(0), radius.CodeAccessAccept)
	in.run("", "user", "set", "alice", "--disable")
	in.login(n, "alice", eventPasscode(1), radius.CodeAccessReject)
	in.run("", "user", "set", "alice", "--enable", "--pin", "8362")
	in.login(n, "alice", eventPasscode(2), radius.CodeAccessReject)
	in.login(n, "alice", "8362"+eventPasscode(2)[4:], radius.CodeAccessAccept)
	in.run("", "token", "disable", "A1")
	in.login(n, "alice", "8362"+eventPasscode(3)[4:], radius.CodeAccessReject)
	in.run("", "token", "enable", "A1")
	in.login(n, "alice", "8362"+eventPasscode(4)[4:], radius.CodeAccessAccept)
	for i := range 10 {
		in.login(n, "alice", "8362"+eventPasscode(uint64(1000 + i))[4:], radius.CodeAccessReject)
	}
	in.login(n, "alice", "8362"+eventPasscode(5)[4:], radius.CodeAccessReject)
	if out := in.run("", "token", "show", "A1"); !strings.Contains(out, "locked until") {
		t.Errorf("not locked:\n%s", out)
	}
	in.run("", "token", "unlock", "A1")
	in.login(n, "alice", "8362"+eventPasscode(6)[4:], radius.CodeAccessAccept)

	backup := filepath.Join(in.dir, "saved.db")
	in.run("", "backup", backup)
	in.run("", "key", "rotate")
	in.login(n, "alice", "8362"+eventPasscode(7)[4:], radius.CodeAccessAccept)
	if out, status := in.try("", "restore", backup); status == 0 {
		t.Errorf("restore beside a running server:\n%s", out)
	}
	in.stop()
	in.start()
	in.login(n, "alice", "8362"+eventPasscode(7)[4:], radius.CodeAccessReject)
	in.login(n, "alice", "8362"+eventPasscode(8)[4:], radius.CodeAccessAccept)
}

func TestASecondServerIsRefused(t *testing.T) {
	in := install(t, "")
	in.start()
	if out, status := in.try("", "serve"); status != 1 || !strings.Contains(out, "data") {
		t.Errorf("exit status %d: %s", status, out)
	}
}

// Nothing secret is in what the server prints, even at the level debug.
func TestTheLogHasNoSecrets(t *testing.T) {
	in := install(t, "[log]\nlevel = \"debug\"\n")
	in.run("", "user", "add", "alice", "--pin", "planted-Pin")
	in.run("", "token", "add", "--user", "alice", "--type", "hotp", "--digits", "10", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes()))
	in.start()
	n := in.nas(in.auth)
	code := func(counter uint64) string { return oath.HOTP(oath.SHA1, aliceSeed, counter, 10) }
	in.login(n, "alice", "planted-Pin"+code(0), radius.CodeAccessAccept)
	in.login(n, "alice", "planted-Pin"+code(0), radius.CodeAccessReject)
	in.login(n, "alice", "guessed-Pin"+code(1), radius.CodeAccessReject)
	in.run("", "user", "set", "alice", "--pin", "another-Pin")
	in.stop()
	for _, secret := range []string{"planted-Pin", "guessed-Pin", "another-Pin", sharedSecret, code(0), code(1), string(aliceSeed.Bytes()), fmt.Sprintf("%x", aliceSeed.Bytes())} {
		if strings.Contains(in.log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, in.log)
		}
	}
	if n := strings.Count(in.log.String(), "msg=login"); n != 3 {
		t.Errorf("%d login lines, want 3:\n%s", n, in.log)
	}
}

func TestMetricsForPromtool(t *testing.T) {
	need(t, "promtool")
	in := install(t, "")
	in.alice()
	in.start()
	in.login(in.nas(in.auth), "alice", passcode(0), radius.CodeAccessAccept)
	in.await("the login in the metrics", func() bool { // it is counted when the reply is on its way
		return in.metric(`countersign_radius_logins_total{verdict="accepted"}`) == "1"
	})
	file := filepath.Join(in.dir, "metrics")
	if err := os.WriteFile(file, []byte(in.get("/metrics")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := in.shell("promtool check metrics < metrics"); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	if in.get("/healthz") != "ok\n" || in.get("/readyz") != "ready\n" {
		t.Error("/healthz or /readyz")
	}
}
