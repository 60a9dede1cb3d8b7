package conf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// What the tags of Config cannot say.
const (
	maxNameBytes    = 64
	maxMessageBytes = 253 // RFC 2865 section 5: an attribute's value
)

// verify reports what is wrong between several keys, and what no tag tells of one.
func (c *Config) verify(r *report) {
	if c.DataDir == "" {
		r.add("data_dir", "is empty", `name a folder, as "/var/lib/countersign"`)
	}
	if len(c.Radius.Auth) == 0 {
		r.addMissing("radius.auth", "has no address, so nobody could log in", `name one, as "0.0.0.0:1812"`)
	}
	r.verifyListeners(slices.Concat(listeners("radius.auth", c.Radius.Auth), listeners("radius.acct", c.Radius.Acct)))
	r.verifyListeners(slices.Concat(listeners("web.listen", c.Web.Listen), listeners("metrics.listen", c.Metrics.Listen)))
	r.verifyLogin(&c.Login)
	r.verifyNASes(c.NAS)
}

// listener is an address to listen on, and the key that has it.
type listener struct {
	key     string
	address netip.AddrPort
}

// listeners returns the addresses of a key.
func listeners(key string, addresses []netip.AddrPort) []listener {
	all := make([]listener, len(addresses))
	for i, address := range addresses {
		all[i] = listener{key, address}
	}
	return all
}

// verifyListeners reports addresses of one protocol, UDP or TCP, that cannot
// both be listened on.
func (r *report) verifyListeners(all []listener) {
	for i, one := range all {
		for _, other := range all[:i] {
			if collide(one.address, other.address) {
				r.add(one.key, fmt.Sprintf("%s collides with %s of %s", one.address, other.address, other.key),
					"give each an address or a port of its own")
			}
		}
	}
}

// collide reports whether two sockets of one protocol cannot have the addresses
// a and b: the same port, and the same IP address or one that stands for all of
// its family.
func collide(a, b netip.AddrPort) bool {
	sameFamily := a.Addr().Is4() == b.Addr().Is4()
	all := a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
	return a.Port() == b.Port() && (a == b || all && sameFamily)
}

// verifyLogin reports limits of [login] that contradict each other.
func (r *report) verifyLogin(l *Login) {
	verifyOrder(r, "login.look_ahead", l.LookAhead, "login.resync_window", l.ResyncWindow)
	verifyOrder(r, "login.window", l.Window, "login.resync_steps", l.ResyncSteps)
	verifyOrder(r, "login.max_drift", l.MaxDrift, "login.resync_steps", l.ResyncSteps)
	verifyOrder(r, "login.throttle_first", l.ThrottleFirst, "login.throttle_max", l.ThrottleMax)
	verifyOrder(r, "login.throttle_max", l.ThrottleMax, "login.throttle_forget", l.ThrottleForget)
	if len(l.RejectMessage) > maxMessageBytes {
		r.add("login.reject_message",
			fmt.Sprintf("has %d bytes, and a Reply-Message holds %d", len(l.RejectMessage), maxMessageBytes), "shorten it")
	}
}

// verifyOrder reports a value of key low that is above that of key high, at the
// one that comes later in the file.
func verifyOrder[T cmp.Ordered](r *report, low string, lowIs T, high string, highIs T) {
	if lowIs <= highIs {
		return
	}
	if r.lines[low] > r.lines[high] {
		r.add(low, fmt.Sprintf("%s is above %s, %s", amount(lowIs), high, amount(highIs)), "lower it, or raise "+high)
	} else {
		r.add(high, fmt.Sprintf("%s is below %s, %s", amount(highIs), low, amount(lowIs)), "raise it, or lower "+low)
	}
}

// amount returns a number or a duration as it stands in the file: "15m", where
// its String would be "15m0s".
func amount(value any) string {
	text := fmt.Sprint(value)
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// verifyNASes reports what is missing of a NAS, and what two of them share.
func (r *report) verifyNASes(all []NAS) {
	names, networks := map[string]int{}, map[netip.Prefix]int{} // to the index of the NAS
	for i, nas := range all {
		key := joinIndex("nas", i)
		if r.has(key) {
			continue // not a table at all
		}
		r.verifyName(key+".name", nas.Name)
		if first, taken := names[nas.Name]; !taken {
			names[nas.Name] = i
		} else if nas.Name != "" {
			r.add(key+".name", fmt.Sprintf("%q is the name of the NAS at line %d", nas.Name, r.lines.line(joinIndex("nas", first))),
				"give each NAS a name of its own")
		}
		if len(nas.Addresses) == 0 {
			r.addMissing(key+".addresses", "the NAS has no address", `name where its packets come from, as addresses = ["192.0.2.10"]`)
		}
		for _, network := range nas.Addresses {
			if first, taken := networks[network]; !taken {
				networks[network] = i
			} else {
				r.add(key+".addresses", fmt.Sprintf("%s is given already, for the NAS at line %d",
					inShort(network), r.lines.line(joinIndex("nas", first))),
					"leave it out at one of the two places")
			}
		}
	}
}

// inShort returns a network as text, one of a single address without its length.
func inShort(network netip.Prefix) string {
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.String()
}

// verifyName reports a name that logs and metrics cannot show.
func (r *report) verifyName(key, name string) {
	unprintable := strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
	switch {
	case name == "":
		r.addMissing(key, "the NAS has no name", `add name = "gateway", or what you call it`)
	case len(name) > maxNameBytes || unprintable || strings.TrimSpace(name) != name:
		r.add(key, fmt.Sprintf("%q is not a name of 1 to %d printable bytes without spaces around", name, maxNameBytes), "choose another")
	}
}
