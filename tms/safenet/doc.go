// Package safenet speaks the OTP Web Service of SafeNet's TMS (later SAM): as a client,
// which has the TMS verify passcodes, and as a server, which answers the programs that
// were written for the TMS from our own tokens.
//
// # What is known
//
// The service is a page of ASP.NET (ASMX) with one operation, Authenticate, of SOAP
// 1.1. Its one parameter and its result are strings that hold a document each. All that
// is known of it are two exchanges that were captured, one accepted and one refused:
// they are in testdata, and what is written here is byte for byte as they are. From them
// come the path, the headers, the names, the order of the elements, the lengths, and the
// line ends, which stand before and behind the document as &#x000D;&#x000A;.
//
//   - A request names the user, says MSCHAPv2, and has UserName, both challenges of 16
//     octets and the NT-Response of 24 (RFC 2759), in base64.
//   - An accept has the error_code 0, the two MPPE keys of 16 octets (RFC 3079, as the
//     server uses them), the AuthenticatorResponse of 20 octets, and MschapMppeKeys:
//     8 octets of the LM hash, the NT hash, and 8 zeros. That these are the hashes was
//     recomputed from a third exchange whose passcode is known.
//   - A refusal has the error_code 1, and no reason why.
//
// # What is not known
//
// The names of the types for PAP and CHAP and what their elements are; error codes other
// than 0 and 1; a WSDL; how the service would have its callers log in; in which
// character set a UserName is that is not ASCII (here: UTF-8); whether a UserName may
// have a domain (here: it has not, because RFC 2759 has none hashed). Nothing of that is
// imitated. An error code that is not known is an error and no refusal, because a refusal
// counts against the user. Most likely it is about that user, as a Fault of SOAP may be
// about that request, and the service is there: the error is [ErrOddAnswer], so that
// nobody whose logins are answered so can make the TMS seem to be down.
//
// # The client
//
// A passcode that came in the clear never leaves us so. The Client plays both sides of
// MS-CHAPv2: it makes the two challenges, and shows the TMS what a peer who knows the
// passcode would answer. An accept has to prove that the TMS knows the passcode too. So
// nobody on the way can forge one, not even without TLS; what is listened to there can be
// tried against all passcodes, though, so there should be TLS.
//
// Of an MS-CHAPv2 login at a gateway the Client has the proof only and passes it on.
// Then the one who can verify the accept is the gateway's peer, who gets it and does.
//
// The TMS burns codes: a request that was sent is not sent again. net/http by itself
// sends a POST again only if not one byte of it was written, because the connection was
// found closed; that is harmless, and wanted, because IIS closes connections that were
// idle. They are closed here before IIS would, so that few requests meet a connection
// that is just being closed; such a login is lost.
//
// Only a well-formed answer of the service counts. Whatever else comes is an error that
// says what came and how to mend it.
//
// # The server
//
// The Handler takes the same requests, from addresses that are allowed, and has each
// decided as an attempt of its own: the code is burned before the answer leaves, an error
// is no refusal but the status 503, and all refusals look alike. What is malformed is not
// decided. It answers to POST alone, also where the TMS has pages for people.
package safenet
