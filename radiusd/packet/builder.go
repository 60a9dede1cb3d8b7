package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Placement says where in a packet the Message-Authenticator stands.
type Placement uint8

// First is for everyone: only a Message-Authenticator before all else keeps an
// attacker from choosing the start of what is hashed (CVE-2024-3596). Last is
// for a NAS that cannot read it there, Off for one that knows none at all and
// for Accounting-Responses, which need none.
const (
	First Placement = iota
	Last
	Off
)

// Builder writes one packet. The zero Builder is ready for Begin, and Begin may
// be called again and again. The first fault sticks: what is added after it is
// ignored, and signing returns it.
type Builder struct {
	buf                  []byte
	placement            Placement
	messageAuthenticator int // offset of its value, 0 while there is none
	err                  error
}

var (
	errPacketTooLong = errors.New("packet would be longer than 4096 octets")
	errBadEncoding   = errors.New("encoded attributes to be added overrun their lengths")
)

// Begin starts a packet in buf, from its first octet whatever its length. The
// packet may grow to [MaxLength]; nothing is allocated while it fits into the
// capacity of buf, and what Sign returns is then buf itself. A reply takes over
// the identifier of its request.
func (b *Builder) Begin(code Code, identifier uint8, buf []byte, placement Placement) {
	var header [HeaderLength]byte
	header[0], header[1] = byte(code), identifier
	*b = Builder{buf: append(buf[:0], header[:]...), placement: placement}
	if placement == First {
		b.addMessageAuthenticator()
	}
}

// Err returns the first fault since Begin, nil when there is none.
func (b *Builder) Err() error { return b.err }

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Add adds an attribute with a value of up to [MaxValue] octets.
func (b *Builder) Add(t Type, value []byte) {
	if b.open(t, len(value)) {
		b.buf = append(b.buf, value...)
	}
}

// AddString is Add for text.
func (b *Builder) AddString(t Type, text string) {
	if b.open(t, len(text)) {
		b.buf = append(b.buf, text...)
	}
}

// AddVendor adds a Vendor-Specific attribute that holds one attribute of the
// vendor's own (RFC 2865 section 5.26), with a value of up to 247 octets.
func (b *Builder) AddVendor(vendor uint32, vendorType byte, value []byte) {
	const overhead = 6 // vendor number, vendor type, vendor length
	if b.open(VendorSpecific, overhead+len(value)) {
		b.buf = binary.BigEndian.AppendUint32(b.buf, vendor)
		b.buf = append(b.buf, vendorType, byte(2+len(value)))
		b.buf = append(b.buf, value...)
	}
}

// AddEncoded adds attributes that are encoded already, one or several, each its
// type, its length and its value, as [Dictionary.Encode] returns them. It adds
// all or, where one breaks that form or they do not fit, none.
func (b *Builder) AddEncoded(attributes []byte) {
	switch {
	case b.err != nil:
	case !wellFormedAttributes(attributes):
		b.fail(errBadEncoding)
	case len(b.buf)+len(attributes) > MaxLength:
		b.fail(errPacketTooLong)
	default:
		b.buf = append(b.buf, attributes...)
	}
}

// wellFormedAttributes reports whether attributes is a sequence of type, length
// and value.
func wellFormedAttributes(attributes []byte) bool {
	for len(attributes) > 0 {
		if len(attributes) < 2 || attributes[1] < 2 || int(attributes[1]) > len(attributes) {
			return false
		}
		attributes = attributes[attributes[1]:]
	}
	return true
}

// CopyProxyStates adds the Proxy-State attributes of r, unchanged and in their
// order, as RFC 2865 section 5.33 asks of every reply.
func (b *Builder) CopyProxyStates(r *Request) {
	if r.ProxyStates == 0 {
		return
	}
	for t, value := range r.Attributes() {
		if t == ProxyState {
			b.Add(t, value)
		}
	}
}

// addMessageAuthenticator adds the attribute with zeros for a value; signing
// fills it in. A second one is never added.
func (b *Builder) addMessageAuthenticator() {
	if b.messageAuthenticator != 0 || !b.open(MessageAuthenticator, AuthenticatorLength) {
		return
	}
	b.messageAuthenticator = len(b.buf)
	b.buf = append(b.buf, make([]byte, AuthenticatorLength)...)
}

// open writes the type and length of an attribute whose value has n octets, and
// says whether the value may follow.
func (b *Builder) open(t Type, n int) bool {
	switch {
	case b.err != nil:
		return false
	case n > MaxValue:
		b.fail(fmt.Errorf("attribute of type %d has %d octets, %d at most", t, n, MaxValue))
		return false
	case len(b.buf)+2+n > MaxLength:
		b.fail(errPacketTooLong)
		return false
	}
	b.buf = append(b.buf, byte(t), byte(2+n))
	return true
}
