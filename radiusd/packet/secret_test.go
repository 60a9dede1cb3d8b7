package packet

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func hexOf(octets []byte) string { return hex.EncodeToString(octets) }

// TestHMACFromSavedState holds the saved states against crypto/hmac, across the
// block size where the key itself is hashed (RFC 2104 section 2).
func TestHMACFromSavedState(t *testing.T) {
	var s Scratch
	for _, n := range []int{1, 16, 63, 64, 65, 200} {
		octets := bytes.Repeat([]byte{'k'}, n)
		for _, m := range []int{0, 20, 64, 4096} {
			message := bytes.Repeat([]byte{'m'}, m)
			reference := hmac.New(md5.New, octets)
			reference.Write(message)
			equal(t, fmt.Sprintf("HMAC of %d octets under %d", m, n), s.hmac(NewSecret(octets), message), reference.Sum(nil))
		}
	}
}

// TestNewSecretCopies: the caller may overwrite its octets.
func TestNewSecretCopies(t *testing.T) {
	octets := []byte(exampleSecret)
	secret := NewSecret(octets)
	clear(octets)
	r := parse(t, unhex(t, telnetRequest))
	checkExamplePasscode(t, new(Scratch), secret, r, "arctangent")
}

func TestSecretIsNotPrinted(t *testing.T) {
	const planted = "planted-shared-secret"
	secret := NewSecret([]byte(planted))
	hidden := struct {
		name   string
		secret Secret
		point  *Secret
	}{"nas", secret, &secret}
	shown := struct{ Secret Secret }{secret}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%t", "%p"} {
		for _, value := range []any{secret, &secret, hidden, &hidden, shown, []Secret{secret}, map[string]Secret{"a": secret}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", secret, "hidden", hidden, "shown", shown)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", secret, "hidden", hidden, "shown", shown)
	for _, value := range []any{secret, hidden, shown, map[string]Secret{"a": secret}} {
		octets, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(octets)
	}
	printed := strings.ToLower(out.String())
	for _, form := range []string{
		planted, hexOf([]byte(planted)), fmt.Sprint([]byte(planted)), hexOf(secret.key().inner), fmt.Sprint(secret.key().inner),
	} {
		if strings.Contains(printed, strings.Trim(form, "[]")) {
			t.Errorf("printed the secret as %q", form)
		}
	}
	if got := fmt.Sprintf("%#v", secret); got != "[redacted]" {
		t.Errorf("prints as %q", got)
	}
	if octets, _ := json.Marshal(shown); string(octets) != `{"Secret":"[redacted]"}` {
		t.Errorf("JSON is %s", octets)
	}
}
