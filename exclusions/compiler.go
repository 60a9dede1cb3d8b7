package exclusions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxRuleName   = 64  // bytes
	maxIdentifier = 253 // bytes: what fits in an attribute (RFC 2865 section 5)
)

// compiler reads rules and gathers what is wrong with them.
type compiler struct {
	Options
	names  map[string]int // the first rule of each name
	nases  map[string]bool
	zones  map[string]*time.Location
	faults []Fault
}

func newCompiler(o Options) *compiler {
	c := &compiler{Options: o, names: map[string]int{}, nases: map[string]bool{}, zones: map[string]*time.Location{}}
	if c.FoldUser == nil {
		c.FoldUser = lowerCase
	}
	if c.FoldRealm == nil {
		c.FoldRealm = lowerCase
	}
	if c.FoldGroup == nil {
		c.FoldGroup = lowerCase
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	for _, name := range o.NASes {
		c.nases[name] = true
	}
	return c
}

func lowerCase(s string) (string, bool) { return strings.ToLower(s), true }

// add notes a fault.
func (c *compiler) add(rule, criterion, value int, wrong *complaint) {
	c.faults = append(c.faults, Fault{Rule: rule, Criterion: criterion, Value: value, Problem: wrong.problem, Remedy: wrong.remedy})
}

// rule reads the rule with this index.
func (c *compiler) rule(index int, r *Rule) rule {
	if wrong := c.verifyName(index, r.Name); wrong != nil {
		c.add(index, -1, -1, wrong)
	}
	if len(r.Criteria) == 0 {
		c.add(index, -1, -1, &complaint{"has no criterion, so everybody would meet it", `name one, as client_ips = ["192.0.2.0/24"]`})
	}
	read := rule{index: int32(index), expires: r.Expires, criteria: make([]criterion, len(r.Criteria))}
	read.live = !expired(r.Expires, c.At)
	for i := range r.Criteria {
		read.criteria[i] = c.criterion(index, i, &r.Criteria[i])
	}
	return read
}

// verifyName reports what is wrong with the name of a rule.
func (c *compiler) verifyName(index int, name string) *complaint {
	if name == "" {
		return &complaint{"has no name", `give it one, as name = "printers"`}
	}
	if len(name) > maxRuleName {
		return &complaint{fmt.Sprintf("has a name of %d bytes", len(name)), fmt.Sprintf("shorten it to %d", maxRuleName)}
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
		return &complaint{fmt.Sprintf("the name %q has control characters or spaces at its ends", name), "leave them out"}
	}
	if first, taken := c.names[name]; taken {
		return &complaint{fmt.Sprintf("the name %q is that of rule %d too", name, first+1), "give each rule a name of its own"}
	}
	c.names[name] = index
	return nil
}

// criterion reads the criterion with these indices.
func (c *compiler) criterion(rule, index int, written *Criterion) criterion {
	read := criterion{Criterion: *written}
	read.Values = slices.Clone(written.Values)
	switch {
	case written.Kind >= kindCount:
		c.add(rule, index, -1, &complaint{fmt.Sprintf("there is no %v", written.Kind), "name one of " + alternatives(kinds[:])})
		return read
	case len(written.Values) == 0:
		c.add(rule, index, -1, &complaint{fmt.Sprintf("%v has no values", written.Kind), "name one, or leave the criterion out"})
	}
	for i, value := range written.Values {
		if wrong := c.value(&read, value); wrong != nil {
			c.add(rule, index, i, wrong)
		}
	}
	read.spans = merge(read.spans)
	slices.SortStableFunc(read.words, func(a, b word) int { return cmp.Compare(a.folded, b.folded) })
	read.words = slices.CompactFunc(read.words, func(a, b word) bool { return a.folded == b.folded })
	return read
}

// value reads one value into a criterion.
func (c *compiler) value(into *criterion, text string) (wrong *complaint) {
	if strings.TrimSpace(text) == "" {
		return &complaint{fmt.Sprintf("a value of %v is empty", into.Kind), "leave it out"}
	}
	switch into.Kind {
	case ClientIPs, NASAddresses, NASIPAddresses:
		var spans []span
		spans, wrong = readAddresses(text)
		into.spans = append(into.spans, spans...)
	case ClientMACs:
		var spans []span
		spans, wrong = readMACs(text)
		into.spans = append(into.spans, spans...)
	case Times:
		var w window
		w, wrong = readWindow(text, c.Location, c.findZone)
		into.windows = append(into.windows, w)
	default:
		var folded string
		folded, wrong = c.fold(into.Kind, text)
		into.words = append(into.words, word{folded, text})
		if into.Kind == Users && c.CanonicalUser != nil {
			into.words = append(into.words, word{c.CanonicalUser(folded), text})
		}
	}
	return wrong
}

// fold brings a word into the form in which logins have it.
func (c *compiler) fold(kind Kind, text string) (string, *complaint) {
	switch kind {
	case Users:
		if folded, ok := c.FoldUser(text); ok && folded != "" {
			return folded, nil
		}
		return "", &complaint{fmt.Sprintf("%.64q is no user name", text), `write it as "alice" or "alice@example.org"`}
	case Groups:
		if folded, ok := c.FoldGroup(text); ok && folded != "" {
			return folded, nil
		}
		return "", &complaint{fmt.Sprintf("%.64q is no group", text), `write its name, as "vpn-users", or its DN`}
	case Realms:
		if folded, ok := c.FoldRealm(text); ok && folded != "" && !strings.ContainsFunc(text, notInRealm) {
			return folded, nil
		}
		return "", &complaint{fmt.Sprintf("%.64q is no realm", text), `write what stands behind the @, as "example.org"`}
	case NASes:
		if c.Options.NASes != nil && !c.nases[text] {
			return "", &complaint{fmt.Sprintf("there is no NAS %.64q", text), c.knownNASes()}
		}
	case NASIdentifiers:
		if len(text) > maxIdentifier {
			return "", &complaint{fmt.Sprintf("%.64q is longer than the %d bytes of an attribute", text, maxIdentifier), "shorten it to what the NAS sends"}
		}
	}
	return text, nil
}

func notInRealm(r rune) bool {
	return r == '@' || r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r)
}

// knownNASes is the remedy for a NAS that is not known.
func (c *compiler) knownNASes() string {
	if len(c.Options.NASes) == 0 {
		return "add it to the configuration; there is none yet"
	}
	return "name one of " + enumerate(c.Options.NASes)
}

// findZone finds a time zone in the files of the machine, once for all rules.
func (c *compiler) findZone(name string) (*time.Location, error) {
	if zone := c.zones[name]; zone != nil {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		c.zones[name] = zone
	}
	return zone, err
}
