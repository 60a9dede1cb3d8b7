package seedfile

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/otp"
)

// slow is a number of iterations with which a derivation takes longer than a test may.
var slow = regexp.MustCompile(`IterationCount[^<]*[0-9]{5}`)

// FuzzPSKC: whatever a file says, what is read is a token, or told with its line.
func FuzzPSKC(f *testing.F) {
	figures, err := filepath.Glob(filepath.Join("testdata", "pskc", "*.xml"))
	if err != nil || len(figures) == 0 {
		f.Fatal(figures, err)
	}
	for _, name := range figures {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), byte(0))
	}
	f.Add(writeSample(f, sampleTokens(), "qwerty", minIterations), byte(1))
	f.Fuzz(func(t *testing.T, text string, policy byte) {
		if slow.MatchString(text) {
			return
		}
		tokens, faults, err := readAll(text, Options{Password: secret("qwerty"), PSK: psk, MAC: MACPolicy(policy % 3)})
		checkTokens(t, tokens)
		for _, fault := range faults {
			err = errors.Join(err, fault)
			if fault.Line < 1 || fault.Reason == "" {
				t.Errorf("a fault without line or reason: %+v", fault)
			}
		}
		if err != nil && !strings.Contains(err.Error(), "line ") && err != errEmpty {
			t.Errorf("an error that does not say where: %v", err)
		}
	})
}

// checkTokens: what is read is a token, whatever the file.
func checkTokens(t *testing.T, tokens []*Token) {
	t.Helper()
	for _, token := range tokens {
		serial, err := otp.ParseSerial(string(token.Serial))
		if err != nil || serial != token.Serial || check(&token.Token) != nil || token.Line < 1 {
			t.Errorf("this is no token: %s", describe(token))
		}
	}
}
