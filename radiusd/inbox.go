package radiusd

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"countersign/radiusd/packet"
)

const (
	// batchSize is how many datagrams one system call may bring or take. It is
	// also the most that the kernel cuts one message into (UDP_MAX_SEGMENTS).
	batchSize = 64
	// controlSize holds a pktinfo and a segment size.
	controlSize = 64
)

// inbox is the memory into which a loop receives up to batchSize datagrams with
// one recvmmsg. It is made once, so that receiving allocates nothing.
type inbox struct {
	conn    syscall.RawConn
	read    func(fd uintptr) (done bool)
	sleeps  func() // called when there is nothing to receive
	n       int
	err     error
	pktinfo bool // the socket tells to which of our addresses a datagram went

	headers [batchSize]unix.Mmsghdr
	iovecs  [batchSize]unix.Iovec
	peers   [batchSize]peer
	control [batchSize][controlSize]byte
	data    [batchSize][packet.MaxLength]byte // what is longer is not RADIUS
}

func newInbox(s *socket, sleeps func()) *inbox {
	in := &inbox{conn: s.raw, sleeps: sleeps, pktinfo: s.wildcard}
	in.read = in.recvmmsg
	for i := range in.headers {
		in.iovecs[i].Base = &in.data[i][0]
		in.iovecs[i].SetLen(len(in.data[i]))
		h := &in.headers[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&in.peers[i].name))
		h.Iov = &in.iovecs[i]
		h.SetIovlen(1)
	}
	in.n = batchSize
	return in
}

// receive waits for datagrams and returns how many there are. The error is that
// of the connection, when it is closed or its deadline has passed, or of
// recvmmsg.
func (in *inbox) receive() (int, error) {
	for i := range in.n { // the kernel has changed those that it used
		h := &in.headers[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if in.pktinfo {
			h.Control = &in.control[i][0]
			h.SetControllen(controlSize)
		}
	}
	in.n = 0
	if err := in.conn.Read(in.read); err != nil {
		return 0, err
	}
	return in.n, in.err
}

// recvmmsg reads what is there. It reports false when there is nothing, and is
// called again when there is.
func (in *inbox) recvmmsg(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	in.n, in.err = int(n), nil
	if errno != 0 {
		in.n, in.err = 0, errno
	}
	if errno == unix.EAGAIN {
		in.sleeps()
		return false
	}
	return true
}

// datagram is the i-th datagram of the last receive, valid until the next.
func (in *inbox) datagram(i int) (*peer, []byte) {
	p := &in.peers[i]
	if in.pktinfo {
		p.local = localAddress(in.control[i][:in.headers[i].Hdr.Controllen])
	}
	return p, in.data[i][:in.headers[i].Len]
}

// localAddress finds our address in the control message of a datagram; an IPv4
// address is in the first four octets.
func localAddress(control []byte) (local [16]byte) {
	if len(control) < unix.SizeofCmsghdr {
		return local
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	info := control[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(info) >= unix.SizeofInet4Pktinfo:
		copy(local[:], (*unix.Inet4Pktinfo)(unsafe.Pointer(&info[0])).Spec_dst[:])
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(info) >= unix.SizeofInet6Pktinfo:
		local = (*unix.Inet6Pktinfo)(unsafe.Pointer(&info[0])).Addr
	}
	return local
}
