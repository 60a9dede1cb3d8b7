package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"countersign/otp"
)

const ( // flags of a state: what differs from zero
	flagMustResync = 1 << iota
	flagDrift
	flagFailures
	flagLocked
	flagResync
	flagAgreed
	flagsOfState = 1<<iota - 1
)

// AppendState appends the encoding of a token's state to dst, 6 bytes mostly.
func AppendState(dst []byte, s *otp.State) []byte {
	at := len(dst)
	dst = binary.AppendUvarint(append(dst, 0), s.Counter)
	if s.MustResync {
		dst[at] |= flagMustResync
	}
	if s.Drift != 0 {
		dst[at] |= flagDrift
		dst = binary.AppendVarint(dst, int64(s.Drift))
	}
	if s.Failures != 0 {
		dst[at] |= flagFailures
		dst = binary.AppendUvarint(dst, uint64(s.Failures))
	}
	if s.LockedUntil != 0 {
		dst[at] |= flagLocked
		dst = binary.AppendVarint(dst, s.LockedUntil)
	}
	if s.ResyncFactor != 0 || s.ResyncUntil != 0 {
		dst[at] |= flagResync
		dst = binary.AppendUvarint(dst, s.ResyncFactor)
		dst = binary.AppendVarint(dst, s.ResyncUntil)
	}
	if s.Agreed != 0 || s.Disagreed != 0 {
		dst[at] |= flagAgreed
		dst = binary.AppendUvarint(dst, uint64(s.Agreed))
		dst = binary.AppendUvarint(dst, uint64(s.Disagreed))
	}
	return dst
}

// ParseState reads what AppendState made.
func ParseState(b []byte) (otp.State, error) {
	d := decoder{rest: b}
	s := d.state()
	if d.bad || len(d.rest) > 0 {
		return otp.State{}, fmt.Errorf("damaged token state: its %d bytes do not parse", len(b))
	}
	return s, nil
}

func (d *decoder) state() otp.State {
	flags := d.octet()
	s := otp.State{Counter: d.uvarint(), MustResync: flags&flagMustResync != 0}
	if flags&flagDrift != 0 {
		drift := d.varint()
		s.Drift = int32(drift)
		d.check(int64(s.Drift) == drift)
	}
	if flags&flagFailures != 0 {
		s.Failures = d.count()
	}
	if flags&flagLocked != 0 {
		s.LockedUntil = d.varint()
	}
	if flags&flagResync != 0 {
		s.ResyncFactor = d.uvarint()
		s.ResyncUntil = d.varint()
	}
	if flags&flagAgreed != 0 {
		s.Agreed, s.Disagreed = d.count(), d.count()
	}
	d.check(flags&^flagsOfState == 0)
	return s
}

// count reads a number of 16 bits.
func (d *decoder) count() uint16 {
	n := d.uvarint()
	d.check(n <= math.MaxUint16)
	return uint16(n)
}

func (d *decoder) check(ok bool) {
	if !ok {
		d.fail()
	}
}
