package oath

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const planted = "PLANTEDSEEDVALUE"

// holder has secrets the ways other types hold them.
type holder struct {
	Exported  any
	unexposed any
	pointer   *any
	list      []any
	table     map[string]any
}

type seedHolder struct {
	seed      Seed
	code      ActivationCode
	generator Generator
	Seed      Seed
	Code      *ActivationCode
}

func plantedSecrets(t *testing.T) map[string]any {
	seed := NewSeed([]byte(planted))
	code, err := NewActivationCode(strings.NewReader(planted))
	if err != nil {
		t.Fatal(err)
	}
	var g Generator
	g.Init(SHA256, seed.Bytes())
	g.Code(1, 6)
	return map[string]any{
		"seed": seed, "*seed": &seed, "code": code, "*code": &code, "generator": g, "*generator": &g,
		"holder":  seedHolder{seed, code, g, seed, &code},
		"*holder": &seedHolder{seed, code, g, seed, &code},
	}
}

// leaks are the forms in which a planted secret could show itself.
func leaks(t *testing.T, state []byte) []string {
	code, _ := NewActivationCode(strings.NewReader(planted))
	forms := []string{strings.ReplaceAll(code.Text(), "-", "")[:4]}
	for _, secret := range [][]byte{[]byte(planted)[:6], state[8:14]} {
		forms = append(forms, string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret),
			strings.ReplaceAll(fmt.Sprint(secret), " ", ","))
		for _, format := range []string{"%d", "%o", "%b", "%c", "%U", "%#v"} {
			list := strings.TrimPrefix(fmt.Sprintf(format, secret), "[]byte{")
			forms = append(forms, strings.Trim(list, "[]}"))
		}
	}
	for i, form := range forms {
		if len(form) < 4 {
			t.Fatalf("form %d is too short to search for", i)
		}
	}
	return forms
}

func searchLeaks(t *testing.T, what, output string, forms []string) {
	t.Helper()
	for _, form := range forms {
		if strings.Contains(strings.ToLower(output), strings.ToLower(form)) {
			t.Errorf("%s shows %q: %.300s", what, form, output)
			return
		}
	}
}

func TestRedaction(t *testing.T) {
	secrets := plantedSecrets(t)
	forms := leaks(t, (*secrets["generator"].(Generator).work).inner)
	for name, secret := range secrets {
		nested := holder{secret, secret, &secret, []any{secret}, map[string]any{"a": secret}}
		for _, value := range []any{secret, nested, &nested, []any{nested}, map[string]any{"a": &nested}, fmt.Errorf("error: %v %+v", secret, nested)} {
			for _, verb := range "vTtbcoOdqxXUeEfFgGspw" {
				for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3", "+#20.3"} {
					format := "%" + flags + string(verb)
					searchLeaks(t, name+" with "+format, fmt.Sprintf(format, value), forms)
				}
			}
			searchLeaks(t, name+" printed", fmt.Sprint(value)+fmt.Sprintln(value), forms)
			searchLeaks(t, name+" logged", logged(value), forms)
			encoded, _ := json.Marshal(value)
			searchLeaks(t, name+" as JSON", string(encoded), forms)
		}
	}
}

func logged(value any) string {
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		logger := slog.New(handler).With("with", value)
		logger.Info("message", "value", value, slog.Group("group", "value", value))
	}
	return out.String()
}

// TestRedactionSays verifies that the types say so, rather than show nothing.
func TestRedactionSays(t *testing.T) {
	for name, secret := range plantedSecrets(t) {
		if strings.Contains(name, "holder") {
			continue
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(format, secret); got != Redaction {
				t.Errorf("%s with %s is %s", name, format, got)
			}
		}
		if got, err := json.Marshal(secret); string(got) != `"[redacted]"` || err != nil {
			t.Errorf("%s as JSON is %s, %v", name, got, err)
		}
		if got := logged(secret); strings.Count(got, Redaction) != 6 {
			t.Errorf("%s logged is %s", name, got)
		}
		if got := secret.(fmt.Stringer).String(); got != Redaction {
			t.Errorf("%s as string is %s", name, got)
		}
	}
}

// TestLeaksAreFound verifies the search of the tests above on a type that leaks.
func TestLeaksAreFound(t *testing.T) {
	forms := leaks(t, make([]byte, 16))
	leaking := struct{ secret []byte }{[]byte(planted)}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%q"} {
		output, found := fmt.Sprintf(format, leaking), false
		for _, form := range forms {
			found = found || strings.Contains(strings.ToLower(output), strings.ToLower(form))
		}
		if !found {
			t.Errorf("%s of a leaking type was not noticed: %s", format, output)
		}
	}
}
