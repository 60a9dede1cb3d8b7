package safenet

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/tms/safenet/safenettest"
)

// TestIndependentClient: a program that has nothing of ours logs in with codes of our
// tokens.
func TestIndependentClient(t *testing.T) {
	s := newServer(t)
	web := httptest.NewServer(s.handler)
	defer web.Close()
	for _, test := range []struct{ user, passcode, want string }{
		{"kay", "4711" + rfc4226[0], "0 all as computed"},
		{"kay", "4711" + rfc4226[0], "1 OTP authentication failed."},
		{"kay", "4711000000", "1 OTP authentication failed."},
		{"<&>ü", "4711" + rfc4226[1], "1 OTP authentication failed."},
		{"Kay", "4711" + rfc4226[1], "0 all as computed"},
	} {
		s.clock.forward(1 << 40) // so that nobody has to wait
		command := exec.Command("/usr/bin/python3", filepath.Join("testdata", "peer.py"), web.URL+ServicePath, test.user, test.passcode)
		out, err := command.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != test.want {
			t.Errorf("%s is answered %q, %v (scripts/test installs samba-ad-dc and python3-cryptography)", test.user, got, err)
		}
	}
}

// TestCurl: the captured bytes, posted by curl as they are, get the captured refusal of our
// server as of the test TMS; curl waits for the leave to send them, as programs of .NET do.
func TestCurl(t *testing.T) {
	s := newServer(t)
	web := httptest.NewServer(s.handler)
	defer web.Close()
	tms := safenettest.Start(t, safenettest.Options{})
	for _, url := range []string{web.URL + ServicePath, tms.URL, strings.ToLower(tms.URL)} {
		answer := filepath.Join(t.TempDir(), "answer")
		out, err := exec.Command("curl", "-sS", "--noproxy", "*", "-o", answer, "-D", "-", "-H", "Expect: 100-continue", "-H", "SOAPAction: "+soapAction,
			"-H", "Content-Type: "+contentType, "--data-binary", "@testdata/refused.request.xml", url).CombinedOutput()
		if err != nil {
			t.Fatalf("running curl (scripts/test installs it): %v: %s", err, out)
		}
		content, err := os.ReadFile(answer)
		if err != nil || !bytes.Equal(content, file(t, "refused.answer.xml")) {
			t.Errorf("%s: %s\n%s", url, out, content)
		}
		for _, header := range []string{"HTTP/1.1 100 Continue", "HTTP/1.1 200 OK", "Content-Type: text/xml; charset=utf-8\r\n", "Content-Length: 675\r\n", "Cache-Control: private, max-age=0\r\n"} {
			if !bytes.Contains(out, []byte(header)) {
				t.Errorf("%s: there is no %q in\n%s", url, header, out)
			}
		}
	}
	if tms.Requests() != 2 || tms.RequestsOf("kay") != 2 || len(s.events) != 1 {
		t.Errorf("there were %d requests, and %v", tms.Requests(), s.events)
	}
}
