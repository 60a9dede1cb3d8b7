package collector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

var errTorn = errors.New("its attributes overrun their lengths")

// draft is an Accounting-Request of a record as it is written.
type draft struct {
	builder *packet.Builder
	waited  time.Duration // since we had it
	length  int           // of the packet
	read    int           // of the attributes
	said    uint32        // the Acct-Delay-Time of the NAS
	// What the record has.
	named, delayed, stamped bool
}

// write writes the request of a record: what the NAS said, but for what is of one hop
// only, with its Acct-Delay-Time as of now, and with what a collector cannot know else.
func write(b *packet.Builder, e *accounting.Entry, now time.Time) error {
	d := draft{builder: b, waited: max(0, now.Sub(e.At)), length: packet.HeaderLength}
	for t, value := range packet.EncodedAttributes(e.Attributes) {
		d.read += 2 + len(value)
		d.copy(t, value)
	}
	if d.read != len(e.Attributes) {
		return fmt.Errorf("%w: %w", errUnsendable, errTorn)
	}
	if !d.named {
		d.addSource(e.Source)
	}
	if !d.stamped {
		occurred := e.At.Unix() - int64(d.said)
		d.addNumber(packet.EventTimestamp, uint32(max(0, min(occurred, math.MaxUint32))))
	}
	if delay := d.delay(); !d.delayed && delay > 0 {
		d.addNumber(packet.AcctDelayTime, delay)
	}
	if err := b.Err(); err != nil {
		return fmt.Errorf("%w: %w", errUnsendable, err)
	}
	return nil
}

// copy adds an attribute of the NAS's.
func (d *draft) copy(t packet.Type, value []byte) {
	switch t {
	case packet.ProxyState, packet.MessageAuthenticator:
		return
	case packet.NASIPAddress, packet.NASIPv6Address, packet.NASIdentifier:
		d.named = true
	case packet.EventTimestamp:
		d.stamped = true
	case packet.AcctDelayTime:
		d.delayed = true
		if len(value) == 4 {
			d.said = binary.BigEndian.Uint32(value)
			value = binary.BigEndian.AppendUint32(nil, d.delay())
		}
	}
	d.length += 2 + len(value)
	d.builder.Add(t, value)
}

// delay is how long ago that was, in seconds, which the record is about.
func (d *draft) delay() uint32 {
	return uint32(min(int64(d.said)+int64(d.waited/time.Second), math.MaxUint32))
}

// addSource says where the record came from.
func (d *draft) addSource(source string) {
	address, err := netip.ParseAddr(source)
	if err != nil {
		return
	}
	t := packet.NASIPv6Address
	if address = address.Unmap().WithZone(""); address.Is4() {
		t = packet.NASIPAddress
	}
	d.add(t, address.AsSlice())
}

func (d *draft) addNumber(t packet.Type, n uint32) {
	d.add(t, binary.BigEndian.AppendUint32(nil, n))
}

// add adds an attribute of ours, if there is room: what the NAS said comes first.
func (d *draft) add(t packet.Type, value []byte) {
	if d.length+2+len(value) <= packet.MaxLength {
		d.length += 2 + len(value)
		d.builder.Add(t, value)
	}
}
