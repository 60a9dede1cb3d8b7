package exclusions

import (
	"encoding/binary"
	"net/netip"
)

// Trace is what is kept of how it was decided whether a login needs a code: the
// facts, and what came of them. With the rules of that Revision it explains the
// decision again at any time. It has no secret in it.
type Trace struct {
	Login               // At and NAS are not encoded: the event has them; Groups are those that rules name
	Typed        []byte // the User-Name as it came, when it is not User
	Directory    string // the directory that has the user
	Source       Source
	ClientIPFrom Origin
	MACFrom      Origin
	Mode         Mode
	Pass         Pass
	Revision     uint64 // of the rules
	Rule         string // name of the rule that decided, "" when none did
	// GroupsLeft is how many groups that rules name are not among Groups, because there
	// are too many, and MACsLeft how many MACs the client told besides ClientMACs, which
	// were not looked at.
	GroupsLeft, MACsLeft uint64
	// Sessions is why the login was refused, when there were too many; else zero.
	Sessions Sessions
	// Node is which of several servers decided, "" when there is one. Late: the login was let
	// in while it could not be recorded.
	Node string
	Late bool
}

// Sessions are those that a login was too many for.
type Sessions struct {
	// Limit is the name of the limit that the login met, "" for the one of all who meet
	// none. Together: the sessions of all who meet it are counted, and not the user's.
	Limit    string
	Together bool
	Open     uint64 // how many there were
	Most     uint64 // how many there may be; more than 0
}

// traceVersion is the first byte of an encoded trace.
const traceVersion = 1

// The facts that an encoded trace has: bits of the varint behind the version, and
// each but groupsUnknown, stranger, together and late with its value behind that, in this order.
// Those that most logins lack come last; what an older version has written ends somewhere
// behind stranger.
const (
	hasUser = 1 << iota
	hasNASAddress
	hasClientIP
	hasClientIPFrom
	hasSource
	hasDirectory
	hasMode
	hasPass
	hasRevision
	hasRule
	hasGroups
	hasRealm
	hasNASIdentifier
	hasClientMACs
	hasMACFrom
	hasNASIPAddress
	hasTyped
	groupsUnknown
	stranger
	hasGroupsLeft
	hasMACsLeft
	hasMost
	hasOpen
	hasLimit
	together
	hasNode
	late
	traceFacts = 1<<iota - 1
)

// facts are the bits of what t has.
func (t *Trace) facts() uint64 {
	var facts uint64
	for bit, has := range [...]bool{
		len(t.User) > 0, t.NASAddress.IsValid(), t.ClientIP.IsValid(), t.ClientIPFrom != 0, t.Source != 0, t.Directory != "",
		t.Mode != 0, t.Pass != 0, t.Revision != 0, t.Rule != "", len(t.Groups) > 0, t.Realm != "", len(t.NASIdentifier) > 0,
		len(t.ClientMACs) > 0, t.MACFrom != 0, t.NASIPAddress.IsValid(), len(t.Typed) > 0, t.GroupsUnknown, t.Stranger,
		t.GroupsLeft != 0, t.MACsLeft != 0, t.Sessions.Most != 0, t.Sessions.Open != 0, t.Sessions.Limit != "", t.Sessions.Together,
		t.Node != "", t.Late,
	} {
		if has {
			facts |= 1 << bit
		}
	}
	return facts
}

// Append appends the encoding of t to dst, without allocating when dst has room.
func (t *Trace) Append(dst []byte) []byte {
	e := encoder{append(dst, traceVersion), t.facts()}
	e.encoded = binary.AppendUvarint(e.encoded, e.facts)
	encodeText(&e, hasUser, t.User)
	e.address(hasNASAddress, t.NASAddress)
	e.address(hasClientIP, t.ClientIP)
	e.octet(hasClientIPFrom, byte(t.ClientIPFrom))
	e.octet(hasSource, byte(t.Source))
	encodeText(&e, hasDirectory, t.Directory)
	e.octet(hasMode, byte(t.Mode))
	e.octet(hasPass, byte(t.Pass))
	e.number(hasRevision, t.Revision)
	encodeText(&e, hasRule, t.Rule)
	e.number(hasGroups, uint64(len(t.Groups)))
	for _, group := range t.Groups {
		encodeText(&e, hasGroups, group)
	}
	encodeText(&e, hasRealm, t.Realm)
	encodeText(&e, hasNASIdentifier, t.NASIdentifier)
	e.number(hasClientMACs, uint64(len(t.ClientMACs)))
	for _, mac := range t.ClientMACs {
		e.mac(mac)
	}
	e.octet(hasMACFrom, byte(t.MACFrom))
	e.address(hasNASIPAddress, t.NASIPAddress)
	encodeText(&e, hasTyped, t.Typed)
	e.number(hasGroupsLeft, t.GroupsLeft)
	e.number(hasMACsLeft, t.MACsLeft)
	e.number(hasMost, t.Sessions.Most)
	e.number(hasOpen, t.Sessions.Open)
	encodeText(&e, hasLimit, t.Sessions.Limit)
	encodeText(&e, hasNode, t.Node)
	return e.encoded
}

// encoder appends the values of the facts there are.
type encoder struct {
	encoded []byte
	facts   uint64
}

func (e *encoder) octet(fact uint64, value byte) {
	if e.facts&fact != 0 {
		e.encoded = append(e.encoded, value)
	}
}

func (e *encoder) number(fact, value uint64) {
	if e.facts&fact != 0 {
		e.encoded = binary.AppendUvarint(e.encoded, value)
	}
}

func encodeText[T string | []byte](e *encoder, fact uint64, text T) {
	e.number(fact, uint64(len(text)))
	if e.facts&fact != 0 {
		e.encoded = append(e.encoded, text...)
	}
}

// address appends an address in the form of netip.Addr.MarshalBinary, 4 octets or
// 16 and the zone, behind its length.
func (e *encoder) address(fact uint64, address netip.Addr) {
	e.number(fact, uint64(address.BitLen()/8+len(address.Zone())))
	e.encoded, _ = address.AppendBinary(e.encoded) // has no error, and appends nothing of the zero Addr
}

func (e *encoder) mac(mac MAC) {
	for shift := macBits - 8; shift >= 0; shift -= 8 {
		e.encoded = append(e.encoded, byte(mac>>shift))
	}
}
