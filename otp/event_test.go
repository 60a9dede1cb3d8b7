package otp

import (
	"math"
	"strings"
	"testing"
)

func TestEventIDs(t *testing.T) {
	for name, id := range map[string]EventID{
		"17-3":                            {Batch: 17, Index: 3},
		"0-0":                             {},
		"18446744073709551615-4294967295": {Batch: math.MaxUint64, Index: math.MaxUint32},
	} {
		if id.String() != name {
			t.Errorf("%+v is called %q, want %q", id, id, name)
		}
		if got, err := ParseEventID(name); err != nil || got != id {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
}

func TestBadEventIDs(t *testing.T) {
	for _, bad := range []string{"", "17", "17-", "-3", "17-3-1", "017-3", "+17-3", "17-+3", " 17-3", "17-3\n", "17-4294967296", "18446744073709551616-0", "x-y"} {
		if id, err := ParseEventID(bad); err == nil || id != (EventID{}) || !strings.Contains(err.Error(), "17-3") {
			t.Errorf("%q: %+v, %v", bad, id, err)
		}
	}
}

func FuzzParseEventID(f *testing.F) {
	f.Add("17-3")
	f.Add("017-+3")
	f.Fuzz(func(t *testing.T, name string) {
		if id, err := ParseEventID(name); err == nil && id.String() != name {
			t.Errorf("%q came back as %q", name, id)
		}
	})
}
