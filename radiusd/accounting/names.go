package accounting

import (
	"fmt"
	"slices"
	"strconv"
)

// statusNames are in RFC 2866 section 5.1 and, from 9 to 14, RFC 2867 section 3.
var statusNames = [...]string{
	1: "Start", 2: "Stop", 3: "Interim-Update", 7: "Accounting-On", 8: "Accounting-Off",
	9: "Tunnel-Start", 10: "Tunnel-Stop", 11: "Tunnel-Reject",
	12: "Tunnel-Link-Start", 13: "Tunnel-Link-Stop", 14: "Tunnel-Link-Reject", 15: "Failed",
}

// String is the name that the RFCs give to s, such as "Interim-Update", or its number.
func (s Status) String() string { return nameOf(statusNames[:], uint32(s)) }

// causeNames are in RFC 2866 section 5.10 and, from 19 to 22, RFC 3580 section 2.4.
var causeNames = [...]string{
	1: "User-Request", 2: "Lost-Carrier", 3: "Lost-Service", 4: "Idle-Timeout", 5: "Session-Timeout",
	6: "Admin-Reset", 7: "Admin-Reboot", 8: "Port-Error", 9: "NAS-Error", 10: "NAS-Request",
	11: "NAS-Reboot", 12: "Port-Unneeded", 13: "Port-Preempted", 14: "Port-Suspended",
	15: "Service-Unavailable", 16: "Callback", 17: "User-Error", 18: "Host-Request",
	19: "Supplicant-Restart", 20: "Reauthentication-Failure", 21: "Port-Reinit",
	22: "Port-Disabled",
}

// String is the name that the RFCs give to c, such as "User-Request", or its number; ""
// for none.
func (c Cause) String() string {
	if c == 0 {
		return ""
	}
	return nameOf(causeNames[:], uint32(c))
}

// nameOf is the name of a number, or the number where it has none.
func nameOf(names []string, n uint32) string {
	if n < uint32(len(names)) && names[n] != "" {
		return names[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

var stateNames = []string{Open: "open", Stale: "stale", Closed: "closed"}

// String is open, stale or closed.
func (s State) String() string { return nameOf(stateNames, uint32(s)) }

// ParseState is the inverse of String.
func ParseState(text string) (State, error) {
	if i := slices.Index(stateNames, text); i > 0 {
		return State(i), nil
	}
	return 0, fmt.Errorf("state %.64q: must be open, stale or closed", text)
}
