package exclusions

import (
	"fmt"
	"time"
)

// Kind is what a criterion is about. The words are those of the configuration.
type Kind uint8

// The kinds of criteria.
const (
	Users          Kind = iota // canonical user names
	Groups                     // groups of the user repository, by DN or by name
	Realms                     // realms of user names
	ClientIPs                  // the client's address: single, CIDR, first-last
	ClientMACs                 // the client's MAC: single, prefix with *, first-last
	NASes                      // names of [[nas]]
	NASAddresses               // the source address of the packet, as ClientIPs
	NASIPAddresses             // NAS-IP-Address and NAS-IPv6-Address, of a NAS that is trusted to state it
	NASIdentifiers             // NAS-Identifier, exactly
	Times                      // time windows: "Mon-Fri 08:00-18:00 Europe/Berlin"
	kindCount
)

var kinds = [kindCount]string{
	"users", "groups", "realms", "client_ips", "client_macs", "nases", "nas_addresses", "nas_ip_addresses", "nas_identifiers", "times",
}

// String is the kind's word, such as client_macs.
func (k Kind) String() string { return wordOf(kinds[:], "kind", k) }

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) { return parseWord[Kind](kinds[:], "kind of criterion", s) }

// MarshalText is String for JSON; it fails for what is no kind.
func (k Kind) MarshalText() ([]byte, error) {
	if k >= kindCount {
		return nil, fmt.Errorf("writing a criterion: there is no %v", k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText is ParseKind.
func (k *Kind) UnmarshalText(text []byte) error {
	parsed, err := ParseKind(string(text))
	if err == nil {
		*k = parsed
	}
	return err
}

// Criterion is one condition of a rule: the login has one of the Values, or,
// with Not, none of them. What a login does not tell meets no criterion, with
// Not or without.
type Criterion struct {
	Kind   Kind     `json:"kind"`
	Not    bool     `json:"not,omitempty"`
	Values []string `json:"values"` // as written
}

// Rule is a condition as it is written: all its criteria have to be met. In the
// list of exclusions who meets one needs no code.
type Rule struct {
	Name     string      `json:"name"`
	Owner    string      `json:"owner,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	Expires  time.Time   `json:"expires,omitzero"` // the rule counts before this instant; zero: always
	Criteria []Criterion `json:"criteria"`
}
