package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Exclusion is a table [[exclusion]]: a rule by which a login needs no code. At
// least one criterion.
type Exclusion struct {
	// Name is what logs, explanations and reports call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Owner is who answers for it.
	Owner string `toml:"owner"`

	// Reason is why it is there.
	Reason string `toml:"reason"`

	// Expires is the instant from which it no longer counts, a date and time
	// with its offset, 2027-01-31T18:00:00+01:00. Zero, as without it, is never.
	Expires time.Time `toml:"expires"`

	Criteria
}

// Reply is a table [[reply]]: attributes of an Access-Accept. Without a
// criterion every Access-Accept has them; of several tables whose criteria a
// login meets it has the attributes of all.
//
// One that names groups makes every login depend on the directory: while it does
// not answer, and after its stale_time, a login that could meet the reply gets no
// answer, even with the right code, because an Access-Accept without its
// attributes may allow more than it should.
type Reply struct {
	// Name is what explanations call it: up to 64 bytes, its own. It may be left
	// out.
	Name string `toml:"name"`

	Criteria

	// Attributes are a table from the names of attributes to a text, an integer
	// or a list of these. At least one.
	Attributes []Attribute `toml:"attributes"`
}

// Attribute is an attribute of Reply.Attributes, which are sorted by name.
type Attribute struct {
	Name   string
	Values []string // integers in decimal; at least one
}

// Criteria are the conditions of a rule: a login has to meet each that is there,
// and meets one by any of its values. With not_ in front of its name it must
// have none of the values. What a login does not tell meets neither.
//
// This package only looks at the names of NASes in it; what else the values
// mean is told by a [Check].
type Criteria struct {
	// Users are user names as the server knows them, with any realm of the
	// directory before a backslash or behind an @.
	Users    []string `toml:"users"`
	NotUsers []string `toml:"not_users"`

	// Groups are groups of the directory, by distinguished name or by name.
	Groups    []string `toml:"groups"`
	NotGroups []string `toml:"not_groups"`

	// Realms are realms of user names. All realms of a directory are the same.
	Realms    []string `toml:"realms"`
	NotRealms []string `toml:"not_realms"`

	// ClientIPs are addresses of clients: "192.0.2.10", "192.0.2.0/24" or
	// "192.0.2.10-192.0.2.20". They are claims of the gateway.
	ClientIPs    []string `toml:"client_ips"`
	NotClientIPs []string `toml:"not_client_ips"`

	// ClientMACs are MACs of clients: "00-10-A4-23-19-C0", "00-10-A4-*" or
	// "00-10-A4-23-19-C0 - 00-10-A4-23-19-CF". They are claims of the gateway: a
	// machine that is excluded by its MAC is excluded for whoever can send that
	// MAC.
	ClientMACs    []string `toml:"client_macs"`
	NotClientMACs []string `toml:"not_client_macs"`

	// NASes are names of [[nas]].
	NASes    []string `toml:"nases"`
	NotNASes []string `toml:"not_nases"`

	// NASAddresses are source addresses of packets, written as ClientIPs.
	NASAddresses    []string `toml:"nas_addresses"`
	NotNASAddresses []string `toml:"not_nas_addresses"`

	// NASIPAddresses are values of NAS-IP-Address and NAS-IPv6-Address, of a NAS
	// with trust_nas_ip_address, written as ClientIPs.
	NASIPAddresses    []string `toml:"nas_ip_addresses"`
	NotNASIPAddresses []string `toml:"not_nas_ip_addresses"`

	// NASIdentifiers are values of NAS-Identifier. They are claims of the gateway.
	NASIdentifiers    []string `toml:"nas_identifiers"`
	NotNASIdentifiers []string `toml:"not_nas_identifiers"`

	// Times are time windows: "Mon-Fri 08:00-18:00 Europe/Berlin".
	Times    []string `toml:"times"`
	NotTimes []string `toml:"not_times"`
}

// Criterion is one of Criteria.
type Criterion struct {
	Kind   string // the key without not_: "client_macs"
	Not    bool   // the key has not_ in front
	Values []string
}

// List returns the criteria that are there, in the order of the fields.
func (c *Criteria) List() []Criterion {
	var list []Criterion
	values := reflect.ValueOf(c).Elem()
	for i := range values.NumField() {
		kind, not := strings.CutPrefix(values.Type().Field(i).Tag.Get("toml"), "not_")
		if field := values.Field(i).Interface().([]string); field != nil {
			list = append(list, Criterion{kind, not, field})
		}
	}
	return list
}

// Key returns the key of the criterion within its table: "not_client_macs".
func (c Criterion) Key() string {
	if c.Not {
		return "not_" + c.Kind
	}
	return c.Kind
}

// appliesTo reports whether a login at the NAS can meet the criteria.
func (c *Criteria) appliesTo(nas string) bool {
	return (c.NASes == nil || slices.Contains(c.NASes, nas)) && !slices.Contains(c.NotNASes, nas)
}

// verifyRules reports what is missing of a rule, and what its criteria cannot be.
func (c *Config) verifyRules(r *report) {
	r.verifyNames("exclusion", "exclusion", "printers", namesOf(c.Exclusions, func(e *Exclusion) string { return e.Name }))
	r.verifyNames("reply", "reply", "", namesOf(c.Replies, func(p *Reply) string { return p.Name }))
	nases := namesOf(c.NAS, func(n *NAS) string { return n.Name })
	for i := range c.Exclusions {
		if key := joinIndex("exclusion", i); !r.has(key) {
			r.verifyExclusion(key, &c.Exclusions[i])
			r.verifyCriteria(key, &c.Exclusions[i].Criteria, nases)
		}
	}
	for i := range c.Replies {
		if key := joinIndex("reply", i); !r.has(key) {
			if len(c.Replies[i].Attributes) == 0 {
				r.addMissing(key+".attributes", "the reply has no attribute", `add attributes = { Filter-Id = "vpn" }`)
			}
			r.verifyCriteria(key, &c.Replies[i].Criteria, nases)
		}
	}
}

// verifyExclusion reports what is missing of an exclusion.
func (r *report) verifyExclusion(key string, e *Exclusion) {
	if strings.TrimSpace(e.Owner) == "" {
		r.addMissing(key+".owner", "the exclusion has no owner", `say who answers for it, as owner = "network team"`)
	}
	if strings.TrimSpace(e.Reason) == "" {
		r.addMissing(key+".reason", "the exclusion has no reason", `say why it is there, as reason = "they have no keyboard"`)
	}
	if criteria := e.List(); len(criteria) == 0 {
		r.add(key, "the exclusion has no criterion, and nobody would need a code", `say for whom it is, as groups = ["Printers"] or client_ips = ["192.0.2.0/24"]`)
	}
}

// verifyCriteria reports criteria without values, and names of NASes that are none.
func (r *report) verifyCriteria(table string, c *Criteria, nases []string) {
	for _, criterion := range c.List() {
		key := table + "." + criterion.Key()
		if len(criterion.Values) == 0 {
			r.addMissing(key, "has no value", "leave it out, or give it one")
		}
		for i, value := range criterion.Values {
			switch element := r.element(key, i); {
			case value == "":
				r.addMissing(element, "is empty", "leave it out")
			case criterion.Kind == "nases" && !slices.Contains(nases, value):
				r.add(element, fmt.Sprintf("there is no NAS %q", value), nameRemedy(value, nases))
			}
		}
	}
}

// nameRemedy tells which of the names may have been meant.
func nameRemedy(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write the name of a [[nas]] of this file"
}
