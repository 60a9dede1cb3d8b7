// Package radiusd is the RADIUS server: it listens for authentication (UDP 1812)
// and accounting (UDP 1813), knows each NAS and its shared secret, and turns an
// Access-Request into an attempt for package otp and its verdict into a reply.
//
// # What happens to a packet
//
// A loop receives a batch of datagrams, and for each one
//
//  1. looks its source up in the [NASTable]; a stranger gets silence;
//  2. reads the header, and drops what does not belong on this port or is no
//     RADIUS at all, before its body is parsed;
//  3. verifies it: the Message-Authenticator of an Access-Request by the
//     policy of the NAS, that of a Status-Server, the Request Authenticator of
//     an Accounting-Request;
//  4. looks it up in the reply cache: a repeat gets the same reply, byte for
//     byte, or waits in silence while the first is in flight;
//  5. reads the credentials (PAP, CHAP, MS-CHAP, MS-CHAPv2) into an
//     [otp.Attempt] and hands it to the [otp.Verifier], which tells when it
//     is decided and durable; an accounting record goes to [Accounting] the
//     same way;
//  6. writes the reply, signs it, keeps it in the reply cache and sends it
//     with the others of the batch;
//  7. counts and logs the login, one line.
//
// A verdict always gets a reply, and every refusal the same one. When nothing
// could be decided, or not be made durable, there is no reply, so that the NAS
// asks again or asks another server.
//
// # Loops
//
// Each address has several sockets (SO_REUSEPORT), one for each CPU, and each
// socket a loop. The kernel gives all packets of one source address and port to
// the same socket, so a loop has a reply cache of its own.
//
// A loop has two goroutines. One receives up to 64 datagrams a system call; at
// the end of each batch it sends what could be answered at once and what the
// store has decided meanwhile. While it sleeps, the other goroutine is woken to
// answer what is decided. So under load nobody is woken, and at rest nothing
// waits. Neither starts a goroutine, passes a channel or allocates memory for a
// packet; a log line costs a few small allocations.
//
// Replies of one length to one peer go out as one message that the kernel cuts
// (UDP_SEGMENT); where the network device cannot do that, they go out one by one.
// On a wildcard address a reply comes from the address the request went to
// (IP_PKTINFO), on machines with several addresses too.
//
// # Who holds what
//
// A request in flight is a struct of the loop's pool, which owns a copy of the
// datagram and all the attempt refers to: it is the receiving goroutine's until
// it is submitted, then the store's, then that of whoever answers. How many
// there are is bounded, and so are the entries of the reply cache; beyond that
// packets are dropped and counted. Nothing else grows with the traffic. A loop
// needs about 330 KiB; a request in flight 1.5 KiB; an entry of the reply cache
// 300 bytes, for 30 seconds after the reply.
//
// [Server.SetNASes] replaces the NAS table between two batches. Requests in
// flight keep the NAS they came with.
//
// # Where this differs from the RFCs
//
//   - RFC 2865 section 4.4 has what cannot be decided rejected; we are silent, so
//     that the NAS fails over and no Reject counts against the user.
//   - RFC 2865 section 3 lets an Access-Request come without any proof of its
//     sender. A NAS that has once sent a Message-Authenticator must go on doing so,
//     and Proxy-State without one is refused (CVE-2024-3596), unless it is
//     configured otherwise.
//   - RFC 3579 section 3.2 has the Message-Authenticator anywhere in a reply; ours
//     stands first, in every Access-Accept and Access-Reject, unless the NAS is
//     configured otherwise.
//   - RFC 3579 section 2.6.3: an EAP request is refused without an EAP-Message with
//     EAP-Failure in it, because we speak no EAP.
//   - RFC 2865 section 5.2 lets a passcode be any octets; one that is not readable
//     text is refused without counting against the user, because it most likely
//     was decrypted with another shared secret.
//   - RFC 2865 section 5.24: a State in a request is ignored; there are no dialogs
//     yet that could have made one.
//   - RFC 2865 section 4.1 asks for NAS-IP-Address or NAS-Identifier; we go by the
//     source address and ask for neither.
//   - RFC 2866 section 4.1 asks for Acct-Session-Id; of an Accounting-Request we
//     ask for Acct-Status-Type only.
//   - RFC 5080 section 2.2.2 lets a server keep replies for 5 to 30 seconds; we keep
//     them for 30 at least. A new request with the Identifier of one in flight
//     takes its place, and the reply to the old one is never sent.
//   - RFC 5997 section 4: a Status-Server is not answered while the store cannot
//     decide logins, so that proxies do not come back too early.
//   - RFC 2869 section 5.19: a Message-Authenticator in an Accounting-Request is
//     verified, too, and answered with one.
//
// # Words
//
// NAS, shared secret, Request Authenticator, Identifier, Proxy-State as in the
// RFCs. A peer is the two ends of a datagram. A repeat is a retransmission: the
// same request again. Fresh is a request that is none. A stranger is a source
// that is no NAS. A sender is a NAS that sends Message-Authenticators.
package radiusd
