package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// planted is the secret that nothing may print.
const planted = "Tr0ub4dor&3-planted"

const plantedFile = `[[nas]]
name = "gateway"
addresses = ["192.0.2.10"]
secret = "` + planted + `"

[[directory]]
name = "headquarters"
type = "openldap"
servers = "ldaps://dc1.example.com"
bind_dn = "cn=reader,dc=example,dc=com"
bind_password = "` + planted + `"
base_dn = "dc=example,dc=com"
realms = "example.com"
`

func TestSecretIsNeverPrinted(t *testing.T) {
	config, err := Parse("countersign.toml", []byte(plantedFile))
	if err != nil {
		t.Fatal(err)
	}
	secret, password := config.NAS[0].Secret, config.Directories[0].BindPassword
	if got := string(secret.Bytes()) + string(password.Bytes()); got != planted+planted {
		t.Fatalf("the secrets are %q", got)
	}
	hidden := struct {
		secret      Secret
		config      *Config
		nas         []NAS
		directories []Directory
	}{secret, config, config.NAS, config.Directories}
	for _, value := range []any{secret, &secret, config, *config, config.NAS, &config.NAS[0], config.Directories, &config.Directories[0], hidden, &hidden} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%p", "%20s", "% x"} {
			verifyHidden(t, verb, fmt.Sprintf(verb, value))
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		verifyHidden(t, "JSON", string(text))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("configured", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("configured", "value", value)
		verifyHidden(t, "slog", log.String())
	}
}

// verifyHidden looks for the planted secret, as text, hexadecimal and decimal.
func verifyHidden(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted), fmt.Sprintf("% x", planted),
		strings.Trim(fmt.Sprintf("%d", []byte(planted)), "[]"), strings.TrimPrefix(fmt.Sprintf("%#v", []byte(planted)), "[]byte")} {
		if strings.Contains(text, form) {
			t.Errorf("%s prints the secret: %s", how, text)
		}
	}
}

func TestSecretPrintsRedacted(t *testing.T) {
	secret := newSecret([]byte(planted))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, secret); got != redacted {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if got := secret.String(); got != redacted {
		t.Errorf("String() = %q", got)
	}
	if got, err := json.Marshal(map[string]Secret{"secret": secret}); string(got) != `{"secret":"[redacted]"}` {
		t.Errorf("JSON is %s, %v", got, err)
	}
	if got := secret.LogValue().String(); got != redacted {
		t.Errorf("LogValue() = %q", got)
	}
}

func TestSecretKeepsItsBytes(t *testing.T) {
	secret := newSecret([]byte(planted))
	secret.Bytes()[0] ^= 1
	if got := string(secret.Bytes()); got != planted {
		t.Errorf("Bytes() = %q after its result was changed", got)
	}
	if got := (Secret{}).Bytes(); got != nil {
		t.Errorf("the zero Secret has Bytes() = %v", got)
	}
}

// TestFaultsKeepSecrets breaks the line of the secret in many ways.
func TestFaultsKeepSecrets(t *testing.T) {
	for _, line := range []string{
		`secret = "` + planted,
		`secret = ` + planted,
		`secret = "x` + planted + `\q"`,
		`secret = ["` + planted + `"]`,
		`secret = { value = "` + planted + `" }`,
		`secret = "` + strings.Repeat(planted, 20) + `"`,
		`secrets = "` + planted + `"`,
		`secret "` + planted + `"`,
		`secret = 2024-05-06T99:99:99` + planted,
		`secret = "xyzzy5461xyzzy" ` + planted,
		"secret = \"" + planted + "\"\nsecret = \"" + planted + "\"",
		"secret = '''\n" + planted,
		"secret = \"" + planted + "\"\nsecret_file = 5",
	} {
		for _, text := range []string{
			"[[nas]]\nname = \"gateway\"\naddresses = [\"192.0.2.10\"]\n" + line + "\n",
			"[[directory]]\nname = \"headquarters\"\n" + strings.ReplaceAll(line, "secret", "bind_password") + "\n",
		} {
			_, err := Parse("countersign.toml", []byte(text))
			if err == nil {
				t.Errorf("no fault in %s", text)
			} else {
				verifyHidden(t, "a fault", err.Error())
			}
		}
	}
	text := "[[directory]]\nservers = [\"ldaps://reader:" + planted + "@dc1.example.com\"]\n"
	_, err := Parse("countersign.toml", []byte(text))
	if err == nil {
		t.Error("no fault in " + text)
	} else {
		verifyHidden(t, "a fault", err.Error())
	}
	// Here the library's message would quote what was meant to be a secret.
	for _, line := range []string{"secret = 77_77_", "secret = 0777", "secret = 99999999999999999999", "secret = 1.7_", "bind_password = 77_77_", "bind_passwd = 0777"} {
		_, err := Parse("countersign.toml", []byte("[[nas]]\n"+line+"\n"))
		if err == nil || strings.Contains(err.Error(), "7") || strings.Contains(err.Error(), "99") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
