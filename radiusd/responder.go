package radiusd

import (
	"encoding/binary"
	"io"

	"countersign/radiusd/packet"
)

// responder writes replies. Each of the two goroutines of a loop has its own.
type responder struct {
	server  *Server
	scratch packet.Scratch
	builder packet.Builder
	class   []byte // memory for one
	out     outbox
}

func newResponder(s *Server, w wire) responder { return responder{server: s, out: newOutbox(w)} }

// begin starts the reply to r.
func (w *responder) begin(r *request, code packet.Code, placement packet.Placement) {
	w.builder.Begin(code, r.packet.Identifier, w.out.room(), placement)
}

// sign completes the reply to r and returns it; it is not among the outgoing
// yet. The error says that it does not fit into a packet.
func (w *responder) sign(r *request) ([]byte, error) {
	w.builder.CopyProxyStates(&r.packet)
	return w.scratch.Sign(r.nas.Secret, &w.builder, &r.packet.Authenticator)
}

// salt is a random number for MPPE keys. It needs to differ between the keys of
// one packet only (RFC 2548 section 2.4.2), so a failing source does no harm.
func (w *responder) salt() uint16 {
	var b [2]byte
	_, _ = io.ReadFull(w.server.rand, b[:])
	return binary.BigEndian.Uint16(b[:])
}
