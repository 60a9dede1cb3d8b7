package seedfile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"countersign/otp"
)

// outcome reads a file up to its first token or error.
func outcome(text io.Reader, o Options) (*Token, error) {
	r, err := Open(text, o)
	if err != nil {
		return nil, err
	}
	return r.Next()
}

// TestDriftIsOfAClock: a login would have to search all the steps of a drift, so it is
// no larger than a clock can be wrong.
func TestDriftIsOfAClock(t *testing.T) {
	const shift = `[{"serial":"A","type":"totp","otpkey":"3132333435363738393031323334353637383930","info":{"timeStep":"%d","timeShift":"%s"}}]`
	const user = "bob\tTOTP-Secret := \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\", TOTP-Time-Offset := %s\n"
	steps := func(n string) string {
		return plainFile(totpKey, fmt.Sprintf(plainSecret, "<TimeDrift><PlainValue>"+n+"</PlainValue></TimeDrift>"))
	}
	for _, test := range []struct {
		text  string
		drift int32
		wrong string
	}{
		{text: steps("2880"), drift: 2880},
		{text: steps("-2880"), drift: -2880},
		{text: steps("2881"), wrong: "a drift of 2881 steps"},
		{text: steps("-2147483648"), wrong: "a drift of -2147483648 steps"},
		{text: fmt.Sprintf(shift, 1, "86400"), drift: 86400},
		{text: fmt.Sprintf(shift, 1, "86401"), wrong: "a drift of 86401 steps"},
		{text: fmt.Sprintf(shift, 30, "nan"), wrong: "the time shift is not a number"},
		{text: fmt.Sprintf(shift, 30, "-Inf"), wrong: "the time shift is not a number"},
		{text: fmt.Sprintf(user, "90"), drift: 3},
		{text: fmt.Sprintf(user, "NaN"), wrong: "TOTP-Time-Offset is not a number"},
		{text: fmt.Sprintf(user, "-inf"), wrong: "TOTP-Time-Offset is not a number"},
	} {
		token, err := outcome(strings.NewReader(test.text), Options{})
		switch {
		case test.wrong != "":
			if fault := (*Fault)(nil); !errors.As(err, &fault) || !strings.Contains(fault.Reason, test.wrong) {
				t.Errorf("%s: %v, want %s", test.text, err, test.wrong)
			}
		case err != nil || token.State.Drift != test.drift:
			t.Errorf("%s: %v, %v", test.text, token, err)
		}
	}
}

// TestSerialIsNoSeed: with columns swapped, seeds would be serials, that all can see.
func TestSerialIsNoSeed(t *testing.T) {
	const seed, base32 = "3132333435363738393031323334353637383930", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, text := range []string{
		seed + ",0004000800040008,hotp,6,0\n",
		seed + ",0004000800040008,hotp,12,0\n",
		seed + ",10000001,hotp,6,0\n",
		seed[:32] + ",0004000800040008,hotp,6,0\n",
		seed[:24] + ",0004000800040008,hotp,12,0\n",
		seed + seed + ",0004000800040008,hotp,6,0\n",
		"upn,serial number,secret key,time interval,manufacturer,model\nalice," + base32 + ",AAAABBBBCCCCDDDD,30,x,y\n",
		"upn,serial number,secret key,time interval,manufacturer,model\nalice," + base32 + ",AAAABBBB,30,x,y\n",
		`<Tokens><Token serial="` + seed + `"><Applications><Application><Seed>00</Seed></Application></Applications></Token></Tokens>`,
	} {
		_, err := outcome(strings.NewReader(text), Options{})
		fault := (*Fault)(nil)
		if !errors.As(err, &fault) || strings.Contains(err.Error(), seed[:16]) || strings.Contains(err.Error(), base32[:16]) || fault.Serial != "" {
			t.Errorf("%s: %v", text, err)
		}
	}
	const asked = "line 1: the serial looks like a seed: are the columns swapped?"
	if _, err := outcome(strings.NewReader(seed+",0004000800040008,hotp,6,0\n"), Options{}); err == nil || err.Error() != asked {
		t.Errorf("%v, want %s", err, asked)
	}
}

// unending is a file that goes on after its head with one text for ever, and counts what
// was read of it.
type unending struct {
	head, text string
	read       int
}

func (e *unending) Read(p []byte) (int, error) {
	if e.head == "" {
		e.head = strings.Repeat(e.text, 1+4096/len(e.text))
	}
	n := copy(p, e.head)
	e.head = e.head[n:]
	e.read += n
	return n, nil
}

// TestOneTokenIsBounded: what belongs to one token is not read for ever.
func TestOneTokenIsBounded(t *testing.T) {
	const latin1 = `<?xml version="1.0" encoding="ISO-8859-1"?>`
	for name, file := range map[string]*unending{
		"PSKC":         {head: `<KeyContainer Version="1.0"><KeyPackage><Key Id="1"><Issuer>`, text: "aaaaaaaaaa"},
		"PSKC, latin1": {head: latin1 + `<KeyContainer Version="1.0"><KeyPackage><Key Id="1"><Issuer>`, text: "aaaaaaaaa\xe4"},
		"XML, latin1":  {head: latin1 + `<Tokens><Token serial="1">`, text: "aaaaaaaaaa"},
		"keys":         {head: `<KeyContainer Version="1.0"><KeyPackage>`, text: "<Key/>\n"},
		"entries":      {head: "- serial: A\n", text: "  k: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"},
	} {
		if _, err := outcome(file, Options{}); err == nil || err == io.EOF || file.read > maxPackage+4*maxLine {
			t.Errorf("%s: %v after %d bytes", name, err, file.read)
		}
	}
	var many strings.Builder
	many.WriteString("- serial: A\n")
	for i := range 2 * maxEntries {
		fmt.Fprintf(&many, "  k%d: 1\n", i)
	}
	if _, err := outcome(strings.NewReader(many.String()), Options{}); err == nil || !strings.Contains(err.Error(), "line 1002: the token that begins in line 1 has more") {
		t.Error(err)
	}
}

// TestKeysAreBounded: a package of many small keys would take a hundred times its size.
func TestKeysAreBounded(t *testing.T) {
	text := func(n int) string {
		return `<KeyContainer Version="1.0"><KeyPackage>` + strings.Repeat("<Key/>", n) + "</KeyPackage></KeyContainer>"
	}
	if _, faults, err := readAll(text(maxKeys), Options{}); len(faults) != maxKeys || err != nil {
		t.Errorf("%d faults, %v", len(faults), err)
	}
	if _, faults, err := readAll(text(maxKeys+1), Options{}); len(faults) > 0 || err == nil || err.Error() != "line 1: a package has more than 1000 keys" {
		t.Errorf("%d faults, %v", len(faults), err)
	}
}

// TestValuesInPieces: comments part a value into pieces, of which there may be many.
func TestValuesInPieces(t *testing.T) {
	file := func(seed string) io.Reader {
		return strings.NewReader(`<Tokens><Token serial="1"><Applications><Application><Seed>` + seed + `</Seed></Application></Applications></Token></Tokens>`)
	}
	token, err := outcome(file(" 31323334<!-- -->35363738 "), Options{})
	if err != nil || string(token.Seed.Bytes()) != "12345678" {
		t.Error(token, err)
	}
	if token, err = outcome(file(strings.Repeat("ab", maxSeed)), Options{}); err != nil || token.Seed.Len() != maxSeed {
		t.Error(token, err)
	}
	long := strings.Repeat(" ", maxValue-16)
	for _, seed := range []string{strings.Repeat("a<!---->", 100_000), long + "31323334353637383930"} {
		if _, err := outcome(file(seed), Options{}); err == nil || !strings.Contains(err.Error(), "its Seed or MovingFactor is longer than 512 bytes") {
			t.Error(err)
		}
	}
	n := testing.AllocsPerRun(1, func() { _, _ = outcome(file(strings.Repeat("a<!---->", 10_000)), Options{}) })
	if n > 60_000 {
		t.Errorf("%v allocations for 10 000 pieces", n)
	}
}

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{`a"`: `"a" "" true`, `a""b",c`: `"a\"b" ",c" true`, `"`: `"" "" true`, `""`: `"" "" false`, `a`: `"" "" false`} {
		field, rest, closed := unquote(text)
		if got := fmt.Sprintf("%q %q %v", field, rest, closed); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	many := strings.Repeat(`""`, 30_000)
	if field, rest, closed := unquote(many + `",x`); field != many[:30_000] || rest != ",x" || !closed {
		t.Errorf("%d bytes, %q, %v", len(field), rest, closed)
	}
	if n := testing.AllocsPerRun(1, func() { unquote(many + `"`) }); n > 100 {
		t.Errorf("%v allocations for %d quotes", n, len(many)/2)
	}
}

// TestEndedIn1970: the time that a token has ended is never 0, which is no end.
func TestEndedIn1970(t *testing.T) {
	text := `[{"serial":"A","type":"totp","otpkey":"3132333435363738393031323334353637383930","info":{"validity_period_end":"1970-01-01T00:00+0000"}}]`
	token, err := outcome(strings.NewReader(text), Options{})
	if err != nil || token.ValidUntil != 1 {
		t.Errorf("%v, %v", token, err)
	}
}

// TestSecretsThatWereSlippedIn: who can change an encrypted file, but has not its key,
// brings no seed of their own into it.
func TestSecretsThatWereSlippedIn(t *testing.T) {
	sample := []*Token{{Token: otp.Token{Serial: "A1", Type: otp.HOTP, Digits: 6, Seed: sampleTokens()[0].Seed}}}
	good := writeSample(t, sample, "password1", 1000)
	const plain = "<pskc:PlainValue>QUFBQUFBQUFBQUFBQUFBQUFBQUE=</pskc:PlainValue>"
	encrypted := "<pskc:EncryptedValue>" + strings.Split(strings.Split(good, "<pskc:EncryptedValue>")[1], "</pskc:EncryptedValue>")[0] + "</pskc:EncryptedValue>"
	stripped := without(without(good, "<pskc:MACMethod", "</pskc:MACMethod>"), "<pskc:ValueMAC>", "</pskc:ValueMAC>")
	for name, test := range map[string]struct {
		text       string
		policy     MACPolicy
		tokens     int
		fault, err string
	}{
		"good":              {text: good, tokens: 1},
		"both":              {text: strings.Replace(good, encrypted, plain+encrypted, 1), fault: "its seed is there twice"},
		"in clear":          {text: strings.Replace(good, encrypted, plain, 1), fault: "its seed is in clear, in a file that is encrypted"},
		"without MAC":       {text: stripped, err: "it has no MAC, so a change would go unnoticed"},
		"without MAC, soft": {text: stripped, policy: MACSoft, fault: "it has no MAC, so a change would go unnoticed"},
		"without MAC, none": {text: stripped, policy: MACNone, tokens: 1},
	} {
		tokens, faults, err := readAll(test.text, Options{Password: secret("password1"), MAC: test.policy})
		if len(tokens) != test.tokens || (test.fault != "") != (len(faults) == 1 && strings.Contains(faults[0].Reason, test.fault)) {
			t.Errorf("%s: %d tokens, faults %v", name, len(tokens), faults)
		}
		if (test.err != "") != (err != nil) || err != nil && (!strings.Contains(err.Error(), test.err) || errors.Is(err, ErrWrongKey)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
