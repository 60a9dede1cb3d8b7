package radiusd

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// Requirement says whether the Access-Requests of a NAS must carry a
// Message-Authenticator. One that is present is verified in any case.
type Requirement uint8

const (
	// RequireAuto demands one from the moment this NAS has been seen sending one
	// that was right, and refuses Proxy-State without one (CVE-2024-3596).
	RequireAuto Requirement = iota
	// RequireAlways demands one.
	RequireAlways
	// RequireNever demands none, but for EAP (RFC 3579 section 3.1).
	RequireNever
)

// NASConfig is one NAS: a gateway that may ask.
type NASConfig struct {
	Name     string         // names it in logs, metrics and rules
	Prefixes []netip.Prefix // the addresses its packets come from
	Secret   packet.Secret  // the shared secret
	// MessageAuthenticator is what is asked of its requests.
	MessageAuthenticator Requirement
	// ReplyMessageAuthenticator is where replies to it carry theirs.
	ReplyMessageAuthenticator packet.Placement
	// Mode is who needs a token, and Excluded what a login gets that needs no code.
	Mode     exclusions.Mode
	Excluded exclusions.Pass
	// ClientIPFrom are the attributes that tell the client's address, the first
	// that has one counts; MACFrom those that tell its MACs, all of them.
	ClientIPFrom []exclusions.Origin
	MACFrom      []exclusions.Origin
	// TrustNASIPAddress takes NAS-IP-Address and NAS-IPv6-Address for true.
	TrustNASIPAddress bool
	// Challenge has its users asked for more by Access-Challenge: the next code, what an
	// enrolment takes, or what the TMS wants to know.
	Challenge bool
	// Order is who verifies the codes of users whom the Backend has, where no rule says
	// otherwise.
	Order otp.Order
	// Class has an Access-Accept carry what Options.Classes makes.
	Class bool
}

// NASTable finds the NAS of an address. Once it was given to a Server it is the
// Server's.
type NASTable struct {
	prefixes bart.Table[*nas]
	byName   map[string]*nas
}

// NewNASTable makes the table of these NASes. Of several prefixes that hold an
// address the longest counts. Senders names the NASes that are known to send a
// Message-Authenticator; names that are not in the table are ignored. The error
// says what is wrong with the first NAS that cannot be used.
func NewNASTable(configs []NASConfig, senders []string) (*NASTable, error) {
	t := &NASTable{byName: make(map[string]*nas, len(configs))}
	for _, config := range configs {
		n := &nas{NASConfig: config, memory: &memory{}}
		known := slices.Contains(senders, config.Name)
		n.sender.Store(known)
		n.recorded.Store(known)
		if err := t.add(n); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *NASTable) add(n *nas) error {
	switch {
	case t.byName[n.Name] != nil:
		return fmt.Errorf("NAS %q: there are two of this name", n.Name)
	case n.Secret.IsZero():
		return fmt.Errorf("NAS %q: it has no shared secret", n.Name)
	case len(n.Prefixes) == 0:
		return fmt.Errorf("NAS %q: it has no addresses", n.Name)
	}
	t.byName[n.Name] = n
	for _, prefix := range n.Prefixes {
		if !prefix.IsValid() {
			return fmt.Errorf("NAS %q: one of its addresses is empty", n.Name)
		}
		prefix = unmapped(prefix).Masked()
		if other, taken := t.prefixes.Get(prefix); taken {
			return fmt.Errorf("NAS %q: address %s belongs to NAS %q too", n.Name, prefix, other.Name)
		}
		t.prefixes.Insert(prefix, n)
	}
	return nil
}

// unmapped is the IPv4 prefix that an IPv4-mapped IPv6 prefix stands for.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// lookup finds the NAS of an address, nil when there is none. An IPv4-mapped
// address is looked up as IPv4.
func (t *NASTable) lookup(address netip.Addr) *nas {
	n, _ := t.prefixes.Lookup(address.Unmap())
	return n
}

// inherit takes over what was learned of the NASes in the table before.
func (t *NASTable) inherit(before *NASTable) {
	for name, n := range t.byName {
		old := before.byName[name]
		if old == nil {
			continue
		}
		if n.sender.Load() {
			old.sender.Store(true)
		}
		n.memory = old.memory
	}
}

// SetSenders tells which NASes are known, to other servers too, to send a
// Message-Authenticator. Names that are not in the table are ignored, and what this server
// knows stays.
func (s *Server) SetSenders(names []string) {
	nases := s.setup.Load().nases.byName
	for _, name := range names {
		if n := nases[name]; n != nil {
			n.sender.Store(true)
			n.recorded.Store(true)
		}
	}
}

// nas is a NAS and what was learned of it.
type nas struct {
	NASConfig
	*memory
}

// memory is what was learned of a NAS; it outlives the table.
type memory struct {
	sender     atomic.Bool // it has sent a Message-Authenticator that was right
	recorded   atomic.Bool // the fact is on its way into the store, or there
	complaints [reasonCount]atomic.Int64
	observed   observations
	figures    figures
}

// admit judges an Access-Request by its Message-Authenticator: it returns the
// reason to drop it, or admitted.
func (n *nas) admit(scratch *packet.Scratch, r *packet.Request) reason {
	switch {
	case r.MessageAuthenticator != 0:
		if !scratch.VerifyMessageAuthenticator(n.Secret, r) {
			return badMessageAuthenticator
		}
	case r.EAPMessage: // RFC 3579 section 3.1
		return messageAuthenticatorMissing
	case n.MessageAuthenticator == RequireNever:
	case n.MessageAuthenticator == RequireAlways, n.sender.Load():
		return messageAuthenticatorMissing
	case r.ProxyStates > 0:
		return proxyStateUnprotected
	}
	return admitted
}

// complains reports whether it is time to log this reason again, at most once
// a minute.
func (m *memory) complains(why reason, now time.Duration) bool {
	next := &m.complaints[why]
	at := next.Load()
	return (at == 0 || int64(now) >= at) && next.CompareAndSwap(at, max(1, int64(now+complaintPause)))
}
