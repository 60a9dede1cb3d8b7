package conf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
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
	r.verifyListeners(slices.Concat(listeners("web.listen", c.Web.Listen), listeners("web.listen_https", c.Web.ListenHTTPS), listeners("metrics.listen", c.Metrics.Listen),
		listeners("otp_service.listen", c.OTPService.Listen), listeners("otp_service.listen_https", c.OTPService.ListenHTTPS)))
	r.verifyLogin(&c.Login)
	r.verifyToken(&c.Token)
	r.verifyWeb(&c.Web)
	r.verifyMail(&c.Mail)
	c.verifyEnrol(r)
	c.verifyNASes(r)
	c.verifyDirectories(r)
	c.verifyRules(r)
	c.verifyPasses(r)
	c.verifyTMS(r)
	c.verifyAccounting(r)
	c.verifyStore(r)
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
	r.verifyMessage("login.reject_message", l.RejectMessage)
	r.verifyMessage("login.no_token_message", l.NoTokenMessage)
	r.verifyMessage("login.challenge_message", l.ChallengeMessage)
	if l.ChallengeMessage == "" {
		r.addMissing("login.challenge_message", "is empty, and the user would not know what to enter", "say it, or leave the key out")
	}
}

// verifyMessage reports a message that is too long for a Reply-Message.
func (r *report) verifyMessage(key, message string) {
	if len(message) > maxMessageBytes {
		r.add(key, fmt.Sprintf("has %d bytes, and a Reply-Message holds %d", len(message), maxMessageBytes), "shorten it")
	}
}

// verifyToken reports tokens that cannot be made. A MobilePASS token has an
// algorithm of its own, which t has afterwards.
func (r *report) verifyToken(t *Token) {
	if t.Period%time.Second != 0 {
		r.add("token.period", fmt.Sprintf("%s is no number of whole seconds", t.Period), "choose 30s, or what the token app can do")
	}
	if t.Type != TokenMobilePASS {
		return
	}
	_, said := r.lines["token.algorithm"]
	if said && t.Algorithm != AlgorithmSHA256 {
		r.addMissing("token.algorithm", fmt.Sprintf("a MobilePASS token always has sha256, not %s", t.Algorithm), `write "sha256", or leave it out`)
	}
	t.Algorithm = AlgorithmSHA256
	if t.Digits != 6 {
		r.addMissing("token.digits", fmt.Sprintf("a MobilePASS token always has 6 digits, not %d", t.Digits), "write 6, or leave it out")
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

// verifyNames reports names in an array of tables that logs and metrics cannot
// show, and those that are given twice. Which is missing is reported unless
// example is "". noun is what one of the tables is.
func (r *report) verifyNames(table, noun, example string, names []string) {
	first := map[string]int{} // to the index of the table
	for i, name := range names {
		key := joinIndex(table, i)
		if r.has(key) {
			continue // not a table at all
		}
		switch other, taken := first[name]; {
		case name == "" && example != "":
			r.addMissing(key+".name", "the "+noun+" has no name", "add name = "+strconv.Quote(example)+", or what you call it")
		case name == "":
		case taken:
			r.add(key+".name", fmt.Sprintf("%q is the name of the %s at line %d", name, noun, r.lines.line(joinIndex(table, other))),
				"give each "+noun+" a name of its own")
		case !isName(name):
			r.add(key+".name", fmt.Sprintf("%q is not a name of 1 to %d printable bytes without spaces around", name, maxNameBytes), "choose another")
		default:
			first[name] = i
		}
	}
}

// isName reports whether logs and metrics can show a name.
func isName(name string) bool {
	unprintable := strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
	return name != "" && len(name) <= maxNameBytes && !unprintable && strings.TrimSpace(name) == name
}

// namesOf returns what name returns for each element.
func namesOf[T any](all []T, name func(*T) string) []string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = name(&all[i])
	}
	return names
}
