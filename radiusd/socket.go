package radiusd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is one of the UDP sockets that share an address and port: the kernel
// gives all datagrams from one source address and port to the same one
// (SO_REUSEPORT).
type socket struct {
	conn     *net.UDPConn
	raw      syscall.RawConn
	wildcard bool // bound to 0.0.0.0 or ::, so datagrams come to different addresses
}

// openSockets opens n sockets on one address. Port 0 is a free port, the same
// for all. The error is that of bind alone.
func openSockets(address netip.AddrPort, n, receiveBuffer int) ([]*socket, error) {
	if err := probe(address); err != nil {
		return nil, err
	}
	sockets := make([]*socket, 0, n)
	for range n {
		s, err := openSocket(address, receiveBuffer)
		if err != nil {
			closeSockets(sockets)
			return nil, err
		}
		sockets = append(sockets, s)
		address = s.address()
	}
	return sockets, nil
}

func closeSockets(sockets []*socket) {
	for _, s := range sockets {
		_ = s.conn.Close() // nothing is lost with a datagram socket
	}
}

// probe finds out whether another process has the port: with SO_REUSEPORT the
// kernel would let us share it, and every other packet would be theirs.
func probe(address netip.AddrPort) error {
	if address.Port() == 0 {
		return nil
	}
	conn, err := net.ListenPacket(network(address), address.String())
	if err != nil {
		return bindError(err)
	}
	return conn.Close()
}

// network keeps the two families apart: an IPv6 address is for IPv6 alone.
func network(address netip.AddrPort) string {
	if address.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

// bindError takes the address out of an error that will be wrapped with it.
func bindError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func openSocket(address netip.AddrPort, receiveBuffer int) (*socket, error) {
	s := &socket{wildcard: address.Addr().IsUnspecified()}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = s.setOptions(int(fd), address, receiveBuffer) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := config.ListenPacket(context.Background(), network(address), address.String())
	if err != nil {
		return nil, bindError(err)
	}
	s.conn = conn.(*net.UDPConn)
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return nil, fmt.Errorf("reaching the socket: %w", err)
	}
	return s, nil
}

// setOptions prepares a socket before it is bound.
func (s *socket) setOptions(fd int, address netip.AddrPort, receiveBuffer int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("setting SO_REUSEPORT: %w", err)
	}
	// Beyond net.core.rmem_max only root gets what it asks for; others get what
	// there is, which is no reason not to serve.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if !s.wildcard {
		return nil
	}
	level, option := unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	if address.Addr().Is4() {
		level, option = unix.IPPROTO_IP, unix.IP_PKTINFO
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return fmt.Errorf("asking for the destination address of datagrams: %w", err)
	}
	return nil
}

// address is where the socket listens.
func (s *socket) address() netip.AddrPort {
	return s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}
