// Package safenettest is a TMS of SafeNet's for tests: its OTP Web Service on loopback,
// with users of its own.
//
// It reads and writes the captured bytes, headers of IIS included, and was written apart
// from package safenet, so that a mistake there is not made here too. A request that is not
// as those captured, to the octet, gets the fault that ASP.NET answers with. How MS-CHAPv2
// is computed both have from package packet, which is tested against the RFCs, FreeRADIUS
// and Samba.
//
// A user has a passcode that stays, or a PIN and a token. A code is burned when it was
// accepted, and never accepted again. So a program that sends a login twice is found out,
// and Requests tells how many came.
//
// Behave makes it do what a service can do to its clients: be slow, cut answers off, break
// off, answer with pages, or forge.
package safenettest
