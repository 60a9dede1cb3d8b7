package radiusd

import (
	"countersign/otp"
	"countersign/radiusd/packet"
)

// maxClass is how many octets a Class has at most (Classes).
const maxClass = 128

// classed reports whether an Access-Accept to this request carries a Class of ours.
func (r *request) classed() bool { return r.nas.Class && r.loop.server.options.Classes != nil }

// addClass adds the Class that names the record of a login. The NAS sends it back in its
// accounting, with those that rules and the TMS give (RFC 2865 section 5.25).
func (w *responder) addClass(r *request) {
	event := r.attempt.Event
	if !r.classed() || event == (otp.EventID{}) {
		return
	}
	w.class = w.server.options.Classes.Append(w.class[:0], event.Batch, event.Index, r.pool)
	w.builder.Add(packet.Class, w.class)
}
