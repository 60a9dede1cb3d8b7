package accounting

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

func TestParse(t *testing.T) {
	e := says{}.
		number(packet.AcctStatusType, 2).text(packet.AcctSessionID, "4711\x00").text(packet.UserName, "kay\x00\x00").
		text(packet.NASIdentifier, "vpn1").address(packet.NASIPAddress, "192.0.2.1").address(packet.NASIPv6Address, "2001:db8::1").
		number(packet.NASPort, 17).text(packet.CallingStationID, "198.51.100.7").
		address(packet.FramedIPv6Address, "2001:db8::5").address(packet.FramedIPAddress, "10.8.0.5").
		text(packet.Class, "one\x00\x00").text(packet.Class, "").
		number(packet.AcctSessionTime, 3600).
		number(packet.AcctInputOctets, 100).number(packet.AcctInputGigawords, 3).
		number(packet.AcctOutputOctets, 200).number(packet.AcctOutputGigawords, 0).
		number(packet.AcctInputPackets, 7).number(packet.AcctOutputPackets, 8).
		number(packet.AcctTerminateCause, 4).stamp(-5).number(packet.AcctDelayTime, 99).
		came(0)
	e.Position = Position{17, 3}
	got, err := Parse(&e)
	must(t, err)
	want := Record{
		Entry: e, Status: Stop, SessionID: "4711", User: "kay",
		NASAddress: netip.MustParseAddr("192.0.2.1"), NASIdentifier: "vpn1", Gateway: "vpn1 192.0.2.1 2001:db8::1",
		NASPort: "17", Station: "198.51.100.7", Address: netip.MustParseAddr("10.8.0.5"),
		Classes: [][]byte{[]byte("one\x00\x00"), {}}, Occurred: at(-5), Stamped: true,
		Figures: Figures{true, time.Hour, 3<<32 + 100, 200, 7, 8}, Cause: 4,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestParseOdd is what gateways send.
func TestParseOdd(t *testing.T) {
	start := says{}.number(packet.AcctStatusType, 1)
	day := 24 * 60 * 60
	for name, test := range map[string]struct {
		says says
		ok   func(r *Record) bool
	}{
		"nothing":          {start, func(r *Record) bool { return r.Status == Start && !r.Has && r.Occurred.Equal(epoch) && r.Gateway == "" }},
		"a delay":          {start.number(packet.AcctDelayTime, 30), func(r *Record) bool { return r.Occurred.Equal(at(-30)) && !r.Stamped }},
		"an absurd delay":  {start.number(packet.AcctDelayTime, 1<<32-1), func(r *Record) bool { return r.Occurred.Equal(epoch) }},
		"a stamp of 0":     {start.number(packet.EventTimestamp, 0).number(packet.AcctDelayTime, 30), func(r *Record) bool { return r.Occurred.Equal(at(-30)) && !r.Stamped }},
		"a stamp of 1999":  {start.number(packet.EventTimestamp, 946684799), func(r *Record) bool { return r.Occurred.Equal(epoch) }},
		"a stamp of 2000":  {start.number(packet.EventTimestamp, 946684800), func(r *Record) bool { return r.Occurred.Equal(earliest) && r.Stamped }},
		"a stamp tomorrow": {start.stamp(day), func(r *Record) bool { return r.Occurred.Equal(at(day)) && r.Stamped }},
		"a stamp after":    {start.stamp(day + 1), func(r *Record) bool { return r.Occurred.Equal(epoch) && !r.Stamped }},
		"a short stamp":    {start.text(packet.EventTimestamp, "\x01"), func(r *Record) bool { return !r.Stamped }},
		"NAS-Port-Id":      {start.number(packet.NASPort, 1).text(packet.NASPortID, "eth0"), func(r *Record) bool { return r.NASPort == "eth0" }},
		"addresses that are no": {start.address(packet.FramedIPAddress, "255.255.255.254").address(packet.NASIPAddress, "0.0.0.0").address(packet.FramedIPAddress, "10.0.0.1"), func(r *Record) bool {
			return r.Address.String() == "10.0.0.1" && !r.NASAddress.IsValid() && r.Gateway == ""
		}},
		"only IPv6": {start.address(packet.NASIPv6Address, "2001:db8::1").address(packet.FramedIPv6Address, "2001:db8::5").address(packet.FramedIPv6Address, "2001:db8::6"), func(r *Record) bool {
			return r.Address.String() == "2001:db8::5" && r.NASAddress.String() == "2001:db8::1" && r.Gateway == "2001:db8::1"
		}},
		"a cause of a Start":  {start.number(packet.AcctTerminateCause, 1), func(r *Record) bool { return r.Cause == 0 }},
		"two of them":         {start.text(packet.UserName, "a").text(packet.UserName, "b"), func(r *Record) bool { return r.User == "a" }},
		"an empty one before": {start.text(packet.UserName, "\x00").text(packet.UserName, "b"), func(r *Record) bool { return r.User == "b" }},
		"only NUL":            {start.text(packet.AcctSessionID, "\x00\x00"), func(r *Record) bool { return r.SessionID == "" }},
		"a tunnel":            {says{}.number(packet.AcctStatusType, 9), func(r *Record) bool { return r.Status.String() == "Tunnel-Start" }},
	} {
		e := test.says.came(0)
		if r, err := Parse(&e); err != nil || !test.ok(&r) {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	for _, test := range []struct {
		says says
		want error
	}{
		{nil, errNoStatus}, {says{}.text(packet.UserName, "kay"), errNoStatus}, {says{}.number(packet.AcctStatusType, 0), errNoStatus},
		{append(start, 1), errBroken}, {append(start, 1, 0), errBroken}, {append(start, 1, 9, 'x'), errBroken},
	} {
		e := test.says.came(0)
		e.Position = Position{17, 3}
		if r, err := Parse(&e); !errors.Is(err, test.want) || !strings.Contains(err.Error(), "17-3") || r.Status != 0 {
			t.Errorf("%x: %v, %v", []byte(test.says), err, r.Status)
		}
	}
}

func TestGateway(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"vpn1", "vpn1", true}, {"vpn1", "vpn2", false}, {"vpn1 192.0.2.1", "vpn1", true}, {"vpn1 192.0.2.1", "192.0.2.1", true},
		{"vpn1", "192.0.2.1", false}, {"vpn1 192.0.2.1", "vpn1 192.0.2.2", false}, {"vpn1 192.0.2.1", "vpn2 192.0.2.1", false},
		{"", "vpn1", true}, {"", "", true}, {"vpn1 192.0.2.1 2001:db8::1", "2001:db8::1", true}, {"192.0.2.1", "2001:db8::1", false},
		{"vpn in the cellar 192.0.2.1", "vpn in the cellar", true}, {"a b", "a c", false},
	} {
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			if got := parseGateway(pair[0]).agrees(parseGateway(pair[1])); got != test.want {
				t.Errorf("%q and %q: %v", pair[0], pair[1], got)
			}
		}
		if got := parseGateway(test.a).String(); got != test.a {
			t.Errorf("%q became %q", test.a, got)
		}
	}
}

func TestFingerprint(t *testing.T) {
	of := func(a says) [16]byte {
		e := a.came(0)
		e.Position = Position{1, uint32(len(a))}
		r, err := Parse(&e)
		must(t, err)
		return fingerprint(&r)
	}
	start := record(Start, "1")
	for _, same := range []says{
		record(Start, "1").number(packet.AcctDelayTime, 5), record(Start, "1").text(packet.ProxyState, "x"),
		record(Start, "1").text(packet.MessageAuthenticator, "0123456789abcdef"),
	} {
		if of(same) != of(start) {
			t.Errorf("%x is another than %x", []byte(same), []byte(start))
		}
	}
	for _, other := range []says{
		record(Start, "2"), record(Start, "1").stamp(0), append(says{}.text(packet.Class, "x"), start...), append(start, says{}.text(packet.Class, "x")...),
	} {
		if of(other) == of(start) {
			t.Errorf("%x is the same as %x", []byte(other), []byte(start))
		}
	}
	if quiet := record(InterimUpdate, "1"); of(quiet) == of(quiet.number(packet.AcctDelayTime, 5)) {
		t.Error("two that tell no time are the same")
	}
}

// FuzzParse: whatever is in the log is read without a fault, and to what can be used.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, attributes []byte) {
		e := Entry{Position: Position{17, 3}, At: epoch, NAS: "vpn", Attributes: bytes.Clone(attributes)}
		r, err := Parse(&e)
		if (err == nil) == (r.Status == 0) {
			t.Errorf("status %s, error %v", r.Status, err)
		}
		if r.Occurred.Before(earliest) || r.Occurred.Sub(e.At) > maxAhead {
			t.Errorf("occurred at %v", r.Occurred)
		}
		for _, text := range []string{r.User, r.SessionID, r.NASIdentifier, r.NASPort, r.Station} {
			if strings.HasSuffix(text, "\x00") || len(text) > packet.MaxValue {
				t.Errorf("text %q", text)
			}
		}
		if again := parseGateway(r.Gateway).String(); again != r.Gateway && parseGateway(again).String() != again {
			t.Errorf("gateway %q, read %q", r.Gateway, again)
		}
		if !bytes.Equal(e.Attributes, attributes) {
			t.Error("the attributes have changed")
		}
		fingerprint(&r)
	})
}
