package safenet

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/packet"
	"countersign/tms/safenet/safenettest"
)

// A captured login whose passcode is known.
const (
	goldenPasscode  = "test533269"
	goldenChallenge = "ad267fd1914bf259a83cd575d2522934"
	goldenPeer      = "8493c267fd584122e64ae636ca39b1f9"
	goldenResponse  = "39371889cbd47530a78be4e6a23b3648f346520322f0ef0e"
	goldenProof     = "23c01f568e5798f1ef6f6d97edea3865f7e486f4"
	goldenRecv      = "75e7500914b97583e7dce0bb29ad46d5"
	goldenSend      = "3e91a46d472b023e499259aaaf12e856"
	goldenKeys      = "707369bc8c44c7c9120110702e9eec5c7759222cd5f4db5b0000000000000000"
)

func golden(t testing.TB) *login {
	t.Helper()
	return &login{
		user: "kay", userName: []byte("kay"),
		challenge: [16]byte(unhex(t, goldenChallenge)), peer: [16]byte(unhex(t, goldenPeer)), response: [24]byte(unhex(t, goldenResponse)),
	}
}

func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func equal(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%x, not\n%x", what, got, want)
	}
}

// newClient makes a Client of a service, with Options that a test has changed.
func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// start starts a TMS and a Client of it.
func start(t testing.TB, o safenettest.Options) (*safenettest.TMS, *Client) {
	t.Helper()
	tms := safenettest.Start(t, o)
	return tms, newClient(t, Options{URL: tms.URL, CAFile: tms.CAFile})
}

// challenges is a source of chance that is known.
func challenges(t testing.TB, digits ...string) io.Reader {
	t.Helper()
	return bytes.NewReader(unhex(t, strings.Join(digits, "")))
}

func passcode(text string) otp.Passcode { return otp.NewPasscode([]byte(text)) }

// contains demands each of some texts in an error.
func contains(t testing.TB, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, and there should be %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in the error: %v", text, err)
		}
	}
}

// clock is a clock that moves when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// proofOf is a login that somebody who knows a passcode makes.
func proofOf(user, passcode string) *login {
	l := &login{user: user, userName: []byte(user), challenge: [16]byte{1, 2}, peer: [16]byte{3, 4}}
	l.response = packet.NTResponse(l.userName, []byte(passcode), l.challenge, l.peer)
	return l
}

// rfcAccount is a user with the PIN 4711 and the token of RFC 4226 appendix D.
func rfcAccount() otp.Account {
	return otp.Account{Exists: true, PIN: otp.NewPIN([]byte("4711")), Tokens: []otp.Token{{
		Serial: "T1", Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed([]byte("12345678901234567890")),
	}}}
}
