package radiustest

// Fate is what becomes of a datagram on its way.
type Fate int

// The fates of a datagram.
const (
	Deliver Fate = iota
	Lose
	Repeat // deliver it twice
	Hold   // deliver it after the next one
)

// Requests sets the fates of the next requests, in the order they are sent;
// those after them are delivered. Retransmissions count.
func (n *NAS) Requests(fates ...Fate) { n.requests.fates = fates }

// Replies sets the fates of the next replies, in the order they arrive.
func (n *NAS) Replies(fates ...Fate) { n.replies.fates = fates }

// road is one direction of the way between NAS and server.
type road struct {
	fates []Fate
	held  [][]byte
}

// carry takes a datagram at one end and returns what then arrives at the
// other.
func (r *road) carry(datagram []byte) [][]byte {
	fate := Deliver
	if len(r.fates) > 0 {
		fate, r.fates = r.fates[0], r.fates[1:]
	}
	var arrived [][]byte
	switch fate {
	case Hold:
		r.held = append(r.held, datagram)
		return nil
	case Repeat:
		arrived = [][]byte{datagram, datagram}
	case Deliver:
		arrived = [][]byte{datagram}
	}
	arrived = append(arrived, r.held...)
	r.held = nil
	return arrived
}
