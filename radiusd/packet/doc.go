// Package packet is RADIUS on the wire: the header, the attributes, the
// hiding of passwords and every hash that proves who sent what. It has no
// I/O, no clock, no randomness and no logger; what it needs is an argument.
//
// # Reading
//
// One walk over the datagram, [Request.Parse], finds the faults and notes
// where the attributes are that a login needs. It copies nothing and allocates
// nothing: the fields of a Request are slices of the datagram, valid as long as
// the datagram's buffer is. The Request is meant to be reused for packet after
// packet. A [Header] alone can be read first, with [ParseHeader], to turn away
// what needs no further look.
//
// A datagram that breaks a rule is refused with a [Malformation], a closed set
// whose String is a metric label; RFC 2865 section 3 has it discarded silently.
// The rules are those of the RFCs, read strictly where two readings would let
// two parties see two different logins in one packet: an attribute that this
// package reads occurs once, its length is that of its type, and an
// Access-Request carries one kind of credential. Only of what tells of the
// client's address the first usable value counts, because gateways repeat and
// misuse those. All else is opaque and stays reachable through
// [Request.Attributes] and, in the form that vendors use, [Request.VendorValues].
//
// # Proving
//
// A [Secret] is a shared secret with the hash states that depend on it alone
// computed once. A [Scratch] holds the hash a goroutine works with, and every
// function that takes a Secret is its method:
//
//   - [Scratch.VerifyMessageAuthenticator] (RFC 3579 section 3.2) and
//     [Scratch.VerifyAccountingRequest] (RFC 2866 section 3) say whether a
//     request is from who holds the secret;
//   - [Scratch.UserPassword] opens a PAP password (RFC 2865 section 5.2), and
//     [Scratch.CHAPMatches], [MSCHAPMatches] and [MSCHAP2Matches] try one
//     passcode against a response;
//   - [Scratch.Sign] closes a reply.
//
// # Writing
//
// A [Builder] writes one packet into the caller's buffer, which may be the very
// slot of a reply cache. Its Add methods return nothing: the first fault (a
// value too long for an attribute, a packet longer than [MaxLength]) sticks,
// and Sign returns it instead of a packet. Nothing is ever cut short.
//
// The side of the NAS, which the tests, the load generator and the `login`
// command play, is in nas.go: the same Builder, [Scratch.SignRequest] and
// [Scratch.VerifyReply]. So is that of a server which has others verify logins: it
// opens the keys in their replies with [Scratch.OpenMPPEKeys], and plays the peer of
// MS-CHAPv2 with [NTResponse] and [AuthenticatorResponse].
//
// # Names
//
// A [Dictionary] knows attributes by the names that FreeRADIUS gives them and
// gateways' manuals use. It encodes what an administrator writes down for
// replies ([Dictionary.Encode], then [Builder.AddEncoded]) and shows encoded
// attributes to people ([Dictionary.Format]). It refuses attributes that would
// break a reply or give away what it must not. The folder dictionary has what
// usual gateways take, in the format of FreeRADIUS; [Dictionary.Load] reads
// files of an administrator's in that format, which come from an [Opener].
//
// # What is layeh's and what is ours
//
// Names and numbers (codes, attribute types), the salted encryption of MPPE
// keys and the parser of dictionary files come from layeh.com/radius; no other
// package of the server imports it, so [Code] and [Type] give its numbers a home
// here. Before that parser, dialect.go brings what the versions of FreeRADIUS
// write into the form it knows, and follows $INCLUDE, of which it would read a
// circle without end. The parser, the saved hash
// states and the builder are our own, because they run for every packet and
// layeh's allocate for every attribute; FuzzParse holds the parser against
// layeh's. Two of its functions are not used because they differ from what we
// need: radius.UserPassword ends a password at its first NUL octet (we take away
// only the padding at the end), and its rfc2759 allocates for each of the
// candidate codes that are tried.
//
// # Words
//
// NAS, shared secret, Request Authenticator, Response Authenticator,
// Message-Authenticator, State, Proxy-State as in the RFCs; passcode is what the
// user typed, PIN and code together. In comments "authenticator" without more is
// the 16 octets of the header.
package packet
