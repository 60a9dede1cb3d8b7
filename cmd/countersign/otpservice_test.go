package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
	"countersign/tms/safenet"
	"countersign/tms/safenet/safenettest"
)

// A company puts Countersign in front of SafeNet's OTP service: its users log in as ever,
// by PAP and MS-CHAPv2, whatever the service does, and what it does wrong is noticed.
func TestInFrontOfSafeNet(t *testing.T) {
	kay := oath.NewSeed([]byte("kays-token-at-the-tms"))
	service := safenettest.Start(t, safenettest.Options{Certificate: safenettest.Valid})
	service.AddTOTP("kay", "test", kay.Bytes())
	service.AddUser("lee", "lees-passcode")
	in := install(t, fmt.Sprintf("[tms]\notp_service_url = %q\nca_file = %q\ntimeout = \"2s\"\nmax_errors = 3\nprobe_every = \"100ms\"\n", service.URL, service.CAFile))
	in.start()
	nas := in.nas(in.auth)
	code := func(steps int) string {
		return "test" + oath.TOTP(oath.SHA1, kay, time.Now().Add(time.Duration(steps)*30*time.Second), 0, 30, 6)
	}
	request := in.request(nas, "kay", code(0))
	if reply := in.ask(nas, request); reply.Code != radius.CodeAccessAccept {
		t.Fatalf("%v\n%s", reply.Code, in.log)
	}
	if reply := in.ask(nas, request); reply.Code != radius.CodeAccessAccept || service.RequestsOf("kay") != 1 {
		t.Errorf("%v to the same packet, and %d requests to the TMS", reply.Code, service.RequestsOf("kay"))
	}
	in.login(nas, "kay", code(0), radius.CodeAccessReject)
	in.login(nas, "kay", "test000000", radius.CodeAccessReject)
	in.login(nas, "kay", "test000000", radius.CodeAccessReject)
	if n := service.RequestsOf("kay"); n != 2 {
		t.Errorf("%d requests of kay to the TMS, want 2: what was shown before is not shown again", n)
	}
	in.login(nas, `EXAMPLE\lee`, "lees-passcode", radius.CodeAccessReject) // the service knows lee
	in.login(nas, "lee", "lees-passcode", radius.CodeAccessAccept)
	out, _ := in.try("lees-passcode\n", "login", "lee", "--method", "mschapv2", "--message-authenticator")
	contains(t, out, "Access-Accept")
	out, _ = in.try("lees-passcode\n", "login", "lee", "--method", "chap", "--message-authenticator")
	contains(t, out, "Access-Reject") // of CHAP nobody knows how SafeNet would have it
	contains(t, in.run("", "event", "list"), "needs_pap")
	contains(t, in.log.String(), "set PAP in it, or MS-CHAPv2", "a TMS stands behind this server")
	contains(t, in.run("", "check"), "TMS "+service.URL+": good", "CN=", "TLS 1.", "Microsoft-IIS", "breaker of the running server is closed")

	service.Behave(safenettest.Forged)
	if code := in.silent(nas, "kay", "test111111"); code != 0 {
		t.Errorf("%v, though the TMS does not know the passcode", code)
	}
	out, status := in.try("", "check")
	if status != 1 {
		t.Errorf("check: status %d\n%s", status, out)
	}
	service.Behave(safenettest.ErrorPage)
	for i := range 4 {
		if code := in.silent(nas, "kay", fmt.Sprintf("test22222%d", i)); code != 0 {
			t.Errorf("%v, though the TMS has failed", code)
		}
	}
	in.await("the breaker to open", func() bool { return in.metric("countersign_tms_breaker_open") == "1" })
	out, _ = in.try("", "check")
	contains(t, out, "500", "breaker of the running server is")
	contains(t, in.run("", "tms"), "breaker", "last error", "OTP service")
	asked := service.RequestsOf("kay")
	_ = in.silent(nas, "kay", "test333333")
	if n := service.RequestsOf("kay"); n != asked {
		t.Error("a login was shown to a TMS that is down")
	}
	service.Behave(safenettest.Honest)
	in.await("the breaker to close", func() bool { return in.metric("countersign_tms_breaker_open") == "0" })
	in.login(nas, "kay", code(1), radius.CodeAccessAccept)
	in.noWord("lees-passcode")
}

// Learning, comparing, cutting over and rolling back, with a directory of nobody.
func TestMigrationInPlace(t *testing.T) {
	service := safenettest.Start(t, safenettest.Options{})
	seeds := map[string]oath.Seed{}
	file := new(strings.Builder)
	for i, name := range []string{"kay", "lee", "mia"} {
		seeds[name] = oath.NewSeed(fmt.Appendf(nil, "the-seed-of-%s-here", name))
		service.AddHOTP(name, fmt.Sprintf("471%d", i), seeds[name].Bytes(), 0)
		fmt.Fprintf(file, "TOKEN%d,%x,hotp,6,0\n", i, seeds[name].Bytes())
	}
	in := install(t, fmt.Sprintf("[tms]\notp_service_url = %q\nlearn = true\n", service.URL))
	in.start()
	nas := in.nas(in.auth)
	login := func(name, pin string, counter uint64, want radius.Code) {
		t.Helper()
		in.login(nas, name, pin+oath.HOTP(oath.SHA1, seeds[name], counter, 6), want)
	}
	in.run("", "token", "import", "--format", "oath-csv", in.file("seeds.csv", file.String())) // while it runs
	in.await("the tokens to be looked at", func() bool { return in.metric("countersign_learning_stock_tokens") == "3" })

	login("kay", "4710", 0, radius.CodeAccessAccept)
	contains(t, in.run("", "token", "list"), "TOKEN0", "kay", "learned")
	contains(t, in.run("", "migrate", "status", "--users"), "kay", "learned")
	login("kay", "4710", 1, radius.CodeAccessAccept) // the second agreement
	before := service.Requests()
	login("kay", "4710", 2, radius.CodeAccessAccept)
	login("kay", "4710", 2, radius.CodeAccessReject)
	if n := service.Requests(); n != before {
		t.Error("the TMS was asked about a user whose own token is active")
	}
	contains(t, in.run("", "migrate", "status", "--users"), "kay", "local")

	// lee is learned, and changes the PIN at the TMS: the new one is learned too.
	login("lee", "4711", 0, radius.CodeAccessAccept)
	service.AddHOTP("lee", "9999", seeds["lee"].Bytes(), 1)
	login("lee", "9999", 1, radius.CodeAccessAccept)
	login("lee", "9999", 2, radius.CodeAccessAccept)
	in.run("", "migrate", "cutover", "--user", "lee")
	before = service.Requests()
	login("lee", "4711", 3, radius.CodeAccessReject)
	login("lee", "9999", 4, radius.CodeAccessAccept)
	if n := service.Requests(); n != before {
		t.Error("the TMS was asked about a user who was cut over")
	}
	in.run("", "migrate", "rollback", "--user", "lee")
	login("lee", "9999", 5, radius.CodeAccessAccept)
	if n := service.Requests(); n != before+1 {
		t.Error("the TMS was not asked about a user who was rolled back")
	}

	// In the shadow the TMS decides, and what differs is listed.
	in.change("learn = true\n", "shadow = true\n")
	in.hup("reloaded")
	service.AddHOTP("kay", "0815", seeds["kay"].Bytes(), 3)
	login("kay", "0815", 3, radius.CodeAccessAccept)
	contains(t, in.run("", "migrate", "differences"), "kay", "accepted_by_tms", "wrong_pin", "PIN")
	contains(t, in.run("", "migrate", "status", "--users"), "kay", "disagreeing")
	if n := in.metric(`countersign_tms_differences_total{kind="tms_only"}`); n != "1" {
		t.Errorf("%s differences, want 1", n)
	}
	out, status := in.try("", "migrate", "cutover", "--user", "kay")
	if status != 1 {
		t.Errorf("kay was cut over though the TMS said otherwise: %s", out)
	}
	for _, secret := range []string{"0815" + oath.HOTP(oath.SHA1, seeds["kay"], 3, 6), "the-seed-of-kay-here"} {
		in.noWord(secret)
	}
}

// silent is the answer to a login, 0 when there is none in time.
func (in *installation) silent(nas *radiustest.NAS, user, passcode string) radius.Code {
	in.Helper()
	code, _ := exchange(nas, user, passcode, time.Second)
	return code
}

// Programs that were written for SafeNet's OTP service ask us instead.
func TestInThePlaceOfSafeNet(t *testing.T) {
	need(t, "curl")
	plain, secure := freePort(t, "tcp"), freePort(t, "tcp")
	in := install(t, fmt.Sprintf("[otp_service]\nlisten = %q\nlisten_https = %q\nallow = \"127.0.0.1\"\n", plain, secure))
	in.alice("--type", "hotp")
	in.start()
	client, err := safenet.New(safenet.Options{URL: "http://" + plain.String() + safenet.ServicePath, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, test := range []struct {
		user, passcode string
		accepted       bool
	}{
		{"alice", eventPasscode(0), true}, {"alice", eventPasscode(0), false}, {"alice", "4711000000", false},
		{"nobody", eventPasscode(1), false}, {"Alice", eventPasscode(1), true},
	} {
		answer, err := client.VerifyPasscode(t.Context(), test.user, otp.NewPasscode([]byte(test.passcode)))
		if err != nil || answer.Accepted != test.accepted {
			t.Errorf("%s: accepted %t, %v; want %t", test.user, answer.Accepted, err, test.accepted)
		}
	}
	if r := client.Check(t.Context()); r.Problem != nil {
		t.Errorf("check connection: %v", r.Problem)
	}
	in.login(in.nas(in.auth), "alice", eventPasscode(1), radius.CodeAccessReject) // burned there is burned here
	in.login(in.nas(in.auth), "alice", eventPasscode(2), radius.CodeAccessAccept)
	contains(t, in.run("", "event", "list"), "otp-service", "accepted", "wrong_passcode", "unknown_user")
	if n := in.metric(`countersign_otp_service_requests_total{status="200",verdict="accepted"}`); n != "2" {
		t.Errorf("%s requests counted as accepted, want 2", n)
	}
	for line, want := range map[string]string{
		"curl -s -o /dev/null -w %{http_code} --interface 127.0.0.2 -d x http://" + plain.String() + safenet.ServicePath:            "403",
		"curl -s -o /dev/null -w %{http_code} http://" + plain.String() + safenet.ServicePath:                                       "405",
		"curl -sk -o /dev/null -w %{http_code} -d x https://" + secure.String() + safenet.ServicePath:                               "415",
		"curl -sk -o /dev/null -w %{http_code} -H 'Content-Type: text/xml' -d x https://" + secure.String() + "/OTPAuthentication/": "404",
	} {
		if out, err := in.shell(line); err != nil || out != want {
			t.Errorf("%s: %s, %v; want %s", line, out, err, want)
		}
	}
	in.noWord(eventPasscode(0))
}

// What is off by default is off.
func TestNoOTPServiceUnlessSaid(t *testing.T) {
	if s := conf.Defaults().OTPService; len(s.Listen)+len(s.ListenHTTPS)+len(s.Allow) > 0 {
		t.Errorf("%+v", s)
	}
}
