package radiusd

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"

	"countersign/exclusions"
	"countersign/radiusd/packet"
)

// The State of an Access-Challenge is a dialog: sealed, with an octet before it that says
// how many octets that are, and then written as text (base64url), because some NASes cut a
// State at its first zero octet. Others cut what is longer than they like: by the octet we
// tell. What is sealed is
//
//	octet    what kind of dialog (kindBits), and what was left out of it
//	octet    its depth
//	varint   when it is over, in Unix seconds
//	varint   how many seconds before that its first packet came
//	varint   length of the station, and the station
//	varint   length of what the Enroller or the Backend gave, and that
//	...      what the first packet told, an exclusions.Trace
//
// in the context of the NAS and the User-Name, so that it opens for no others.
const (
	kindBits       = 0x0f
	withoutNAS     = 0x10 // what the NAS said of itself was left out
	withoutStation = 0x20
)

// sparing is in which order parts are left out of a State that gets too long. What
// the NAS says of itself it says in every packet (RFC 2865 section 4.1), so that goes
// first and is read off the packet that answers. The text of the station goes next:
// the address and the MAC in it, which rules judge by, are kept apart. What is told of
// the client is never left out: that is the dialog's to keep, because NASes leave it
// out of the second packet.
var sparing = [...]byte{0, withoutNAS, withoutStation, withoutNAS | withoutStation}

// maxKept is how many octets the Enroller or the Backend may keep in a dialog. With them and all
// that can be told of a client a dialog has 147 octets, and a State of 253 characters
// takes 188, sealed, and the octet before them.
const maxKept = 64

// maxPlain is more than a dialog takes with nothing left out of it.
const maxPlain = 1024

// frame is how many octets stand before what is sealed.
const frame = 1

var stateEncoding = base64.RawURLEncoding

var errStateTooLong = errors.New("the dialog does not fit into a State")

// seal writes the State of a dialog that asks the user of a request into r.state.
func (r *request) seal(d *dialog) error {
	plain := make([]byte, 0, maxPlain)
	defer clear(plain[:maxPlain])
	context := r.stateContext()
	for _, left := range sparing {
		plain = d.append(plain[:0], left)
		framed, err := r.loop.server.options.States.Seal(make([]byte, frame, maxPlain), plain, context)
		if err != nil {
			return err
		}
		if stateEncoding.EncodedLen(len(framed)) <= packet.MaxValue {
			framed[0] = byte(len(framed) - frame)
			r.state = stateEncoding.AppendEncode(r.state[:0], framed)
			return nil
		}
	}
	return errStateTooLong
}

// open is the dialog that the State of a request carries, nil when it is none of
// ours, or not for this NAS and User-Name.
func (r *request) open() *dialog {
	framed, err := stateEncoding.DecodeString(string(r.packet.State))
	if err != nil || len(framed) < frame || int(framed[0]) != len(framed)-frame {
		return nil
	}
	plain, err := r.loop.server.options.States.Open(nil, framed[frame:], r.stateContext())
	if err != nil {
		return nil
	}
	return parseDialog(plain)
}

// isCut reports whether text is the beginning of a State that seal may have written, and
// not the whole. The octet before what is sealed is in the first two characters.
func isCut(text []byte) bool {
	readable := string(text)
	if len(text)%4 == 1 { // no number of octets takes so many characters
		readable += "A"
	}
	framed, err := stateEncoding.DecodeString(readable) // which skips the ends of lines
	if len(text) < 2 || err != nil || len(framed) < frame {
		return false
	}
	length := stateEncoding.EncodedLen(frame + int(framed[0]))
	return len(text) < length && length <= packet.MaxValue
}

// stateContext is what a State of this request is sealed in.
func (r *request) stateContext() []byte {
	context := appendText(nil, []byte(r.nas.Name))
	return append(context, r.packet.UserName...)
}

// append appends the encoding of a dialog, without the parts that are left out.
func (d *dialog) append(dst []byte, left byte) []byte {
	facts, station := d.facts, d.station
	if left&withoutNAS != 0 {
		facts.NASAddress, facts.NASIPAddress, facts.NASIdentifier = netip.Addr{}, netip.Addr{}, nil
	}
	if left&withoutStation != 0 {
		station = nil
	}
	dst = append(dst, byte(d.kind)|d.left|left, d.depth)
	dst = binary.AppendUvarint(dst, uint64(d.expires))
	dst = binary.AppendUvarint(dst, uint64(d.expires-d.begun))
	dst = appendText(dst, station)
	dst = appendText(dst, d.kept)
	return facts.Append(dst)
}

// parseDialog reads what append has written, nil when it is something else. The
// dialog refers to plain.
func parseDialog(plain []byte) *dialog {
	if len(plain) < 2 {
		return nil
	}
	d := &dialog{kind: dialogKind(plain[0] & kindBits), left: plain[0] &^ kindBits, depth: plain[1], opened: plain}
	rest := stateReader{rest: plain[2:]}
	d.expires = int64(rest.number(1 << 40))
	d.begun = d.expires - int64(rest.number(uint64(d.expires)))
	d.station = rest.text(packet.MaxValue)
	d.kept = rest.text(maxKept)
	facts, err := exclusions.ParseTrace(rest.rest)
	if rest.bad || err != nil || d.kind < nextCodeDialog || d.kind > tmsDialog || d.left&^(withoutNAS|withoutStation) != 0 {
		return nil
	}
	d.facts = facts
	return d
}

// stateReader reads the numbers and texts of a dialog. After the first that is none
// bad is set.
type stateReader struct {
	rest []byte
	bad  bool
}

func (s *stateReader) number(limit uint64) uint64 {
	value, n := binary.Uvarint(s.rest)
	if n <= 0 || value > limit {
		s.rest, s.bad = nil, true
		return 0
	}
	s.rest = s.rest[n:]
	return value
}

func (s *stateReader) text(limit uint64) []byte {
	n := s.number(limit)
	if n > uint64(len(s.rest)) {
		s.rest, s.bad = nil, true
		return nil
	}
	text := s.rest[:n:n]
	s.rest = s.rest[n:]
	return text
}

func appendText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}
