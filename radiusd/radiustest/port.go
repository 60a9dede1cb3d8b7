package radiustest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// The ports that FreePort chooses from. The system gives none of them to sockets that ask
// for any (net.ipv4.ip_local_port_range), so a server that is started later, or again, still
// finds its port free.
const (
	lowestPort  = 16384
	highestPort = 32767
)

// FreePort returns an address of 127.0.0.1 at which nobody listens, for "udp" or "tcp".
func FreePort(network string) (netip.AddrPort, error) {
	for range 1000 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), lowestPort+rand.N[uint16](highestPort-lowestPort))
		if IsFree(network, addr) {
			return addr, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no %s port of 127.0.0.1 can be listened at", network)
}

// IsFree reports whether one can listen at an address, of "udp" or "tcp".
func IsFree(network string, addr netip.AddrPort) bool {
	if network == "udp" {
		c, err := net.ListenPacket(network, addr.String())
		return err == nil && c.Close() == nil
	}
	l, err := net.Listen(network, addr.String())
	return err == nil && l.Close() == nil
}
