// Package oath computes the codes that tokens show: HOTP (RFC 4226), TOTP
// (RFC 6238) and the event codes of MobilePASS. Everything here is a function
// of its arguments; the instant, the counter and the randomness are passed in.
//
// # Words
//
//	seed    the secret that a token and the server share
//	factor  the moving factor of a code: a counter (HOTP) or a time step (TOTP)
//	code    the decimal digits a token shows; leading zeros count
//	digits  how many of them, MinDigits to MaxDigits
//	T0      the instant from which time steps are counted, in Unix seconds
//	period  the length of a time step in seconds
//
// # Computing codes
//
// A code is HMAC(seed, factor), cut down to 31 bits by dynamic truncation
// (RFC 4226 section 5.3) and then to its last decimal digits. HOTP and TOTP
// make one code and read well. A server that tries a window of factors for each
// login uses a Generator: Init absorbs the seed into the two hash states of the
// HMAC once, and each Code resumes from these saved states. That halves the
// hashing, and no step allocates, which crypto/hmac cannot offer when the seed
// changes with every login.
//
// Numbers that come out of a stored record are forced into range rather than
// trusted: a record that says zero digits must not yield the empty code, which
// anybody can type, and one that says a period of zero must not stop the server.
//
// # Secrets
//
// A Seed, an ActivationCode and a Generator print as [redacted] under every
// verb of fmt, in slog, and as text and JSON. fmt does not call methods on
// unexported fields but prints what they hold, so these types hold their bytes
// where fmt does not look: the worst that can be printed of them is an address
// and a length. A pointer alone is not enough. Under a verb that does not suit a
// pointer, such as %s, fmt follows a pointer to an array, slice, struct or map
// and prints all of it; it never follows a pointer to a byte or to a pointer.
//
// No error of this package repeats what it was given to parse.
//
// # MobilePASS
//
// A MobilePASS client makes an ActivationCode and shows it; the user types it
// into the server. Both sides derive the same seed from it, and from then on
// the token is an event token with HMAC-SHA-256 and 6 digits, starting at
// counter 0. See ActivationCode for its form and derivation.
package oath
