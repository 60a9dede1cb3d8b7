package seedfile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// The seed of nearly all figures of RFC 6030.
const rfcSeed = "12345678901234567890"

func secret(text string) Secret { return NewSecret([]byte(text)) }

// psk is the pre-shared key of figure 6.
var psk = must(ParsePSK("12345678901234567890123456789012"))

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// readAll reads a PSKC file, with its faults and the error that ended the reading.
func readAll(text string, o Options) (tokens []*Token, faults []*Fault, err error) {
	o.Format = PSKC
	r, err := Open(strings.NewReader(text), o)
	if err != nil {
		return nil, nil, err
	}
	for {
		t, err := r.Next()
		fault := (*Fault)(nil)
		switch {
		case err == io.EOF:
			return tokens, faults, nil
		case errors.As(err, &fault):
			faults = append(faults, fault)
		case err != nil:
			return tokens, faults, err
		default:
			tokens = append(tokens, t)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "pskc", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// describe is a token with its seed, on a line.
func describe(t *Token) string {
	return fmt.Sprintf("line %d %s %s %s %d digits period %d t0 %d counter %d drift %d %s..%s user %q seed %x", t.Line, t.Serial, t.Type, t.Algorithm, t.Digits,
		t.Period, t.T0, t.State.Counter, t.State.Drift, dateText(t.ValidFrom), dateText(t.ValidUntil), t.User, t.Seed.Bytes())
}

func TestPSKCFigures(t *testing.T) {
	seed := hex.EncodeToString([]byte(rfcSeed))
	hotp := func(line int, serial string, digits int, dates, user string) string {
		return fmt.Sprintf("line %d %s hotp sha1 %d digits period 0 t0 0 counter 0 drift 0 %s user %q seed %s", line, serial, digits, dates, user, seed)
	}
	for _, test := range []struct {
		file   string
		o      Options
		tokens []string
		faults []string
		err    string
	}{
		{file: "figure2.xml", faults: []string{`line 3: token "12345678": the seed has 4 bytes, but must have 8 to 128`}},
		{file: "figure3.xml", tokens: []string{hotp(3, "987654321", 8, "..", "UID=jsmith,DC=example-bank,DC=net")}},
		{file: "figure4.xml", faults: []string{`line 3: token "987654321": it has no seed`}},
		{file: "figure5.xml", tokens: []string{hotp(3, "987654321", 8, "..", "")}, faults: []string{`line 31: token "987654321": it is a PIN, not a token`}},
		{file: "figure6.xml", o: Options{PSK: psk}, tokens: []string{hotp(16, "987654321", 8, "..", "")}},
		{file: "figure6.xml", err: `line 3: the file is encrypted under a pre-shared key called "Pre-shared-key", which is missing`},
		{file: "figure6.xml", o: Options{Password: secret("qwerty")}, err: `line 3: the file is encrypted under a pre-shared key called "Pre-shared-key", which is missing`},
		{file: "figure6.xml", o: Options{PSK: secret("1234567890123456")}, err: "line 3: an encrypted value: it does not decrypt: the password or key is wrong, or the file was changed"},
		{file: "figure6.xml", o: Options{PSK: secret(rfcSeed)}, err: "line 3: the key has 20 bytes, but the file needs one of 16: the password or key is wrong, or the file was changed"},
		{file: "figure7.xml", o: Options{Password: secret("qwerty")}, tokens: []string{hotp(35, "987654321", 8, "..", "")}},
		{file: "figure7.xml", o: Options{PSK: psk}, err: `line 7: the file is encrypted under a password called "My Password 1", which is missing`},
		{file: "figure7.xml", o: Options{Password: secret("Qwerty")}, err: "line 7: an encrypted value: it does not decrypt: the password or key is wrong, or the file was changed"},
		{file: "figure8.xml", o: Options{PSK: psk}, err: `line 8: token "987654321": the file is encrypted for a certificate, which is not supported: ask for one under a password or a pre-shared key`},
		{file: "figure9.xml", tokens: []string{hotp(3, "0755225266", 6, "..", "")}},
		{file: "figure10.xml", tokens: []string{
			hotp(3, "654321", 8, "2006-05-01T00:00:00Z..2006-05-31T00:00:00Z", ""),
			hotp(29, "123456", 8, "2006-05-01T00:00:00Z..2006-05-31T00:00:00Z", ""),
			hotp(55, "9999999", 8, "2006-03-01T00:00:00Z..2006-03-31T00:00:00Z", ""),
			hotp(81, "9999999", 8, "2006-04-01T00:00:00Z..2006-04-30T00:00:00Z", ""),
		}},
		{file: "draft-totp.xml", tokens: []string{
			fmt.Sprintf(`line 3 987654323 totp sha1 6 digits period 30 t0 0 counter 0 drift -4 .. user "Jürgen" seed %s`, seed),
			hotp(32, "9999999", 8, "..", ""),
			hotp(40, "4", 6, "..", ""),
		}},
	} {
		tokens, faults, err := readAll(readFile(t, test.file), test.o)
		if got := fmt.Sprint(err); err != nil && got != test.err || err == nil && test.err != "" {
			t.Errorf("%s: error\n%s, want\n%s", test.file, got, test.err)
		}
		compare(t, test.file, tokens, describe, test.tokens)
		compare(t, test.file, faults, (*Fault).Error, test.faults)
	}
}

func compare[T any](t *testing.T, name string, got []T, text func(T) string, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		have, should := "nothing", "nothing"
		if i < len(got) {
			have = text(got[i])
		}
		if i < len(want) {
			should = want[i]
		}
		if have != should {
			t.Errorf("%s: number %d is\n%s, want\n%s", name, i, have, should)
		}
	}
}

// TestPSKCVectors checks the intermediate values of figures 6 and 7, recomputed.
func TestPSKCVectors(t *testing.T) {
	for _, test := range []struct{ file, key, macKey, mac string }{
		{"figure6.xml", "12345678901234567890123456789012", "1122334455667788990011223344556677889900", "Su+NvtQfmvfJzF6bmQiJqoLRExc="},
		{"figure7.xml", "651e63cd57008476af1ff6422cd02e41", "bdaab8d648e850d25a3289364f7d7eaaf53ce581", "LP6xMvjtypbfT9PdkJhBZ+D6O4w="},
	} {
		r, err := Open(strings.NewReader(readFile(t, test.file)), Options{Format: PSKC, PSK: psk, Password: secret("qwerty")})
		if err != nil {
			t.Fatal(err)
		}
		p := r.parser.(*pskcParser)
		if got := hex.EncodeToString(p.vault.key.bytes()); got != test.key {
			t.Errorf("%s: the key is %s, want %s", test.file, got, test.key)
		}
		macKey, _, err := p.vault.decrypt(p.header.mac.Key)
		if got := hex.EncodeToString(macKey); err != nil || got != test.macKey {
			t.Errorf("%s: the key of the MACs is %s (%v), want %s", test.file, got, err, test.macKey)
		}
		if err := p.readPackage(); err != nil {
			t.Fatal(err)
		}
		value := p.keys[0].Data.Secret
		seed, data, err := p.vault.decrypt(value.Encrypted)
		if string(seed) != rfcSeed || err != nil {
			t.Errorf("%s: the seed is %q (%v)", test.file, seed, err)
		}
		if want := must(decodeBase64(test.mac)); !bytes.Equal(p.vault.sum(data), want) {
			t.Errorf("%s: the MAC is %x, want %x", test.file, p.vault.sum(data), want)
		}
	}
}

// twoTokens is figure 6 with a second token, that has the same values.
func twoTokens(t *testing.T) string {
	before, pack, _ := strings.Cut(readFile(t, "figure6.xml"), "    <KeyPackage>")
	pack, end, _ := strings.Cut("    <KeyPackage>"+pack, "</KeyContainer>")
	return before + pack + strings.Replace(pack, "987654321", "987654322", 1) + "</KeyContainer>" + end
}

// replaceLast replaces the last place only.
func replaceLast(text, old, new string) string {
	i := strings.LastIndex(text, old)
	return text[:i] + new + text[i+len(old):]
}

func TestPSKCMACPolicy(t *testing.T) {
	good := twoTokens(t)
	const mac, cipherText = "Su+NvtQfmvfJzF6bmQiJqoLRExc=", "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv"
	other := strings.Replace(cipherText, "AAEC", "AAED", 1) // one bit of the seed
	for name, test := range map[string]struct {
		text                   string
		hard, soft, none       int // tokens
		hardError, softError   string
		softFaults, noneFaults int
	}{
		"right": {text: good, hard: 2, soft: 2, none: 2},
		"second MAC wrong": {text: replaceLast(good, mac, "Tu+NvtQfmvfJzF6bmQiJqoLRExc="), hard: 1, soft: 1, none: 2, softFaults: 1,
			hardError: `line 48: token "987654322": an encrypted value: its MAC is wrong: the file was changed`},
		"first MAC wrong": {text: strings.Replace(good, mac, "Tu+NvtQfmvfJzF6bmQiJqoLRExc=", 1), soft: 1, none: 2, softFaults: 1,
			hardError: `line 16: token "987654321": an encrypted value: its MAC is wrong: the password or key is wrong, or the file was changed`},
		"second seed changed": {text: replaceLast(good, cipherText, other), hard: 1, soft: 1, none: 2, softFaults: 1,
			hardError: `line 48: token "987654322": an encrypted value: its MAC is wrong: the file was changed`},
		"second MAC missing": {text: replaceLast(good, "<ValueMAC>"+mac+"\n                    </ValueMAC>", ""), hard: 1, soft: 1, none: 2, softFaults: 1,
			hardError: `line 48: token "987654322": an encrypted value: its MAC is missing: the file was changed`},
		"second padding wrong": {text: replaceLast(good, "IUqGv", "IUqGw"), hard: 1, soft: 1, none: 1, softFaults: 1, noneFaults: 1,
			hardError: `line 48: token "987654322": an encrypted value: it does not decrypt: the file was changed`},
		"unknown MAC": {text: strings.Replace(good, "#hmac-sha1", "#hmac-md5", 1), none: 2,
			hardError: `line 3: the MAC "http://www.w3.org/2000/09/xmldsig#hmac-md5" is not known; a policy that does not look at MACs reads the file all the same`,
			softError: `line 3: the MAC "http://www.w3.org/2000/09/xmldsig#hmac-md5" is not known; a policy that does not look at MACs reads the file all the same`},
		"MAC key missing": {text: strings.Replace(good, "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX", "", 1), none: 2,
			hardError: `line 3: an encrypted value: it does not decrypt: the password or key is wrong, or the file was changed`,
			softError: `line 3: an encrypted value: it does not decrypt: the password or key is wrong, or the file was changed`},
		"no MAC method": {text: without(good, "<MACMethod", "</MACMethod>"), none: 2, softFaults: 2,
			hardError: `line 7: token "987654321": an encrypted value: it has a MAC, but the file does not say of which kind: the password or key is wrong, or the file was changed`},
	} {
		for policy, want := range []struct {
			tokens, faults int
			err            string
		}{MACHard: {test.hard, 0, test.hardError}, MACSoft: {test.soft, test.softFaults, test.softError}, MACNone: {test.none, test.noneFaults, ""}} {
			tokens, faults, err := readAll(test.text, Options{PSK: psk, MAC: MACPolicy(policy)})
			if len(tokens) != want.tokens || len(faults) != want.faults || err != nil && err.Error() != want.err || err == nil && want.err != "" {
				t.Errorf("%s, policy %d: %d tokens, faults %v, error\n%v, want %d, %d and\n%s", name, policy, len(tokens), faults, err, want.tokens, want.faults, want.err)
			}
		}
	}
}

// without takes out what is from one text up to the end of the other.
func without(text, from, to string) string {
	before, rest, _ := strings.Cut(text, from)
	_, after, _ := strings.Cut(rest, to)
	return before + after
}

// plainFile is a file with one token, whose elements are given.
func plainFile(attributes, elements string) string {
	return `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage><DeviceInfo><SerialNo>T1</SerialNo></DeviceInfo>` +
		"<Key " + attributes + ">" + elements + "</Key></KeyPackage></KeyContainer>"
}

const (
	hotpKey     = `Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"`
	totpKey     = `Id="1" Algorithm="URN:IETF:params:xml:ns:keyprov:pskc:TOTP"`
	plainSecret = "<Data><Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>%s</Data>"
)

// elementCase is a file with one token of these elements, and what the token differs in
// from the usual one, or what is wrong with it.
type elementCase struct {
	key, elements string
	change        func(*Token)
	fault         string
}

func (c *elementCase) run(t *testing.T) {
	t.Helper()
	tokens, faults, err := readAll(plainFile(c.key, c.elements), Options{})
	if err != nil {
		t.Errorf("%s: %v", c.elements, err)
		return
	}
	var want, faulty []string
	if c.change == nil {
		faulty = []string{`line 1: token "T1": ` + c.fault}
	} else {
		usual := &Token{Line: 1}
		usual.Serial, usual.Type, usual.Digits, usual.Seed = "T1", otp.HOTP, 6, oath.NewSeed([]byte(rfcSeed))
		if c.key == totpKey {
			usual.Type, usual.Period = otp.TOTP, 30
		}
		c.change(usual)
		want = []string{describe(usual)}
	}
	compare(t, c.elements, tokens, describe, want)
	compare(t, c.elements, faults, (*Fault).Error, faulty)
}

func none(*Token) {}

func TestPSKCNumbers(t *testing.T) {
	value := func(name, text string) string {
		return fmt.Sprintf(plainSecret, fmt.Sprintf("<%s><PlainValue> %s </PlainValue></%[1]s>", name, text))
	}
	t0 := func(space string) string {
		return fmt.Sprintf(plainSecret, "") + `<Extensions><T0 xmlns="` + space + `">946684800</T0></Extensions>`
	}
	for _, test := range []elementCase{
		{key: hotpKey, elements: value("Counter", "12"), change: func(t *Token) { t.State.Counter = 12 }},
		{key: totpKey, elements: value("Counter", "12"), change: none},
		{key: totpKey, elements: value("TimeInterval", "60"), change: func(t *Token) { t.Period = 60 }},
		{key: totpKey, elements: value("TimeDrift", "-3"), change: func(t *Token) { t.State.Drift = -3 }},
		{key: totpKey, elements: value("Time", "53666666"), change: none},
		{key: totpKey, elements: t0("urn:x-countersign:pskc"), change: func(t *Token) { t.T0 = 946684800 }},
		{key: totpKey, elements: t0("urn:other"), change: none},
		{key: hotpKey, elements: value("Counter", "TWELVE"), fault: `Counter "TWELVE": it must be a decimal number of at most 64 bits`},
		{key: hotpKey, elements: value("Counter", "-1"), fault: "Counter -1: it must not be negative"},
		{key: totpKey, elements: value("TimeDrift", "4294967296"), fault: `TimeDrift "4294967296": it must be a decimal number of at most 32 bits`},
		{key: totpKey, elements: value("TimeInterval", "-30"), fault: "TimeInterval -30: it must not be negative"},
		{key: totpKey, elements: value("TimeInterval", "86401"), fault: "period 86401: a code lives 1 to 86400 seconds"},
		{key: totpKey, elements: value("Time", "now"), fault: `Time "now": it must be a decimal number of at most 64 bits`},
		{key: hotpKey, elements: "<Data><Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA</PlainValue></Secret></Data>", fault: "the seed is not base64"},
	} {
		test.run(t)
	}
}

func TestPSKCParameters(t *testing.T) {
	parameters := func(text string) string {
		return "<AlgorithmParameters>" + text + "</AlgorithmParameters>" + fmt.Sprintf(plainSecret, "")
	}
	policy := func(text string) string { return fmt.Sprintf(plainSecret, "") + "<Policy>" + text + "</Policy>" }
	at := func(text string) int64 { return must(time.Parse(time.RFC3339, text)).Unix() }
	for _, test := range []elementCase{
		{key: hotpKey, elements: parameters("<Suite>HMAC-SHA256</Suite>"), change: func(t *Token) { t.Algorithm = oath.SHA256 }},
		{key: hotpKey, elements: parameters("<Suite> hmac-sha-512 </Suite>"), change: func(t *Token) { t.Algorithm = oath.SHA512 }},
		{key: hotpKey, elements: parameters("<Suite>http://www.w3.org/2001/04/xmldsig-more#hmac-sha256</Suite>"), change: func(t *Token) { t.Algorithm = oath.SHA256 }},
		{key: hotpKey, elements: parameters("<Suite>MD5</Suite>"), fault: `unknown hash algorithm "MD5": it must be sha1, sha256 or sha512`},
		{key: hotpKey, elements: parameters(`<ResponseFormat Length="8" Encoding="decimal"/>`), change: func(t *Token) { t.Digits = 8 }},
		{key: hotpKey, elements: parameters(`<ResponseFormat Length="8" Encoding="HEXADECIMAL"/>`), fault: `its codes are "HEXADECIMAL", but only DECIMAL is supported`},
		{key: hotpKey, elements: parameters(`<ResponseFormat Length="FOUR" Encoding="DECIMAL"/>`), fault: `the length "FOUR" of its codes is not a number of digits`},
		{key: hotpKey, elements: parameters(`<ResponseFormat Length="4" Encoding="DECIMAL"/>`), fault: "4 digits: a code has 6 to 10"},
		{key: hotpKey, elements: parameters(`<ResponseFormat Length="6" Encoding="DECIMAL" CheckDigits="true"/>`), fault: "its codes have a check digit, which is not supported"},
		{key: hotpKey, elements: policy("<StartDate>2026-05-01T02:00:00+02:00</StartDate><ExpiryDate>2027-05-01T00:00:00.5</ExpiryDate>"),
			change: func(t *Token) { t.ValidFrom, t.ValidUntil = at("2026-05-01T00:00:00Z"), at("2027-05-01T00:00:00Z") }},
		{key: hotpKey, elements: policy("<ExpiryDate>1900-01-01</ExpiryDate>"), change: func(t *Token) { t.ValidUntil = 1 }},
		{key: hotpKey, elements: policy("<ExpiryDate>31.12.2027</ExpiryDate>"), fault: `the date "31.12.2027" cannot be read: it must look like 2027-05-31T00:00:00Z`},
		{key: hotpKey, elements: policy("<KeyUsage>Encrypt</KeyUsage><KeyUsage>OTP</KeyUsage>"), change: none},
		{key: hotpKey, elements: policy("<KeyUsage>Encrypt</KeyUsage>"), fault: "its policy does not allow one-time passwords"},
		{key: hotpKey, elements: policy(`<PINPolicy PINUsageMode="Algorithmic"/>`), fault: "its codes are computed with a PIN, which is not supported"},
		{key: `Id="1"`, elements: fmt.Sprintf(plainSecret, ""), fault: "the file does not say of which algorithm the key is"},
		{key: `Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:ocra"`, elements: fmt.Sprintf(plainSecret, ""), fault: `the algorithm "urn:ietf:params:xml:ns:keyprov:pskc:ocra" is not supported, only hotp and totp are`},
	} {
		test.run(t)
	}
}

// TestPSKCDates: the time of device and key bound the token both.
func TestPSKCDates(t *testing.T) {
	text := plainFile(hotpKey, fmt.Sprintf(plainSecret, "")+"<Policy><StartDate>2026-01-01</StartDate><ExpiryDate>2027-01-01</ExpiryDate></Policy>")
	text = strings.Replace(text, "</SerialNo>", "</SerialNo><StartDate>2026-02-01</StartDate><ExpiryDate>2027-02-01</ExpiryDate><UserId>anna</UserId>", 1)
	tokens, _, err := readAll(text, Options{})
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	token := tokens[0]
	if got := dateText(token.ValidFrom) + " " + dateText(token.ValidUntil) + " " + token.User; got != "2026-02-01T00:00:00Z 2027-01-01T00:00:00Z anna" {
		t.Error(got)
	}
}

// TestPSKCDrafts: a MAC of the plain text, and one under the key of the values.
func TestPSKCDrafts(t *testing.T) {
	v := &pskcVault{key: psk}
	if err := v.findMAC(&pskcMACMethod{Algorithm: "http://www.w3.org/2000/09/xmldsig#hmac-sha1"}); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cipher text": []byte("data"), "plain text": []byte("plain")} {
		v.verified = false
		mac := base64.StdEncoding.EncodeToString(v.sum(data))
		if err := v.verify(mac, []byte("data"), []byte("plain")); err != nil || !v.verified {
			t.Errorf("MAC of the %s: %v", name, err)
		}
	}
}

func TestPSKCIntegers(t *testing.T) {
	for text, want := range map[string]string{"12": "12", "-4": "-4", "\x0e\xab\x70": "961392", "\x00": "0", "": "", "\x01\x00\x00\x00\x00\x00\x00\x00\x00": "\x01\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if got := decimal([]byte(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// TestPSKCOfPrivacyIDEA: it writes all names in small letters, the hash as an attribute
// and the drift in seconds.
func TestPSKCOfPrivacyIDEA(t *testing.T) {
	text := twoTokens(t)
	text = strings.ReplaceAll(text, "<ResponseFormat", `<Suite hashalgo="sha256"/><ResponseFormat`)
	text = strings.ReplaceAll(text, "<Issuer>Issuer", "<Issuer>privacyIDEA")
	text = replaceLast(text, "pskc:hotp", "pskc:totp")
	text = replaceLast(text, "</Data>", "<Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval><TimeDrift><PlainValue>-178.4</PlainValue></TimeDrift></Data>")
	tag, name := regexp.MustCompile(`<[^?>]*>`), regexp.MustCompile(`^</?[\w:]+|\s[\w:]+=`)
	text = tag.ReplaceAllStringFunc(text, func(tag string) string { return name.ReplaceAllStringFunc(tag, strings.ToLower) })
	if !strings.Contains(text, "<xenc:ciphervalue>") || !strings.Contains(text, "</keypackage>") {
		t.Fatal(text)
	}
	for _, drift := range []struct{ text, want string }{{"-178.4", "-3"}, {"None", "0"}, {"", "0"}} {
		tokens, faults, err := readAll(strings.Replace(text, "-178.4", drift.text, 1), Options{PSK: psk})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "drift "+drift.text, faults, (*Fault).Error, nil)
		compare(t, "drift "+drift.text, tokens, describe, []string{
			`line 16 987654321 hotp sha256 8 digits period 0 t0 0 counter 0 drift 0 .. user "" seed ` + hex.EncodeToString([]byte(rfcSeed)),
			`line 48 987654322 totp sha256 8 digits period 60 t0 0 counter 0 drift ` + drift.want + ` .. user "" seed ` + hex.EncodeToString([]byte(rfcSeed)),
		})
	}
	_, faults, err := readAll(strings.Replace(text, "-178.4", "soon", 1), Options{PSK: psk})
	if err != nil || len(faults) != 1 {
		t.Error(faults, err)
	}
}

// TestPSKCSerials: a token is called as its device. Of several keys of a device only one
// is.
func TestPSKCSerials(t *testing.T) {
	key := func(id string) string {
		return `<Key Id="` + id + `" Algorithm="hotp">` + fmt.Sprintf(plainSecret, "") + "</Key>"
	}
	text := func(device string, keys ...string) string {
		return `<KeyContainer><KeyPackage><DeviceInfo><SerialNo>` + device + `</SerialNo></DeviceInfo>` + strings.Join(keys, "\n") + "</KeyPackage></KeyContainer>"
	}
	for _, test := range []struct{ text, want string }{
		{text(" d1 ", key("k1")), "1 D1"},
		{text("", key("k1")), "1 K1"},
		{text("d1", key("k1"), key("k2"), key("")), "1 D1, 2 K2, 3 D1"},
		{text("1591950", key("1591950:1"), key("1591950:2")), "1 UBOM1591950_1, 2 UBOM1591950_2"},
		{text("", key(":1")), "1 :1"},
		{text("a b", key("k1")), `fault line 1: token "a b": serial "a b": only printable ASCII without spaces is allowed`},
	} {
		tokens, faults, err := readAll(test.text, Options{})
		var got []string
		for _, token := range tokens {
			got = append(got, fmt.Sprint(token.Line, " ", token.Serial))
		}
		for _, fault := range faults {
			got = append(got, "fault "+fault.Error())
		}
		if strings.Join(got, ", ") != test.want || err != nil {
			t.Errorf("%s: %v, %v, want %s", test.text, got, err, test.want)
		}
	}
}
