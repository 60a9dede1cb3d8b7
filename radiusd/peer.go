package radiusd

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is the two ends of a datagram, in the form in which the kernel takes and
// gives them. Two datagrams have the same peer when they came from the same
// address and port to the same address of ours. It is comparable, and a map can
// hash it in one go.
type peer struct {
	// name is the sockaddr of the other end: for IPv4 a sockaddr_in, with zeros
	// behind it.
	name unix.RawSockaddrInet6
	// local is our address that the datagram was sent to, and that the reply must
	// come from; zeros when the socket is bound to that address anyway.
	local [16]byte
}

// newPeer is the peer of a datagram from this address and port.
func newPeer(from netip.AddrPort) peer {
	var p peer
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&p.name.Port))[:], from.Port())
	if addr := from.Addr(); addr.Is4() {
		p.name.Family = unix.AF_INET
		p.inet4().Addr = addr.As4()
	} else {
		p.name.Family = unix.AF_INET6
		p.name.Addr = addr.As16()
	}
	return p
}

// inet4 is the name of an IPv4 peer.
func (p *peer) inet4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&p.name))
}

// nameLength is the length of the sockaddr.
func (p *peer) nameLength() uint32 {
	if p.name.Family == unix.AF_INET {
		return unix.SizeofSockaddrInet4
	}
	return unix.SizeofSockaddrInet6
}

// addr is the address of the other end, without zone.
func (p *peer) addr() netip.Addr {
	if p.name.Family == unix.AF_INET {
		return netip.AddrFrom4(p.inet4().Addr)
	}
	return netip.AddrFrom16(p.name.Addr)
}

// port is the UDP port of the other end.
func (p *peer) port() uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&p.name.Port))[:])
}

// addrPort is the other end.
func (p *peer) addrPort() netip.AddrPort { return netip.AddrPortFrom(p.addr(), p.port()) }
