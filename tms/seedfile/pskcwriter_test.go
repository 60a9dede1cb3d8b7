package seedfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
)

// TestPSKCRoundTrip: what was written is read again, and no seed stands there in clear.
func TestPSKCRoundTrip(t *testing.T) {
	tokens := sampleTokens()
	file := writeSample(t, tokens, "YZQHoczZWw3cBCNo", minIterations)
	read, faults, err := readAll(file, Options{Password: secret("YZQHoczZWw3cBCNo")})
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	var want []string
	for i, token := range tokens {
		if i < len(read) {
			token.Line = read[i].Line
		}
		want = append(want, describe(token))
	}
	compare(t, "round trip", read, describe, want)
	if lines := strings.Split(file, "\n"); !strings.Contains(lines[read[1].Line-1], "<pskc:KeyPackage>") {
		t.Errorf("the second token is in line %d: %s", read[1].Line, lines[read[1].Line-1])
	}
	if strings.Contains(file, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA") || strings.Contains(file, rfcSeed) {
		t.Error("a seed stands in the file in clear")
	}
	_, _, err = readAll(file, Options{Password: secret("YZQHoczZWw3cBCNO")})
	if !errors.Is(err, ErrWrongKey) {
		t.Errorf("another password: %v", err)
	}
	if _, _, err = readAll(file, Options{PSK: psk}); !errors.Is(err, ErrNoKey) {
		t.Errorf("no password: %v", err)
	}
}

// TestPSKCWritesFreshKeys: no two files, and no two values, are encrypted alike.
func TestPSKCWritesFreshKeys(t *testing.T) {
	token := sampleTokens()[0]
	seen := map[string]bool{}
	for range 2 {
		for _, part := range strings.Split(writeSample(t, []*Token{token, token}, "password", minIterations), "<") {
			if value, ok := strings.CutPrefix(part, "xenc:CipherValue>"); ok {
				if seen[value] || len(value) < 40 {
					t.Errorf("the value %q was written before", value)
				}
				seen[value] = true
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d values", len(seen))
	}
}

// TestPSKCWritesMobilePASS: other programs compute the codes of such a token, too.
func TestPSKCWritesMobilePASS(t *testing.T) {
	token := sampleTokens()[0]
	token.Type, token.Algorithm = otp.MobilePASS, oath.SHA256
	read, _, err := readAll(writeSample(t, []*Token{token}, "p", minIterations), Options{Password: secret("p")})
	if err != nil || len(read) != 1 || read[0].Type != otp.HOTP || read[0].Algorithm != oath.SHA256 || read[0].State.Counter != 4711 {
		t.Error(read, err)
	}
}

// failing fails at the end.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestPSKCWriterErrors(t *testing.T) {
	good := sampleTokens()
	without := func(change func(*Token)) []*Token {
		token := *good[0]
		change(&token)
		return []*Token{good[1], &token}
	}
	for name, test := range map[string]struct {
		tokens   []*Token
		password string
		o        PSKCOptions
		want     string
	}{
		"no password":     {good, "", PSKCOptions{Rand: rand.Reader}, "writing PSKC: a password is missing: seeds are never written in clear"},
		"few iterations":  {good, "p", PSKCOptions{Rand: rand.Reader, Iterations: 10}, "writing PSKC: 10 iterations of PBKDF2: it must be 1000 to 5000000"},
		"many iterations": {good, "p", PSKCOptions{Rand: rand.Reader, Iterations: 1e9}, "writing PSKC: 1000000000 iterations of PBKDF2: it must be 1000 to 5000000"},
		"no randomness":   {good, "p", PSKCOptions{Rand: strings.NewReader("x"), Iterations: 1000}, "writing PSKC: making a key: unexpected EOF"},
		"little of it":    {good, "p", PSKCOptions{Rand: strings.NewReader(strings.Repeat("x", 64)), Iterations: 1000}, "writing PSKC: making an initialization vector: EOF"},
		"no seed":         {without(func(t *Token) { t.Seed = oath.Seed{} }), "p", PSKCOptions{Rand: rand.Reader, Iterations: 1000}, `writing PSKC: token "HOTP1": it has no seed`},
		"code list":       {without(func(t *Token) { t.Type = otp.CodeList }), "p", PSKCOptions{Rand: rand.Reader, Iterations: 1000}, `writing PSKC: token "HOTP1": a list of codes is no token of a seed file`},
	} {
		if err := WritePSKC(io.Discard, sequence(test.tokens), secret(test.password), test.o); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	o := PSKCOptions{Rand: rand.Reader, Iterations: 1000}
	if err := WritePSKC(&failing{left: 100}, sequence(good), secret("p"), o); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: %v", err)
	}
	broken := func(yield func(*Token, error) bool) { yield(nil, io.ErrClosedPipe) }
	if err := WritePSKC(io.Discard, broken, secret("p"), o); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken sequence: %v", err)
	}
}

func TestWriteCSV(t *testing.T) {
	tokens := sampleTokens()
	tokens[0].User = "a,\"b\"\nc"
	var b bytes.Buffer
	if err := WriteCSV(&b, sequence(tokens)); err != nil {
		t.Fatal(err)
	}
	want := `serial,user,type,algorithm,digits,period,t0,counter,drift,valid_from,valid_until
HOTP1,"a,""b""
c",hotp,sha1,6,,,4711,,,
HOTP-512,,hotp,sha512,8,,,1099511627776,,,
TOTP1,"Jürgen ""J"" <j&j@example.com>",totp,sha1,6,30,0,,0,,
TOTP-256,,totp,sha256,8,60,0,,-3,2026-01-01T00:00:00Z,2031-12-31T23:59:59Z
TOTP-2000,,totp,sha1,6,30,946684800,,12,,2031-12-31T23:59:59Z
MINIMAL<&>',,hotp,sha1,6,,,0,,,
`
	if b.String() != want {
		t.Errorf("the list is\n%s\nwant\n%s", b.String(), want)
	}
	if err := WriteCSV(&failing{}, sequence(tokens)); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: %v", err)
	}
	broken := func(yield func(*Token, error) bool) { yield(nil, io.ErrClosedPipe) }
	if err := WriteCSV(io.Discard, broken); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken sequence: %v", err)
	}
}
