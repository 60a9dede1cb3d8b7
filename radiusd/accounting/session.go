package accounting

import (
	"net/netip"
	"time"
)

// State is how it stands with a session. The numbers are stored.
type State uint8

// The states of a session.
const (
	Open   State = iota + 1 // it has begun and not ended
	Stale                   // it was not heard of for so long that it most likely has ended
	Closed                  // it has ended
)

// Key is what records of one session have in common. A NAS may use an Acct-Session-Id
// again after a restart, so several sessions may have the same Key, one after the other.
type Key struct {
	NAS string // the name of the NAS
	// Gateway is which of several gateways under that name, by what its first record said
	// of itself: "vpn1 192.0.2.1 2001:db8::1", that is NAS-Identifier, NAS-IP-Address and
	// NAS-IPv6-Address, without those that it left out.
	Gateway   string
	SessionID string // Acct-Session-Id
}

// Session is what the records of a session say together.
type Session struct {
	ID Position // of its first record
	Key
	Source     string // the address its last record came from
	NASAddress netip.Addr
	NASPort    string
	User       string // User-Name, as the NAS has it
	Station    string
	Address    netip.Addr // Framed-IP-Address

	// Login is the login that its Class names, if there was one that we had signed.
	Login Login

	State   State
	Started time.Time // when it began, reckoned back from its figures if no Start told
	Heard   time.Time // when its last record came, by our clock
	Last    time.Time // when that happened which its newest record is about
	Ended   time.Time // zero unless it is Closed
	Cause   Cause     // why it ended, as the NAS says
	// By says who ended a session that had no Stop: "accounting-on", "accounting-off", or
	// "reuse" when its Acct-Session-Id came to stand for another session.
	By      string
	Begun   bool // a Start was among its records
	Records int  // without repeats
	Figures
}

// Name is whose session it is: the user of the login, or User-Name where there was none.
func (s *Session) Name() string {
	if s.Login.User != "" {
		return s.Login.User
	}
	return s.User
}

// Duration is how long the session was, or is by now. Of a Stale one nobody knows: it is
// how long it was when it was last heard of.
func (s *Session) Duration(now time.Time) time.Duration {
	end := now
	switch s.State {
	case Closed:
		end = s.Ended
	case Stale:
		end = s.Last
	}
	return max(0, end.Sub(s.Started))
}

// Login is what a Class leads to.
type Login struct {
	Event  string // its name in the journal, as "17-3"; "" for none
	At     time.Time
	User   string // by the name that tokens have
	Serial string // of the token whose code was right, "" where none was needed
	Rule   string // the rule of exclusion by which no code was needed
	NAS    string // where it was
	Pool   string // the [[session_limit]] it counts for
}

// Filter chooses sessions; zero values choose all.
type Filter struct {
	ID      Position
	User    string // of the login, or User-Name where there was none
	NAS     string
	Serial  string
	Rule    string
	Station string
	Address netip.Addr
	States  []State
	// From and To choose the sessions that there were at some time between them.
	From, To time.Time
	Limit    int
}
