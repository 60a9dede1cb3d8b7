package exclusions

// Mode is who needs a token. The numbers are stored: new ones come at the end.
type Mode uint8

const (
	// Mandatory: every user needs a token.
	Mandatory Mode = iota
	// CreateToken: a user without a token whose directory password is right gets
	// a software token.
	CreateToken
	// TokenHolders: only who holds a token needs the code.
	TokenHolders
	modeCount
)

var modes = [modeCount]string{"mandatory", "create-token", "token-holders"}

// String is the mode's word, such as token-holders.
func (m Mode) String() string { return wordOf(modes[:], "mode", m) }

// ParseMode is the inverse of Mode.String.
func ParseMode(s string) (Mode, error) { return parseWord[Mode](modes[:], "mode", s) }

// Pass is what a login that needs no code gets. The numbers are stored: new ones
// come at the end.
type Pass uint8

const (
	// NoPass: it was not said. No rule can pass anybody there.
	NoPass Pass = iota
	// PassAccept: accepted; the gateway checks the directory password itself.
	PassAccept
	// PassDirectoryPassword: the password of the request is verified in the
	// directory.
	PassDirectoryPassword
	passCount
)

var passes = [passCount]string{"", "accept", "directory-password"}

// String is the word, such as directory-password; NoPass has none and is "".
func (p Pass) String() string { return wordOf(passes[:], "pass", p) }

// ParsePass is the inverse of Pass.String. NoPass cannot be written.
func ParsePass(s string) (Pass, error) {
	return parseWord[Pass](passes[:], "what an excluded login gets", s)
}
