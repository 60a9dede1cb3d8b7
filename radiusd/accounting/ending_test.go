package accounting

import (
	"net/netip"
	"testing"
	"time"
)

// TestEnding: what Ending makes is read as a Stop of that very session, and ends it.
func TestEnding(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	for _, s := range []Session{
		{Key: Key{NAS: "vpn", SessionID: "one"}},
		{
			Key: Key{NAS: "vpn", Gateway: "gw 192.0.2.1", SessionID: "two"}, NASAddress: netip.MustParseAddr("192.0.2.1"),
			User: "kay", Station: "10.0.0.1", Figures: Figures{Has: true, Time: time.Hour, InputOctets: 5<<32 + 7, OutputOctets: 9},
		},
	} {
		e := Entry{At: at, NAS: "vpn", Attributes: Ending(&s, at, 6)}
		r, err := Parse(&e)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != Stop || r.SessionID != s.SessionID || r.User != s.User || r.Station != s.Station || r.NASAddress != s.NASAddress || r.Gateway != s.Gateway || r.Cause != 6 || !r.Occurred.Equal(at) {
			t.Errorf("record %+v of session %+v", r, s)
		}
		if s.Has && (r.Time != s.Time || r.InputOctets != s.InputOctets || r.OutputOctets != s.OutputOctets) {
			t.Errorf("figures %+v, want %+v", r.Figures, s.Figures)
		}
	}
}
