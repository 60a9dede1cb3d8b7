package exclusions

import (
	"bytes"
	"net/netip"
)

// ParseClientIP reads the client's address from an attribute, in one of these
// notations and with nothing around it:
//
//	192.0.2.7  192.0.2.7:50123  2001:db8::7  [2001:db8::7]  [2001:db8::7]:50123
//
// An IPv4-mapped IPv6 address becomes the IPv4 address. Zones, leading zeros in
// IPv4 and the unspecified addresses are refused. A port behind an IPv6 address
// without brackets cannot be told from its last group and is taken for that.
//
// It does not allocate, which is why netip.ParseAddr is not used: that keeps the
// text for its error.
func ParseClientIP(b []byte) (netip.Addr, bool) {
	address, ok := readEndpoint(b)
	address = address.Unmap()
	if !ok || address.IsUnspecified() {
		return netip.Addr{}, false
	}
	return address, true
}

// readEndpoint reads an address with or without a port.
func readEndpoint(b []byte) (netip.Addr, bool) {
	if inner, ok := bytes.CutPrefix(b, []byte("[")); ok {
		host, port, closed := bytes.Cut(inner, []byte("]"))
		address, ok := readIPv6(host)
		return address, ok && closed && (len(port) == 0 || port[0] == ':' && isPort(port[1:]))
	}
	host, port, hasPort := bytes.Cut(b, []byte(":"))
	if address, ok := readIPv4(host); ok {
		return netip.AddrFrom4(address), !hasPort || isPort(port)
	}
	return readIPv6(b)
}

// isPort reports whether b is a decimal number up to 65535 without leading zeros.
func isPort(b []byte) bool {
	_, ok := readDecimal(b, 65535)
	return ok
}

// readDecimal reads a number up to limit without leading zeros.
func readDecimal(b []byte, limit int) (int, bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n <= limit
}

// readIPv4 reads four decimal octets.
func readIPv4(b []byte) (address [4]byte, ok bool) {
	for i := range address {
		octet, rest, more := bytes.Cut(b, []byte("."))
		n, ok := readDecimal(octet, 255)
		if !ok || more != (i < len(address)-1) {
			return address, false
		}
		address[i] = byte(n)
		b = rest
	}
	return address, true
}

// readIPv6 reads an address as RFC 4291 section 2.2 writes it.
func readIPv6(b []byte) (netip.Addr, bool) {
	var address, tail [16]byte
	before, after, gap := bytes.Cut(b, []byte("::"))
	n, ok := readGroups(&address, before, !gap)
	if !gap {
		return netip.AddrFrom16(address), ok && n == len(address)
	}
	m, okAfter := readGroups(&tail, after, true)
	if !ok || !okAfter || n+m > len(address)-2 { // the gap is one group at least
		return netip.Addr{}, false
	}
	copy(address[len(address)-m:], tail[:m])
	return netip.AddrFrom16(address), true
}

// readGroups reads groups of hexadecimal digits with colons between them into
// address, and returns how many octets they are. The last two may be written
// as IPv4.
func readGroups(address *[16]byte, b []byte, dotted bool) (n int, ok bool) {
	for more := len(b) > 0; more; {
		var group []byte
		group, b, more = bytes.Cut(b, []byte(":"))
		if v4, ok := readIPv4(group); ok {
			return n + copy(address[n:], v4[:]), dotted && !more && n <= 12
		}
		value, ok := readGroup(group)
		if !ok || n == len(address) {
			return 0, false
		}
		address[n], address[n+1] = byte(value>>8), byte(value)
		n += 2
	}
	return n, true
}

// readGroup reads one to four hexadecimal digits.
func readGroup(b []byte) (value uint16, ok bool) {
	for _, c := range b {
		digit, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		value = value<<4 | uint16(digit)
	}
	return value, len(b) >= 1 && len(b) <= 4
}
