package otp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign/otp/oath"
)

const planted = "planted-4711"

// holder has secrets in all the places fmt treats differently.
type holder struct {
	PIN      PIN
	Passcode Passcode
	pin      PIN
	inner    struct{ passcode *Passcode }
	list     []PIN
	Account  Account
	Attempt  Attempt
}

func TestNothingSecretIsPrinted(t *testing.T) {
	pin, passcode := NewPIN([]byte(planted)), NewPasscode([]byte(planted))
	h := holder{PIN: pin, Passcode: passcode, pin: pin, list: []PIN{pin}, Account: Account{PIN: pin}, Attempt: Attempt{Passcode: passcode}}
	h.inner.passcode = &passcode
	var out bytes.Buffer
	for _, value := range []any{pin, passcode, &pin, h, &h, []any{pin, passcode}} {
		for _, verb := range strings.Split("v +v #v s q x X d o b t p c U e g T", " ") {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
		if text, err := json.Marshal(value); err == nil {
			out.Write(text)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", value)
	}
	for _, form := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted), fmt.Sprint([]byte(planted))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q was printed", form)
		}
	}
	if !strings.Contains(out.String(), oath.Redaction) {
		t.Error("nothing says that something was left out")
	}
}

func TestReadable(t *testing.T) {
	for text, want := range map[string]bool{
		"4711755224": true, "pässwort755224": true, "": true,
		"\x00": false, "4711\x1b": false, "\xc3\x28": false, strings.Repeat("1", MaxPasscode+1): false,
	} {
		if got := NewPasscode([]byte(text)).Readable(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
