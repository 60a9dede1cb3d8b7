package conf

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// listenAddresses reads an IP address with a port. Without the IP address it
// stands for all addresses of the machine, first IPv4, then IPv6.
func listenAddresses(text string) ([]netip.AddrPort, *complaint) {
	const example = `write an IP address and a port, as "192.0.2.1:1812", "[2001:db8::1]:1812" or ":1812" for all addresses`
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return nil, &complaint{fmt.Sprintf("%q is not an address with a port", text), example}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, &complaint{fmt.Sprintf("%q has a bad port", text), "choose a port from 1 to 65535"}
	}
	if host == "" {
		return []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)),
			netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)),
		}, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, &complaint{fmt.Sprintf("%q is not an IP address, and names are not looked up", host), example}
	}
	return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), uint16(port))}, nil
}

// networks reads the address of a NAS or a network of NASes.
func networks(text string) ([]netip.Prefix, *complaint) {
	if strings.Contains(text, "/") {
		return network(text)
	}
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return nil, &complaint{fmt.Sprintf("%q is not an IP address, and names are not looked up", text),
			`write one as "192.0.2.10" or "2001:db8::10", or a network as "192.0.2.0/24"`}
	case ip.Zone() != "":
		return nil, &complaint{fmt.Sprintf("%q has a zone", text), fmt.Sprintf("write %q", ip.WithZone(""))}
	case ip.IsUnspecified() || ip.IsMulticast():
		return nil, &complaint{fmt.Sprintf("no packet comes from %q", text),
			`write the address of the NAS, or "0.0.0.0/0" or "::/0" for any`}
	}
	ip = ip.Unmap()
	return []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}, nil
}

// network reads an address and a prefix length.
func network(text string) ([]netip.Prefix, *complaint) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return nil, &complaint{fmt.Sprintf("%q is not a network", text), `write one as "192.0.2.0/24" or "2001:db8::/64"`}
	case prefix.Addr().Is4In6():
		return nil, &complaint{fmt.Sprintf("%q is an IPv4 network written as IPv6", text), `write it as "192.0.2.0/24"`}
	case prefix != prefix.Masked():
		return nil, &complaint{fmt.Sprintf("%q has bits behind its first %d", text, prefix.Bits()),
			fmt.Sprintf("write %q, or %q for this one address", prefix.Masked(), prefix.Addr())}
	}
	return []netip.Prefix{prefix}, nil
}
