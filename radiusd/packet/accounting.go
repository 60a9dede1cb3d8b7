package packet

import (
	"iter"

	"layeh.com/radius"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/rfc3576"
)

// The codes by which a server asks a NAS to end a session, and what it answers (RFC 5176
// section 3).
const (
	DisconnectRequest = Code(radius.CodeDisconnectRequest)
	DisconnectACK     = Code(radius.CodeDisconnectACK)
	DisconnectNAK     = Code(radius.CodeDisconnectNAK)
)

// The attribute types of accounting (RFC 2866, RFC 2869), and of what is said of a session
// to its NAS (RFC 5176).
const (
	AcctDelayTime       = Type(rfc2866.AcctDelayTime_Type)
	AcctInputOctets     = Type(rfc2866.AcctInputOctets_Type)
	AcctOutputOctets    = Type(rfc2866.AcctOutputOctets_Type)
	AcctSessionTime     = Type(rfc2866.AcctSessionTime_Type)
	AcctInputPackets    = Type(rfc2866.AcctInputPackets_Type)
	AcctOutputPackets   = Type(rfc2866.AcctOutputPackets_Type)
	AcctTerminateCause  = Type(rfc2866.AcctTerminateCause_Type)
	AcctInputGigawords  = Type(rfc2869.AcctInputGigawords_Type)
	AcctOutputGigawords = Type(rfc2869.AcctOutputGigawords_Type)
	EventTimestamp      = Type(rfc2869.EventTimestamp_Type)
	NASPortID           = Type(rfc2869.NASPortID_Type)
	ErrorCause          = Type(rfc3576.ErrorCause_Type)
)

// EncodedAttributes yields attributes that are encoded one after the other, as in a packet
// behind its header: type and value. It ends where they break that form.
func EncodedAttributes(encoded []byte) iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		for rest := encoded; len(rest) >= 2; {
			length := int(rest[1])
			if length < 2 || length > len(rest) || !yield(Type(rest[0]), rest[2:length:length]) {
				return
			}
			rest = rest[length:]
		}
	}
}
