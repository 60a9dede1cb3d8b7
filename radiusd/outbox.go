package radiusd

import "countersign/radiusd/packet"

// arenaSize is the memory for the replies of one batch: room for batchSize of
// the usual length.
const arenaSize = 16 << 10

// outgoing is one reply on its way.
type outgoing struct {
	to    peer
	reply []byte
}

// wire takes replies to the network. The replies are its until it returns.
type wire interface {
	send(replies []outgoing)
}

// outbox gathers replies, so that many go out with one system call. Each of the
// two goroutines of a loop has its own.
type outbox struct {
	wire    wire
	arena   []byte // the replies gathered, end to end
	replies []outgoing
}

func newOutbox(w wire) outbox {
	return outbox{wire: w, arena: make([]byte, 0, arenaSize), replies: make([]outgoing, 0, batchSize)}
}

// room is memory for a reply of any length, to be handed to add.
func (o *outbox) room() []byte {
	if cap(o.arena)-len(o.arena) < packet.MaxLength || len(o.replies) == batchSize {
		o.flush()
	}
	return o.arena[len(o.arena):]
}

// add gathers a reply that was written into the room.
func (o *outbox) add(to *peer, reply []byte) {
	o.arena = o.arena[:len(o.arena)+len(reply)]
	o.replies = append(o.replies, outgoing{*to, reply})
}

// addCopy gathers a copy of a reply.
func (o *outbox) addCopy(to *peer, reply []byte) { o.add(to, append(o.room(), reply...)) }

// flush sends what was gathered.
func (o *outbox) flush() {
	if len(o.replies) > 0 {
		o.wire.send(o.replies)
	}
	o.arena, o.replies = o.arena[:0], o.replies[:0]
}
