package seedfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

const (
	hexSeed    = "3132333435363738393031323334353637383930"
	base32Seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// TestDetect finds formats, also where something misleads.
func TestDetect(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want Format
	}{
		"PSKC behind a comment about Tokens":    {"<?xml version=\"1.0\"?>\n<!-- <Tokens> -->\n<pskc:KeyContainer>", PSKC},
		"PSKC as privacyIDEA writes it":         {"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<keycontainer Version=\"1.0\">", PSKC},
		"SafeNet behind white space":            {"\n \t<Tokens>", SafeNetXML},
		"only comments":                         {"# ===== SafeWord Authenticator Records $Version: 100$ =====\r\n#\r\n", SafeNetDAT},
		"a record whose first key is no ours":   {"objectclass: sccCompatibleToken\ndn: sccAuthenticatorId=A\n", SafeNetDAT},
		"serials of numbers":                    {"508326, " + hexSeed + ", hotp, 6\n", OATHCSV},
		"a column with a time":                  {"508326," + hexSeed + ",totp,6,30,2013-12-12T08:41:07,\n", OATHCSV},
		"a serial that is a word of others":     {"dn, " + hexSeed + "\n", OATHCSV},
		"a comment about KeyContainer":          {"# <KeyContainer> digipass\ntok, " + hexSeed + "\n", OATHCSV},
		"a VASCO token of OATH kind":            {"VASCO-DPX-1, " + hexSeed + "\n", OATHCSV},
		"version 2":                             {"# version: 2\nhans,r,x,tok," + hexSeed + "\n", OATHCSV},
		"version 2 without users":               {"# version: 2\n,,,tok," + hexSeed + ",totp\n", OATHCSV},
		"a heading made by hand":                {"Serial;Hex Seed\ntok;" + hexSeed + "\n", OATHCSV},
		"a bad row first":                       {"what is this\ntok, " + hexSeed + "\n", OATHCSV},
		"a Yubico key with a numeric serial":    {"508326,,0," + hexSeed + ",,2013-12-12T08:41:07,\n", YubicoCSV},
		"a Yubico log that begins with another": {"LOGGING START,11.12.13 18:55\nOATH-HOTP,11.12.13 18:55,1,cccccccccccc,," + hexSeed + ",,,0,0,0,6,0,0\n", YubicoCSV},
		"Entra in any order":                    {"Manufacturer,Secret Key,UPN,Serial Number\n", EntraCSV},
		"Entra with quotes and tabs":            {"\"upn\"\t\"serial_number\"\t\"secret-key\"\n", EntraCSV},
		"privacyIDEA without owners":            {"n/a, tok, " + hexSeed + ", hotp, 6", PrivacyIDEA},
		"privacyIDEA in base32":                 {"hans@x, tok, " + base32Seed + ", totp, 6, 30", PrivacyIDEA},
		"privacyIDEA as yaml":                   {"---\n- active: true\n  serial: tok\n", PrivacyIDEA},
		"no tokens of privacyIDEA":              {"[]\n", PrivacyIDEA},
		"a users file":                          {"# comment\nDEFAULT\tAuth-Type := PAP\n", FreeRADIUS},
		"a users file with FreeRADIUS 4 names":  {"bob\tPassword.Cleartext := \"x\"\n", FreeRADIUS},
		"a users file with commas":              {"bob TOTP-Secret := \"" + base32Seed + "\", TOTP-Time-Step := 30\n", FreeRADIUS},
		"radcheck without names":                {"bob,TOTP-Secret,:=," + base32Seed + "\n", FreeRADIUS},
		"radcheck of passwords":                 {"1,bob,Cleartext-Password,:=,x\n", FreeRADIUS},
		"radcheck in another order":             {"value\tusername\tattribute\n", FreeRADIUS},
	} {
		got, err := detect(newText(strings.NewReader(test.text)))
		if got != test.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, err, test.want)
		}
	}
}

// TestStrangers are files that are none, and what is said of them.
func TestStrangers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "the file is empty",
		"\ufeff":                          "the file is empty",
		" \r\n\t\n":                       "the file is empty",
		"PK\x03\x04\x14\x00\x06\x00":      "save the sheet as CSV",
		"\xd0\xcf\x11\xe0\xa1\xb1":        "save the sheet as CSV",
		"\x1f\x8b\x08\x00":                "compressed with gzip",
		"%PDF-1.7":                        "PDF",
		"-----BEGIN PGP MESSAGE-----\n":   "decrypt it with gpg",
		"-----BEGIN CERTIFICATE-----\n":   "certificate",
		"SQLite format 3\x00":             "SQLite",
		"tok\x00, " + hexSeed:             "no text file",
		"<!DOCTYPE html><html><body>":     "web page",
		"<Envelope/>":                     `begins with "Envelope"`,
		"<?xml version=\"1.0\"?>":         "no element",
		"dear administrator, here is it":  "the format of the file is not known",
		"tok1\n":                          "DIGIPASS",
		"[General]\nFormat=DPX 2\nX=1a2b": "proprietary library can decrypt: ask OneSpan for the seeds as PSKC",
		`{"Salt": "00"}` + "\n":           "LinOTP's own list",
		"LinOtpTokenId,LinOtpTokenDesc,LinOtpTokenSerialnumber,LinOtpKeyEnc\n": "LinOTP's own list",
		"LinOtp.TokenId;LinOtp.TokenSerialnumber\n":                            "LinOTP's own list",
		"gAAAAAB" + strings.Repeat("A", 200):                                   "give the key that the export printed",
	} {
		for _, format := range []Format{"", Auto, PrivacyIDEA, LinOTP} {
			_, err := Open(strings.NewReader(text), Options{Format: format})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q as %q: %v, want %s", text, format, err, want)
			}
		}
	}
}

// TestServersHandOutOtherFormats: the name of a server stands for all that it writes.
func TestServersHandOutOtherFormats(t *testing.T) {
	for _, format := range []Format{PrivacyIDEA, LinOTP} {
		for _, name := range []string{"oath.csv", "oath-v2.csv", "yubico.csv", "safenet.xml", "safenet.dat"} {
			told, tokens := story(sample(t, name), Options{Format: format})
			_, want := story(sample(t, name), Options{})
			if told[0] != "format "+string(format) || len(tokens) != len(want) {
				t.Errorf("%s as %s: %q", name, format, told)
			}
		}
	}
}

// TestEncodings: a file is the same in each of them.
func TestEncodings(t *testing.T) {
	text := sample(t, "entra.csv") + strings.Repeat("#\n", 40000) + "😀,5234567," + base32Seed + ",30,,\n"
	want, _ := story(text, Options{})
	for name, encoded := range map[string]string{
		"UTF-8 with a mark": "\ufeff" + text,
		"CRLF":              strings.ReplaceAll(text, "\n", "\r\n"),
		"UTF-16LE":          toUTF16(text, binary.LittleEndian),
		"UTF-16BE":          toUTF16(text, binary.BigEndian),
	} {
		told, tokens := story(encoded, Options{})
		if strings.Join(told, "\n") != strings.Join(want, "\n") || tokens[len(tokens)-1].User != "😀" {
			t.Errorf("%s: %q", name, told)
		}
	}
	latin := "tok1," + hexSeed + ",hotp,6\nM\xfcller," + hexSeed + "\n"
	if told, _ := story(latin, Options{}); told[2] != "fault: line 2: it is not UTF-8: save the file with this encoding" {
		t.Errorf("Latin-1: %q", told)
	}
	for _, half := range []string{"\xff\xfea\x00\x3d\xd8", "\xff\xfea\x00b"} {
		if _, err := io.ReadAll(newText(strings.NewReader(half))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", half, err)
		}
	}
}

func toUTF16(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// TestLinesHaveLimits: a line that never ends takes no memory, and a file that cannot
// be read further is no file that ended.
func TestLinesHaveLimits(t *testing.T) {
	long := io.MultiReader(strings.NewReader("tok1,"+hexSeed+"\n"), io.LimitReader(endless{}, 1<<30))
	r, err := Open(long, Options{Format: OATHCSV})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Next()
	if _, err := r.Next(); err == nil || err.Error() != "line 2 is longer than 65536 bytes: this is no seed file" {
		t.Error(err)
	}
	if _, again := r.Next(); again == nil || errors.Is(again, io.EOF) {
		t.Error("reading goes on behind an error")
	}
	broken := io.MultiReader(strings.NewReader("tok1,"+hexSeed+"\n"), iotest.ErrReader(errors.New("disk on fire")))
	if r, err = Open(broken, Options{Format: OATHCSV}); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Next()
	if _, err := r.Next(); err == nil || err.Error() != "reading line 2: disk on fire" {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("a"), len(p))), nil }

// TestXMLHasLimits: neither depth nor length of the XML of SafeNet takes memory.
func TestXMLHasLimits(t *testing.T) {
	for text, want := range map[string]string{
		"<Tokens>" + strings.Repeat("<a>", 100):                        "error: line 1: elements are nested too deeply",
		"<Tokens><Token serial=\"" + strings.Repeat("a", 2<<20):        "error: reading line 1: there are more than 1048576 bytes without a token",
		"<Tokens>\n<!DOCTYPE x>":                                       "error: line 2: a document type is not accepted in a seed file",
		"<Tokens></Token>":                                             "error: line 1: this is no well-formed XML",
		"<Tokens>\n</Tokens>\n<Wrong/>":                                `error: line 3: the file begins with "Wrong", not with Tokens`,
		"<?xml version='1.0' encoding='koi8-r'?><Tokens/>":             "error: reading line 1",
		"<?xml version='1.0' encoding='iso-8859-1'?><Tokens></Tokens>": "format safenet-xml",
	} {
		told, _ := story(text, Options{Format: SafeNetXML})
		if last := told[len(told)-1]; !strings.HasPrefix(last, want) {
			t.Errorf("%.60q: %s, want %s", text, last, want)
		}
	}
}
