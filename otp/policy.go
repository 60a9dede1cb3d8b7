package otp

import "time"

// Policy holds the figures that decisions are made by.
type Policy struct {
	Window       int           // time steps accepted on either side of a token's clock
	MaxDrift     int           // time steps the drift may grow to by logins alone
	LookAhead    int           // counters an event token may have skipped
	ResyncWindow int           // counters ahead where resync looks
	ResyncSteps  int           // time steps from the server's clock where resync looks
	ResyncTime   time.Duration // how long the first of two codes is remembered
	MaxFailures  int           // wrong codes after a right PIN until the token locks
	LockTime     time.Duration // how long a lock lasts
	RepeatTime   time.Duration // the same wrong passcode within this does not count

	ThrottleAfter   int           // wrong PINs of a user from a source that cost no wait
	ThrottleFirst   time.Duration // the first wait; each further one is twice as long
	ThrottleMax     time.Duration // the longest wait
	ThrottleForget  time.Duration // wrong PINs are forgotten after this
	ThrottleEntries int           // users and sources remembered at most

	MaxWrongPasswords int           // wrong passwords of a user that the directory is shown
	WrongPasswordTime time.Duration // within this, which begins anew with each

	// SameLoginWindow is for how long after an answer a login is the same login, when it
	// comes again with Attempt.Login; 0 is not at all. RepeatSameLogin has one that was
	// accepted by our own tokens accepted again then, if the NAS says which station it comes
	// from; otherwise it gets no reply.
	SameLoginWindow time.Duration
	RepeatSameLogin bool

	Agreements int // logins that TMS and a learned token agree about until it is active, at least 1
}

// DefaultPolicy is what the shipped configuration says.
func DefaultPolicy() Policy {
	return Policy{
		Window: 1, MaxDrift: 10, LookAhead: 10, ResyncWindow: 100, ResyncSteps: 20, ResyncTime: 5 * time.Minute,
		MaxFailures: 10, LockTime: 15 * time.Minute, RepeatTime: time.Minute,
		ThrottleAfter: 3, ThrottleFirst: time.Second, ThrottleMax: time.Minute,
		ThrottleForget: 15 * time.Minute, ThrottleEntries: 65536,
		MaxWrongPasswords: 3, WrongPasswordTime: 30 * time.Minute,
		SameLoginWindow: 5 * time.Second,
		Agreements:      2,
	}
}
