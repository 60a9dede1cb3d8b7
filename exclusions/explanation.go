package exclusions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Standing is how a rule stands to a login.
type Standing uint8

const (
	// Missed: a criterion was not met.
	Missed Standing = iota
	// Met: all criteria were.
	Met
	// Expired: its time is over.
	Expired
	// Unknown: it depends on groups that are unknown.
	Unknown
	standingCount
)

var standings = [standingCount]string{"missed", "met", "expired", "unknown"}

// String is the word: missed, met, expired or unknown.
func (s Standing) String() string { return wordOf(standings[:], "standing", s) }

// Finding is how one rule stands to a login.
type Finding struct {
	Rule     int
	Standing Standing
	// Text says in a few words why: which value met each criterion, or the first
	// that missed and what the login had instead. What came from the network is
	// quoted in it.
	Text string
}

// Explain judges every rule, in their order: the first that is Met is the one that
// Decide returns. It is for people, and slow.
func (l *List) Explain(login *Login) []Finding {
	findings := make([]Finding, l.Len())
	for i := range findings {
		standing, text := l.explain(&l.rules[i], login)
		findings[i] = Finding{Rule: i, Standing: standing, Text: text}
	}
	return findings
}

func (l *List) explain(r *rule, login *Login) (Standing, string) {
	if !r.live || expired(r.expires, login.At) {
		return Expired, "expired on " + formatTime(r.expires.In(l.zone))
	}
	standing := Met
	var met []string
	for i := range r.criteria {
		c := &r.criteria[i]
		switch c.judge(login) {
		case Missed:
			return Missed, c.explainMissed(login)
		case Unknown:
			standing = Unknown
		default:
			met = append(met, c.explain(login))
		}
	}
	if standing == Unknown {
		return Unknown, "the groups and other names of " + userOf(login) + " are unknown, because the directory does not answer"
	}
	return Met, strings.Join(met, "; ")
}

// explainMissed tells why a criterion is missed.
func (c *criterion) explainMissed(login *Login) string {
	text := c.explain(login)
	if c.Not && c.ask(login) == found {
		text += ", which is excepted"
	}
	return text
}

// explain tells what the login has of the values of a criterion.
func (c *criterion) explain(login *Login) string {
	switch c.ask(login) {
	case untold:
		if login.Stranger && (c.Kind == Groups || c.Not && (c.Kind == Users || c.Kind == Realms)) {
			return "no directory has " + userOf(login) + ", so who that is and what they are not is not known"
		}
		return silence[c.Kind]
	case found:
		return c.explainFound(login)
	}
	return c.explainOther(login)
}

// silence is what is said of facts that a login does not tell.
var silence = [kindCount]string{
	Users:          "the request tells no user name",
	Realms:         "the user name has no realm",
	ClientIPs:      "the request tells no client IP",
	ClientMACs:     "the request tells no client MAC",
	NASes:          "the NAS is not told",
	NASAddresses:   "the address of the NAS is not told",
	NASIPAddresses: "there is no NAS-IP-Address of a NAS trusted to state it",
	NASIdentifiers: "the request tells no NAS-Identifier",
}

// explainFound names the value that the login has.
func (c *criterion) explainFound(login *Login) string {
	switch c.Kind {
	case Groups:
		return userOf(login) + " is in the group " + strconv.Quote(c.words[c.commonGroup(login.Groups)].written)
	case Times:
		i := c.openWindow(login)
		return localTime(login, c.windows[i].zone) + " is within " + strconv.Quote(c.Values[i])
	case ClientMACs:
		for _, mac := range login.ClientMACs {
			if holds(c.spans, macPoint(mac)) {
				return "client MAC " + mac.String() + " is in " + plain(c.writtenSpan(macPoint(mac)))
			}
		}
	case ClientIPs, NASAddresses, NASIPAddresses:
		return c.subject(login) + " is in " + plain(c.writtenSpan(addressPoint(addressOf(c.Kind, login))))
	}
	return c.explainWord(login)
}

// explainWord names the word that the login has, if it is written differently.
func (c *criterion) explainWord(login *Login) string {
	has := string(login.NASIdentifier)
	switch c.Kind {
	case Users:
		has = string(login.User)
	case Realms:
		has = login.Realm
	case NASes:
		has = login.NAS
	}
	text := c.subject(login) + " is listed"
	if i, ok := slices.BinarySearchFunc(c.words, has, compareWord); ok && c.words[i].written != has {
		text += " as " + plain(c.words[i].written)
	}
	return text
}

// explainOther names the values that the login has not.
func (c *criterion) explainOther(login *Login) string {
	one, several := " is not ", " is none of "
	show := plain[string]
	switch c.Kind {
	case Groups:
		one, several, show = " is not in the group ", " is in none of the groups ", strconv.Quote
	case Times:
		one, several, show = " is not within ", " is within none of ", strconv.Quote
	case ClientMACs, ClientIPs, NASAddresses, NASIPAddresses:
		one, several = " is not in ", " is in none of "
	}
	if c.Kind == ClientMACs && len(login.ClientMACs) > 1 {
		one, several = ", none is in ", ", none is in "
	}
	if len(c.Values) > 1 {
		one = several
	}
	return c.subject(login) + one + enumerate(each(c.Values, show))
}

// subject is the fact that a criterion is about.
func (c *criterion) subject(login *Login) string {
	switch c.Kind {
	case Users:
		return "user " + plain(login.User)
	case Groups:
		return userOf(login)
	case Realms:
		return "realm " + plain(login.Realm)
	case ClientIPs:
		return "client IP " + plain(login.ClientIP.String())
	case ClientMACs:
		return macsOf(login)
	case NASes:
		return "NAS " + plain(login.NAS)
	case NASAddresses:
		return "NAS address " + plain(login.NASAddress.String())
	case NASIPAddresses:
		return "NAS-IP-Address " + plain(login.NASIPAddress.String())
	case NASIdentifiers:
		return "NAS-Identifier " + plain(login.NASIdentifier)
	}
	return localTime(login, c.windows[0].zone)
}

// writtenSpan is the value that holds a point.
func (c *criterion) writtenSpan(p point) string {
	read := readAddresses
	if c.Kind == ClientMACs {
		read = readMACs
	}
	i := slices.IndexFunc(c.Values, func(value string) bool {
		spans, _ := read(value)
		return holds(spans, p)
	})
	return c.Values[i]
}

func userOf(login *Login) string {
	if len(login.User) == 0 {
		return "the user"
	}
	return plain(login.User)
}

func macsOf(login *Login) string {
	shown := each(login.ClientMACs, MAC.String)
	if len(shown) == 1 {
		return "client MAC " + shown[0]
	}
	return "of the client MACs " + enumerate(shown)
}

// each returns the texts of values.
func each[T any](values []T, text func(T) string) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = text(value)
	}
	return texts
}

func localTime(login *Login, zone *time.Location) string {
	return login.At.In(zone).Format("Mon ") + formatTime(login.At.In(zone))
}

// formatTime writes an instant to the minute, or to the second when it needs to.
func formatTime(at time.Time) string {
	if at.Second() != 0 {
		return at.Format("2006-01-02 15:04:05 MST")
	}
	return at.Format("2006-01-02 15:04 MST")
}

// enumerate lists texts, but not more than a few.
func enumerate(texts []string) string {
	const few = 3
	switch n := len(texts); {
	case n == 1:
		return texts[0]
	case n <= few+1:
		return strings.Join(texts[:n-1], ", ") + " and " + texts[n-1]
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:few], ", "), n-few)
	}
}

// plain returns text as it is when it is printable ASCII without spaces and
// quotes, and quoted otherwise.
func plain[T string | []byte](text T) string {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.Quote(string(text))
		}
	}
	return string(text)
}
