package remote

// flaw says why a datagram from a server is ignored. It is an error.
type flaw uint8

const (
	flawless   flaw = iota
	malformed       // no RADIUS packet
	unexpected      // no request in flight has its Identifier
	late            // the request has been given up
	otherCode       // no kind of packet that answers the request
	unproved        // the Response Authenticator or the Message-Authenticator is wrong
	unsigned        // there is no Message-Authenticator
	flawCount
)

var flaws = [flawCount]struct{ label, text string }{
	flawless:   {"", ""},
	malformed:  {"malformed", "was no RADIUS packet"},
	unexpected: {"unexpected", "answered nothing"},
	late:       {"late", "came too late"},
	otherCode:  {"code", "was of a kind that answers no login"},
	unproved:   {"authenticator", "has a wrong authenticator: the shared secret there is another one, or it was forged"},
	unsigned:   {"unsigned", "has no Message-Authenticator, so it may be forged (CVE-2024-3596)"},
}

// String is the flaw as a metric label.
func (f flaw) String() string { return flaws[f].label }

// Error is the flaw as the end of a sentence about a reply.
func (f flaw) Error() string { return flaws[f].text }
