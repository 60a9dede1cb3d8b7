package accounting

import (
	"net/netip"
	"time"
)

// Entry is an Accounting-Request as the log of the store has it.
type Entry struct {
	Position   Position
	At         time.Time // it came
	NAS        string    // the name of its NAS
	Source     string    // the address it came from
	Attributes []byte    // as received (RFC 2866 section 3)
}

// Status is an Acct-Status-Type (RFC 2866 section 5.1). Other numbers than these are
// kept and forwarded, and change no session.
type Status uint32

// The kinds of records that matter to sessions.
const (
	Start         Status = 1
	Stop          Status = 2
	InterimUpdate Status = 3
	AccountingOn  Status = 7
	AccountingOff Status = 8
)

// Record is what an Entry says.
type Record struct {
	Entry
	Status Status

	SessionID     string     // Acct-Session-Id (section 5.5), "" where there is none
	User          string     // User-Name, as the NAS has it
	NASAddress    netip.Addr // NAS-IP-Address or NAS-IPv6-Address, as it says
	NASIdentifier string
	Gateway       string     // what all of this says of the gateway, as in Key
	NASPort       string     // NAS-Port-Id, or the number of NAS-Port
	Station       string     // Calling-Station-Id
	Address       netip.Addr // Framed-IP-Address, or the first of Framed-IPv6-Address
	Classes       [][]byte   // each Class, as it came, in the memory of Attributes

	// Occurred is when that happened which the record is about: Event-Timestamp (RFC 2869
	// section 5.3), which Stamped tells, or when it came less its Acct-Delay-Time (RFC 2866
	// section 5.2).
	Occurred time.Time
	Stamped  bool
	Figures
	Cause Cause // of a Stop

	login string // the Login.Event of a Class of ours, if there is one
	pool  string
}

// Figures are what a session has used so far. Each is there with Has only.
type Figures struct {
	Has           bool
	Time          time.Duration // Acct-Session-Time
	InputOctets   uint64        // from the client, with the Gigawords (RFC 2869 section 5.1)
	OutputOctets  uint64        // to the client
	InputPackets  uint64
	OutputPackets uint64
}

// Cause is an Acct-Terminate-Cause (RFC 2866 section 5.10), 0 for none.
type Cause uint32
