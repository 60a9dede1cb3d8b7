// Package enrol brings a token to its user. So far that is key provisioning:
// the otpauth:// URI every authenticator app reads, and its QR code.
//
// The URI is made by github.com/pquerna/otp and follows the Key URI Format of
// Google Authenticator: secret (base32), issuer, algorithm, digits, and period
// or counter. It holds the seed, so it is shown once, to the one who asked for
// the token, and never kept or logged.
package enrol
