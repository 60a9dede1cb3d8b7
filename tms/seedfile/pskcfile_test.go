package seedfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestPSKCBrokenFiles(t *testing.T) {
	good := plainFile(hotpKey, fmt.Sprintf(plainSecret, ""))
	figure7 := readFile(t, "figure7.xml")
	long := strings.Replace(good, "<Data>", "<Issuer>"+strings.Repeat("x", maxPackage)+"</Issuer><Data>", 1)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":          {" ", "line 1: the file ends before it has begun"},
		"no XML":           {"serial,seed\n", "line 2: the file ends before it has begun"},
		"other XML":        {"<Tokens></Tokens>", "line 1: this is no PSKC file: its root element must be KeyContainer"},
		"version":          {strings.Replace(good, `"1.0"`, `"2.0"`, 1), `line 1: PSKC version "2.0": only version 1.0 is known`},
		"document type":    {`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + good, "line 1: a document type or an entity is declared, which no seed file needs"},
		"entity":           {strings.Replace(good, "T1", "&e;", 1), "line 1: there is an & that begins no entity that XML knows"},
		"long package":     {long, "line 1: there are more than 1048576 bytes without a token, which no PSKC file has"},
		"behind the end":   {good + good, `line 1: an element "KeyContainer" stands behind the end of the KeyContainer`},
		"character set":    {`<?xml version="1.0" encoding="EBCDIC"?>` + good, `line 1: xml: opening charset "EBCDIC": the character set "EBCDIC" is not known: save the file as UTF-8`},
		"iterations":       {strings.Replace(figure7, "<IterationCount>1000", "<IterationCount>99999999", 1), `line 7: PBKDF2 with "99999999" iterations: it must be 1 to 5000000`},
		"no iterations":    {without(figure7, "<IterationCount>", "</IterationCount>"), `line 7: PBKDF2 with "" iterations: it must be 1 to 5000000`},
		"no salt":          {without(figure7, "<Salt>", "</Salt>"), "line 7: PBKDF2 has no salt that can be read"},
		"key length":       {strings.Replace(figure7, "<KeyLength>16", "<KeyLength>1000000", 1), `line 7: PBKDF2 with a key of "1000000" bytes: it must be 1 to 32`},
		"other key length": {strings.Replace(figure7, "<KeyLength>16", "<KeyLength>32", 1), "line 7: the key has 32 bytes, but the file needs one of 16: the password or key is wrong, or the file was changed"},
		"PRF":              {strings.Replace(figure7, "<PRF/>", `<PRF Algorithm="urn:x#hmac-md4"/>`, 1), `line 7: PBKDF2 with "urn:x#hmac-md4", which is not supported, only HMAC with SHA-1 or SHA-2 is`},
		"derivation":       {strings.Replace(figure7, "#pbkdf2", "#scrypt", 1), `line 7: a key is derived from the password by "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#s", which is not supported, only PBKDF2 is`},
		"encryption":       {strings.ReplaceAll(figure7, "#aes128-cbc", "#aes128-gcm"), `line 7: the encryption "http://www.w3.org/2001/04/xmlenc#aes128-gcm" is not supported, only AES-CBC, 3DES-CBC and AES key wrap are`},
		"no encryption":    {replaceLast(figure7, ` Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"`, ""), `line 35: token "987654321": a value is encrypted, but the file does not say how`},
		"MAC reference":    {strings.Replace(without(figure7, "<pskc:MACKey>", "</pskc:MACKey>"), "</pskc:MACMethod>", "<pskc:MACKeyReference>k2</pskc:MACKeyReference></pskc:MACMethod>", 1), `line 7: the key of the MACs called "k2" is not in the file; a policy that does not look at MACs reads it all the same`},
	} {
		tokens, _, err := readAll(test.text, Options{Password: secret("qwerty")})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %d tokens and\n%v, want\n%s", name, len(tokens), err, test.want)
		}
	}
}

// TestPSKCCutOff: wherever a file is cut, it is noticed and the line is named.
func TestPSKCCutOff(t *testing.T) {
	text := strings.TrimSpace(readFile(t, "figure10.xml"))
	for n := 1; n < len(text); n += 3 {
		_, _, err := readAll(text[:n], Options{})
		lines := strings.Count(text[:n], "\n") + 1
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d: ", lines)) {
			t.Fatalf("cut after %d bytes, in line %d: %v", n, lines, err)
		}
	}
	_, _, err := readAll(text[:2000], Options{})
	if want := "line 57: the file ends in the middle: it was cut off"; err == nil || err.Error() != want {
		t.Errorf("the error is\n%v, want\n%s", err, want)
	}
}

// TestPSKCErrorStays: behind an error of the file nothing is read.
func TestPSKCErrorStays(t *testing.T) {
	r, err := Open(strings.NewReader(replaceLast(twoTokens(t), "Su+N", "Tu+N")), Options{Format: PSKC, PSK: psk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	_, first := r.Next()
	if _, second := r.Next(); first == nil || first != second || first == io.EOF {
		t.Errorf("%v, and then %v", first, second)
	}
}

// TestPSKCRedaction: neither passwords nor seeds are seen where things are printed.
func TestPSKCRedaction(t *testing.T) {
	o := Options{Format: PSKC, PSK: psk, Password: secret("qwerty")}
	r, err := Open(strings.NewReader(readFile(t, "figure6.xml")), o)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	p := r.parser.(*pskcParser)
	things := []any{o, &o, o.PSK, &o.PSK, r, *r, p.vault, *p.vault, token, *token, struct{ hidden Secret }{psk}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, thing := range things {
			text := fmt.Sprintf(verb, thing)
			for _, planted := range []string{"qwerty", "717765727479", "12345678901234567890", "3132333435363738", "[18 52 86 120", "[49 50 51", "0x12, 0x34", "0x31, 0x32"} {
				if strings.Contains(text, planted) {
					t.Errorf("%s of a %T shows %q: %.300s", verb, thing, planted, text)
				}
			}
		}
	}
}

// TestPSKCErrorsKeepSecrets: what is wrong with a secret is told without it.
func TestPSKCErrorsKeepSecrets(t *testing.T) {
	const planted = "PlantedSecret"
	for _, text := range []string{
		plainFile(hotpKey, "<Data><Secret><PlainValue>"+planted+"</PlainValue></Secret></Data>"),
		plainFile(hotpKey, "<Data><Secret><PlainValue>&"+planted+";</PlainValue></Secret></Data>"),
		plainFile(hotpKey, "<Data><Secret><PlainValue>"+planted),
		plainFile(hotpKey, "<Data><Secret><PlainValue>"+planted+"</Wrong></Secret></Data>"),
	} {
		_, faults, err := readAll(text, Options{})
		for _, fault := range faults {
			err = errors.Join(err, fault)
		}
		if err == nil || strings.Contains(err.Error(), planted) {
			t.Error(err)
		}
	}
	// A seed that is encrypted where the counter should be.
	text := readFile(t, "figure6.xml")
	_, value, _ := strings.Cut(text, "<Secret>")
	value, _, _ = strings.Cut(value, "</Secret>")
	text = strings.Replace(text, "<Counter>", "<Counter>"+value, 1)
	text = without(text, "<PlainValue>", "</PlainValue>")
	_, faults, err := readAll(text, Options{PSK: psk})
	if err != nil || len(faults) != 1 || faults[0].Reason != "Counter: it must be a decimal number of at most 64 bits" {
		t.Error(faults, err)
	}
	if _, err := ParsePSK("00" + planted); err == nil || strings.Contains(err.Error(), planted) {
		t.Error(err)
	}
}

// TestPSKCUTF16: a file that was saved as UTF-16 is one all the same.
func TestPSKCUTF16(t *testing.T) {
	text := strings.Replace(readFile(t, "figure3.xml"), "UTF-8", "UTF-16", 1)
	var b bytes.Buffer
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	tokens, _, err := readAll(b.String(), Options{})
	if err != nil || len(tokens) != 1 || tokens[0].Serial != "987654321" {
		t.Error(tokens, err)
	}
}

// longFile is a PSKC file of so many packages, that is nowhere as a whole.
type longFile struct {
	packages int
	rest     string
}

func (f *longFile) Read(p []byte) (int, error) {
	if f.rest == "" {
		switch f.packages--; {
		case f.packages > 0:
			f.rest = `<KeyPackage><Key Id="K` + fmt.Sprint(f.packages) + `" Algorithm="hotp">` + fmt.Sprintf(plainSecret, "") + "</Key></KeyPackage>\n"
		case f.packages == 0:
			f.rest = "</KeyContainer>"
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// TestPSKCMemory: however long a file is, only a token of it is held.
func TestPSKCMemory(t *testing.T) {
	const packages = 20_000
	r, err := Open(&longFile{packages: packages, rest: "<KeyContainer>"}, Options{Format: PSKC})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early uint64
	for n := 1; ; n++ {
		token, err := r.Next()
		if err == io.EOF && n == packages {
			break
		}
		if err != nil || token.Line != n {
			t.Fatal(n, token, err)
		}
		if n == 1000 {
			early = heap()
		}
	}
	if late := heap(); late > early+1<<20 {
		t.Errorf("%d bytes are held after 1000 tokens, and %d after all", early, late)
	}
	runtime.KeepAlive(r)
}
