package audit

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzVerifyExport reads anything.
func FuzzVerifyExport(f *testing.F) {
	small, _ := smallExport(f)
	f.Add([]byte(small))
	odd, _ := exported(f, oddLog(), nil)
	f.Add([]byte(odd))
	empty, _ := exported(f, newLog(0), nil)
	f.Add([]byte(empty))
	lines := strings.SplitAfter(small, "\n")
	for i := range lines {
		f.Add([]byte(strings.Join(lines[:i], "")))
	}
	f.Add([]byte(lines[0] + `{"batch":18446744073709551615,"records":0,"chain":null}` + "\n"))
	f.Add([]byte(lines[0] + `{"batch":0,"records":0,"chain":null}` + "\n" + `{"checkpoint":{"batch":0,"chain":""}}` + "\n"))
	f.Add([]byte(lines[0] + `,"record":"` + "\n" + `{"bytes":null}` + "\n" + `{"complete":false}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := VerifyExport(t.Context(), bytes.NewReader(text), VerifyOptions{Format: testFormat})
		if err != nil {
			return
		}
		if len(r.Faults) > MaxFaults || r.More > 0 && len(r.Faults) < MaxFaults {
			t.Errorf("%d faults and %d more", len(r.Faults), r.More)
		}
		for _, fault := range r.Faults {
			if fault.Text == "" || strings.ContainsAny(fault.Text, "{}") && strings.Contains(fault.Text, "{batches}") {
				t.Errorf("a fault says %q", fault.Text)
			}
		}
		if r.OK() && !bytes.HasSuffix(text, []byte("}\n")) {
			t.Errorf("nothing is wrong with %q", text)
		}
	})
}

// FuzzParseCheckpoint has what is parsed come out again.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add(newLog(5).checkpoints[0].String())
	f.Add("1 2026-11-22T12:00:00Z x y")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		again, err := ParseCheckpoint(c.String())
		if err != nil || !again.same(&c) {
			t.Errorf("%q became %q: %v", text, c.String(), err)
		}
	})
}

// FuzzParseKey has what is parsed come out again.
func FuzzParseKey(f *testing.F) {
	f.Add(FormatKey(public(newKey("server"))))
	f.Add("csaudit1-")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParseKey(text); err == nil && FormatKey(key) != strings.TrimSpace(text) {
			t.Errorf("%q became %q", text, FormatKey(key))
		}
	})
}
