package exclusions

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

// fullTrace has a value in each field that is encoded.
func fullTrace() *Trace {
	t := countedTrace()
	t.Node, t.Late = "a", true
	return t
}

// countedTrace has those that there were before there were several servers.
func countedTrace() *Trace {
	t := earlyTrace()
	t.GroupsLeft, t.MACsLeft = 300, 2
	t.Sessions = Sessions{Limit: "contractors", Together: true, Open: 51, Most: 50}
	return t
}

// earlyTrace has a value in each field that there was at first.
func earlyTrace() *Trace {
	return &Trace{
		Login: Login{
			User: []byte("alice"), Realm: "example.org", Groups: []string{"cn=vpn,ou=groups,dc=example,dc=org", "staff"}, GroupsUnknown: true, Stranger: true,
			NASAddress: netip.MustParseAddr("192.0.2.1"), NASIPAddress: netip.MustParseAddr("fe80::1%eth0"), NASIdentifier: []byte("fw1"),
			ClientIP: netip.MustParseAddr("2001:db8::7"), ClientMACs: []MAC{mac, 1},
		},
		Typed: []byte(`EXAMPLE\Alice`), Directory: "corp", Source: Unavailable, ClientIPFrom: PaloAltoClientSourceIP, MACFrom: LANCOMMAC,
		Mode: TokenHolders, Pass: PassDirectoryPassword, Revision: 1 << 40, Rule: "office network",
	}
}

// usualTrace is that of a login that was excluded by its group.
func usualTrace() *Trace {
	return &Trace{
		Login: Login{
			User: []byte("alice"), Realm: "example.org", Groups: []string{"cn=vpn-users,ou=groups,dc=example,dc=org"},
			NASAddress: netip.MustParseAddr("192.0.2.1"), ClientIP: netip.MustParseAddr("203.0.113.9"),
		},
		Directory: "corp", Source: Fresh, ClientIPFrom: CallingStationID, Pass: PassAccept, Revision: 12, Rule: "vpn users",
	}
}

var traces = map[string]*Trace{"empty": {}, "usual": usualTrace(), "full": earlyTrace(), "too_many": countedTrace(), "of_a_node": {Node: "a"}, "late": fullTrace()}

// TestStoredTraces: traces that were stored by version 1 can be read for ever.
func TestStoredTraces(t *testing.T) {
	const file = "testdata/traces_v1.txt"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for line := range strings.Lines(string(golden)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		want, known := traces[name]
		encoded, err := hex.DecodeString(text)
		if !known || err != nil {
			t.Errorf("%s: %q is no trace: %v", file, line, err)
			continue
		}
		stored++
		if got, err := ParseTrace(encoded); err != nil || !reflect.DeepEqual(&got, want) {
			t.Errorf("%s reads as %+v, %v", name, got, err)
		}
		if got := want.Append([]byte("before")); string(got) != "before"+string(encoded) {
			t.Errorf("%s is encoded as %x", name, got[len("before"):])
		}
	}
	if stored != len(traces) {
		t.Errorf("%d traces are stored, want %d", stored, len(traces))
	}
}

func TestSizeOfTraces(t *testing.T) {
	for name, most := range map[string]int{"empty": 2, "usual": 92} {
		if got := len(traces[name].Append(nil)); got > most {
			t.Errorf("%s trace has %d bytes, more than %d", name, got, most)
		}
	}
	plain := usualTrace()
	plain.Groups, plain.Directory, plain.Source, plain.Realm, plain.Rule = nil, "", NotAsked, "", ""
	if got := len(plain.Append(nil)); got > 23 {
		t.Errorf("a trace without a directory has %d bytes", got)
	}
}

// TestEachFieldOfATraceSurvives: fullTrace leaves none out.
func TestEachFieldOfATraceSurvives(t *testing.T) {
	full := fullTrace()
	value := reflect.ValueOf(full).Elem()
	for i := range value.NumField() {
		if value.Field(i).IsZero() {
			t.Errorf("%s is empty", value.Type().Field(i).Name)
		}
	}
	login := value.FieldByName("Login")
	for i := range login.NumField() {
		if name := login.Type().Field(i).Name; login.Field(i).IsZero() != (name == "At" || name == "NAS") {
			t.Errorf("Login.%s is empty, or should be", name)
		}
	}
	sessions := value.FieldByName("Sessions")
	for i := range sessions.NumField() {
		if sessions.Field(i).IsZero() {
			t.Errorf("Sessions.%s is empty", sessions.Type().Field(i).Name)
		}
	}
	full.At, full.NAS = monday, "gateway"
	got, err := ParseTrace(full.Append(nil))
	if err != nil || !reflect.DeepEqual(&got, fullTrace()) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseTraceKeepsNothingOfItsArgument(t *testing.T) {
	encoded := fullTrace().Append(nil)
	got, err := ParseTrace(encoded)
	clear(encoded)
	if err != nil || !reflect.DeepEqual(&got, fullTrace()) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDamagedTraces(t *testing.T) {
	full := fullTrace().Append(nil)
	for n := range full {
		if _, err := ParseTrace(full[:n]); err == nil {
			t.Errorf("cut after %d bytes it was read", n)
		}
	}
	for name, damaged := range map[string][]byte{
		"of another version":         {2, 0},
		"with something behind":      append(bytes.Clone(full), 0),
		"with a fact that is none":   {1, 0x80, 0x80, 0x80, 0x10},
		"with no groups left":        {1, 0x80, 0x80, 0x20, 0},
		"with a varint that is long": {1, 0x80, 0},
		"with an empty user":         {1, hasUser, 0},
		"with a user that is cut":    {1, hasUser, 200, 'a'},
		"with an address of five":    {1, hasClientIP, 5, 1, 2, 3, 4, 5},
		"with source 0":              {1, hasSource, 0},
		"with many groups":           {1, 0x80, hasGroups >> 7, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 'a'},
		"with many MACs":             {1, 0x80, hasClientMACs >> 7, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4, 5, 6},
	} {
		if got, err := ParseTrace(damaged); err == nil {
			t.Errorf("%s it was read as %+v", name, got)
		}
	}
}
