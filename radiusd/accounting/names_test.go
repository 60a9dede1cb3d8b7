package accounting

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNames holds the words against the dictionaries of FreeRADIUS.
func TestNames(t *testing.T) {
	files, err := filepath.Glob("/usr/share/freeradius/dictionary.rfc*")
	must(t, err)
	checked := 0
	for _, name := range files {
		file, err := os.Open(name)
		must(t, err)
		for lines := bufio.NewScanner(file); lines.Scan(); {
			f := append(strings.Fields(lines.Text()), "", "", "", "")
			n, _ := strconv.ParseUint(f[3], 10, 32)
			var got string
			switch {
			case f[0] != "VALUE" || f[2] == "Alive":
				continue
			case f[1] == "Acct-Status-Type":
				got = Status(n).String()
			case f[1] == "Acct-Terminate-Cause":
				got = Cause(n).String()
			case f[1] == "Error-Cause":
				got, _, _ = strings.Cut(causeOfError(uint32(n)), ":")
				if n == 502 || n == 505 { // RFC 5176 names them otherwise
					got = f[2]
				}
			default:
				continue
			}
			if checked++; got != f[2] {
				t.Errorf("%s %d is %q, FreeRADIUS has %q", f[1], n, got, f[2])
			}
		}
		must(t, file.Close())
	}
	if checked < 50 {
		t.Errorf("%d words were checked; install freeradius-common", checked)
	}
	if got := Status(4).String() + Status(1e9).String() + Cause(99).String() + Cause(0).String() + State(9).String(); got != "41000000000999" {
		t.Error(got)
	}
	for _, s := range []State{Open, Stale, Closed} {
		if again, err := ParseState(s.String()); err != nil || again != s {
			t.Errorf("%s: %v, %v", s, again, err)
		}
	}
	if _, err := ParseState(""); err == nil {
		t.Error("a state without a name")
	}
}

func TestPosition(t *testing.T) {
	for _, p := range []Position{{}, {17, 3}, {1<<64 - 1, 1<<32 - 1}} {
		text, err := json.Marshal(p)
		must(t, err)
		var again Position
		if err := json.Unmarshal(text, &again); err != nil || again != p {
			t.Errorf("%s: %v, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "17", "17-", "-3", "S17-3", "17-3 ", "017-3", "17-4294967296", "+1-1", "1-1-1"} {
		if p, err := ParsePosition(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
	ordered := []Position{{}, {1, 0}, {1, 1}, {2, 0}}
	for i, p := range ordered {
		for j, q := range ordered {
			if p.Before(q) != (i < j) {
				t.Errorf("%v before %v: %v", p, q, p.Before(q))
			}
		}
	}
}

func TestDuration(t *testing.T) {
	s := Session{State: Open, Started: at(10), Last: at(100), Ended: at(200)}
	for state, want := range map[State]time.Duration{Open: 290 * time.Second, Stale: 90 * time.Second, Closed: 190 * time.Second} {
		if s.State = state; s.Duration(at(300)) != want {
			t.Errorf("%s: %v", state, s.Duration(at(300)))
		}
	}
	s.State, s.Ended = Closed, at(0)
	if s.Duration(at(300)) != 0 {
		t.Error(s.Duration(at(300)))
	}
}
