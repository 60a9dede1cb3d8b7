package otp

import "fmt"

// Order says who verifies the code of a login where there is a TMS behind us: our own
// tokens or the TMS. The numbers are not stored.
type Order uint8

const (
	// LocalOnly: our own tokens. The TMS is never asked.
	LocalOnly Order = iota
	// TMSOnly: the TMS, whatever tokens of ours the user holds.
	TMSOnly
	// LocalThenTMS: our own tokens for who holds one that is active, and for all
	// others the TMS. A token that was learned is active when it has proven itself.
	LocalThenTMS
	// TMSThenLocal: the TMS, and what it refuses or does not answer our own tokens.
	TMSThenLocal
)

var orders = [...]string{"local", "tms", "local-then-tms", "tms-then-local"}

// String is the order's word: local, tms, local-then-tms or tms-then-local.
func (o Order) String() string {
	if int(o) < len(orders) {
		return orders[o]
	}
	return fmt.Sprintf("order(%d)", uint8(o))
}

// Home says who verifies a user's codes, whatever the Order says of all others. An
// order of LocalOnly it does not change. The numbers are stored.
type Home uint8

const (
	// HomeUnsaid leaves it to the Order.
	HomeUnsaid Home = iota
	// HomeLocal: our own tokens. The user was cut over.
	HomeLocal
	// HomeTMS: the TMS alone. The user was rolled back.
	HomeTMS
)

var homes = [...]string{"unsaid", "local", "tms"}

// String is the home's word: unsaid, local or tms.
func (h Home) String() string {
	if int(h) < len(homes) {
		return homes[h]
	}
	return fmt.Sprintf("home(%d)", uint8(h))
}

// TMSAnswer is what the TMS said of an attempt.
type TMSAnswer uint8

const (
	// TMSNotAsked: it was not asked, or not yet.
	TMSNotAsked TMSAnswer = iota
	// TMSAccepted: user and passcode are right there, and the code is burned there.
	TMSAccepted
	// TMSRefused: it refused them.
	TMSRefused
	// TMSUnavailable: it gave no answer, or none that can be understood.
	TMSUnavailable
	// TMSAsked: it asked the user for more.
	TMSAsked
)
