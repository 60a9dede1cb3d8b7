package radiusd

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxSegment is the longest reply that is sent with others in one message.
	// None of them may be fragmented, which every IPv6 link promises up to 1,232
	// octets, and batchSize of them must fit into the 65,507 of a message.
	maxSegment = 1000
	// groupTable is the size of a hash table for batchSize groups.
	groupTable = 4 * batchSize
)

// postman is the wire of a socket: it sends replies with sendmmsg. Replies of
// one length to one peer go as one message, which the kernel cuts into
// datagrams (UDP_SEGMENT): that costs a third of sending them one by one.
type postman struct {
	conn   syscall.RawConn
	write  func(fd uintptr) (done bool)
	failed func(to *peer, err error)
	single bool // the network device cannot cut messages

	replies []outgoing
	groups  []group
	next    [batchSize]int      // the reply that follows in its group
	table   [groupTable]uint8   // 1 + the group of a hash value, 0 when none
	rest    [batchSize]outgoing // what was left over when the cutting failed
	headers [batchSize]unix.Mmsghdr
	iovecs  [batchSize]unix.Iovec
	control [batchSize][controlSize]byte

	sent int // headers
	n    int // headers taken by the last sendmmsg
	err  error
}

// group is the replies that go as one message: a chain in postman.next.
type group struct {
	first, last, count int
}

func newPostman(s *socket, failed func(to *peer, err error)) *postman {
	p := &postman{conn: s.raw, failed: failed, groups: make([]group, 0, batchSize)}
	p.write = p.sendmmsg
	return p
}

// send sends up to batchSize replies. What cannot be sent is lost, as any
// datagram may be; failed is told.
func (p *postman) send(replies []outgoing) {
	p.replies = replies
	p.gather()
	p.fill()
	for p.sent = 0; p.sent < len(p.groups); {
		if err := p.conn.Write(p.write); err != nil {
			p.failed(&replies[0].to, err)
			return
		}
		switch {
		case p.err == nil:
			p.sent += p.n
		case p.groups[p.sent].count > 1 && cannotCut(p.err):
			p.single = true
			p.send(p.unsent())
			return
		default:
			p.failed(&replies[p.groups[p.sent].first].to, p.err)
			p.sent++
		}
	}
}

// cannotCut reports the errors that say that there is no UDP_SEGMENT here: the
// device computes no checksums, or the kernel is old.
func cannotCut(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOPROTOOPT)
}

// unsent is the replies of the groups that were not sent.
func (p *postman) unsent() []outgoing {
	rest := p.rest[:0]
	for _, g := range p.groups[p.sent:] {
		for i, n := g.first, 0; n < g.count; i, n = p.next[i], n+1 {
			rest = append(rest, p.replies[i])
		}
	}
	return rest
}

// gather sorts the replies into groups.
func (p *postman) gather() {
	p.groups = p.groups[:0]
	clear(p.table[:])
	for i := range p.replies {
		if r := &p.replies[i]; p.single || len(r.reply) > maxSegment {
			p.groups = append(p.groups, group{first: i, last: i, count: 1})
		} else {
			p.join(i, p.find(r))
		}
	}
}

// find looks for the group of a reply: the place in the table that names it, or
// that is free for it.
func (p *postman) find(r *outgoing) *uint8 {
	hash := uint(r.to.name.Port)*31 + uint(len(r.reply))
	for {
		place := &p.table[hash%groupTable]
		if *place == 0 {
			return place
		}
		other := &p.replies[p.groups[*place-1].first]
		if len(other.reply) == len(r.reply) && other.to == r.to {
			return place
		}
		hash++
	}
}

// join puts reply i into the group that place names, or opens one there.
func (p *postman) join(i int, place *uint8) {
	if *place != 0 {
		g := &p.groups[*place-1]
		p.next[g.last] = i
		g.last = i
		g.count++
		return
	}
	p.groups = append(p.groups, group{first: i, last: i, count: 1})
	*place = uint8(len(p.groups))
}

// fill makes one message of each group.
func (p *postman) fill() {
	iovec := 0
	for at, g := range p.groups {
		h := &p.headers[at].Hdr
		to := &p.replies[g.first].to
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.name)), to.nameLength()
		h.Iov = &p.iovecs[iovec]
		h.SetIovlen(g.count)
		for i, n := g.first, 0; n < g.count; i, n = p.next[i], n+1 {
			p.iovecs[iovec].Base = &p.replies[i].reply[0]
			p.iovecs[iovec].SetLen(len(p.replies[i].reply))
			iovec++
		}
		control := appendSource(p.control[at][:0], to)
		if g.count > 1 {
			control = appendSegment(control, len(p.replies[g.first].reply))
		}
		h.Control = nil
		if len(control) > 0 {
			h.Control = &control[0]
		}
		h.SetControllen(len(control))
	}
}

// sendmmsg sends the headers that were not sent yet. It reports false when the
// socket takes none now, and is called again when it does.
func (p *postman) sendmmsg(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&p.headers[p.sent])), uintptr(len(p.groups)-p.sent), unix.MSG_DONTWAIT, 0, 0)
	p.n, p.err = int(n), nil
	if errno != 0 {
		p.n, p.err = 0, errno
	}
	return errno != unix.EAGAIN
}

// appendSource appends the control message that says which of our addresses the
// reply comes from.
func appendSource(control []byte, to *peer) []byte {
	switch {
	case to.local == [16]byte{}:
		return control
	case to.name.Family == unix.AF_INET:
		control, info := appendControl(control, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		copy((*unix.Inet4Pktinfo)(info).Spec_dst[:], to.local[:])
		return control
	default:
		control, info := appendControl(control, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		(*unix.Inet6Pktinfo)(info).Addr = to.local
		return control
	}
}

// appendSegment appends the control message that has the kernel cut the message
// into datagrams of this length.
func appendSegment(control []byte, length int) []byte {
	control, info := appendControl(control, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
	*(*uint16)(info) = uint16(length)
	return control
}

// appendControl appends a control message with zeros for its size octets of
// data, and returns where those are.
func appendControl(control []byte, level, kind int32, size int) ([]byte, unsafe.Pointer) {
	start := len(control)
	control = control[:start+unix.CmsgSpace(size)]
	clear(control[start:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[start]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	return control, unsafe.Pointer(&control[start+unix.CmsgLen(0)])
}
