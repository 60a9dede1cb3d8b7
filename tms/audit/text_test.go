package audit

import (
	"strings"
	"testing"
	"time"
)

func TestKeyText(t *testing.T) {
	key := public(newKey("server"))
	text := FormatKey(key)
	if len(text) != len("csaudit1-")+43 {
		t.Errorf("text %s", text)
	}
	back, err := ParseKey(" " + text + "\n")
	if err != nil || !back.Equal(key) {
		t.Errorf("key %x, %v", back, err)
	}
	for text, want := range map[string]string{
		"":                          "has to begin with csaudit1-",
		"csaudit2-abc":              "has to begin with csaudit1-",
		text[:len(text)-1]:          "characters and not 43",
		text + "AA":                 "characters and not 43",
		text[:20] + "+" + text[21:]: "has to be base64url",
		text[:20] + " " + text[21:]: "has to be base64url",
	} {
		if _, err := ParseKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestCheckpointText(t *testing.T) {
	key := newKey("server")
	c := NewCheckpoint(key, 17, time.Date(2026, 11, 22, 13, 0, 0, 5, time.FixedZone("", 3600)), Hash{0xab, 0xcd})
	text := c.String()
	if !strings.HasPrefix(text, "17 2026-11-22T12:00:00Z abcd00") {
		t.Errorf("text %s", text)
	}
	back, err := ParseCheckpoint("  " + strings.ReplaceAll(text, " ", "\t") + "\n")
	if err != nil || !back.same(&c) || !back.SignedBy(public(key)) {
		t.Errorf("%v, %v", back, err)
	}
	part := strings.Fields(text)
	for want, text := range map[string]string{
		"it has 3 parts and not the 4 of":                                strings.Join(part[:3], " "),
		`"x" is not the number of`:                                       "x " + strings.Join(part[1:], " "),
		`"0" is not the number of`:                                       "0 " + strings.Join(part[1:], " "),
		`batch 17: "2026-11-22" is not a time like 2006-01-02T15:04:05Z`: part[0] + " 2026-11-22 " + part[2] + " " + part[3],
		`"2026-11-22T12:00:00.5Z" is not a time like`:                    part[0] + " 2026-11-22T12:00:00.5Z " + part[2] + " " + part[3],
		"is not a hash of 64 hexadecimal digits: it has 63":              part[0] + " " + part[1] + " " + part[2][1:] + " " + part[3],
		"is not a hash of 64 hexadecimal digits":                         part[0] + " " + part[1] + " x" + part[2][1:] + " " + part[3],
		"is not a signature of 64 bytes in base64":                       strings.TrimSuffix(text, "="),
	} {
		if _, err := ParseCheckpoint(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
