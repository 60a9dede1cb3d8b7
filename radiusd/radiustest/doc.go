// Package radiustest is the project's test NAS. It speaks RADIUS (RFC 2865)
// from the other side of the wire than the server, shares no code with it, and
// so finds what both sides of a shared mistake would miss.
//
// It has three parts.
//
// NAS is for scenarios: one UDP socket that sends what a test gives it, sends
// the same datagram again, and on demand loses, repeats or holds back requests
// and replies (Fate). It builds and parses packets with layeh.com/radius and
// returns a reply only when its authenticators are right. Parallel sends many
// requests at once, each from a socket of its own.
//
// Load is for measuring: it logs many users in as fast as a server answers, or
// at a given rate, with a fresh code for every login, and says how many were
// accepted, how long they took, and what they cost the server in CPU time.
// The generator has to be much cheaper than any server it measures, so it does
// without the library:
//
//   - one OS thread, raw recvmmsg and sendmmsg, up to 64 datagrams a call, and
//     UDP_SEGMENT for requests of one length, which spares the kernel most of
//     its work per datagram;
//   - nothing is allocated for a request: requests are built in the buffers
//     they are sent from;
//   - the HMAC key blocks of the shared secret and of every seed are hashed
//     once, and each HMAC begins from the saved states (RFC 2104 section 4).
//
// Every reply is checked in full: length, Response Authenticator, and the
// Message-Authenticator when there is one. A user has at most one login in
// flight, because a server may refuse the second of two as a repeat.
//
// Fresh codes. An event token (HOTP) never runs out of codes. A clock token
// (TOTP) has one for each time step, and a server takes those of a few steps
// around the present one, each once and in ascending order. Load goes through
// exactly these, Steps.Back to Steps.Ahead, and when all users have used all
// of theirs it waits for the clock; Result.Starved says for how long.
//
// Backend is what stands behind the server: a RADIUS server that answers as slowly as
// it is told.
//
// The package needs Linux, as the server does.
package radiustest
