// Package remote is the client of the RADIUS servers behind us, remote servers
// in the words of RFC 2865 section 2.3: the TMS's own front, or any other
// server that verifies passcodes.
//
// # A login is sent once
//
// A server that verifies passcodes burns them. Who sends a login a second time,
// to the same server or to another one of the same TMS, has it refused for a
// code that was right, and counted against the user. So [Client.Verify] sends a
// login once, to one server, and there are no retransmissions. Only when it is
// certain that no program has received it does the next server get it: when the
// system could not send it, or when an ICMP error has come back that encloses
// the very datagram, which was discarded then and not delivered. The error alone
// does not say so: a server that dies after a login and before its answer has
// the next login refused, and the first was received. An error of the socket
// could be either; the system's error queue keeps the datagram that each was
// about (IP_RECVERR), and its Identifier and Request Authenticator tell whose it
// was.
//
// A login without an answer is lost, and what has become of its code nobody
// knows. The error is [ErrLost] while other servers, or this one, are believed
// to answer the next.
//
// # Which server
//
// The first of the list that is up. A server is up from the start. It is down
//
//   - when a login was without an answer, unless the server has answered another
//     since it was sent; when it has never answered a Status-Server, three logins in
//     a row, of whatever users;
//   - when two Status-Servers in a row were without one (RFC 5997), and it has
//     answered one before;
//   - when nobody listens at its port, it cannot be reached, or its name stands for no
//     address; a caller who gives up during the look-up says nothing about it.
//
// While it is down it gets no logins; the one after it takes over at once.
// [Client.Run] sends Status-Servers: to each server at an interval, unless it has
// answered something within it, and to one that has just gone down at once. A
// server is up again when it has answered three in a row, so that one that comes
// and goes does not take the logins with it each time; one is enough while
// no other server is up. Any answer will do, an Access-Reject too, which old
// servers give.
//
// Some servers, old IAS plug-ins among them, do not know Status-Server. One that has
// never answered any is tried with a login after a pause, which doubles each time it
// is in vain; the login is lost then. While no other server is up the pause is
// one interval. Such a server would be down for long by a single login that it is silent
// to, because its user is of a realm whose own server is dead, for example. So it takes
// three; when it is dead indeed, two more logins are lost.
//
// # Sockets
//
// Each server has up to 16 connected UDP sockets, on ports that the system
// chooses, with 256 Identifiers each, and a goroutine for each socket. They are
// opened as they are needed. The Identifier that was not used for longest is
// next. One that has just been used has a rest while there may be more sockets,
// because some servers tell repeated requests by port and Identifier alone, as RFC
// 2865 section 3 has it, and would repeat their last answer. One whose request was
// not answered is not used for 30 seconds, and what comes for it meanwhile is late.
//
// A reply counts when its Identifier is that of a request in flight, and its
// Response Authenticator and its Message-Authenticator prove it to be the answer
// to it. One without a Message-Authenticator proves nothing (CVE-2024-3596), and
// counts only where the administrator says so, or when it answers a
// Status-Server, which decides no login. All else is ignored and counted; the
// right reply may still come. The client of layeh.com/radius is not used: it opens
// a socket and starts a goroutine for each exchange, and gives its reply parsed,
// without the octets that a Message-Authenticator is verified by.
//
// # What goes to the server
//
// The Message-Authenticator first, User-Name, the credentials: a passcode
// is hidden anew, a CHAP login gets its challenge as CHAP-Challenge, because the
// Request Authenticator is another one; then the State of the dialog, and what else
// the NAS has said, itself included. The gateway's Proxy-State and State stay here, and
// so do credentials that are not the login's. There is no Proxy-State of ours.
//
// # What comes back
//
// Of an Access-Accept all attributes but those of one hop, and those that are
// hidden under the secret and the Request Authenticator of this hop. MPPE keys
// among those are opened (RFC 2548 section 2.4), and the NAS gets them hidden for
// it; others, a Tunnel-Password for example, are dropped and counted.
// Of an Access-Challenge Reply-Message, Prompt and Session-Timeout; of an
// Access-Reject nothing.
//
// # Dialogs
//
// The answer to an Access-Challenge goes to the server that asked, and to no
// other. [Reply].Dialog says which that is, by a hash of its address, so that
// the list may change meanwhile, and has the server's State in it. A State that
// is too long for that is kept here, under a random name, for ten minutes, and
// not across a restart; there is room for 4,096, and the oldest make way.
package remote
