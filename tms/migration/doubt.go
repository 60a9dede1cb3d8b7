package migration

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/otp"
)

// Ambiguity is a login of which it is not clear what is to be learned, or that cannot be
// learned from. It is the user's last one.
type Ambiguity struct {
	User    otp.UserName `json:"user"`
	At      time.Time    `json:"at"`
	Outcome Outcome      `json:"outcome"`
	Serials []otp.Serial `json:"serials"` // of the tokens that show the code
}

const (
	maxDoubts     = 1 << 16 // users
	maxCandidates = 16      // tokens of a login that are remembered
)

// doubt is an Ambiguity with what a later login needs of it.
type doubt struct {
	Ambiguity
	candidates []candidate
}

// doubts are remembered until the user's next login, in memory.
type doubts struct {
	mu    sync.Mutex
	users map[otp.UserName]*doubt
}

// remember takes the place of what was remembered of the user. It reports whether that
// was something else. Where there is no room somebody is forgotten.
func (d *doubts) remember(next *doubt) (news bool) {
	if len(next.candidates) > maxCandidates {
		next.candidates = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == nil {
		d.users = map[otp.UserName]*doubt{}
	}
	before := d.users[next.User]
	if before == nil && len(d.users) >= maxDoubts {
		for user := range d.users {
			delete(d.users, user)
			break
		}
	}
	d.users[next.User] = next
	return before == nil || before.Outcome != next.Outcome || !slices.Equal(before.Serials, next.Serials)
}

// of is what is remembered of a user, nil when nothing is. It does not change.
func (d *doubts) of(user otp.UserName) *doubt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.users[user]
}

// forget ends what is remembered of a user.
func (d *doubts) forget(user otp.UserName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.users, user)
}

func (d *doubts) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.users)
}

// list is all that is remembered, by user.
func (d *doubts) list() []Ambiguity {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Ambiguity, 0, len(d.users))
	for doubt := range maps.Values(d.users) {
		list = append(list, doubt.Ambiguity)
	}
	slices.SortFunc(list, func(a, b Ambiguity) int { return strings.Compare(string(a.User), string(b.User)) })
	return list
}

// ambiguous are the users for whom several tokens are remembered.
func (d *doubts) ambiguous() (users []otp.UserName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for user, doubt := range d.users {
		if doubt.Outcome == Ambiguous && len(doubt.candidates) > 0 {
			users = append(users, user)
		}
	}
	return users
}

// shown are those of the candidates that the user's login before this one showed as
// well, with the same PIN.
func (d *doubt) shown(now []candidate) (both []candidate) {
	if d == nil {
		return nil
	}
	for _, c := range now {
		if slices.ContainsFunc(d.candidates, func(b candidate) bool { return b.serial == c.serial && b.pin.Equal(c.pin) }) {
			both = append(both, c)
		}
	}
	return both
}

// serials are the serials of candidates.
func serials(candidates []candidate) []otp.Serial {
	list := make([]otp.Serial, len(candidates))
	for i, c := range candidates {
		list[i] = c.serial
	}
	return list
}
