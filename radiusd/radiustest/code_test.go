package radiustest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// RFC 4226 appendix D.
func TestEventCodes(t *testing.T) {
	user := User{Name: "a", Seed: NewSecret("12345678901234567890"), Digits: 6}
	want := []string{
		"755224", "287082", "359152", "969429", "338314",
		"254676", "287922", "162583", "399871", "520489",
	}
	for counter, code := range want {
		if got := user.Code(uint64(counter)); got != code {
			t.Errorf("counter %d: code %s, want %s", counter, got, code)
		}
	}
}

// RFC 6238 appendix B.
func TestClockCodes(t *testing.T) {
	const digits = "1234567890"
	tokens := []User{
		{Algorithm: SHA1, Seed: NewSecret(strings.Repeat(digits, 2))},
		{Algorithm: SHA256, Seed: NewSecret(strings.Repeat(digits, 3) + digits[:2])},
		{Algorithm: SHA512, Seed: NewSecret(strings.Repeat(digits, 6) + digits[:4])},
	}
	want := map[int64][3]string{
		59:          {"94287082", "46119246", "90693936"},
		1111111109:  {"07081804", "68084774", "25091201"},
		1111111111:  {"14050471", "67062674", "99943326"},
		1234567890:  {"89005924", "91819424", "93441116"},
		2000000000:  {"69279037", "90698825", "38618901"},
		20000000000: {"65353130", "77737706", "47863826"},
	}
	for at, codes := range want {
		for i, user := range tokens {
			user.Digits, user.Period = 8, 30*time.Second
			if got := user.Code(user.Step(time.Unix(at, 0))); got != codes[i] {
				t.Errorf("algorithm %d at %d: code %s, want %s", user.Algorithm, at, got, codes[i])
			}
		}
	}
}

func TestPasscodeIsPINAndCode(t *testing.T) {
	user := User{PIN: NewSecret("4711"), Seed: NewSecret("12345678901234567890"), Digits: 10}
	// The ten-digit code is the whole 31-bit number of RFC 4226 appendix D.
	if got := string(user.Passcode(0).Reveal()); got != "4711"+"1284755224" {
		t.Errorf("passcode %s", got)
	}
}

func TestSavedMACEqualsHMAC(t *testing.T) {
	for name, newHash := range map[string]func() hash.Hash{
		"MD5": md5.New, "SHA-1": sha1.New, "SHA-256": sha256.New, "SHA-512": sha512.New,
	} {
		mac := newSavedMAC(newHash())
		for _, keyLen := range []int{0, 1, 20, 63, 64, 65, 127, 128, 129, 300} {
			key := []byte(strings.Repeat("k", keyLen))
			saved := mac.key(key)
			for _, messageLen := range []int{0, 8, 55, 64, 200} {
				message := []byte(strings.Repeat("m", messageLen))
				want := hmac.New(newHash, key)
				want.Write(message)
				if got := mac.sum(nil, saved, message); !hmac.Equal(got, want.Sum(nil)) {
					t.Errorf("%s, key of %d, message of %d bytes: differs from crypto/hmac", name, keyLen, messageLen)
				}
			}
		}
	}
}

func TestUserFaults(t *testing.T) {
	good := User{Name: "a", PIN: NewSecret("1"), Seed: NewSecret("x"), Digits: 6}
	if err := good.verify(); err != nil {
		t.Fatalf("a good user: %v", err)
	}
	for want, spoil := range map[string]func(*User){
		"user name of 0 bytes":    func(u *User) { u.Name = "" },
		"codes of 5 digits":       func(u *User) { u.Digits = 5 },
		"passcode of 129 bytes":   func(u *User) { u.PIN = NewSecret(strings.Repeat("1", 123)) },
		"period 1.5s":             func(u *User) { u.Period = 1500 * time.Millisecond },
		"unknown algorithm 3":     func(u *User) { u.Algorithm = 3 },
		"codes of 11 digits, wan": func(u *User) { u.Digits = 11 },
	} {
		u := good
		spoil(&u)
		if err := u.verify(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const planted = "s3kr1t-planted"
	secret := NewSecret(planted)
	user := User{Name: "a", PIN: secret, Seed: secret}
	load := Load{Secret: secret}
	hidden := struct{ user User }{user}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{secret, &secret, user, &user, load, hidden, []User{user}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "secret", secret, "user", user, "hidden", hidden)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", secret, "user", user, "hidden", hidden)
	if err := json.NewEncoder(&out).Encode(user); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted), fmt.Sprint([]byte(planted))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret was printed as %q", form)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Errorf("nothing says %s", redacted)
	}
}
