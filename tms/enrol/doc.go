// Package enrol brings a token to its user: from "this user needs one" to the
// first code that was right. What it does to users and tokens are acts of
// tms.Service. Here is what leads to them.
//
// # The dialog
//
// At a gateway that can ask, a user whom the directory knows by the password is
// asked for an OTP PIN, twice, and for a mail address where the directory has none.
// Then the user is invited, the mail goes out, and the last question is for PIN and
// first code. Where the gateway cannot ask, the mail goes out and its page asks.
//
// Nothing of a dialog is kept here. What is known of it goes out with each question,
// in at most 64 bytes, which radiusd seals, and comes back with the answer. So a
// dialog outlives a restart, goes on at another node, and takes no memory.
//
// So any answer may also come twice. What is done is done under the dialog's ID,
// which is that of the invitation: done again, it finds what is there. The ID
// follows from the user and the time, in steps of ten minutes, because several
// gateways ask at once and clients come again by themselves: all of them begin one
// dialog, and send one mail. The word "new" leads to a next ID, which follows from
// the one before. Where the gateway cannot ask, a link that was opened an hour ago leads
// there too: its user has left the page, which no link opens any more.
//
// The right first code makes the token the user's, and then the verifier decides
// the login as it does any other: it burns the code. Who is entitled is asked with each
// answer. What is sent counts by the mail, whatever dialogs ask for it.
//
// # The first code
//
// It may be shown in a dialog, and as well in a login, at a gateway that cannot ask or
// by a user who holds another token. There anybody can type anything, so wrong ones
// are counted for each user twice: those of dialogs, whose user has shown the
// directory password, and those of logins, which strangers may use up without keeping
// the user from the end of a dialog. The same again within a minute is not another,
// for clients come again by themselves; later it is, for the token shows other codes
// by then. All of that is in memory. A right code with a wrong PIN can only come from
// who has the token: tms counts that durably, and ends the invitation.
//
// # The mails
//
// A mail is a row of the store, written in one transaction with what it is about,
// and the outbox works these rows off. A sender first claims a mail for less than a
// minute, durably, by putting off when it is due, and renews that while it sends. So
// no two nodes send it, and when one dies, the mail is due again. What the mail says
// is made at that moment of the invitation as it is; when that is no more, or the
// link was used, the mail is dropped.
//
// A mail is thus sent at least once. It is sent twice only if the process dies, or
// the store fails, after the mail server took it and before that is noted; both have
// the same ID then. A mail that the server refuses for good stays to be seen with the
// reason until its invitation ends. All else is tried again, at growing intervals. A
// mail server that hangs takes up the senders, and nothing else waits for them.
//
// # The life of invitations and tokens
//
// Every minute invitations are looked after: those that are over are removed, of
// others their users are reminded. From time to time, at a pace that spares the
// directory, it is asked about the holders of enrolled tokens. Who is not entitled
// any more keeps them for a grace time. An answer that is not fresh changes nothing.
//
// # Provisioning
//
// An authenticator app becomes a token by an otpauth:// URI, mostly out of a QR code.
// The URI is made by github.com/pquerna/otp and follows the Key URI Format of
// Google Authenticator: secret (base32), issuer, algorithm, digits, and period
// or counter. It holds the seed, so it is shown once, to the one who asked for
// the token, and never kept or logged.
//
// # Words
//
//	dialog      questions over RADIUS, from the directory password to the first code
//	prompt      a question, or how a dialog ends
//	letter      what a mail tells, before it is put in words
//	claim       the right to send a mail, for a short time
//	moot        of a mail: about what is no more
//	census      a look at all holders of enrolled tokens
//	entitled    of a user: in a directory, and in one of the groups if some are named
package enrol
