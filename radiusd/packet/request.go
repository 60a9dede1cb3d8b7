package packet

import (
	"encoding/binary"
	"iter"
)

// Request is the parsed view of one packet. Parse fills it anew each time, so
// one Request serves packet after packet; a reply that a NAS receives is parsed
// the same way.
//
// The slices alias the datagram given to Parse. A field is nil when its
// attribute is absent and empty, not nil, when its value is. No text is checked
// for its encoding: RFC 2865 wants UTF-8, the field sends anything.
type Request struct {
	Header

	UserName         []byte
	UserPassword     []byte // hidden, 16 to 128 octets; Scratch.UserPassword opens it
	CHAPPassword     []byte // CHAP identifier and 16 octets of response; see CHAP
	CHAPChallenge    []byte // nil when the Request Authenticator is the challenge; see CHAP
	MSCHAPChallenge  []byte // 8 octets with MSCHAPResponse, 16 with MSCHAP2Response
	MSCHAPResponse   []byte // 50 octets, RFC 2548 section 2.1.3
	MSCHAP2Response  []byte // 50 octets, RFC 2548 section 2.3.2
	State            []byte
	NASIPAddress     []byte // 4 octets, what the NAS claims
	NASIPv6Address   []byte // 16 octets, what the NAS claims
	NASIdentifier    []byte
	CallingStationID []byte
	CalledStationID  []byte
	AcctSessionID    []byte

	// What the NAS claims of the client's addresses. Of several the first with a
	// usable value counts; gateways repeat and misuse them, which is no reason to
	// refuse a login.
	TunnelClientEndpoint []byte // text, without the tag (RFC 2868 section 3.3); not empty
	FramedIPAddress      []byte // 4 octets; none of the values that leave the address to the NAS (RFC 2865 section 5.8)
	FramedIPv6Address    []byte // 16 octets (RFC 6911 section 3.1)

	EAPMessage  bool // one or more EAP-Message attributes are present
	ProxyStates int  // how many Proxy-State attributes there are; Builder.CopyProxyStates copies them

	// MessageAuthenticator is the offset in the datagram of the value of the
	// Message-Authenticator, 0 when absent.
	MessageAuthenticator int

	acctStatusType []byte
	vendorSpecific int    // the offset of the first Vendor-Specific, 0 when there is none
	packet         []byte // the datagram without padding; nil unless Parse succeeded
}

// attribute is what Parse knows of an attribute it keeps: where its value goes,
// and the lengths it may have.
type attribute struct {
	field    func(*Request) *[]byte
	min, max int
	fault    Malformation // when the length is wrong
}

// kept lists the attributes that may occur once.
var kept = [256]attribute{
	UserName:         {func(r *Request) *[]byte { return &r.UserName }, 0, MaxValue, BadAttributeLength},
	UserPassword:     {func(r *Request) *[]byte { return &r.UserPassword }, 16, MaxPasscode, BadUserPasswordLength},
	CHAPPassword:     {func(r *Request) *[]byte { return &r.CHAPPassword }, 17, 17, BadCHAPPasswordLength},
	CHAPChallenge:    {func(r *Request) *[]byte { return &r.CHAPChallenge }, 1, MaxValue, BadAttributeLength},
	State:            {func(r *Request) *[]byte { return &r.State }, 0, MaxValue, BadAttributeLength},
	NASIPAddress:     {func(r *Request) *[]byte { return &r.NASIPAddress }, 4, 4, BadAttributeLength},
	NASIPv6Address:   {func(r *Request) *[]byte { return &r.NASIPv6Address }, 16, 16, BadAttributeLength},
	NASIdentifier:    {func(r *Request) *[]byte { return &r.NASIdentifier }, 0, MaxValue, BadAttributeLength},
	CallingStationID: {func(r *Request) *[]byte { return &r.CallingStationID }, 0, MaxValue, BadAttributeLength},
	CalledStationID:  {func(r *Request) *[]byte { return &r.CalledStationID }, 0, MaxValue, BadAttributeLength},
	AcctStatusType:   {func(r *Request) *[]byte { return &r.acctStatusType }, 4, 4, BadAttributeLength},
	AcctSessionID:    {func(r *Request) *[]byte { return &r.AcctSessionID }, 0, MaxValue, BadAttributeLength},
}

// keptMicrosoft is the same for Microsoft's vendor types, RFC 2548. Which
// challenge length is right depends on the response: see checkCredentials.
var keptMicrosoft = [256]attribute{
	msCHAPResponse:  {func(r *Request) *[]byte { return &r.MSCHAPResponse }, 50, 50, BadMSCHAPLength},
	msCHAPChallenge: {func(r *Request) *[]byte { return &r.MSCHAPChallenge }, 0, MaxValue, BadMSCHAPLength},
	msCHAP2Response: {func(r *Request) *[]byte { return &r.MSCHAP2Response }, 50, 50, BadMSCHAPLength},
}

// Parse reads the packet in datagram into r, which it resets. The error is a
// [Malformation]; r then holds nothing but the Header, as far as it could be
// read. Parse does not allocate.
func (r *Request) Parse(datagram []byte) error {
	*r = Request{}
	header, err := ParseHeader(datagram)
	if err != nil {
		r.Header = header
		return err
	}
	r.Header = header
	fault := r.parseAttributes(datagram[:header.Length])
	if fault == wellFormed {
		fault = r.checkCredentials()
	}
	if fault != wellFormed {
		*r = Request{Header: header}
		return fault
	}
	r.packet = datagram[:header.Length:header.Length]
	return nil
}

func (r *Request) parseAttributes(packet []byte) Malformation {
	for at := HeaderLength; at < len(packet); {
		rest := packet[at:]
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return BadAttributeLength
		}
		length := int(rest[1])
		if fault := r.keep(Type(rest[0]), rest[2:length:length], at+2); fault != wellFormed {
			return fault
		}
		at += length
	}
	return wellFormed
}

// keep notes one attribute, whose value starts at the given offset.
func (r *Request) keep(t Type, value []byte, offset int) Malformation {
	switch t {
	case ProxyState:
		r.ProxyStates++
		return wellFormed
	case EAPMessage:
		r.EAPMessage = true
		return wellFormed
	case VendorSpecific:
		if r.vendorSpecific == 0 {
			r.vendorSpecific = offset - 2
		}
		return r.keepMicrosoft(value)
	case MessageAuthenticator:
		return r.keepMessageAuthenticator(value, offset)
	}
	if kept[t].field == nil {
		r.keepClient(t, value)
		return wellFormed
	}
	return r.set(&kept[t], value)
}

func (r *Request) set(a *attribute, value []byte) Malformation {
	if a.field == nil {
		return wellFormed
	}
	if len(value) < a.min || len(value) > a.max {
		return a.fault
	}
	field := a.field(r)
	if *field != nil {
		return DuplicateAttribute
	}
	*field = value
	return wellFormed
}

// keepClient notes what tells of the client's address, the first time it has a
// usable value.
func (r *Request) keepClient(t Type, value []byte) {
	switch {
	case t == TunnelClientEndpoint && r.TunnelClientEndpoint == nil:
		if text := untagged(value); len(text) > 0 {
			r.TunnelClientEndpoint = text
		}
	case t == FramedIPAddress && r.FramedIPAddress == nil && isAddress(value, 4):
		r.FramedIPAddress = value
	case t == FramedIPv6Address && r.FramedIPv6Address == nil && isAddress(value, 16):
		r.FramedIPv6Address = value
	}
}

// maxTag is the largest first octet that is a tag (RFC 2868 section 3.1); a
// larger one is the first of the text.
const maxTag = 0x1f

// untagged is the text of an attribute that may start with a tag.
func untagged(value []byte) []byte {
	if len(value) > 0 && value[0] <= maxTag {
		return value[1:]
	}
	return value
}

// isAddress reports whether value is an address of that many octets, and none of
// those that leave it to the NAS or the user: zeros, and for IPv4 the two of RFC
// 2865 section 5.8.
func isAddress(value []byte, octets int) bool {
	if len(value) != octets {
		return false
	}
	if octets == 4 && binary.BigEndian.Uint32(value) >= 0xfffffffe {
		return false
	}
	for _, octet := range value {
		if octet != 0 {
			return true
		}
	}
	return false
}

func (r *Request) keepMessageAuthenticator(value []byte, offset int) Malformation {
	if len(value) != AuthenticatorLength {
		return BadMessageAuthenticatorLength
	}
	if r.MessageAuthenticator != 0 {
		return DuplicateAttribute
	}
	r.MessageAuthenticator = offset
	return wellFormed
}

// keepMicrosoft reads a Vendor-Specific value: a vendor number and then, by
// RFC 2865 section 5.26, attributes of the vendor's own. Not every vendor
// follows that form, so all but Microsoft's stay opaque, and where Microsoft's
// break off in something that is not read here, they stay opaque too.
func (r *Request) keepMicrosoft(value []byte) Malformation {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != VendorMicrosoft {
		return wellFormed
	}
	for rest := value[4:]; len(rest) > 0; {
		a := &keptMicrosoft[rest[0]]
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			if a.field != nil {
				return BadMSCHAPLength
			}
			return wellFormed
		}
		length := int(rest[1])
		if fault := r.set(a, rest[2:length:length]); fault != wellFormed {
			return fault
		}
		rest = rest[length:]
	}
	return wellFormed
}

// checkCredentials refuses what only the whole packet shows: a User-Password of
// broken blocks, an MS-CHAP response without its challenge, and two kinds of
// credential in one Access-Request (RFC 2865 section 4.1, RFC 2869 section 5.19).
func (r *Request) checkCredentials() Malformation {
	if len(r.UserPassword)%16 != 0 {
		return BadUserPasswordLength
	}
	if r.MSCHAPResponse != nil && len(r.MSCHAPChallenge) != 8 ||
		r.MSCHAP2Response != nil && len(r.MSCHAPChallenge) != 16 {
		return BadMSCHAPLength
	}
	if r.Code != AccessRequest {
		return wellFormed
	}
	kinds := 0
	for _, present := range [...]bool{
		r.UserPassword != nil, r.CHAPPassword != nil, r.MSCHAPResponse != nil, r.MSCHAP2Response != nil, r.EAPMessage,
	} {
		if present {
			kinds++
		}
	}
	if kinds > 1 {
		return SeveralCredentials
	}
	return wellFormed
}

// CHAP returns the parts of a CHAP login for [Scratch.CHAPMatches]. The
// challenge is the CHAP-Challenge or, without one, the Request Authenticator
// (RFC 2865 section 2.2). ok is false when there is no CHAP-Password.
func (r *Request) CHAP() (id byte, challenge, response []byte, ok bool) {
	if r.CHAPPassword == nil {
		return 0, nil, nil, false
	}
	challenge = r.CHAPChallenge
	if challenge == nil {
		challenge = r.Authenticator[:]
	}
	return r.CHAPPassword[0], challenge, r.CHAPPassword[1:], true
}

// AcctStatusType returns the Acct-Status-Type (RFC 2866 section 5.1), 0 when
// absent.
func (r *Request) AcctStatusType() uint32 {
	if r.acctStatusType == nil {
		return 0
	}
	return binary.BigEndian.Uint32(r.acctStatusType)
}

// Attributes yields every attribute in the order of the packet, type and value.
// After a Parse that failed it yields none.
func (r *Request) Attributes() iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		if r.packet == nil {
			return
		}
		for rest := r.packet[HeaderLength:]; len(rest) > 0; rest = rest[rest[1]:] {
			if !yield(Type(rest[0]), rest[2:rest[1]:rest[1]]) {
				return
			}
		}
	}
}
