package exclusions

import (
	"fmt"
	"net/netip"
	"strings"
)

const addressExample = `write an address as "192.0.2.7", a network as "192.0.2.0/24" or a range as "192.0.2.10-192.0.2.20"`

// readAddresses reads a value about IP addresses: one, a network, or the first
// and the last of a range.
func readAddresses(text string) ([]span, *complaint) {
	if strings.Contains(text, "/") {
		return readNetwork(text)
	}
	if first, last, ok := strings.Cut(text, "-"); ok {
		return readAddressRange(text, strings.TrimSpace(first), strings.TrimSpace(last))
	}
	address, wrong := readAddress(text)
	if wrong != nil {
		return nil, wrong
	}
	if address.IsUnspecified() {
		return nil, &complaint{fmt.Sprintf("nobody has the address %q", text), `write "0.0.0.0/0" for any of IPv4, "::/0" for any of IPv6`}
	}
	return addressSpans(address, address), nil
}

func readAddress(text string) (netip.Addr, *complaint) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, &complaint{fmt.Sprintf("%.64q is no IP address", text), addressExample}
	}
	if address.Zone() != "" {
		return address, &complaint{fmt.Sprintf("%.64q has a zone", text), fmt.Sprintf("write %q", address.WithZone(""))}
	}
	return address.Unmap(), nil
}

func readNetwork(text string) ([]span, *complaint) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, &complaint{fmt.Sprintf("%.64q is no network", text), `write one as "192.0.2.0/24" or "2001:db8::/64"`}
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return nil, &complaint{fmt.Sprintf("%q mixes IPv4 and IPv6", text), `write an IPv4 network as "192.0.2.0/24"`}
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return nil, &complaint{fmt.Sprintf("%q has bits behind its first %d", text, prefix.Bits()),
			fmt.Sprintf("write %q, or %q for this one address", prefix.Masked(), prefix.Addr())}
	}
	return addressSpans(prefix.Addr(), lastAddress(prefix)), nil
}

// lastAddress is the last address of a network.
func lastAddress(prefix netip.Prefix) netip.Addr {
	octets := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(octets); bit++ {
		octets[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(octets)
	return last
}

func readAddressRange(text, from, to string) ([]span, *complaint) {
	first, wrong := readAddress(from)
	if wrong != nil {
		return nil, wrong
	}
	last, wrong := readAddress(to)
	if wrong != nil {
		return nil, wrong
	}
	if first.Is4() != last.Is4() {
		return nil, &complaint{fmt.Sprintf("%q goes from one family of addresses to the other", text),
			"write the range of each family as a value of its own"}
	}
	if last.Less(first) {
		return nil, &complaint{fmt.Sprintf("%q ends before it begins", text), fmt.Sprintf(`write "%s-%s"`, last, first)}
	}
	return addressSpans(first, last), nil
}

const macExample = `write a MAC as "00-10-A4-23-19-C0", all that begin alike as "00-10-A4-*" or a range as "00-10-A4-00-00-00 - 00-10-A4-00-00-FF"`

// readMACs reads a value about MACs: one, the beginning of many, or the first and
// the last of a range.
func readMACs(text string) ([]span, *complaint) {
	if beginning, ok := strings.CutSuffix(text, "*"); ok {
		return readMACBeginning(text, beginning)
	}
	if first, last, ok := cutMACs(text); ok {
		if last < first {
			return nil, &complaint{fmt.Sprintf("%q ends before it begins", text), fmt.Sprintf(`write "%s - %s"`, last, first)}
		}
		return []span{{macPoint(first), macPoint(last)}}, nil
	}
	mac, digits, ok := readSomeMAC(text)
	switch {
	case !ok || digits == 0:
		return nil, &complaint{fmt.Sprintf("%.64q is no MAC", text), macExample}
	case digits < macDigits:
		return nil, &complaint{fmt.Sprintf("%q is only the beginning of a MAC", text),
			fmt.Sprintf("write %q for all that begin like this", text+"*")}
	case mac == 0:
		return nil, &complaint{fmt.Sprintf("%q is what gateways send that know no MAC, and is taken for none", text), macExample}
	}
	return []span{{macPoint(mac), macPoint(mac)}}, nil
}

// readSomeMAC reads text as a MAC in any notation, or as the beginning of one.
func readSomeMAC(text string) (mac MAC, digits int, ok bool) {
	for _, notation := range notations {
		if mac, digits, ok = readMAC(notation, text); ok {
			return mac, digits, true
		}
	}
	return 0, 0, false
}

func readMACBeginning(text, beginning string) ([]span, *complaint) {
	mac, digits, ok := readSomeMAC(beginning)
	switch {
	case !ok || digits == 0:
		return nil, &complaint{fmt.Sprintf("%.64q is not the beginning of a MAC", text), macExample}
	case digits == macDigits:
		return nil, &complaint{fmt.Sprintf("%q has nothing left to stand for the *", text), fmt.Sprintf("write %q", beginning)}
	}
	free := macBits - 4*digits
	first := mac << free
	return []span{{macPoint(first), macPoint(first | (1<<free - 1))}}, nil
}

// cutMACs reads two MACs with a hyphen between them, which may stand in both of
// them too.
func cutMACs(text string) (first, last MAC, ok bool) {
	for i := range min(len(text), 100) {
		if text[i] != '-' {
			continue
		}
		first, n, okFirst := readSomeMAC(strings.TrimSpace(text[:i]))
		last, m, okLast := readSomeMAC(strings.TrimSpace(text[i+1:]))
		if okFirst && okLast && n == macDigits && m == macDigits {
			return first, last, true
		}
	}
	return 0, 0, false
}
