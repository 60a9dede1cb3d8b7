package safenet

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
	"countersign/radiusd/packet"
	"countersign/tms/safenet/safenettest"
)

// TestGoldenClient: with the challenges of the known exchange the client writes the known
// request, with the headers that were captured, and takes the known answer.
func TestGoldenClient(t *testing.T) {
	want := golden(t)
	var got []byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != ServicePath || r.ContentLength != int64(len(got)) {
			t.Errorf("it is a %s of %d bytes to %s", r.Method, r.ContentLength, r.URL.Path)
		}
		for name, value := range map[string]string{"SOAPAction": soapAction, "Content-Type": contentType, "Accept": "*/*", "User-Agent": "test/1", "Accept-Encoding": ""} {
			if r.Header.Get(name) != value {
				t.Errorf("%s is %q", name, r.Header.Get(name))
			}
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = w.Write((&outcome{success: newSuccess(want, []byte(goldenPasscode))}).write())
	}))
	defer service.Close()
	c := newClient(t, Options{URL: service.URL + ServicePath, UserAgent: "test/1", Rand: challenges(t, goldenChallenge, goldenPeer)})
	answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode))
	if err != nil || !answer.Accepted {
		t.Fatalf("accepted is %v, %v", answer.Accepted, err)
	}
	equal(t, "the request", got, want.write())
	proof := answer.AuthenticatorResponse()
	send, recv := answer.Keys()
	equal(t, "AuthenticatorResponse", proof[:], unhex(t, goldenProof))
	equal(t, "send key", send[:], unhex(t, goldenSend))
	equal(t, "receive key", recv[:], unhex(t, goldenRecv))
	if _, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); !errors.Is(err, io.EOF) {
		t.Errorf("without chance it says %v", err)
	}
}

// TestVerifyPasscode against a TMS, with all kinds of passcodes.
func TestVerifyPasscode(t *testing.T) {
	at := time.Unix(1700000000, 0)
	tms, c := start(t, safenettest.Options{Clock: func() time.Time { return at }})
	seed := []byte("12345678901234567890")
	tms.AddUser("kay", "test533269")
	tms.AddTOTP("bob", "4711", seed)
	tms.AddHOTP("eve", "pin", seed, 5)
	for _, name := range names {
		tms.AddUser(name, "pässcode😀")
	}
	totp := "4711" + oath.TOTP(oath.SHA1, oath.NewSeed(seed), at, 0, 30, 6)
	hotp := func(counter uint64) string { return "pin" + oath.HOTP(oath.SHA1, oath.NewSeed(seed), counter, 6) }
	for i, test := range []struct {
		user, passcode string
		want           bool
	}{
		{"eve", hotp(4), false}, {"eve", hotp(7), true}, {"eve", hotp(7), false}, {"eve", hotp(6), false}, {"EVE", hotp(8), true},
		{"bob", totp, true}, {"bob", totp, false}, {"bob", "4711000000", false},
		{"nobody", "test533269", false}, {"kay", "", false}, {"kay", "Test533269", false}, {"kay", "pässcode😀", true},
	} {
		answer, err := c.VerifyPasscode(t.Context(), test.user, passcode(test.passcode))
		if err != nil || answer.Accepted != test.want {
			t.Errorf("login %d of %s: accepted is %v, %v", i, test.user, answer.Accepted, err)
		}
		if !answer.Accepted && answer.Description != strings.TrimSpace(refusal) {
			t.Errorf("login %d of %s is refused as %q", i, test.user, answer.Description)
		}
	}
	for _, name := range names {
		answer, err := c.VerifyPasscode(t.Context(), name, passcode("pässcode😀"))
		if err != nil || !answer.Accepted {
			t.Errorf("%q: accepted is %v, %v", name, answer.Accepted, err)
		}
	}
}

// TestUnwritable: a user whom no request can name is no refusal of the TMS, which is not
// asked, and no failure of it.
func TestUnwritable(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	for _, name := range []string{"a\x00b", "\ufffe", "a\nb", "\xff"} {
		answer, err := c.VerifyPasscode(t.Context(), name, passcode(planted))
		relayed, relayErr := c.Relay(t.Context(), name, []byte("x"), make([]byte, 16), make([]byte, 50))
		if answer.Accepted || relayed.Accepted {
			t.Errorf("%q is accepted", name)
		}
		for _, err := range []error{err, relayErr} {
			contains(t, err, fmt.Sprintf("naming the user %q to the OTP service: ", name))
			if !errors.Is(err, ErrUserName) || errors.Is(err, ErrOddAnswer) || strings.Contains(err.Error(), planted) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if tms.Requests() != 0 {
		t.Errorf("%d were sent", tms.Requests())
	}
}

// TestRelay passes on what a peer at a gateway made, who knows the passcode.
func TestRelay(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	tms.AddUser(`CORP\kay`, goldenPasscode)
	l := golden(t)
	challenge, response := l.challenge[:], l.joined()
	for _, userName := range []string{"kay", `CORP\kay`, `OTHER\kay`} {
		answer, err := c.Relay(t.Context(), `corp\KAY`, []byte(userName), challenge, response)
		if err != nil || !answer.Accepted {
			t.Fatalf("%s: accepted is %v, %v", userName, answer.Accepted, err)
		}
		proof := answer.AuthenticatorResponse()
		equal(t, "AuthenticatorResponse", proof[:], unhex(t, goldenProof))
		send, recv := answer.Keys()
		wantSend, wantRecv := packet.MPPEKeys([]byte(goldenPasscode), response)
		if send != wantSend || recv != wantRecv {
			t.Errorf("%s: the keys are %x and %x", userName, send, recv)
		}
	}
	if answer, err := c.Relay(t.Context(), `CORP\kay`, []byte("bob"), challenge, response); err != nil || answer.Accepted || answer.Description == "" {
		t.Errorf("another name: accepted is %v, %v", answer.Accepted, err)
	} else if send, _ := answer.Keys(); send != [16]byte{} {
		t.Error("a refusal has keys")
	}
	before := tms.Requests()
	for _, lengths := range [][2]int{{8, 50}, {16, 49}, {0, 0}, {17, 50}} {
		_, err := c.Relay(t.Context(), "kay", []byte("kay"), make([]byte, lengths[0]), make([]byte, lengths[1]))
		contains(t, err, "are not those of MS-CHAPv2")
	}
	if tms.Requests() != before {
		t.Error("what is no MS-CHAPv2 was sent")
	}
}

// TestBehaviours: what is no answer of the service is an error that says what came and
// how to mend it, never an accept, and without what was sent.
func TestBehaviours(t *testing.T) {
	for behaviour, want := range map[safenettest.Behaviour][]string{
		safenettest.Forged:      {"verifying its accept", "may be forged", "find out who answers there"},
		safenettest.UnknownCode: {"error_code is 7", "The dog ate it."},
		safenettest.Garbage:     {"is not as the service's are", "verify in otp_service_url"},
		safenettest.Endless:     {"longer than 65536 bytes"},
		safenettest.ErrorPage:   {"500 Internal Server Error", "text/html", "Runtime Error Server Error in '/OTPAuthentication' Application.", "event log"},
		safenettest.Fault:       {"500 Internal Server Error", "unable to read request", "event log"},
		safenettest.OtherPage:   {"200 OK", "text/html", "Welcome This is the intranet.", "verify the path"},
		safenettest.Elsewhere:   {"302 Found", "sends us to http://127.0.0.1:", "/elsewhere/Service.asmx: write in otp_service_url where the service itself is"},
		safenettest.NotFound:    {"404 Not Found", "verify the path", ServicePath},
		safenettest.LogIn:       {"401 Unauthorized", "anonymous"},
		safenettest.Stopped:     {"503 Service Unavailable", "application pool"},
		safenettest.Reset:       {"broke off"},
		safenettest.Closes:      {"broke off"},
		safenettest.CutOff:      {"reading its answer", "unexpected EOF", "broke off"},
	} {
		tms, c := start(t, safenettest.Options{})
		tms.AddUser("kay", goldenPasscode)
		tms.Behave(behaviour)
		answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode))
		contains(t, err, append(want, "OTP service "+c.url.String())...)
		if answer.Accepted {
			t.Errorf("behaviour %d: it is accepted", behaviour)
		}
		if strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "secret=1") {
			t.Errorf("behaviour %d: the error is %v", behaviour, err)
		}
		if tms.Requests() != 1 {
			t.Errorf("behaviour %d: it was asked %d times", behaviour, tms.Requests())
		}
		tms.Behave(safenettest.Honest)
		if answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); err != nil || !answer.Accepted {
			t.Errorf("after behaviour %d: accepted is %v, %v", behaviour, answer.Accepted, err)
		}
	}
}

// TestOddAnswers are those of the service itself that say no more of the next login. All
// else may stand in its place.
func TestOddAnswers(t *testing.T) {
	l := golden(t)
	for behaviour := safenettest.Reset; behaviour <= safenettest.UnknownCode; behaviour++ {
		tms, c := start(t, safenettest.Options{})
		tms.Behave(behaviour)
		_, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode))
		odd := behaviour == safenettest.UnknownCode || behaviour == safenettest.Fault
		if err == nil || errors.Is(err, ErrOddAnswer) != odd || errors.Is(err, ErrUserName) {
			t.Errorf("behaviour %d: %v", behaviour, err)
		}
		if _, err = c.Relay(t.Context(), "kay", l.userName, l.challenge[:], l.joined()); errors.Is(err, ErrOddAnswer) != odd {
			t.Errorf("behaviour %d, relayed: %v", behaviour, err)
		}
	}
	const fault = `<e:Envelope xmlns:e="` + soapSpace + `"><e:Body><e:Fault><faultstring>no</faultstring></e:Fault></e:Body></e:Envelope>`
	for _, test := range []struct {
		status int
		media  string
		want   bool
	}{{500, "text/xml; charset=utf-8", true}, {503, "text/xml", false}, {404, "text/xml", false}, {500, "text/html", false}} {
		response := &http.Response{StatusCode: test.status, Header: http.Header{"Content-Type": {test.media}}}
		if _, err := l.read(response, []byte(fault)); err == nil || errors.Is(err, ErrOddAnswer) != test.want {
			t.Errorf("a fault of type %s by the status %d: %v", test.media, test.status, err)
		}
	}
}

// TestForgedWithoutPasscode: who relays may not verify, the peer does.
func TestForgedWithoutPasscode(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	tms.Behave(safenettest.Forged)
	l := golden(t)
	answer, err := c.Relay(t.Context(), "kay", []byte("kay"), l.challenge[:], l.joined())
	if err != nil || !answer.Accepted || answer.AuthenticatorResponse() == [20]byte(unhex(t, goldenProof)) {
		t.Errorf("accepted is %v, %v", answer.Accepted, err)
	}
}

// TestTimeout ends what does not end by itself.
func TestTimeout(t *testing.T) {
	tms := safenettest.Start(t, safenettest.Options{})
	tms.Behave(safenettest.Hang)
	c := newClient(t, Options{URL: tms.URL, Timeout: 50 * time.Millisecond, MaxInFlight: 1})
	_, err := c.VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "asking", "it was not done within 50ms", "verify otp_service_url, the firewall")
	c.slots <- struct{}{}
	_, err = c.VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "waiting for a turn", "1 requests were under way", "raise max_in_flight")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.VerifyPasscode(ctx, "kay", passcode("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("given up, it says %v", err)
	}
	if tms.Requests() != 1 {
		t.Errorf("it was asked %d times", tms.Requests())
	}
}

// TestEchoes: a service that repeats what it was sent gives no proof away in an error.
func TestEchoes(t *testing.T) {
	for _, status := range []int{200, 500} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l, _ := parseRequest(must(io.ReadAll(r.Body)))
			text := fmt.Sprintf("%s %s %s", base64.StdEncoding.EncodeToString(l.challenge[:]), base64.StdEncoding.EncodeToString(l.peer[:]), base64.StdEncoding.EncodeToString(l.response[:]))
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(status)
			if status == 200 {
				text = string((&outcome{code: 3, description: text}).write())
			}
			_, _ = io.WriteString(w, text)
		}))
		c := newClient(t, Options{URL: service.URL + ServicePath, Rand: challenges(t, goldenChallenge, goldenPeer)})
		_, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode))
		contains(t, err, "[redacted]")
		for _, secret := range []string{goldenChallenge, goldenPeer, goldenResponse} {
			if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(unhex(t, secret))) {
				t.Errorf("%s is in %v", secret, err)
			}
		}
		service.Close()
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestNobodyThere: an error of the network says what to do.
func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	c := newClient(t, Options{URL: "http://" + address + ServicePath})
	_, err = c.VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "connection refused", "nothing listens there")
	c = newClient(t, Options{URL: "http://tms.invalid" + ServicePath})
	_, err = c.VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "tms.invalid", "verify the name in otp_service_url")
}

// TestTLS: who is not the one with the certificate is told nothing.
func TestTLS(t *testing.T) {
	for certificate, want := range map[safenettest.Certificate]string{
		safenettest.Expired:   "renew the certificate",
		safenettest.WrongName: "write in otp_service_url a name that the certificate has (elsewhere.example.com), or",
	} {
		tms, c := start(t, safenettest.Options{Certificate: certificate})
		_, err := c.VerifyPasscode(t.Context(), "kay", passcode("x"))
		contains(t, err, want)
		if tms.Requests() != 0 {
			t.Error("it was asked nevertheless")
		}
	}
	tms, c := start(t, safenettest.Options{Certificate: safenettest.Valid})
	tms.AddUser("kay", goldenPasscode)
	if answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(goldenPasscode)); err != nil || !answer.Accepted {
		t.Errorf("accepted is %v, %v", answer.Accepted, err)
	}
	_, err := newClient(t, Options{URL: tms.URL}).VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "unknown authority", "set ca_file to the certificate")
	_, err = newClient(t, Options{URL: strings.Replace(tms.URL, "https", "http", 1)}).VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "otp_service_url") // a status 400 or a connection that is reset
	clear := safenettest.Start(t, safenettest.Options{})
	_, err = newClient(t, Options{URL: strings.Replace(clear.URL, "http", "https", 1)}).VerifyPasscode(t.Context(), "kay", passcode("x"))
	contains(t, err, "speaks no TLS on this port")
}

func TestSettings(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const good = "http://tms.example.com" + ServicePath
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{URL: good}, ""},
		{Options{URL: "https://tms.example.com:8443/x"}, ""},
		{Options{}, `tms.otp_service_url: "" is no URL of http or https: write it as http://tms.example.com` + ServicePath},
		{Options{URL: "tms.example.com" + ServicePath}, "is no URL of http or https"},
		{Options{URL: "ftp://tms.example.com/x"}, "is no URL of http or https"},
		{Options{URL: "http:///x"}, "is no URL of http or https"},
		{Options{URL: "http://a b/x"}, "it is no URL"},
		{Options{URL: "http://tms.example.com"}, "has no path: write it as http://tms.example.com" + ServicePath},
		{Options{URL: "http://tms.example.com/"}, "has no path: write it as http://tms.example.com" + ServicePath},
		{Options{URL: good + "?wsdl"}, "has more behind the path"},
		{Options{URL: good + "#x"}, "has more behind the path"},
		{Options{URL: "http://kay:PLANTED@tms.example.com/x"}, "it has a name or a password"},
		{Options{URL: "http://kay:PLANTED@tms.example.com:x/x"}, "it is no URL"},
		{Options{URL: good, CAFile: "/nowhere/ca.pem"}, "tms.ca_file: open /nowhere/ca.pem: no such file or directory: name the PEM file"},
		{Options{URL: good, CAFile: empty}, "tms.ca_file: there is no certificate in " + empty},
		{Options{URL: good, Timeout: -1}, "tms.timeout: it is negative"},
		{Options{URL: good, MaxInFlight: -1}, "tms.max_in_flight: it is negative"},
	} {
		_, err := New(test.o)
		var setting *SettingError
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v", err)
		case test.want != "":
			contains(t, err, test.want)
			if !strings.HasPrefix(err.Error(), "tms.") || !errors.As(err, &setting) || strings.Contains(err.Error(), "PLANTED") {
				t.Errorf("the error is %T: %v", err, err)
			}
		}
	}
	_, err := New(Options{Timeout: -1, MaxInFlight: -1})
	contains(t, err, "tms.otp_service_url: ", "tms.timeout: ", "tms.max_in_flight: ")
}
