package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

func (d *desk) now() time.Time { return d.at }

func TestActivate(t *testing.T) {
	for _, typ := range []string{"totp", "hotp"} {
		t.Run(typ, func(t *testing.T) {
			d := newDesk(t)
			s := newSite(t, d.now)
			key := s.invite("alice", typ)
			invited := s.invitation("alice").Token
			stdout, stderr := d.do([]string{key, "4711", pin}, s.args("--name", "work")...)
			contains(t, stdout, "Token work ("+string(invited.Serial)+") is active.")
			contains(t, stderr, "Choose the OTP PIN", "The Application PIN protects")
			counted := s.tokens("alice")
			if len(counted) != 1 || counted[0].Serial != invited.Serial {
				t.Fatalf("the server counts %+v", counted)
			}
			stdout, _ = d.do([]string{pin}, "list")
			contains(t, stdout, "NAME  SERIAL", "work  "+string(invited.Serial)+"  Example Works  alice  "+typ, "active")
			// The next code is one that the server takes.
			code := d.code("work")
			d.wantLogin(s, &invited, "4711"+code)
			if typ == "totp" && len(d.slept) != 1 {
				t.Errorf("it slept %v, but the code of this step was burned", d.slept)
			}
			if one := d.tokens()[0]; one.Pending != nil {
				t.Error("the Activation Key is kept")
			}
			contains(t, d.fail([]string{key}, s.args()...), "the server says: This Activation Key is not known")
			contains(t, d.fail([]string{pin}, "activate"), "no token is pending")
		})
	}
}

// wantLogin has the server verify a passcode.
func (d *desk) wantLogin(s *site, invited *otp.Token, passcode string) {
	d.Helper()
	fresh := *invited
	fresh.State.Counter = s.tokens("alice")[0].Counter
	shown, offset := otp.VerifyFirst(&fresh, otp.NewPIN([]byte("4711")), otp.NewPasscode([]byte(passcode)), d.at, otp.DefaultPolicy())
	if shown != otp.Shown || offset > 1 {
		d.Errorf("the passcode is not taken: %v, off by %d", shown, offset)
	}
}

// A user who has an OTP PIN is asked for none; a store that is there is opened by its
// Application PIN.
func TestActivateSecond(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	d.give(rfcHOTP, "--name", "first")
	_, err := s.service.AddUser(t.Context(), admin, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("4711"))})
	s.check(err)
	key := s.invite("alice", "totp")
	contains(t, d.fail([]string{key, "wrong PIN"}, s.args()...), "the Application PIN is wrong")
	if len(s.tokens("alice")) != 0 {
		t.Error("it was confirmed without being saved")
	}
	d.at = d.at.Add(time.Hour)
	d.do([]string{" " + key + " ", pin}, s.args("--activation-key-stdin")...)
	d.at = d.at.Add(time.Hour)
	if len(s.tokens("alice")) != 1 || len(d.tokens()) != 2 || d.code("first") != rfcCodes[0] {
		t.Error("there are not both tokens")
	}
	contains(t, d.fail([]string{pin}, "generate"), "which token? Say its name or serial: first (URI-", ", Example Works (")
	contains(t, d.fail([]string{pin}, "generate", "third"), `there is no token "third", but first (URI-`)
	contains(t, d.fail([]string{pin}, "rename", string(s.tokens("alice")[0].Serial), "FIRST"), `is called "FIRST" already`)
}

// TestTrust: a certificate that nobody knows is not trusted but by its fingerprint
// or authority, and nothing is sent before.
func TestTrust(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "totp")
	requests := 0
	s.before = func(http.ResponseWriter, *http.Request) bool { requests++; return false }
	for _, mode := range [][]string{nil, {"--ca-file", "other"}} {
		if mode != nil {
			mode[1] = otherCA(t)
		}
		message := d.fail([]string{key, "4711", pin}, append([]string{"activate", "--server", s.URL}, mode...)...)
		contains(t, message, "the certificate of "+s.URL+" is not trusted (x509: ", "add --fingerprint "+s.fingerprint())
	}
	other := strings.Repeat("AB:", 31) + "AB"
	contains(t, d.fail([]string{key}, "activate", "--server", s.URL, "--fingerprint", other), "another fingerprint than you gave, "+s.fingerprint())
	if requests > 0 {
		t.Error("the Activation Key was sent to a server that is not trusted")
	}
	for _, bad := range []struct{ server, more, value, want string }{
		{"http://x", "", "", "must not travel by http"}, {"https://x/activate/abc", "", "", "give only the address of the server, https://x;"},
		{"%", "", "", "is no address such as"}, {"x", "--fingerprint", "AB", "must be 32 bytes"}, {"x", "--ca-file", "/nowhere", "--ca-file: open"},
		{"x", "--ca-file", "/dev/null", "has no certificate"},
	} {
		args := []string{"activate", "--server", bad.server}
		if bad.more != "" {
			args = append(args, bad.more, bad.value)
		}
		contains(t, d.fail(nil, args...), bad.want)
	}
	lower := strings.ReplaceAll(strings.ToLower(s.fingerprint()), ":", "")
	contains(t, d.fail([]string{key + "x"}, "activate", "--server", strings.TrimPrefix(s.URL, "https://")+"/", "--fingerprint", lower), "the server says")
	d.do([]string{key, "4711", pin}, "activate", "--server", s.URL, "--ca-file", s.caFile())
}

// otherCA is a certificate of somebody else.
func otherCA(t *testing.T) string {
	dir := t.TempDir()
	_, err := console.OpenCertificate(console.CertificateOptions{DataDir: dir, Clock: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "web-certificate.pem")
}

// An answer that is none of ours is an error in one line, whatever is in it.
func TestForeignServer(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "totp")
	for _, answer := range []struct {
		status int
		body   string
		want   string
	}{
		{200, "<html>", "is not from a Countersign server"}, {502, "Bad Gateway", "(status 502)"}, {200, `{"serial":"X"}`, "the seed file of the server"},
		{302, "", "(status 302)"}, {200, strings.Repeat(" ", 2<<20), "is not from a Countersign server"},
		{503, "{\"error\":\"failed\",\"message\":\"\\u001b[2Jno\\nno\"}", "the server says:  [2Jno no"},
	} {
		s.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(answer.status)
			_, _ = w.Write([]byte(answer.body))
			return true
		}
		contains(t, d.fail([]string{key, "4711", pin}, s.args()...), answer.want)
	}
	s.server.Close()
	contains(t, d.fail([]string{key}, s.args()...), "reaching "+s.URL+": dial tcp")
	if _, err := os.Stat(d.store); err == nil {
		t.Error("there is a store")
	}
}

// TestRefusedPIN: what the server does not take leaves a pending token, and the next
// try goes on with it.
func TestRefusedPIN(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "hotp")
	contains(t, d.fail([]string{key, "123", pin}, s.args()...), "the new OTP PIN is too short")
	contains(t, d.fail([]string{key, "1234", pin}, s.args()...), "the server says: ", "is saved as pending")
	stdout, _ := d.do([]string{pin}, "list")
	contains(t, stdout, "pending")
	_, stderr := d.do([]string{pin}, "generate")
	contains(t, stderr, "is pending: the server may not know it yet. `etoken activate` completes it")
	d.do([]string{pin, "8152"}, "activate")
	if len(s.tokens("alice")) != 1 || len(d.tokens()) != 1 || d.tokens()[0].Pending != nil {
		t.Error("it is not active")
	}
}

// TestAnswerLost: the server has taken the first code, but its answer does not come.
func TestAnswerLost(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "hotp")
	invited := s.invitation("alice").Token
	s.after = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/confirm") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	contains(t, d.fail([]string{key, "4711", pin}, s.args()...), "reaching "+s.URL, "is saved as pending: `etoken activate` completes it")
	s.after = nil
	if len(s.tokens("alice")) != 1 {
		t.Fatal("the server did not take the code")
	}
	contains(t, d.fail([]string{key}, s.args()...), "complete it by `etoken activate` alone")
	_, stderr := d.do([]string{pin}, "activate")
	contains(t, stderr, "most likely it took the first code, and its answer was lost")
	if d.tokens()[0].Pending != nil {
		t.Error("it is still pending")
	}
	d.wantLogin(s, &invited, "4711"+d.code(""))
}

// TestInvitationOver: an invitation that ended while a token was pending, without a
// first code on its way, made no token.
func TestInvitationOver(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "totp")
	d.fail([]string{key, "1234", pin}, s.args()...)
	serial := string(d.tokens()[0].Serial)
	d.at = d.at.Add(80 * time.Hour)
	contains(t, d.fail([]string{pin}, "activate"), "token "+serial+": the server says: ", "Ask for another invitation, and `etoken remove "+serial)
	if d.tokens()[0].Pending == nil {
		t.Error("it counts as active")
	}
	d.do([]string{pin}, "remove", serial, "--yes")
}

// TestKilledWhileActivating kills the program itself when its first code has arrived
// and been taken, or has arrived and not been looked at yet.
func TestKilledWhileActivating(t *testing.T) {
	for _, taken := range []bool{true, false} {
		t.Run(fmt.Sprint("taken=", taken), func(t *testing.T) {
			d := newDesk(t)
			d.at = time.Now() // the program has no other clock
			s := newSite(t, time.Now)
			key := s.invite("alice", "hotp")
			c := exec.Command("etoken", s.args("--store", d.store)...)
			c.Stdin = strings.NewReader(key + "\n4711\n" + pin + "\n")
			kill := func(_ http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/confirm") {
					return false
				}
				_ = c.Process.Kill()
				return true
			}
			if s.before = kill; taken {
				s.before, s.after = nil, kill
			}
			if err := c.Run(); err == nil || err.Error() != "signal: killed" {
				t.Fatalf("it was not killed: %v", err)
			}
			s.server.CloseClientConnections()
			s.before, s.after = nil, nil
			if n := len(s.tokens("alice")); (n == 1) != taken {
				t.Fatalf("%d tokens", n)
			}
			_, stderr, err := runReal(t, d.store, pin+"\n4711\n", "activate")
			d.check(err)
			if taken {
				contains(t, stderr, "its answer was lost")
			}
			if len(s.tokens("alice")) != 1 || d.tokens()[0].Pending != nil {
				t.Error("it is not active")
			}
		})
	}
}

// TestSavingFailsAfterwards: when it cannot be noted that the server counts the token,
// it is there all the same.
func TestSavingFailsAfterwards(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "hotp")
	s.after = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/confirm") {
			d.check(os.Mkdir(d.store+".new", 0o700)) // in the way
			d.check(os.WriteFile(d.store+".new/x", nil, 0o600))
		}
		return false
	}
	contains(t, d.fail([]string{key, "4711", pin}, s.args()...), "the server has activated token", "could not be noted: saving the tokens")
	d.check(os.RemoveAll(d.store + ".new"))
	if d.tokens()[0].Pending == nil {
		t.Error("it was noted")
	}
	d.do([]string{pin}, "activate")
	if len(s.tokens("alice")) != 1 || d.tokens()[0].Pending != nil {
		t.Error("it is not active")
	}
}

func TestMobilePASSInvitation(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	contains(t, d.fail([]string{s.invite("alice", "mobilepass")}, s.args()...), "Use the activation page")
}

// TestSeedFile: the attachment of a mail, and one that python-pskc has written.
func TestSeedFile(t *testing.T) {
	d := newDesk(t)
	s := newSite(t, d.now)
	key := s.invite("alice", "hotp")
	i := s.invitation("alice")
	content, err := seedFile(t.Context(), &i)
	d.check(err)
	file := filepath.Join(t.TempDir(), "seed.pskcxml")
	d.check(os.WriteFile(file, content, 0o600))
	contains(t, d.fail([]string{"wrongkeywrongkey", pin}, "activate", "--seed-file", file), "the Activation Key does not open it")
	contains(t, d.fail([]string{"", pin}, "activate", "--seed-file", file), "its Activation Key is needed")
	stdout, _ := d.do([]string{key, pin}, "activate", "--seed-file", file)
	contains(t, stdout, string(i.Token.Serial)+" is saved. The first login with OTP PIN and eToken activates it")
	d.wantFirst(&i.Token)
	// Again: the counter stays.
	d.do([]string{pin}, "activate", "--seed-file", file, "--activation-key", key)
	if counter := d.tokens()[0].State.Counter; counter != 1 || len(d.tokens()) != 1 {
		t.Errorf("the counter is %d", counter)
	}

	python := filepath.Join(t.TempDir(), "python.xml")
	program(t, "/usr/bin/python3", "-c", `
import pskc, sys
p = pskc.PSKC()
p.add_key(id='A', serial='PY-1', algorithm='hotp', response_length=6, response_encoding='DECIMAL', secret=b'12345678901234567890', counter=0)
p.add_key(id='B', serial='PY-2', algorithm='totp', response_length=8, response_encoding='DECIMAL', secret=b'12345678901234567890', time_interval=30)
p.mac.setup(algorithm='hmac-sha256')
p.encryption.setup_pbkdf2('Kx7Activation', iterations=2000)
p.write(sys.argv[1])
`, python)
	contains(t, d.fail([]string{"Kx7Activation", pin}, "activate", "--seed-file", python, "--name", "x"), "has 2 tokens")
	d.do([]string{"Kx7Activation", pin}, "activate", "--seed-file", python)
	for _, want := range rfcCodes[:3] {
		if got := d.code("py-1"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	d.at = time.Unix(1111111111, 0)
	if got := d.code("PY-2"); got != "14050471" {
		t.Errorf("%s", got)
	}
	content, err = os.ReadFile(python)
	d.check(err)
	for name, bad := range map[string][]byte{"cut": content[:len(content)/2], "none": []byte("junk"), "empty": nil} {
		d.check(os.WriteFile(python, bad, 0o600))
		if message := d.fail([]string{"Kx7Activation", pin}, "activate", "--seed-file", python); strings.Contains(message, "Kx7") {
			t.Errorf("%s: %s", name, message)
		}
	}
	if serials := d.serials(); !slices.Equal(serials, []string{string(i.Token.Serial), "PY-1", "PY-2"}) {
		t.Errorf("tokens %v", serials)
	}
}

func (d *desk) serials() (all []string) {
	for _, t := range d.tokens() {
		all = append(all, string(t.Serial))
	}
	return all
}

// wantFirst has the server verify the first code.
func (d *desk) wantFirst(invited *otp.Token) {
	d.Helper()
	shown, _ := otp.VerifyFirst(invited, otp.PIN{}, otp.NewPasscode([]byte(d.code(""))), d.at, otp.DefaultPolicy())
	if shown != otp.Shown {
		d.Error("the first code is not taken")
	}
}

// Another token with the serial of one that is in use does not take its place.
func TestSameSerial(t *testing.T) {
	d := newDesk(t)
	dir := t.TempDir()
	program(t, "/usr/bin/python3", "-c", `
import pskc, sys
for name, secret in ('a', b'12345678901234567890'), ('b', b'abcdefghijklmnopqrst'):
  p = pskc.PSKC()
  p.add_key(id='A', serial='SAME', algorithm='hotp', response_length=6, response_encoding='DECIMAL', secret=secret, counter=0)
  p.write(sys.argv[1] + name)
`, dir+"/")
	d.do([]string{"", pin}, "activate", "--seed-file", dir+"/a")
	contains(t, d.fail([]string{"", pin}, "activate", "--seed-file", dir+"/b"), "there is another token SAME already", "etoken remove SAME")
	if code := d.code(""); code != rfcCodes[0] {
		t.Errorf("%s", code)
	}
}
