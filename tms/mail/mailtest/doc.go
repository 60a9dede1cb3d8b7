// Package mailtest starts a real mail server on loopback for tests: aiosmtpd, of
// Python. What it takes it keeps as files, whole, so a test reads what a mail
// program would get.
//
// It speaks as mail servers of companies do: in the clear without a login, with
// STARTTLS and a login that are both required, or with TLS from the start and a
// login. Its certificate is for 127.0.0.1, and only for it, issued by an authority
// made for the test.
//
// Addresses that begin with certain words get the answers that are hard to come by
// otherwise, whether they are of a sender or a recipient:
//
//	nobody@   550, there is no such user
//	later@    451, try again later
//	content@  554 to the message itself
//
// A server lives as long as its test, and at most as long as the process of the
// test: it watches a pipe from there. Kill and Restart are a crash and its end, on
// the same port, with the messages that were taken before.
//
// A missing program fails a test: scripts/test installs python3-aiosmtpd.
package mailtest
