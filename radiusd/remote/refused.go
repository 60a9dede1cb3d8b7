package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"countersign/radiusd/packet"
)

// This file is about ICMP errors: which of the requests of a socket was not received.
// The system keeps the datagram that an error was about in the socket's error queue
// (ip(7), IP_RECVERR).

// errNotReceived says that no program at the server has received a request.
var errNotReceived = errors.New("nobody received it")

// ipv6RecvErr and ipv6 are IPV6_RECVERR and its level, which package syscall does not have
// everywhere.
const (
	ipv6        = 41
	ipv6RecvErr = 25
)

// refusals are the errors by which a datagram was discarded on its way: nobody
// listens, there is no way to the host, or it is forbidden. One that was only too big
// is not among them: the next will be cut.
var refusals = []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES}

// keepRefused has the system keep datagrams that were refused.
func (s *socket) keepRefused() error {
	level, option := syscall.IPPROTO_IP, syscall.IP_RECVERR
	if s.pool.to.Addr().Unmap().Is6() {
		level, option = ipv6, ipv6RecvErr
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}

// takeRefused ends the exchanges whose requests were refused.
func (s *socket) takeRefused() {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	var datagram, control [512]byte
	for {
		n, oobn := -1, 0
		err := raw.Control(func(fd uintptr) {
			n, oobn, _, _, err = syscall.Recvmsg(int(fd), datagram[:], control[:], syscall.MSG_ERRQUEUE|syscall.MSG_DONTWAIT)
		})
		if err != nil || n < 0 {
			return
		}
		if errno := errnoOf(control[:oobn]); slices.Contains(refusals, errno) {
			s.refuse(datagram[:n], errno)
		}
	}
}

// errnoOf is the error in the control message that comes with a datagram, the first
// field of a struct sock_extended_err; 0 without one.
func errnoOf(control []byte) syscall.Errno {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		v4 := m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_RECVERR
		v6 := m.Header.Level == ipv6 && m.Header.Type == ipv6RecvErr
		if (v4 || v6) && len(m.Data) >= 4 {
			return syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
}

// refuse ends the exchange whose request, or the start of it, came back. Its Identifier
// may be another's by now; the Request Authenticator is not.
func (s *socket) refuse(datagram []byte, errno syscall.Errno) {
	if len(datagram) < packet.HeaderLength {
		return // too little to tell
	}
	identifier := datagram[1]
	x := s.inFlight(identifier)
	if x == nil || x.authenticator != [packet.AuthenticatorLength]byte(datagram[4:packet.HeaderLength]) {
		return
	}
	s.pool.finish(slot{socket: s, identifier: identifier}, x, nil, fmt.Errorf("%w: %w", errNotReceived, errno))
}
