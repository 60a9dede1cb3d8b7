package packet

import "encoding/binary"

// Header is the fixed part of a packet, RFC 2865 section 3.
type Header struct {
	Code          Code
	Identifier    uint8
	Length        int // of the packet in octets, 20 to 4096; the datagram may be longer
	Authenticator [AuthenticatorLength]byte
}

// ParseHeader reads the header of the packet in datagram. What the datagram
// holds beyond Length is padding and ignored. The error is a [Malformation]:
// [TooShort] or [BadLengthField].
func ParseHeader(datagram []byte) (Header, error) {
	if len(datagram) < HeaderLength {
		return Header{}, TooShort
	}
	h := Header{
		Code:          Code(datagram[0]),
		Identifier:    datagram[1],
		Length:        int(binary.BigEndian.Uint16(datagram[2:4])),
		Authenticator: [AuthenticatorLength]byte(datagram[4:HeaderLength]),
	}
	if h.Length < MinLength || h.Length > MaxLength {
		return h, BadLengthField
	}
	if h.Length > len(datagram) {
		return h, TooShort
	}
	return h, nil
}
