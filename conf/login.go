package conf

import "time"

// Login is the table [login]: how codes are searched and failures answered.
// Clock tokens count in time steps (usually 30 s), event tokens in codes.
type Login struct {
	// Mode is who needs a token. A NAS may have its own.
	Mode Mode `toml:"mode" oneof:"mandatory create-token token-holders"`

	// Window is how many steps before and behind a clock token's own time are
	// accepted, its known drift taken into account.
	Window int `toml:"window" bounds:"0 to 10"`

	// MaxDrift is how many steps the drift of a clock token may grow to by
	// logins alone. A clock that is further off needs a resync.
	MaxDrift int `toml:"max_drift" bounds:"0 to 1000"`

	// LookAhead is how many unused codes an event token may have skipped.
	LookAhead int `toml:"look_ahead" bounds:"0 to 1000"`

	// ResyncWindow is how many codes ahead an event token is searched when two
	// consecutive codes are to bring it back. Not below look_ahead.
	ResyncWindow int `toml:"resync_window" bounds:"1 to 10000"`

	// ResyncSteps is how many steps before and behind the server's time a clock
	// token is searched when two consecutive codes are to bring it back. Below
	// neither window nor max_drift.
	ResyncSteps int `toml:"resync_steps" bounds:"1 to 2000"`

	// ResyncTime is how long the first of the two codes is remembered.
	ResyncTime time.Duration `toml:"resync_time" bounds:"10s to 1h"`

	// MaxFailures is how many wrong codes behind a right PIN lock the token.
	MaxFailures int `toml:"max_failures" bounds:"1 to 1000"`

	// LockTime is how long a lock lasts when no resync ends it before.
	LockTime time.Duration `toml:"lock_time" bounds:"1s to 168h"`

	// ThrottleAfter is how many wrong PINs of a user from one source cost no
	// wait. A source is a NAS and a Calling-Station-Id.
	ThrottleAfter int `toml:"throttle_after" bounds:"0 to 1000"`

	// ThrottleFirst is the wait after the next wrong PIN; each further one
	// doubles it. Only this user from this source waits.
	ThrottleFirst time.Duration `toml:"throttle_first" bounds:"100ms to 1h"`

	// ThrottleMax is the longest wait. Not below throttle_first.
	ThrottleMax time.Duration `toml:"throttle_max" bounds:"100ms to 24h"`

	// ThrottleForget is how long after the last wrong PIN the wrong PINs are
	// forgotten. Not below throttle_max.
	ThrottleForget time.Duration `toml:"throttle_forget" bounds:"1s to 168h"`

	// ThrottleEntries is how many pairs of user and source are remembered.
	ThrottleEntries int `toml:"throttle_entries" bounds:"256 to 16777216"`

	// RepeatTime is how long the very same wrong passcode again does not count
	// as a further failure; "0s" counts each.
	RepeatTime time.Duration `toml:"repeat_time" bounds:"0s to 1h"`

	// MaxWrongPasswords is how many different wrong directory passwords of a
	// user, from wherever, the directory is shown within WrongPasswordTime; the
	// same wrong one is shown once. Keep it below the directory's own lock-out
	// threshold, so that nobody can be locked out there from here.
	MaxWrongPasswords int `toml:"max_wrong_passwords" bounds:"1 to 100"`

	// WrongPasswordTime is how long MaxWrongPasswords counts. It begins anew with
	// each wrong password.
	WrongPasswordTime time.Duration `toml:"wrong_password_time" bounds:"1m to 24h"`

	// MaxSessions is how many sessions a user may have at the same time, by what NASes
	// report at Radius.Acct; 0 is any number. A [[session_limit]] may say otherwise.
	MaxSessions int `toml:"max_sessions" bounds:"0 to 1000000"`

	// MinPINLength is the least number of characters of a PIN that is set from
	// now on. PINs set before stay good.
	MinPINLength int `toml:"min_pin_length" bounds:"1 to 32"`

	// RejectMessage is the Reply-Message of each Access-Reject, the same for
	// each reason, at most 253 bytes (RFC 2865 section 5.18). "" sends none.
	RejectMessage string `toml:"reject_message"`

	// NoTokenMessage is the Reply-Message of an Access-Reject for a user who
	// holds no token, at most 253 bytes. It tells an outsider who holds none, and
	// in the mode create-token that the directory password was right. "" is
	// RejectMessage.
	NoTokenMessage string `toml:"no_token_message"`

	// ChallengeTime is how long an Access-Challenge may be answered.
	ChallengeTime time.Duration `toml:"challenge_time" bounds:"30s to 10m"`

	// ChallengeMessage is the Reply-Message of an Access-Challenge that asks for
	// the next code, 1 to 253 bytes.
	ChallengeMessage string `toml:"challenge_message"`
}

// Mode is who needs a token.
type Mode string

// The modes of Login.Mode and NAS.Mode.
const (
	ModeMandatory    Mode = "mandatory"     // every user
	ModeCreateToken  Mode = "create-token"  // every user; one whose directory password is right gets a token
	ModeTokenHolders Mode = "token-holders" // who holds one; others pass as NAS.Excluded says
)

// Token is the table [token]: the tokens that the mode create-token makes.
type Token struct {
	// Type is their type.
	Type TokenType `toml:"type" oneof:"totp hotp mobilepass"`

	// Algorithm is the hash of the codes. Of mobilepass it is always sha256.
	Algorithm Algorithm `toml:"algorithm" oneof:"sha1 sha256 sha512"`

	// Digits is the length of a code. Of mobilepass it is always 6.
	Digits int `toml:"digits" bounds:"6 to 10"`

	// Period is the time step of totp, in whole seconds. The others have none.
	Period time.Duration `toml:"period" bounds:"10s to 5m"`
}

// TokenType is a type of token.
type TokenType string

// The types of Token.Type.
const (
	TokenTOTP       TokenType = "totp"       // clock token, RFC 6238
	TokenHOTP       TokenType = "hotp"       // event token, RFC 4226
	TokenMobilePASS TokenType = "mobilepass" // SafeNet's event token
)

// Algorithm is a hash function.
type Algorithm string

// The hash functions of Token.Algorithm.
const (
	AlgorithmSHA1   Algorithm = "sha1"
	AlgorithmSHA256 Algorithm = "sha256"
	AlgorithmSHA512 Algorithm = "sha512"
)
