package accounting

import (
	"crypto/sha256"
	"encoding/binary"

	"countersign/radiusd/packet"
)

// fingerprint is by what a repeat of r is known: a hash of its attributes, in their order,
// without those that change when a request is sent again (RFC 2866 section 5.2) or that a
// proxy adds. Event-Timestamp stays in it: it is of what happened, so that two things that
// happened are not taken for one. A NAS that stamps each repeat anew makes two records of
// one, which changes no session.
//
// An Interim-Update that tells no time, but only that the session is there, is a repeat of
// none: what was said twice cannot be told from what happened twice, and nothing may be
// lost.
func fingerprint(r *Record) [16]byte {
	kept := make([]byte, 0, len(r.Attributes)+12)
	for t, value := range packet.EncodedAttributes(r.Attributes) {
		switch t {
		case packet.AcctDelayTime, packet.ProxyState, packet.MessageAuthenticator:
		default:
			kept = append(kept, byte(t), byte(len(value)))
			kept = append(kept, value...)
		}
	}
	if r.Status == InterimUpdate && !r.Stamped && r.Time == 0 {
		kept = binary.BigEndian.AppendUint64(kept, r.Position.Batch)
		kept = binary.BigEndian.AppendUint32(kept, r.Position.Index)
	}
	sum := sha256.Sum256(kept)
	return [16]byte(sum[:])
}
