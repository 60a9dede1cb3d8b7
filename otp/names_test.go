package otp

import (
	"bytes"
	"strings"
	"testing"
)

func TestUserNamesAreNormalized(t *testing.T) {
	for in, want := range map[string]UserName{
		"alice": "alice", "ALICE": "alice", `CORP\Jörg.MÜLLER`: `corp\jörg.müller`, "a b": "a b", "bob@Example.ORG": "bob@example.org",
		"Ele\u0301onore": "el\u00e9onore", "ＡＬＩＣＥ": "alice", "A☃": "a☃", "Jörg  Müller": "jörg  müller",
	} {
		if got, err := ParseUserName(in); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"", " alice", "alice ", "a\x00", "a\nb", "\xff\xfe", "a\u0085", "jörg ", strings.Repeat("x", MaxUserName+1)} {
		if got, err := ParseUserName(bad); err == nil {
			t.Errorf("%q: accepted as %q", bad, got)
		}
	}
}

func TestSerials(t *testing.T) {
	if s, err := ParseSerial("4f214c507612a26a"); s != "4F214C507612A26A" || err != nil {
		t.Error(s, err)
	}
	for _, bad := range []string{"", "a b", "é", strings.Repeat("1", MaxSerial+1)} {
		if _, err := ParseSerial(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestWordsRoundTrip(t *testing.T) {
	for _, v := range Verdicts() {
		if got, err := ParseVerdict(v.String()); got != v || err != nil {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
	for _, typ := range []TokenType{TOTP, HOTP, MobilePASS} {
		if got, err := ParseTokenType(typ.String()); got != typ || err != nil {
			t.Errorf("%v: %v, %v", typ, got, err)
		}
	}
	if _, err := ParseVerdict("maybe"); err == nil {
		t.Error("maybe is no verdict")
	}
	if _, err := ParseTokenType("sms"); err == nil {
		t.Error("sms is no token type")
	}
}

func TestPINRules(t *testing.T) {
	for _, good := range []string{"4711", "pässwort", strings.Repeat("1", 32)} {
		if pin, err := ParsePIN(good, 4); err != nil || string(pin.Bytes()) != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "471", "47 11", "4711\n", "\xff\xfe\xfd\xfc", strings.Repeat("1", 33)} {
		_, err := ParsePIN(bad, 4)
		if err == nil {
			t.Errorf("%q: accepted", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the PIN: %v", err)
		}
	}
}

func FuzzUserName(f *testing.F) {
	for _, s := range []string{"alice", "ALICE", "İstanbul", "\xff", "a\x00b", "Ⱥ", `DOMAIN\User`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		name, ok := AppendUserName([]byte("kept"), raw)
		if !bytes.HasPrefix(name, []byte("kept")) {
			t.Fatal("what was there is lost")
		}
		if !ok {
			return
		}
		name = name[len("kept"):]
		again, ok := AppendUserName(nil, name)
		if !ok || len(name) > MaxUserName {
			t.Fatalf("%q normalizes to %q, which is no name", raw, name)
		}
		if !bytes.Equal(again, name) {
			t.Fatalf("%q normalizes to %q and then to %q", raw, name, again)
		}
	})
}
