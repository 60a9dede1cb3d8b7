// Package remotetest runs FreeRADIUS as a private instance on loopback: the RADIUS
// server that stands behind ours in tests. Its users have an OTP PIN and a token, which
// rlm_totp verifies, or log in by a dialog of two steps.
package remotetest
