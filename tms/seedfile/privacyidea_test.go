package seedfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The example of the specification of Fernet, by which the text is "hello".
const (
	fernetExampleKey = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	fernetExample    = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
)

func TestFernetSpecification(t *testing.T) {
	key, err := fernetKey(Options{Password: secret(fernetExampleKey)})
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := openFernet([]byte(fernetExample), key); err != nil || string(plain) != "hello" {
		t.Errorf("%q, %v", plain, err)
	}
	for i := range fernetExample {
		changed := []byte(fernetExample)
		changed[i] ^= 1
		if plain, err := openFernet(changed, key); err == nil && string(plain) != "hello" {
			t.Errorf("a token that was changed at %d gives %q", i, plain)
		}
		if _, err := openFernet([]byte(fernetExample[:i]), key); err == nil {
			t.Errorf("a token that was cut off after %d characters is decrypted", i)
		}
	}
}

const piExport = `[
  {
    "serial": "OATH0001",
    "type": "hotp",
    "otpkey": "3132333435363738393031323334353637383930",
    "otplen": 6,
    "counter": 17,
    "info_list": {"hashlib": "sha1", "type": "totp", "serial": "X"},
    "user": {"login": "hans@corp.example", "realm": "realm1", "uid": "1000", "serial": "Y"}
  },
  {
    "serial": "TOTP0001",
    "tokentype": "TOTP",
    "otpkey": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "otplen": "8",
    "counter": 47251644,
    "info_list": {"hashlib": "sha512", "timeStep": 60, "timeShift": 119.5}
  },
  "nonsense",
  {"type": "hotp", "user": null},
  {"serial": "PISM0001", "type": "sms", "otpkey": "00"}, {"serial": "H", "type": "hotp", "otpkey": "00", "realms": []}
]`

var piTold = []string{
	"format privacyidea",
	`line 2: OATH0001 hotp sha1 6 digits counter 17 user "hans@corp.example" code 447589`,
	"line 11: TOTP0001 totp sha512 8 digits period 60 t0 0 drift 2 code 86895423",
	"fault: line 19: it is no token: no object",
	"fault: line 20: the token has no serial",
	`fault: line 21: token "PISM0001": a token of type sms cannot be imported, only hotp and totp`,
	`fault: line 21: token "H": seed has 1 bytes, but must have 8 to 128: check that it was copied whole`,
}

// TestPIExport reads what the library that privacyIDEA uses has encrypted.
func TestPIExport(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte(piExport), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `import sys; from cryptography.fernet import Fernet
print(Fernet(sys.argv[2]).encrypt(open(sys.argv[1],"rb").read()).decode())`
	sealed, err := exec.Command("/usr/bin/python3", "-c", script, plain, fernetExampleKey).Output()
	if err != nil {
		t.Fatalf("python3-cryptography: %v (scripts/test installs it)", err)
	}
	key := secret(fernetExampleKey + "\n")
	told, tokens := story(string(sealed), Options{Password: key})
	compare(t, "pi", told, func(s string) string { return s }, piTold)
	for _, token := range tokens {
		checkOathtool(t, token)
	}
	plainTold, _ := story(piExport, Options{})
	compare(t, "json", plainTold, func(s string) string { return s }, piTold)

	for text, want := range map[string]string{
		string(sealed[:len(sealed)/2]):                       "is not whole",
		string(sealed[:99]) + "AAAAA" + string(sealed[104:]): "the key is not that of this export",
	} {
		if told, _ := story(text, Options{Password: key}); !strings.Contains(told[0], want) {
			t.Errorf("%s, want %s", told[0], want)
		}
	}
	if told, _ := story(string(sealed), Options{Password: secret("qwerty")}); !strings.Contains(told[0], "give the key that the export printed") {
		t.Error(told[0])
	}
	other := secret("dw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")
	if told, _ := story(string(sealed), Options{Password: other}); !strings.Contains(told[0], "the key is not that of this export") {
		t.Error(told[0])
	}
}

// TestJSONCutOff: a list that ends early is an error with its line.
func TestJSONCutOff(t *testing.T) {
	for n := strings.Index(piExport, "{") + 1; n < len(piExport)-1; n++ {
		told, _ := story(piExport[:n], Options{})
		if last := told[len(told)-1]; !strings.HasPrefix(last, "error: line ") || !strings.HasSuffix(last, "is broken or was cut off here") {
			t.Fatalf("cut after %d bytes: %s", n, last)
		}
	}
	long := `[{"a":"` + strings.Repeat("a", 2<<20) + `"}]`
	if told, _ := story(long, Options{}); !strings.HasPrefix(told[1], "error: line 1: the list of tokens is broken") {
		t.Error(told)
	}
}

// TestYAMLIsPyYAMLs reads what the library that privacyIDEA uses writes.
func TestYAMLIsPyYAMLs(t *testing.T) {
	script := `import sys, json, yaml
tokens = [t for t in json.load(open(sys.argv[1])) if isinstance(t, dict)]
tokens[0]["description"] = "a: b 'c' \"d\" " + "long " * 40
tokens[0]["realms"] = ["realm1", "realm2"]
tokens[0]["pin"] = None
tokens[0]["owner"] = tokens[0]["user"]["login"] + "@realm1"
del tokens[0]["user"]
sys.stdout.write(yaml.safe_dump(tokens))`
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte(piExport), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("/usr/bin/python3", "-c", script, plain).Output()
	if err != nil {
		t.Fatalf("python3-yaml: %v (scripts/test installs it)", err)
	}
	told, _ := story(string(text), Options{})
	compare(t, string(text), told, withoutLine, []string{piTold[0], withoutLine(piTold[1]), withoutLine(piTold[2]), withoutLine(piTold[4]), withoutLine(piTold[5]), withoutLine(piTold[6])})
}

// withoutLine leaves out the number of the line.
func withoutLine(told string) string {
	before, after, found := strings.Cut(told, "line ")
	if !found {
		return told
	}
	_, after, _ = strings.Cut(after, ": ")
	return before + after
}
