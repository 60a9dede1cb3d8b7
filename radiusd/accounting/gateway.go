package accounting

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// gateway is what a gateway says of itself, none of it for sure.
type gateway struct {
	identifier string
	ipv4, ipv6 netip.Addr
}

// String is the Gateway of a Key.
func (g gateway) String() string {
	parts := make([]string, 0, 3)
	if g.identifier != "" {
		parts = append(parts, g.identifier)
	}
	for _, address := range [...]netip.Addr{g.ipv4, g.ipv6} {
		if address.IsValid() {
			parts = append(parts, address.String())
		}
	}
	return strings.Join(parts, " ")
}

// parseGateway is the inverse of String. An identifier that ends in an address, as if
// that had been said apart, is read so each time, and so compared to itself.
func parseGateway(text string) (g gateway) {
	g.identifier = text
	if address, rest := lastAddress(g.identifier); address.Is6() {
		g.ipv6, g.identifier = address, rest
	}
	if address, rest := lastAddress(g.identifier); address.Is4() {
		g.ipv4, g.identifier = address, rest
	}
	return g
}

// lastAddress is the address that is the last word of a text, and what stands before it.
func lastAddress(text string) (address netip.Addr, rest string) {
	at := strings.LastIndexByte(text, ' ')
	address, _ = netip.ParseAddr(text[at+1:])
	return address, text[:max(at, 0)]
}

// agrees reports whether two gateways may be one: they say the same of something, and of
// nothing different things. One that says nothing may be any.
func (g gateway) agrees(other gateway) bool {
	if g == (gateway{}) || other == (gateway{}) {
		return true
	}
	same := 0
	for _, pair := range [...][2]string{
		{g.identifier, other.identifier}, {addressText(g.ipv4), addressText(other.ipv4)}, {addressText(g.ipv6), addressText(other.ipv6)},
	} {
		switch {
		case pair[0] == "" || pair[1] == "":
		case pair[0] != pair[1]:
			return false
		default:
			same++
		}
	}
	return same > 0
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// ofGateway are the sessions, of one NAS and Acct-Session-Id, that may be of a gateway:
// that which began last first. Where they are of several gateways that are not one, those
// are meant that say of themselves exactly what it says.
func ofGateway(all []*life, text string) []*life {
	g := parseGateway(text)
	var of []*life
	for _, l := range all {
		if g.agrees(parseGateway(l.Gateway)) {
			of = append(of, l)
		}
	}
	if !oneGateway(of) {
		of = slices.DeleteFunc(of, func(l *life) bool { return l.Gateway != text })
	}
	slices.SortStableFunc(of, func(a, b *life) int {
		return cmp.Or(b.Started.Compare(a.Started), b.ID.Compare(a.ID))
	})
	return of
}

// oneGateway reports whether sessions may all be of one gateway.
func oneGateway(of []*life) bool {
	for i, l := range of {
		for _, other := range of[:i] {
			if l.Gateway != other.Gateway && !parseGateway(l.Gateway).agrees(parseGateway(other.Gateway)) {
				return false
			}
		}
	}
	return true
}
