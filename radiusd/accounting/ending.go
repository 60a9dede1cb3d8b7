package accounting

import (
	"encoding/binary"
	"time"

	"countersign/radiusd/packet"
)

// Ending makes the attributes (RFC 2866 section 3) of a Stop for a session whose NAS will
// not report the end, with what was used so far. Like a Stop of the NAS's own it is for the
// log of the store, so that sessions which are made again from the log end again, and
// collectors hear of it.
func Ending(s *Session, at time.Time, cause Cause) []byte {
	var attributes []byte
	add := func(t packet.Type, value []byte) {
		if len(value) > 0 { // what comes of an attribute goes into one
			attributes = append(append(attributes, byte(t), byte(2+len(value))), value...)
		}
	}
	number := func(t packet.Type, n uint32) { add(t, binary.BigEndian.AppendUint32(nil, n)) }
	number(packet.AcctStatusType, uint32(Stop))
	add(packet.AcctSessionID, []byte(s.SessionID))
	add(packet.UserName, []byte(s.User))
	gateway := parseGateway(s.Gateway)
	add(packet.NASIdentifier, []byte(gateway.identifier))
	add(packet.NASIPAddress, gateway.ipv4.AsSlice())
	add(packet.NASIPv6Address, gateway.ipv6.AsSlice())
	add(packet.CallingStationID, []byte(s.Station))
	number(packet.EventTimestamp, uint32(at.Unix()))
	number(packet.AcctTerminateCause, uint32(cause))
	if s.Has {
		number(packet.AcctSessionTime, uint32(s.Time/time.Second))
		number(packet.AcctInputOctets, uint32(s.InputOctets))
		number(packet.AcctOutputOctets, uint32(s.OutputOctets))
		number(packet.AcctInputGigawords, uint32(s.InputOctets>>32))
		number(packet.AcctOutputGigawords, uint32(s.OutputOctets>>32))
	}
	return attributes
}
