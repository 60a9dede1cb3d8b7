package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign/otp/oath"
)

// holder has secrets the ways other types hold them.
type holder struct {
	Exported  any
	unexposed any
	pointer   *any
	list      []any
	table     map[string]any
}

type keyHolder struct {
	kek     KEK
	keyring *Keyring
	KEK     *KEK
	Keyring *Keyring
}

// plantedSecrets are made of the bytes 0, 1, 2, ...: 0 to 31 is the KEK, 32 to
// 63 the data key.
func plantedSecrets(t *testing.T) map[string]any {
	source := new(count)
	kek, err := NewKEK(source)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKeyring(source)
	if err != nil {
		t.Fatal(err)
	}
	holder := keyHolder{kek, k, &kek, k}
	return map[string]any{"kek": kek, "*kek": &kek, "keyring": k, "holder": holder, "*holder": &holder}
}

// leaks are the forms in which a planted secret could show itself.
func leaks() []string {
	var forms []string
	for _, secret := range [][]byte{{0, 1, 2, 3, 4, 5, 6, 7, 8}, {32, 33, 34, 35, 36, 37, 38, 39, 40}} {
		forms = append(forms, string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret),
			strings.ReplaceAll(fmt.Sprint(secret), " ", ","))
		for _, format := range []string{"%d", "%o", "%b", "%c", "%U", "%#v", "%q"} {
			list := strings.TrimPrefix(fmt.Sprintf(format, secret), "[]byte{")
			forms = append(forms, strings.Trim(list, `[]}"`))
		}
	}
	return forms
}

func leak(output string) (form string, found bool) {
	for _, form := range leaks() {
		if strings.Contains(strings.ToLower(output), strings.ToLower(form)) {
			return form, true
		}
	}
	return "", false
}

func searchLeaks(t *testing.T, what, output string) {
	t.Helper()
	if form, found := leak(output); found {
		t.Errorf("%s shows %q: %.300s", what, form, output)
	}
}

func TestRedaction(t *testing.T) {
	for name, secret := range plantedSecrets(t) {
		nested := holder{secret, secret, &secret, []any{secret}, map[string]any{"a": secret}}
		for _, value := range []any{secret, nested, &nested, []any{nested}, map[string]any{"a": &nested}, fmt.Errorf("error: %v %+v", secret, nested)} {
			for _, verb := range "vTtbcoOdqxXUeEfFgGspw" {
				for _, flags := range []string{"", "+", "#", "+#20.3"} {
					format := "%" + flags + string(verb)
					searchLeaks(t, name+" with "+format, fmt.Sprintf(format, value))
				}
			}
			searchLeaks(t, name+" printed", fmt.Sprint(value)+fmt.Sprintln(value))
			searchLeaks(t, name+" logged", logged(value))
			encoded, _ := json.Marshal(value)
			searchLeaks(t, name+" as JSON", string(encoded))
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
			if got := fmt.Sprintf(format, secret); got != oath.Redaction {
				t.Errorf("%s with %s is %s", name, format, got)
			}
		}
		if got, err := json.Marshal(secret); string(got) != `"[redacted]"` || err != nil {
			t.Errorf("%s as JSON is %s, %v", name, got, err)
		}
		if got := logged(secret); strings.Count(got, oath.Redaction) != 6 {
			t.Errorf("%s logged is %s", name, got)
		}
		if got := secret.(fmt.Stringer).String(); got != oath.Redaction {
			t.Errorf("%s as string is %s", name, got)
		}
	}
}

// TestLeaksAreFound verifies the search on types that leak.
func TestLeaksAreFound(t *testing.T) {
	key := knownKEK(t).bytes()
	for _, leaking := range []any{struct{ secret []byte }{key}, struct{ secret *[keySize]byte }{(*[keySize]byte)(key)}} {
		if _, found := leak(fmt.Sprintf("%s", leaking)); !found {
			t.Errorf("%%s of %T was not noticed", leaking)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%q"} {
		if output := fmt.Sprintf(format, key); true {
			if _, found := leak(output); !found {
				t.Errorf("%s was not noticed: %s", format, output)
			}
		}
	}
}
