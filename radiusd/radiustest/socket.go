package radiustest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchLen     = 64      // datagrams a system call; also a safe limit for one UDP_SEGMENT send
	socketBuffer = 1 << 22 // bytes asked for, each way
)

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
}

// connect returns a non-blocking UDP socket connected to the server.
func connect(server netip.AddrPort) (int, error) {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if ip := server.Addr().Unmap(); ip.Is4() {
		to = &unix.SockaddrInet4{Port: int(server.Port()), Addr: ip.As4()}
	} else {
		family = unix.AF_INET6
		to = &unix.SockaddrInet6{Port: int(server.Port()), Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a UDP socket: %w", err)
	}
	// What the kernel grants is enough for any window; only the forced option
	// goes beyond net.core.rmem_max, and it needs a privilege.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connecting a UDP socket to %v: %w", server, err)
	}
	return fd, nil
}

// inbox receives datagrams in batches.
type inbox struct {
	messages [batchLen]message
	vectors  [batchLen]unix.Iovec
	buffers  [batchLen][maxPacket]byte
}

func newInbox() *inbox {
	in := new(inbox)
	for i := range in.messages {
		in.vectors[i].Base = &in.buffers[i][0]
		in.vectors[i].SetLen(maxPacket)
		in.messages[i].header.Iov = &in.vectors[i]
		in.messages[i].header.SetIovlen(1)
	}
	return in
}

// receive takes what waits on a socket, at most batchLen datagrams, and
// returns how many. A refused port is no error here: its logins time out.
func (in *inbox) receive(fd int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&in.messages)), batchLen, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ECONNREFUSED:
			return 0, nil
		default:
			return 0, fmt.Errorf("receiving replies: %w", errno)
		}
	}
}

// datagram returns the i-th datagram received.
func (in *inbox) datagram(i int) []byte { return in.buffers[i][:in.messages[i].length] }

// outbox gathers requests and sends them with as few system calls as it can.
type outbox struct {
	buffers  [batchLen][maxRequest]byte
	vectors  [batchLen]unix.Iovec
	messages [batchLen]message
	control  [batchLen][unix.SizeofCmsghdr + 8]byte // CMSG_SPACE(sizeof(uint16))
	length   int
	whole    bool // the path does not do UDP_SEGMENT: send each on its own
}

func (out *outbox) full() bool { return out.length == batchLen }

// next returns the buffer for the next request, to be added with add.
func (out *outbox) next() []byte { return out.buffers[out.length][:] }

// add takes the request of n bytes that was written to next.
func (out *outbox) add(n int) {
	out.vectors[out.length].Base = &out.buffers[out.length][0]
	out.vectors[out.length].SetLen(n)
	out.length++
}

var (
	cannotSegment = []unix.Errno{unix.EIO, unix.EINVAL} // the device: once more without
	lossy         = []unix.Errno{unix.EAGAIN, unix.ENOBUFS, unix.ECONNREFUSED}
)

// flush sends what was added and returns how many requests the kernel did not
// take, which are lost as if on the way.
func (out *outbox) flush(fd int) (lost int, err error) {
	if out.length == 0 {
		return 0, nil
	}
	from := 0
	for from < out.length {
		n, errno := out.send(fd, from)
		from += n
		switch {
		case errno == 0 || errno == unix.EINTR:
		case !out.whole && slices.Contains(cannotSegment, errno):
			out.whole = true
		case slices.Contains(lossy, errno):
			lost, from = out.length-from, out.length
		default:
			err, from = fmt.Errorf("sending requests: %w", errno), out.length
		}
	}
	out.length = 0
	return lost, err
}

// send makes one sendmmsg call for the requests from an index on, those of one
// length that follow each other as one message, and returns how many went out.
func (out *outbox) send(fd, from int) (int, unix.Errno) {
	messages := 0
	for i := from; i < out.length; messages++ {
		run := out.run(i)
		out.prepare(&out.messages[messages].header, &out.control[messages], i, run)
		i += run
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&out.messages)), uintptr(messages), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	sent := 0
	for i := range int(n) {
		sent += int(out.messages[i].header.Iovlen)
	}
	return sent, 0
}

// run returns how many requests from i on have one length.
func (out *outbox) run(i int) int {
	n := 1
	for !out.whole && i+n < out.length && out.vectors[i+n].Len == out.vectors[i].Len {
		n++
	}
	return n
}

// prepare fills in a message of the run of requests that begins at i.
func (out *outbox) prepare(h *unix.Msghdr, control *[unix.SizeofCmsghdr + 8]byte, i, run int) {
	h.Iov, h.Control = &out.vectors[i], nil
	h.SetIovlen(run)
	h.SetControllen(0)
	if run == 1 {
		return
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(control))
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.SizeofCmsghdr + 2)
	binary.NativeEndian.PutUint16(control[unix.SizeofCmsghdr:], uint16(out.vectors[i].Len))
	h.Control = &control[0]
	h.SetControllen(len(control))
}

// watch returns an epoll instance that watches the sockets, by their index.
func watch(sockets []socket) (int, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("opening an epoll instance: %w", err)
	}
	for i := range sockets {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, sockets[i].fd, &event); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("watching a UDP socket: %w", err)
		}
	}
	return fd, nil
}

// ready returns the sockets with replies, without waiting.
func ready(epoll int, events []unix.EpollEvent) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(epoll, events, 0)
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for replies: %w", err)
	}
	return events[:n], nil
}
