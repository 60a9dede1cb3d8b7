package accounting

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"countersign/radiusd/packet"
)

var (
	errBroken   = errors.New("its attributes are broken off or overrun their lengths")
	errNoStatus = errors.New("it has no Acct-Status-Type")
)

// Parse reads an Entry. An attribute that is not what it should be is as if it were not
// there, because gateways send all kinds of things; of several the first counts, of
// Class all. Where an error says that this is no accounting record, the Record has what
// could be read, and no Status.
func Parse(e *Entry) (Record, error) {
	p := parser{Record: Record{Entry: *e}}
	length := 0
	for t, value := range packet.EncodedAttributes(e.Attributes) {
		p.attribute(t, value)
		length += 2 + len(value)
	}
	p.conclude()
	switch {
	case length != len(e.Attributes):
		p.Status = 0
		return p.Record, fmt.Errorf("reading accounting record %s: %w", e.Position, errBroken)
	case p.Status == 0:
		return p.Record, fmt.Errorf("reading accounting record %s: %w", e.Position, errNoStatus)
	}
	return p.Record, nil
}

// parser gathers what has to be put together in the end.
type parser struct {
	Record
	nas4, nas6   netip.Addr
	port         string // NAS-Port
	stamp, delay *uint32
	wraps        [2]uint64 // Acct-Input-Gigawords, Acct-Output-Gigawords
	seen         [256]bool
}

// attribute takes one attribute.
func (p *parser) attribute(t packet.Type, value []byte) {
	switch {
	case t == packet.Class:
		p.Classes = append(p.Classes, value)
	case p.seen[t]:
	case p.text(t, value), p.address(t, value), len(value) == 4 && p.number(t, binary.BigEndian.Uint32(value)):
		p.seen[t] = true
	}
}

// text takes a text that is not empty. Some gateways end it as C does, with NUL.
func (p *parser) text(t packet.Type, value []byte) bool {
	var field *string
	switch t {
	case packet.UserName:
		field = &p.User
	case packet.AcctSessionID:
		field = &p.SessionID
	case packet.NASIdentifier:
		field = &p.NASIdentifier
	case packet.NASPortID:
		field = &p.NASPort
	case packet.CallingStationID:
		field = &p.Station
	default:
		return false
	}
	*field = string(bytes.TrimRight(value, "\x00"))
	return *field != ""
}

// address takes an address that is one.
func (p *parser) address(t packet.Type, value []byte) bool {
	field, length := &p.Address, 4
	switch t {
	case packet.FramedIPAddress:
	case packet.NASIPAddress:
		field = &p.nas4
	case packet.FramedIPv6Address:
		length = 16
		if p.Address.IsValid() { // an IPv4 address goes first
			return false
		}
	case packet.NASIPv6Address:
		field, length = &p.nas6, 16
	default:
		return false
	}
	address, _ := netip.AddrFromSlice(value)
	if len(value) != length || address.IsUnspecified() || address.Compare(leftToNAS) >= 0 && length == 4 {
		return false
	}
	*field = address
	return true
}

// leftToNAS is the lower of the two addresses that are none (RFC 2865 section 5.8).
var leftToNAS = netip.AddrFrom4([4]byte{255, 255, 255, 254})

// number takes a number.
func (p *parser) number(t packet.Type, n uint32) bool {
	switch t {
	case packet.AcctStatusType:
		p.Status = Status(n)
	case packet.EventTimestamp:
		p.stamp = &n
	case packet.AcctDelayTime:
		p.delay = &n
	case packet.NASPort:
		p.port = strconv.FormatUint(uint64(n), 10)
	case packet.AcctTerminateCause:
		p.Cause = Cause(n)
	default:
		return p.figure(t, n)
	}
	return true
}

// figure takes what a session has used.
func (p *parser) figure(t packet.Type, n uint32) bool {
	switch t {
	case packet.AcctSessionTime:
		p.Time = time.Duration(n) * time.Second
	case packet.AcctInputOctets:
		p.InputOctets = uint64(n)
	case packet.AcctOutputOctets:
		p.OutputOctets = uint64(n)
	case packet.AcctInputPackets:
		p.InputPackets = uint64(n)
	case packet.AcctOutputPackets:
		p.OutputPackets = uint64(n)
	case packet.AcctInputGigawords:
		p.wraps[0] = uint64(n) << 32
	case packet.AcctOutputGigawords:
		p.wraps[1] = uint64(n) << 32
	default:
		return false
	}
	p.Has = true
	return true
}

// conclude puts together what several attributes say.
func (p *parser) conclude() {
	p.InputOctets += p.wraps[0]
	p.OutputOctets += p.wraps[1]
	if p.NASPort == "" {
		p.NASPort = p.port
	}
	if p.NASAddress = p.nas4; !p.nas4.IsValid() {
		p.NASAddress = p.nas6
	}
	p.Gateway = gateway{p.NASIdentifier, p.nas4, p.nas6}.String()
	if p.Status != Stop {
		p.Cause = 0
	}
	p.Occurred, p.Stamped = p.occurred()
}

// earliest is before all that can be told of. A clock that shows less was never set.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// maxAhead is how far the clock of a NAS may be ahead of ours.
const maxAhead = 24 * time.Hour

// occurred is when that happened which the record is about, and whether its NAS said so.
func (p *parser) occurred() (at time.Time, stamped bool) {
	if p.stamp != nil {
		stamp := time.Unix(int64(*p.stamp), 0)
		if !stamp.Before(earliest) && stamp.Sub(p.At) <= maxAhead {
			return stamp, true
		}
	}
	if p.delay != nil {
		if at := p.At.Add(-time.Duration(*p.delay) * time.Second); !at.Before(earliest) {
			return at, false
		}
	}
	return p.At, false
}
