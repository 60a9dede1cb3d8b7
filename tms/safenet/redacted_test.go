package safenet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/tms/safenet/safenettest"
)

const planted = "PLANTED-755224"

// TestRedacted searches a passcode and the keys that come of it in all that prints what
// holds them.
func TestRedacted(t *testing.T) {
	tms, c := start(t, safenettest.Options{})
	tms.AddUser("kay", planted)
	answer, err := c.VerifyPasscode(t.Context(), "kay", passcode(planted))
	if err != nil || !answer.Accepted {
		t.Fatalf("accepted is %v, %v", answer.Accepted, err)
	}
	p := newProof(proofOf("kay", planted))
	if !p.Matches([]byte(planted)) {
		t.Fatal("it does not match")
	}
	type holder struct {
		hidden Answer
		Shown  any
	}
	var out bytes.Buffer
	for _, value := range []any{answer, &answer, holder{answer, answer}, &holder{answer, &answer}, p, []Answer{answer}, &otp.Attempt{Challenge: p}} {
		for _, verb := range "vTtbcoOdqxXUeEfFgGs" {
			for _, flags := range []string{"", "+", "#", "20.3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb), value)
			}
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "value", value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "value", value)
		if encoded, err := json.Marshal(value); err == nil {
			out.Write(encoded)
		}
	}
	proof := answer.AuthenticatorResponse()
	send, recv := answer.Keys()
	for what, secret := range map[string][]byte{"passcode": []byte(planted), "proof": proof[:], "send key": send[:], "receive key": recv[:]} {
		for _, form := range forms(secret[:7]) {
			if strings.Contains(out.String(), form) {
				t.Errorf("the %s is shown as %q", what, form)
			}
		}
	}
	if got := fmt.Sprintf("%v %+v %s", answer, &answer, p); got != "[redacted] [redacted] proof" {
		t.Errorf("they print as %s", got)
	}
}

// forms are how octets could be printed.
func forms(secret []byte) []string {
	list := fmt.Sprint(secret)
	return []string{
		string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), base64.StdEncoding.EncodeToString(secret[:6]),
		strings.Trim(list, "[]"), strings.ReplaceAll(strings.Trim(list, "[]"), " ", ","), strings.ReplaceAll(strings.Trim(list, "[]"), " ", ", "),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", secret[:3]), "[]byte{"), "}"),
	}
}

// TestPasscodeStaysHere: it is in nothing that goes to the TMS, nor in an error.
func TestPasscodeStaysHere(t *testing.T) {
	l := proofOf("kay", planted)
	for _, text := range []string{string(l.write()), string((&outcome{success: newSuccess(l, []byte(planted))}).write())} {
		if strings.Contains(text, planted[:7]) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(planted))) {
			t.Errorf("it is in %s", text)
		}
	}
	for b := safenettest.Reset; b <= safenettest.UnknownCode; b++ {
		tms, c := start(t, safenettest.Options{})
		tms.Behave(b)
		if _, err := c.VerifyPasscode(t.Context(), "kay", passcode(planted)); err == nil || strings.Contains(err.Error(), "PLANTED") || strings.Contains(err.Error(), "755224") {
			t.Errorf("behaviour %d: %v", b, err)
		}
	}
}
