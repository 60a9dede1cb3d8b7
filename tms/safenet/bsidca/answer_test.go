package bsidca

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestColumnNames(t *testing.T) {
	for name, want := range map[string]string{
		"serialnumber": "serialnumber", "orgName": "orgname", "User_x0020_Name": "user name", "_x0031_st": "1st",
		"_x000A_": "_x000a_", "_xZZZZ_": "_xzzzz_", "_x_": "_x_", "_x00E4_": "ä",
	} {
		if got := columnName(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A secret does not show in any way a Go program prints.
func TestRedaction(t *testing.T) {
	secret := NewSecret(plantedOTP)
	refused := &RefusedError{Outcome: PINProvided, Challenge: NewSecret(plantedPIN)}
	ask := ActivateRequest{Serial: "1", NewPIN: NewSecret(plantedPIN)}
	for _, v := range []any{secret, &secret, refused, *refused, ask, &ask, []any{secret, ask}, map[string]any{"k": ask}} {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		noSecrets(t, log.String()+string(text))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			noSecrets(t, fmt.Sprintf(verb, v))
		}
	}
	if secret.Reveal() != plantedOTP || secret.IsZero() || !(Secret{}).IsZero() {
		t.Error("a Secret does not keep what it hides")
	}
	if got := fmt.Sprint(secret); got != "[redacted]" {
		t.Error(got)
	}
}

// Whatever an answer is, it is read or refused, and what is read of a table is what the
// answer has.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`<e:Envelope xmlns:e="x"><e:Body><GetTokensResponse/></e:Body></e:Envelope>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		response, err := parseAnswer("GetTokens", data)
		if (response == nil) != (err != nil) {
			t.Fatalf("%v %v", response, err)
		}
		for _, r := range response.child("GetTokensResult").rows() {
			for column, value := range r {
				if column != strings.ToLower(column) || strings.TrimSpace(value) != value || !utf8.ValidString(value) {
					t.Errorf("column %q: %q", column, value)
				}
			}
			if value := r.first("serialnumber"); value != r["serialnumber"] {
				t.Errorf("serial %q of %v", value, r)
			}
		}
	})
}

// What is sent is what was said, or nothing is sent; and the secret of it does not come
// back in an error.
func FuzzRequest(f *testing.F) {
	f.Add(plantedOTP, organization)
	f.Add("", "]]>&amp;\x00")
	f.Fuzz(func(t *testing.T, secret, plain string) {
		r := &request{operation: "Connect", params: []param{{"OTP", secret, true}, {"organization", plain, false}}}
		data, err := r.envelope()
		sendable := utf8.ValidString(secret) && utf8.ValidString(plain) && !strings.ContainsFunc(secret+plain, unsendable)
		if (err == nil) != sendable {
			t.Fatalf("%q and %q: %v", secret, plain, err)
		}
		if err != nil {
			return
		}
		var envelope element
		if err := xml.Unmarshal(data, &envelope); err != nil {
			t.Fatal(err)
		}
		call := envelope.child("Body").child("Connect")
		if otp, name := call.child("OTP"), call.child("organization"); len(call.Children) != 2 || otp.Text != secret || name.Text != plain {
			t.Errorf("sent %q for %q and %q", data, secret, plain)
		}
		const told = "the code was refused"
		if notDigit := func(c rune) bool { return c < '0' || c > '9' }; secret != "" && !strings.ContainsFunc(secret, notDigit) {
			if got := r.scrub(secret + " " + told + " " + secret); got != "[redacted] "+told+" [redacted]" {
				t.Errorf("scrubbed %q is %q", secret, got)
			}
		}
	})
}
