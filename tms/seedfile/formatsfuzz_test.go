package seedfile

import (
	"errors"
	"strings"
	"testing"

	"countersign/otp"
)

func FuzzDetect(f *testing.F)     { fuzzFormat(f, Options{}) }
func FuzzSafeNetXML(f *testing.F) { fuzzFormat(f, Options{Format: SafeNetXML}) }
func FuzzSafeNetDAT(f *testing.F) { fuzzFormat(f, Options{Format: SafeNetDAT}) }
func FuzzOATHCSV(f *testing.F)    { fuzzFormat(f, Options{Format: OATHCSV, AssignColumn: "7"}) }
func FuzzYubicoCSV(f *testing.F)  { fuzzFormat(f, Options{Format: YubicoCSV}) }
func FuzzEntraCSV(f *testing.F)   { fuzzFormat(f, Options{Format: EntraCSV}) }
func FuzzLinOTP(f *testing.F)     { fuzzFormat(f, Options{Format: LinOTP}) }
func FuzzFreeRADIUS(f *testing.F) { fuzzFormat(f, Options{Format: FreeRADIUS}) }
func FuzzPrivacyIDEA(f *testing.F) {
	fuzzFormat(f, Options{Format: PrivacyIDEA, Password: secret(fernetExampleKey)})
}

// fuzzFormat checks what holds of every file: reading ends, tokens are tokens, lines are
// lines of the file, and an error stays.
func fuzzFormat(f *testing.F, o Options) {
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Open(strings.NewReader(text), o)
		if err != nil {
			return
		}
		lines := strings.Count(text, "\n") + 1
		sealed := strings.HasPrefix(strings.TrimSpace(text), fernetMark) || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff")
		for range len(text) + 2 {
			token, err := r.Next()
			fault := (*Fault)(nil)
			switch {
			case errors.As(err, &fault):
				if fault.Reason == "" || fault.Line < 1 || fault.Line > lines && !sealed {
					t.Fatalf("a fault in line %d of %d: %q", fault.Line, lines, fault.Reason)
				}
			case err != nil:
				if _, again := r.Next(); again == nil || again.Error() != err.Error() {
					t.Fatalf("behind %v comes %v", err, again)
				}
				return
			default:
				checkToken(t, token)
				if token.Line < 1 || token.Line > lines && !sealed {
					t.Fatalf("a token in line %d of %d", token.Line, lines)
				}
			}
		}
		t.Fatal("it does not end")
	})
}

func checkToken(t *testing.T, token *Token) {
	serial, err := otp.ParseSerial(string(token.Serial))
	if err != nil || serial != token.Serial || check(&token.Token) != nil {
		t.Fatalf("serial %q: %v, %v", token.Serial, err, check(&token.Token))
	}
}
