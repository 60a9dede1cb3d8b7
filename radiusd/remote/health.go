package remote

import "time"

const (
	answersToRise = 3 // Status-Servers in a row
	missesToFall  = 2 // of these
	lossesToFall  = 3 // logins in a row, of one that does not speak
	maxPause      = 5 * time.Minute
)

// health is what is believed of a server. It has no clock and no lock.
type health struct {
	up      bool
	since   time.Time // when that began
	speaks  bool      // it has answered a Status-Server
	answers uint64    // how many logins it has answered
	good    int       // Status-Servers answered in a row, while down
	missed  int       // Status-Servers not answered in a row, while up
	lost    int       // logins not answered in a row, while up
	trying  bool      // a login is on its way that tries a server that does not speak
	failed  time.Time // when it went down, or was tried in vain
	tries   int       // how often it was tried in vain
}

// admits reports whether a login may go to the server. When it does to one that is
// down, that login tries it, and others have to wait for what comes of it. Alone
// says that no other server is up.
func (h *health) admits(at time.Time, interval time.Duration, alone bool) bool {
	if h.up {
		return true
	}
	if !h.due(at, interval, alone) {
		return false
	}
	h.trying = true
	return true
}

// due reports whether a server that is down may be tried with a login.
func (h *health) due(at time.Time, interval time.Duration, alone bool) bool {
	if !h.up && h.speaks && at.Sub(h.since) >= maxPause {
		h.speaks = false // it may answer logins, and no Status-Server any more
	}
	if h.up || h.speaks || h.trying {
		return false
	}
	wait := interval
	if !alone {
		wait = max(interval, min(interval<<min(h.tries, 10), maxPause))
	}
	return !at.Before(h.failed.Add(wait))
}

// loginAnswered reports whether the server went up by an answer to a login. For one
// that speaks, that is for Status-Servers to say.
func (h *health) loginAnswered(at time.Time) bool {
	h.answers++
	h.missed, h.lost = 0, 0
	if h.up || h.speaks {
		return false
	}
	h.rise(at)
	return true
}

// loginLost reports whether the server went down by a login without an answer. It does
// not when it has answered another since: when this one was sent it had answered that
// many. An answer to a Status-Server does not say that logins are answered. One login
// does not bring down a server that does not speak, and so would stay down for a while:
// there are names to which a server is silent, and whoever knows one could keep it down.
func (h *health) loginLost(at time.Time, answers uint64) bool {
	if h.answers != answers {
		h.trying = false
		return false
	}
	h.lost++
	if h.up && !h.speaks && h.lost < lossesToFall {
		return false
	}
	return h.fall(at)
}

// loginForgotten is for a login of which nothing can be learned.
func (h *health) loginForgotten() { h.trying = false }

// statusAnswered reports whether the server went up by an answer to a Status-Server.
func (h *health) statusAnswered(at time.Time, alone bool) bool {
	h.speaks, h.missed = true, 0
	if h.up {
		return false
	}
	h.good++
	if h.good < answersToRise && !alone {
		return false
	}
	h.rise(at)
	return true
}

// statusLost reports whether the server went down by a Status-Server without an
// answer. One that does not speak does not.
func (h *health) statusLost(at time.Time) bool {
	h.good = 0
	if !h.up || !h.speaks {
		return false
	}
	h.missed++
	return h.missed >= missesToFall && h.fall(at)
}

// statusRefused reports whether the server went down because it cannot be reached.
func (h *health) statusRefused(at time.Time) bool {
	h.good = 0
	return h.up && h.fall(at)
}

func (h *health) rise(at time.Time) {
	h.up, h.since = true, at
	h.good, h.missed, h.lost, h.trying, h.tries = 0, 0, 0, false, 0
}

// fall reports whether the server was up.
func (h *health) fall(at time.Time) bool {
	fell := h.up
	if fell {
		h.up, h.since = false, at
	} else if h.trying {
		h.tries++
	}
	h.good, h.missed, h.lost, h.trying, h.failed = 0, 0, 0, false, at
	return fell
}
