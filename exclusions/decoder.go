package exclusions

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// ParseTrace is the inverse of Append. At and NAS stay zero. Nothing of b is kept.
// The error says that b is no trace: empty, of another version, cut short, with
// something behind its end, or not as Append would have written it.
func ParseTrace(b []byte) (Trace, error) {
	if len(b) == 0 || b[0] != traceVersion {
		return Trace{}, fmt.Errorf("reading a trace of %d bytes: it is not of version %d", len(b), traceVersion)
	}
	d := decoder{rest: b[1:]}
	d.facts = d.uvarint()
	if d.facts&^traceFacts != 0 {
		d.fail()
	}
	t := d.trace()
	if d.bad || len(d.rest) > 0 || t.facts() != d.facts {
		return Trace{}, fmt.Errorf("reading a trace of %d bytes: it is damaged", len(b))
	}
	return t, nil
}

// decoder reads the values of the facts there are, one after another. After the
// first that does not parse bad is set and everything is zero.
type decoder struct {
	rest  []byte
	facts uint64
	bad   bool
}

// trace reads what Append has written, in the same order.
func (d *decoder) trace() Trace {
	var t Trace
	t.User = decodeText[[]byte](d, hasUser)
	t.NASAddress = d.address(hasNASAddress)
	t.ClientIP = d.address(hasClientIP)
	t.ClientIPFrom = Origin(d.octet(hasClientIPFrom))
	t.Source = Source(d.octet(hasSource))
	t.Directory = decodeText[string](d, hasDirectory)
	t.Mode = Mode(d.octet(hasMode))
	t.Pass = Pass(d.octet(hasPass))
	t.Revision = d.number(hasRevision)
	t.Rule = decodeText[string](d, hasRule)
	t.Groups = d.groups()
	t.Realm = decodeText[string](d, hasRealm)
	t.NASIdentifier = decodeText[[]byte](d, hasNASIdentifier)
	t.ClientMACs = d.macs()
	t.MACFrom = Origin(d.octet(hasMACFrom))
	t.NASIPAddress = d.address(hasNASIPAddress)
	t.Typed = decodeText[[]byte](d, hasTyped)
	t.GroupsUnknown = d.facts&groupsUnknown != 0
	t.Stranger = d.facts&stranger != 0
	t.GroupsLeft = d.number(hasGroupsLeft)
	t.MACsLeft = d.number(hasMACsLeft)
	t.Sessions.Most = d.number(hasMost)
	t.Sessions.Open = d.number(hasOpen)
	t.Sessions.Limit = decodeText[string](d, hasLimit)
	t.Sessions.Together = d.facts&together != 0
	t.Node = decodeText[string](d, hasNode)
	t.Late = d.facts&late != 0
	return t
}

// groups reads as many groups as there can be in the rest, each of which has a
// byte at least.
func (d *decoder) groups() []string {
	n := d.number(hasGroups)
	if n == 0 || n > uint64(len(d.rest)) {
		d.failIf(n > 0)
		return nil
	}
	groups := make([]string, 0, min(n, 64)) // a damaged count takes no memory
	for ; n > 0 && !d.bad; n-- {
		groups = append(groups, decodeText[string](d, hasGroups))
	}
	return groups
}

func (d *decoder) macs() []MAC {
	n := d.number(hasClientMACs)
	if n == 0 || n > uint64(len(d.rest)/macOctets) {
		d.failIf(n > 0)
		return nil
	}
	macs := make([]MAC, n)
	for i := range macs {
		for _, octet := range d.take(macOctets) {
			macs[i] = macs[i]<<8 | MAC(octet)
		}
	}
	return macs
}

func (d *decoder) address(fact uint64) netip.Addr {
	var address netip.Addr
	if d.facts&fact != 0 {
		d.failIf(address.UnmarshalBinary(d.take(d.number(fact))) != nil)
	}
	return address
}

// decodeText reads a text into memory of its own; the empty one is the zero T.
func decodeText[T string | []byte](d *decoder, fact uint64) T {
	text := d.take(d.number(fact))
	if len(text) == 0 {
		var none T
		return none
	}
	return T(string(text))
}

func (d *decoder) number(fact uint64) uint64 {
	if d.facts&fact == 0 {
		return 0
	}
	return d.uvarint()
}

func (d *decoder) octet(fact uint64) byte {
	if d.facts&fact == 0 {
		return 0
	}
	if one := d.take(1); len(one) == 1 {
		return one[0]
	}
	return 0
}

// uvarint reads a varint that is as short as it can be.
func (d *decoder) uvarint() uint64 {
	value, n := binary.Uvarint(d.rest)
	if n <= 0 || n > 1 && d.rest[n-1] == 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return value
}

// take cuts n bytes off the rest.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) failIf(bad bool) {
	if bad {
		d.fail()
	}
}

func (d *decoder) fail() { d.rest, d.bad, d.facts = nil, true, 0 }
