package directory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const planted = "PLANTEDPASSWORD"

// TestPasswordIsRedacted searches a planted password in all that prints it.
func TestPasswordIsRedacted(t *testing.T) {
	type holder struct {
		hidden Password
		Shown  Password
		config Config
	}
	c := unreachable("a", "x")
	c.BindDN, c.BindPassword = "cn=x", NewPassword([]byte(planted))
	k := newKit(t, "", c)
	forms := []string{planted[:6], fmt.Sprintf("%x", planted[:6]), fmt.Sprintf("%X", planted[:6]), strings.Trim(fmt.Sprint([]byte(planted[:6])), "[]"), strings.TrimPrefix(fmt.Sprintf("%#v", []byte(planted[:6])), "[]byte{")[:20]}
	for _, value := range []any{c.BindPassword, &c.BindPassword, c, &c, holder{c.BindPassword, c.BindPassword, c}, k.Repository, k.directories[0], k.directories[0].servers[0]} {
		var out bytes.Buffer
		for _, verb := range "vTtbcoOdqxXUeEfFgGspw" {
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
				t.Errorf("%T shows the password as %q", value, form)
			}
		}
	}
	if got := fmt.Sprintf("%v %s", c.BindPassword, c.BindPassword); got != "[redacted] [redacted]" {
		t.Errorf("a password prints as %s", got)
	}
	if !NewPassword(nil).IsZero() || c.BindPassword.IsZero() || c.BindPassword.reveal() != planted {
		t.Error("passwords are not what they were made of")
	}
}
