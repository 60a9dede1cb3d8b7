package mail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const planted = "PLANTED-secret"

// TestRedacted searches planted secrets in all that prints what holds them.
func TestRedacted(t *testing.T) {
	type holder struct {
		hidden Password
		Shown  any
	}
	password := NewPassword([]byte(planted))
	config := Config{Server: "127.0.0.1:25", TLS: NoTLS, From: "otp@example.com", User: "x", Password: password}
	data := Data{User: "alice", Link: planted, ActivationKey: planted}
	message := &Message{Text: planted, HTML: planted, Attachments: []Attachment{{Data: []byte(planted)}}}
	forms := []string{planted[:7], fmt.Sprintf("%x", planted[:7]), fmt.Sprintf("%X", planted[:7]), strings.Trim(fmt.Sprint([]byte(planted[:7])), "[]"), "80, 76, 65", "0x50, 0x4c"}
	for i, value := range []any{data, &data, message, *message, message.Attachments, holder{password, data}, &holder{password, message}, password, &password, config, &config, newSender(t, config)} {
		var out bytes.Buffer
		verbs := "vTtbcoOdqxXUeEfFgGs"
		if i >= 7 {
			verbs += "pw" // for which fmt asks no type how it prints: only what is behind pointers is hidden
		}
		for _, verb := range verbs {
			for _, flags := range []string{"", "+", "#", "20.3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb), value)
			}
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "value", value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "value", value)
		encoded, _ := json.Marshal(value)
		out.Write(encoded)
		for _, form := range forms {
			if strings.Contains(out.String(), form) {
				t.Errorf("%T shows a secret as %q", value, form)
			}
		}
	}
	if got := fmt.Sprintf("%v %+v %s", password, data, message); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("they print as %s", got)
	}
	if !NewPassword(nil).IsZero() || password.IsZero() || password.reveal() != planted || (Password{}).reveal() != "" {
		t.Error("passwords are not what they were made of")
	}
}
