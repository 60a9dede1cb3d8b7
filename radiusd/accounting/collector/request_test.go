package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// at is when the records of these tests came.
var at = time.Unix(1_800_000_000, 0)

// requestOf is the parsed request of a record that has waited for so long.
func requestOf(t testing.TB, e *accounting.Entry, waited time.Duration) (*packet.Request, error) {
	t.Helper()
	var b packet.Builder
	var scratch packet.Scratch
	b.Begin(packet.AccountingRequest, 7, nil, packet.Off)
	if err := write(&b, e, e.At.Add(waited)); err != nil {
		return nil, err
	}
	wire, err := scratch.SignRequest(secret, &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := new(packet.Request)
	if err := r.Parse(wire); err != nil {
		return r, err
	}
	if !scratch.VerifyAccountingRequest(secret, r) || r.Identifier != 7 {
		t.Error("it is not signed")
	}
	return r, nil
}

// attributesOf are the octets of the attributes of a request.
func attributesOf(r *packet.Request) []byte {
	var all []byte
	for t, value := range r.Attributes() {
		all = append(all, attribute(t, value)...)
	}
	return all
}

func TestWrite(t *testing.T) {
	var (
		start  = number(packet.AcctStatusType, 1)
		id     = attribute(packet.NASIdentifier, []byte("gw1"))
		stamp  = number(packet.EventTimestamp, 1_700_000_000)
		vendor = attribute(packet.VendorSpecific, []byte{0, 1, 0x86, 0x9f, 1, 5, 'x', 0, 0xff, 9})
		class  = attribute(packet.Class, []byte("CS1-\x00"))
		proxy  = attribute(packet.ProxyState, []byte("17"))
		full   = bytes.Repeat(attribute(packet.Class, make([]byte, 253)), 15) // 3,825 octets
	)
	for _, test := range []struct {
		name   string
		source string
		waited time.Duration
		from   [][]byte
		want   [][]byte
	}{
		{"as it came, in order", "", 0, [][]byte{vendor, start, class, id, class, stamp}, [][]byte{vendor, start, class, id, class, stamp}},
		{"without what is of one hop", "", 0, [][]byte{proxy, start, attribute(packet.MessageAuthenticator, make([]byte, 16)), id, stamp, proxy}, [][]byte{start, id, stamp}},
		{"it waited", "", 90*time.Minute + 999*time.Millisecond, [][]byte{start, id, stamp}, [][]byte{start, id, stamp, number(packet.AcctDelayTime, 5400)}},
		{"the NAS had waited too", "", 10 * time.Second, [][]byte{start, number(packet.AcctDelayTime, 5), id, stamp}, [][]byte{start, number(packet.AcctDelayTime, 15), id, stamp}},
		{"a delay of zero stays", "", 0, [][]byte{start, number(packet.AcctDelayTime, 0), id, stamp}, [][]byte{start, number(packet.AcctDelayTime, 0), id, stamp}},
		{"no number goes round", "", time.Hour, [][]byte{start, number(packet.AcctDelayTime, 1<<32-2), id, stamp}, [][]byte{start, number(packet.AcctDelayTime, 1<<32-1), id, stamp}},
		{"a delay that is no number stays", "", time.Hour, [][]byte{start, attribute(packet.AcctDelayTime, []byte("5")), id, stamp}, [][]byte{start, attribute(packet.AcctDelayTime, []byte("5")), id, stamp}},
		{"when it was", "", time.Hour, [][]byte{start, id}, [][]byte{start, id, number(packet.EventTimestamp, uint32(at.Unix())), number(packet.AcctDelayTime, 3600)}},
		{"when it was, by the NAS", "", time.Hour, [][]byte{start, number(packet.AcctDelayTime, 60), id}, [][]byte{start, number(packet.AcctDelayTime, 3660), id, number(packet.EventTimestamp, uint32(at.Unix()-60))}},
		{"our clock went back", "", -time.Hour, [][]byte{start, id, stamp}, [][]byte{start, id, stamp}},
		{"which NAS", "192.0.2.7", 0, [][]byte{start, stamp}, [][]byte{start, stamp, attribute(packet.NASIPAddress, []byte{192, 0, 2, 7})}},
		{"which NAS, mapped", "::ffff:192.0.2.7", 0, [][]byte{start, stamp}, [][]byte{start, stamp, attribute(packet.NASIPAddress, []byte{192, 0, 2, 7})}},
		{"which NAS, IPv6", "fe80::1%eth0", 0, [][]byte{start, stamp}, [][]byte{start, stamp, attribute(packet.NASIPv6Address, []byte{0xfe, 0x80, 15: 1})}},
		{"it says which NAS", "192.0.2.7", 0, [][]byte{start, attribute(packet.NASIPv6Address, make([]byte, 16)), stamp}, [][]byte{start, attribute(packet.NASIPv6Address, make([]byte, 16)), stamp}},
		{"no source", "", 0, [][]byte{start, stamp}, [][]byte{start, stamp}},
		{"room for one", "192.0.2.7", time.Hour, [][]byte{start, full, attribute(packet.Class, make([]byte, 236))}, [][]byte{start, full, attribute(packet.Class, make([]byte, 236)), attribute(packet.NASIPAddress, []byte{192, 0, 2, 7})}},
		{"no room", "192.0.2.7", time.Hour, [][]byte{start, full, attribute(packet.Class, make([]byte, 243))}, [][]byte{start, full, attribute(packet.Class, make([]byte, 243))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &accounting.Entry{At: at, Source: test.source, Attributes: slices.Concat(test.from...)}
			r, err := requestOf(t, e, test.waited)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := attributesOf(r), slices.Concat(test.want...); !bytes.Equal(got, want) {
				t.Errorf("%x instead of %x", got, want)
			}
		})
	}
}

func TestWriteTorn(t *testing.T) {
	for _, torn := range [][]byte{{40}, {40, 1}, {40, 6, 0, 0, 0}, bytes.Repeat(attribute(packet.Class, make([]byte, 253)), 17)} {
		if _, err := requestOf(t, &accounting.Entry{At: at, Attributes: torn}, 0); !errors.Is(err, errUnsendable) {
			t.Errorf("%.10x: %v", torn, err)
		}
	}
}

// What a NAS said goes to the collector whatever it is.
func FuzzWrite(f *testing.F) {
	f.Add(number(packet.AcctStatusType, 1), "192.0.2.7", uint32(0))
	f.Add(slices.Concat(number(packet.AcctDelayTime, 1<<32-1), attribute(packet.ProxyState, nil)), "::1", uint32(1<<31))
	f.Add(bytes.Repeat(attribute(packet.Class, make([]byte, 252)), 16), "", uint32(1))
	f.Fuzz(func(t *testing.T, attributes []byte, source string, waited uint32) {
		if len(attributes) > packet.MaxLength-packet.HeaderLength {
			return // a NAS cannot send it
		}
		var b packet.Builder
		b.Begin(packet.AccountingRequest, 1, nil, packet.Off)
		e := &accounting.Entry{At: at, Source: source, Attributes: attributes}
		err := write(&b, e, at.Add(time.Duration(waited)*time.Second))
		length := 0
		var want []byte
		for kind, value := range packet.EncodedAttributes(attributes) {
			length += 2 + len(value)
			switch {
			case kind == packet.ProxyState || kind == packet.MessageAuthenticator:
				continue
			case kind == packet.AcctDelayTime && len(value) == 4:
				said := uint64(binary.BigEndian.Uint32(value)) + uint64(waited)
				value = binary.BigEndian.AppendUint32(nil, uint32(min(said, 1<<32-1)))
			}
			want = append(want, attribute(kind, value)...)
		}
		if torn := length != len(attributes); torn != (err != nil) {
			t.Fatalf("torn %v: %v", torn, err)
		}
		if err != nil {
			return
		}
		var scratch packet.Scratch
		wire, err := scratch.SignRequest(secret, &b, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := wire[packet.HeaderLength:]
		if !bytes.HasPrefix(got, want) || len(wire) > packet.MaxLength || len(got)-len(want) > 18+6+6 {
			t.Errorf("%x became %x", attributes, got)
		}
	})
}
