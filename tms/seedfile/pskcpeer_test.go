package seedfile

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// sampleTokens are tokens of all kinds that a file can have.
func sampleTokens() []*Token {
	token := func(serial string, typ otp.TokenType, change func(*Token)) *Token {
		t := &Token{}
		t.Serial, t.Type, t.Digits, t.Seed = otp.Serial(serial), typ, 6, oath.NewSeed([]byte(rfcSeed))
		if typ.Clock() {
			t.Period = 30
		}
		change(t)
		return t
	}
	until := time.Date(2031, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	return []*Token{
		token("HOTP1", otp.HOTP, func(t *Token) { t.State.Counter = 4711 }),
		token("HOTP-512", otp.HOTP, func(t *Token) {
			t.Algorithm, t.Digits, t.Seed, t.State.Counter = oath.SHA512, 8, oath.NewSeed(bytes.Repeat([]byte{0xff, 0}, 32)), 1<<40
		}),
		token("TOTP1", otp.TOTP, func(t *Token) { t.User = `Jürgen "J" <j&j@example.com>` }),
		token("TOTP-256", otp.TOTP, func(t *Token) {
			t.Algorithm, t.Digits, t.Period, t.State.Drift = oath.SHA256, 8, 60, -3
			t.Seed, t.ValidFrom, t.ValidUntil = oath.NewSeed(bytes.Repeat([]byte{7}, 32)), 1767225600, until
		}),
		token("TOTP-2000", otp.TOTP, func(t *Token) { t.T0, t.State.Drift, t.ValidUntil = 946684800, 12, until }),
		token("MINIMAL<&>'", otp.HOTP, func(t *Token) { t.Seed = oath.NewSeed([]byte("12345678")) }),
	}
}

// sequence is tokens as WritePSKC takes them.
func sequence(tokens []*Token) func(func(*Token, error) bool) {
	return func(yield func(*Token, error) bool) {
		for _, t := range tokens {
			if !yield(t, nil) {
				return
			}
		}
	}
}

func writeSample(t testing.TB, tokens []*Token, password string, iterations int) string {
	t.Helper()
	var b bytes.Buffer
	if err := WritePSKC(&b, sequence(tokens), secret(password), PSKCOptions{Rand: rand.Reader, Iterations: iterations}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// peer runs a program of a peer with a file as its input and in FILE, and returns
// what it says.
func peer(t *testing.T, file string, program string, arguments ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.xml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, a := range arguments {
		arguments[i] = strings.ReplaceAll(a, "FILE", path)
	}
	command := exec.Command(program, arguments...)
	var errors bytes.Buffer
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s (scripts/test installs it)", program, err, errors.String())
	}
	return string(out)
}

// python runs a script for Debian's own Python, which has python3-pskc.
func python(t *testing.T, file, script string) string {
	t.Helper()
	return peer(t, file, "/usr/bin/python3", "-c", script)
}

// TestPSKCReadByPython: python-pskc reads what we wrote, with all that RFC 6030 knows.
func TestPSKCReadByPython(t *testing.T) {
	tokens := sampleTokens()
	out := python(t, writeSample(t, tokens, "Straße 42", 100_000), `
import json, pskc
p = pskc.PSKC('FILE')
p.encryption.derive_key('Straße 42')
print(json.dumps([[k.serial, k.id, k.algorithm, k.algorithm_suite, k.response_length, k.response_encoding, k.secret.hex(), k.counter, k.time_interval, k.time_drift,
    k.userid, str(k.policy.start_date), str(k.policy.expiry_date), k.policy.may_use(k.policy.KEY_USE_OTP), k.check()] for k in p.keys]))
`)
	var got []string
	var rows [][]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		got = append(got, fmt.Sprint(row))
	}
	var want []string
	for _, k := range tokens {
		algorithm, counter, interval, drift, user := "hotp", any(float64(k.State.Counter)), any(nil), any(nil), any(nil)
		if k.Type.Clock() {
			algorithm, counter, interval, drift = "totp", nil, float64(k.Period), float64(k.State.Drift)
		}
		if k.User != "" {
			user = k.User
		}
		want = append(want, fmt.Sprint([]any{
			k.Serial, k.Serial, "urn:ietf:params:xml:ns:keyprov:pskc:" + algorithm, "HMAC-" + strings.ToUpper(k.Algorithm.String()), k.Digits, "DECIMAL",
			hex.EncodeToString(k.Seed.Bytes()), counter, interval, drift, user, pythonDate(k.ValidFrom), pythonDate(k.ValidUntil), true, true,
		}))
	}
	if !slices.Equal(got, want) {
		t.Errorf("python-pskc reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func pythonDate(unix int64) string {
	if unix == 0 {
		return "None"
	}
	return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05-07:00")
}

// TestPSKCReadByPskctool: the file is valid by the schema of RFC 6030. pskctool does
// not decrypt, but prints the rest.
func TestPSKCReadByPskctool(t *testing.T) {
	file := writeSample(t, sampleTokens(), "password", minIterations)
	if out := peer(t, file, "pskctool", "-e", "FILE"); strings.TrimSpace(out) != "OK" {
		t.Errorf("pskctool -e says %q", out)
	}
	out := peer(t, file, "pskctool", "-i", "FILE")
	for _, line := range []string{
		"SerialNo: TOTP-256", "Id: HOTP-512", "Algorithm: urn:ietf:params:xml:ns:keyprov:pskc:totp", "Key Counter: 4711", "Key TimeInterval: 60", "Key TimeDrift: 12",
		"Suite: HMAC-SHA256", "Policy StartDate: 2026-01-01 00:00:00", "Policy ExpiryDate: 2031-12-31 23:59:59", "Format Length: 8", `Key User Id: Jürgen "J" <j&j@example.com>`,
	} {
		if !strings.Contains(out, line) {
			t.Errorf("pskctool -i does not print %q", line)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// pythonModes are scripts with which python-pskc encrypts in all the ways that we read.
func pythonModes() map[string]string {
	key := "bytes(range(1, %d))"
	modes := map[string]string{
		"in clear":                  "",
		"password":                  "p.encryption.setup_pbkdf2('Straße 42')",
		"password, hmac-sha256 MAC": "p.mac.setup(algorithm='hmac-sha256'); p.encryption.setup_pbkdf2('Straße 42', iterations=12345, salt=b'salt')",
		"all fields":                "p.encryption.setup_preshared_key(key=" + fmt.Sprintf(key, 17) + ", key_name='K', fields=['secret', 'counter', 'time_interval', 'time_offset'])",
		"without a name":            "p.encryption.setup_preshared_key(key=" + fmt.Sprintf(key, 17) + ")",
	}
	for algorithm, length := range map[string]int{
		"aes128-cbc": 16, "aes192-cbc": 24, "aes256-cbc": 32, "tripledes-cbc": 24, "kw-aes128": 16, "kw-aes192": 24, "kw-aes256": 32,
	} {
		modes[algorithm] = fmt.Sprintf("p.encryption.setup_preshared_key(key="+key+", algorithm='%s', key_name='K')", length+1, algorithm)
		modes["password, "+algorithm] = fmt.Sprintf("p.encryption.setup_pbkdf2('Straße 42', algorithm='%s', iterations=1000)", algorithm)
	}
	modes["3DES with two keys"] = "p.encryption.setup_preshared_key(key=" + fmt.Sprintf(key, 17) + ", algorithm='tripledes-cbc', key_name='K')"
	for _, hash := range []string{"sha1", "sha224", "sha256", "sha384", "sha512"} {
		modes["MAC "+hash] = fmt.Sprintf("p.mac.setup(algorithm='hmac-%s'); p.encryption.setup_preshared_key(key="+key+", algorithm='aes256-cbc', key_name='K')", hash, 33)
	}
	for _, hash := range []string{"sha1", "sha256", "sha512"} {
		modes["PRF "+hash] = fmt.Sprintf("p.encryption.setup_pbkdf2('Straße 42', prf='hmac-%s', algorithm='aes256-cbc', iterations=1000)", hash)
	}
	return modes
}

// TestPSKCWrittenByPython: we read what python-pskc wrote. It writes encrypted numbers
// as bytes, and wraps seeds of 20 bytes with the padding of RFC 5649.
func TestPSKCWrittenByPython(t *testing.T) {
	modes := pythonModes()
	names := slices.Sorted(maps.Keys(modes))
	var setups strings.Builder
	for _, name := range names {
		fmt.Fprintf(&setups, "def setup(p):\n  pass\n  %s\nfiles.append(write(setup))\n", modes[name])
	}
	out := python(t, "", `
import datetime, dateutil.tz, io, json, pskc
files = []
def write(setup):
  p = pskc.PSKC()
  p.add_key(serial='H1', id='1', algorithm='hotp', secret=b'`+rfcSeed+`', counter=70000, response_length=8, response_encoding='DECIMAL', key_userid='anna',
    expiry_date=datetime.datetime(2031, 5, 31, tzinfo=dateutil.tz.tzutc()))
  k = p.add_key(serial='T1', id='2', algorithm='totp', secret=bytes(range(32)), time_offset=0, time_interval=60, time_drift=-2, algorithm_suite='HMAC-SHA256', response_length=6)
  k.policy.start_date = datetime.datetime(2026, 1, 1, tzinfo=dateutil.tz.tzutc())
  setup(p)
  b = io.StringIO()
  p.write(b)
  return b.getvalue()
`+setups.String()+"print(json.dumps(files))")
	var files []string
	if err := json.Unmarshal([]byte(out), &files); err != nil || len(files) != len(names) {
		t.Fatal(len(files), err)
	}
	for i, file := range files {
		o := Options{Password: secret("Straße 42")}
		for length := range 34 {
			if strings.Contains(modes[names[i]], fmt.Sprintf("range(1, %d)", length)) {
				o.PSK = NewSecret(count(length - 1))
			}
		}
		tokens, faults, err := readAll(file, o)
		if err != nil {
			t.Errorf("%s: %v\n%s", names[i], err, file)
		}
		for _, token := range tokens {
			token.Line = 0
		}
		compare(t, names[i], tokens, describe, []string{
			`line 0 H1 hotp sha1 8 digits period 0 t0 0 counter 70000 drift 0 ..2031-05-31T00:00:00Z user "anna" seed 3132333435363738393031323334353637383930`,
			`line 0 T1 totp sha256 6 digits period 60 t0 0 counter 0 drift -2 2026-01-01T00:00:00Z.. user "" seed 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f`,
		})
		compare(t, names[i], faults, (*Fault).Error, nil)
	}
}

// count is the bytes from 1 to n.
func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return b
}
