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
//     [otp.Attempt];
//  6. decides whether the login needs a code, and who verifies it, as told below;
//  7. hands the attempt to the [otp.Verifier], which tells when it is decided
//     and durable, or that the TMS has to be asked first; an accounting record goes to
//     [Accounting] the same way;
//  8. writes the reply, signs it, keeps it in the reply cache and sends it
//     with the others of the batch;
//  9. counts and logs the login, one line, and notes what the packet shows of the NAS.
//
// A verdict always gets a reply, and every refusal the same one, but for a
// message to who holds no token if the administrator wants one, and to who is on
// the way to one. When nothing
// could be decided, or not be made durable, there is no reply, so that the NAS
// asks again or asks another server.
//
// # Who needs a code
//
// Without a user repository a name with one of Options.Realms is the name without it, for
// all that follows; the trace keeps what was typed.
//
// Where there are no [Rules], no [UserRepository], no TMS, no mode but mandatory and no
// invitation, a login needs a code, and nothing of what follows happens but a look at how
// many sessions the user has, if there is a number for everybody. Else
//
//  1. the facts are read off the packet: the client's address and MACs where
//     the NAS tells them (see [Preset]), and what the NAS says of itself. They
//     are claims of the gateway;
//  2. the user repository says who the user is. When it has to ask a directory,
//     the login becomes an errand;
//  3. whose account is disabled in the directory is refused;
//  4. whom a rule excludes needs no code. The NAS says what they get: accepted
//     without a look at the password, which the gateway has looked at, and may
//     not even have sent; or, unless a right code was typed, the directory
//     verifies the password, an errand. Where there is no directory account
//     to verify it by, the code is asked;
//  5. of all others the code is asked. By the modes token-holders and
//     create-token, who turns out to hold no token comes back from the store,
//     passes as the excluded do, or shows the directory their password and is
//     led to a token, an errand again, as told below. A name that neither a directory nor the
//     store knows does not: it may be another name of somebody who holds a
//     token. Without a directory that goes for names with a realm.
//
// MS-CHAPv2 wants proof that we know the password, and no method but PAP shows
// it to a directory: such a login is refused as needs_pap.
//
// A password goes to the directory once a login at most, and not at all if it is
// empty, was wrong before, was just left without an answer, or if too many others
// of the user were wrong ([otp.Verifier.AskDirectory]). So a VPN client that
// reconnects for ever does not lock its user out of the directory, nor does who
// guesses.
//
// A directory that does not answer is never read as "holds no token" or "is in
// no group". A rule that needs no groups excludes all the same, and a right code
// is accepted; whatever else was sent, or if groups say which attributes the
// reply has to carry, the NAS gets no reply.
//
// An Access-Accept carries the attributes of all conditions in Rules.Replies
// that the login meets.
//
// What the facts were, and which rule decided, goes into the record of the login
// as an [exclusions.Trace]. It is whole: of groups and MACs that are too many it says how
// many it leaves out, and a User-Name that is no text stands in it as it came.
//
// # How many sessions
//
// A user may have Rules.MaxSessions sessions, or as many as the first of Rules.Limits
// allows that the login meets, which may bound the sessions of all who meet it, too.
// [Sessions] counts them, by the name that the user repository gave. Who has as many is
// refused before anybody looks at the passcode: no code is burned, no wrong one counted, no
// password shown to the directory, no TMS asked and no mail sent. That goes for logins that
// need no code as well; whom the directory has disabled is refused as ever. The record says
// which limit it was, and how many there were.
//
// A session counts from the moment the NAS reports it, so logins that come at the same time
// may all be let in. Each packet is judged by how many there are when it comes, the answer
// in a dialog, too, or who leaves many questions open could answer them all at once; the
// TMS and the Enroller do not see it then. An enrolment goes on when there are fewer.
//
// While the directory does not answer, groups and other names of the user are unknown.
// Then a login goes on if every limit that could be its own allows it, counted by the name
// that was typed, so that the outage keeps few from logging in; its session counts
// for the one limit that it certainly meets, or for none. If one of them does not allow it,
// the NAS gets no reply: in doubt nobody is refused.
//
// # What names a login afterwards
//
// An Access-Accept to a NAS with NASConfig.Class carries a Class, which the NAS puts into
// its accounting: [Classes] makes it of the place of the login's record and of the session
// limit that it counts for. It stands behind the attributes of rules and those of
// the TMS; either may have a Class of its own, and the NAS sends back each.
// There is room for it, or the login is left unanswered before its code is burned.
//
// # The way to a token
//
// An [Enroller] leads users to a token: in the mode create-token everybody who holds
// none, and in the others who is invited, where the mode does not let them in anyway.
// All of it is for PAP alone.
//
// What somebody types who is invited may be the first passcode of the token. So a
// login that is to show a code goes to the Enroller before it goes to the store, an
// errand, in every mode and whatever other tokens the user holds: who has lost one, or
// has codes on paper, gets to the next one all the same. If it is, the Enroller makes
// the token the user's, and the store burns the code: of any number of such logins
// one is accepted. A passcode that only is out of step, or has another PIN, is refused,
// because it is no password. All else goes on as if the user were not invited, also
// when another packet was quicker: then the store has the token. While the directory
// does not answer only a right code counts, here too.
//
// When the login of a user who holds no token comes back from the store, it may be
// the directory password. When that is right, the
// Enroller says how it goes on: with a question, in an Access-Challenge, with a
// Prompt attribute that says whether the answer may be seen; or with an Access-Reject
// and a message, where the NAS cannot ask, or when there is nothing to ask.
//
// What the user answers, a PIN for example, is shown to the Enroller and to nobody
// else: not as a password to the directory, and not as a passcode to the verifier
// unless the Enroller says that it is one. That holds too when it comes too late, and
// when it comes by another method than PAP: then it is refused. Who the user is is
// asked for each answer, and whose account was disabled meanwhile goes no further;
// that a code is needed was decided by the first packet. An error of the Enroller is
// silence, so that the NAS asks again. Every step may come twice.
//
// # The TMS
//
// There may be a TMS behind us, a [Backend], that verifies codes of tokens we do not hold.
// Who verifies the code of a login that needs one is its [otp.Order]: that of the first of
// Rules.Orders which the login meets, or that of the NAS, for users who meet Rules.OfTMS;
// our own tokens for all others, for logins that a rule excludes, and for what answers a
// question of ours. When groups decide that, and are not known, it is as if the TMS did not
// answer: our own tokens may accept, but not those of a user whose home is the TMS, and
// nothing else counts.
//
// A name that may be another one of a user is never for the TMS: one that no directory has,
// without a directory one with a realm that is not in Options.Realms, and while the
// directory is away one with a realm that is not a directory's. The TMS may well take
// X\alice for alice; then a code that was used here would pass there, once for each way to
// write the name, and who is disabled here would be let in.
//
// The attempt goes to the store first, as ever, which knows the account: what our own
// tokens decide is decided there and then. Else it comes back, is shown to the TMS by a
// worker, and goes to the store once more with what the TMS said of it: so the verdict, the
// comparison with our own tokens, and the record are one commit. A user who is disabled
// here is refused whatever the TMS says.
//
// The TMS burns codes, and counts wrong ones, so a login is shown to it once. A request
// that was shown and got no answer stays unanswered when it is retransmitted. The same
// user and passcode under another Identifier, or from another NAS, is silence while it is
// shown, because it may be the same login, and may come again; refused without asking if
// it was refused a moment ago (Options.BackendRepeatTime), or accepted (Options.AcceptedOnce); and if there
// was no answer, there is none. Of CHAP and MS-CHAP it is the same response to the same
// challenge. The memory for that is bounded, and keeps keyed hashes only.
//
// After Options.BackendFailures errors in a row a circuit breaker opens, and no login is
// shown to the TMS until a probe was answered; a login is never the probe. An error that
// wraps [ErrLost] is no failure in this sense, unless more than twice as many were lost and
// no login was answered between them; nor is the end of the server, nor that the
// time was over of a login that had waited for most of it; nor an [ErrOddAnswer], nor what
// is a login's own fault. A login that the Backend did not show to the TMS is neither a
// failure nor a success. What the TMS does not answer is
// decided by our own tokens where the order says so, and else refused or not answered
// (Options.RejectWhenDown); nothing is counted against the user. [Server.BackendState]
// tells how it stands.
//
// An Access-Accept carries what Rules.Replies give, then what the TMS gives, then the
// session keys of MS-CHAP that the TMS made. What does not fit is silence.
//
// When the TMS asks the user for more, and the NAS can show that, the question goes out in
// an Access-Challenge, in the TMS's own words; where the NAS cannot, the login is refused
// as cannot_ask. The answer is for the TMS alone: our own tokens do not decide about it, and
// it is no password for a directory, and nothing for the Enroller. It goes to the store
// before and after, like a first passcode: there a source that guesses has to wait, and a
// code that the TMS has accepted, or has asked more after, is burned in our token, too, or
// replayed if it was burned there ([otp.Attempt].Answer, [otp.TMSAsked]). That the code is the TMS's to
// verify was decided by the first packet, so no rule excludes it; but whose account was
// disabled meanwhile is not let in, nor whom the directory has no more. An answer that
// comes too late, or by another method
// than PAP, is refused without asking: to the TMS it would be a wrong passcode.
//
// What the TMS decides takes its time, and what is decided here takes none. So who measures
// that, from outside, can tell users who are disabled here, or whose codes our own tokens
// verify, from those of the TMS and from names that nobody has; all that is said to them is
// the same.
//
// # Several servers
//
// Servers that share the store, the Sealer and Options.SharedKey stand in for each other. A
// gateway may ask one after the other, or all at once and take the first answer. Each of
// them knows a login by its key ([otp.LoginKey]): of the name of the NAS, the user as
// typed, Calling-Station-Id, State, the method, and the passcode or the proof, but not of
// Identifier and Request Authenticator. What another server has accepted within
// [otp.Policy].SameLoginWindow, or this one under another Identifier, gets no reply here; it is logged
// like any login, as answered_elsewhere, and counted, and its retransmissions are silence. CHAP
// whose challenge is the Request Authenticator is the same login only if that is the same.
//
// Shared are what the store has: users, tokens, states, rules, sessions, records; the
// dialogs, because they are nowhere but in their States; what was shown to the TMS
// ([Sightings]); how often somebody was wrong ([otp.Verifier.ShareMisses]); and, as far as
// they are told ([Server.SetSenders]), which NASes send Message-Authenticators. Each
// server has for itself the reply cache, the circuit breaker of the TMS, the figures and
// metrics, what was seen of a NAS, what it owes the store, and what a Backend keeps. A
// Dialog of more than 64 octets a Backend has to keep, so its dialog may have to end where
// it began: elsewhere its answer gets no reply. A directory is asked by each
// server: a wrong password that a gateway sends to two at once counts there twice.
//
// A login that is for the TMS is claimed before it is shown, by a key of user and passcode,
// and what came of it is noted there. Who does not get the claim is silent while another
// shows it; then it goes by what came of it, as told above. If it is the same login that
// was accepted, or asked for more, it is answered_elsewhere. When nobody can tell whether a
// login was claimed there is no reply. A server that ends while it shows a login leaves one
// that was not answered, after one and a half times Options.BackendTime.
//
// While the store is away no code is accepted and no reply is given, for the code may have
// been used. Who needs neither code nor password by a rule is let in all the same, with
// Options.ExcludedWhenStoreDown: without a Class, because there is no record to name, and
// though nobody can tell whether an administrator has disabled the user. These logins are
// recorded, with their own time, when the store is back; up to 100,000 are kept for that, in
// memory, and when that is full nobody is let in any more. A server that is killed before
// loses them, but for its log.
//
// # Errands
//
// What waits for a directory or for the Enroller is done by workers, a fixed number of
// goroutines with a queue of bounded length; neither goroutine of a loop ever waits
// for them. When the queue is full, or the NAS has given up meanwhile, the login
// is dropped and counted. Retransmissions of it get silence, as of every request
// in flight. What waits for the TMS has a queue and workers of its own, so that neither
// holds up the other; and it is at most half of what each loop may have in flight, so that
// a TMS that is slow leaves room for logins that it has nothing to do with.
//
// # Dialogs
//
// When a token has to show its next code, too, and the NAS can ask for it, the
// login is answered by an Access-Challenge, and so it is on the way to a token, and when
// the TMS asks. The dialog is nowhere but in the State, which a [Sealer] seals: nobody can read or change
// it, and it opens for the same NAS and User-Name only. So dialogs take no memory,
// outlive a restart, and go on at another server that has the same key. There are
// dialogs with PAP only.
//
// The answer is judged by what the first packet told, which NASes leave out of the
// second, and by the time of the first, but by the present rules; and a wrong one
// counts against the station of the first. A State we cannot open is as good as
// none, and so is one that asked for the next code too long ago.
//
// A State of a question of the TMS keeps what the Backend needs to go on; each may be
// answered for Options.ChallengeTime.
//
// A State that asked for the next code says nothing but that, and keeps nothing that
// was typed: the answer is PIN and code again. Whoever sends it a second time gains
// no more than a login with the facts of a packet that was here, which is bounded by
// its time and by how many challenges may follow each other. The codes are safe
// without: the verifier accepts each one once. A State of an enrolment stands for a
// directory password that was right, for [Options].EnrolmentTime from the first on;
// whoever sends it a second time repeats a step.
//
// A State that comes back cut is told from one that is not ours by its first octet, which
// says how long it was. It is as good as none, too, and counted ([NASSeen]).
//
// A State has room for 253 characters. What does not fit is left out: first what
// the NAS says of itself, which it says in every packet, then the text of the
// station. What is told of the client, which rules judge by, always fits.
//
// # What is seen of a NAS
//
// Packets show how a NAS is set: by which methods its users log in, whether it sends
// Message-Authenticators, how soon it retransmits, whether it cuts a State, in which charset
// passwords come. [Server.Seen] tells that of each NAS since the beginning, which
// [Server.Recall] has reach back over a restart. It says nothing about users, and only
// packets count that were what they should be. Metrics by NAS begin anew with the server,
// like all metrics, and their labels are names of the configuration.
//
// All of it are atomic numbers that are reached from the NAS of the packet: nothing is
// looked up or locked. A NAS takes 1 KiB for it.
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
// waits. Neither starts a goroutine or allocates memory for a packet, or passes a
// channel unless it is an errand; a log line costs a few small allocations.
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
// it is submitted, then the store's, then that of whoever answers; on an errand
// it is a worker's before it is the store's, and one that is shown to the TMS is the
// store's before and after. How many there are is bounded, and
// so are the entries of the reply cache; beyond that packets are dropped and
// counted. Nothing else grows with the traffic. A loop needs about 330 KiB; a
// request in flight 2 KiB; an entry of the reply cache 300 bytes, for 30 seconds
// after the reply.
//
// [Server.SetNASes] and [Server.SetRules] replace the NAS table and the rules
// between two batches. Requests in flight keep those they came with.
//
// What was typed is wiped from a request when it is answered, and so is what the
// Enroller or the TMS had a dialog keep, and the keys that the TMS made.
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
//     stands first, in every Access-Accept, -Reject and -Challenge, unless the NAS
//     is configured otherwise.
//   - RFC 3579 section 2.6.3: an EAP request is refused without an EAP-Message with
//     EAP-Failure in it, because we speak no EAP.
//   - RFC 2865 section 5.2 lets a passcode be any octets; one that is not readable
//     text is refused without counting against the user, because it most likely
//     was decrypted with another shared secret; unless a rule excludes the login
//     and nobody looks at it.
//   - RFC 2865 section 5.24: a State that is not ours, not any more, or not this
//     user's is ignored, and the request judged as if it had none; but the answer
//     to an enrolment or to a question of the TMS that is over is refused. One State may be
//     answered more than once.
//   - RFC 2869 section 5.10 lets the Prompt attribute stand in every
//     Access-Challenge; ours that asks for the next code has none, and that of the TMS
//     the one it gave.
//   - RFC 2865 section 2.3 has a proxy forward the request and its Proxy-States; we are no
//     proxy. The TMS gets a request of ours, its State stays with us, and of its reply the
//     NAS gets what the Backend lets through.
//   - RFC 5080 section 2.2.2 answers a repeat by the reply that was kept. One that was shown
//     to the TMS and got none is kept, too, as one to be left without; so is one that another
//     server has answered.
//   - RFC 2865 section 2.5 lets a NAS send a request to another server, under the same
//     Identifier and Request Authenticator or others. Where servers stand in for each other
//     it is known as the same login, and gets no reply if it was accepted.
//   - RFC 2865 section 5.25 leaves it to the server what a Class is; ours is text of at most
//     128 octets, and a NAS that takes a Class for a group of its own is configured to get
//     none of ours.
//   - RFC 2865 section 5.18 lets a NAS show several Reply-Messages; a message of an
//     Enroller that is too long for one takes up to three, and is cut behind them.
//   - RFC 2865 section 4.1 asks for a password or a State; a NAS that has looked
//     at the password itself may send neither for a user whom a rule excludes.
//   - RFC 2548 section 2.4: an MS-CHAP login that needed no code is accepted
//     without session keys, because they are made of a password we do not know.
//   - RFC 2865 section 4.1 asks for NAS-IP-Address or NAS-Identifier; we go by the
//     source address and ask for neither.
//   - RFC 2866 section 4.1 asks for Acct-Session-Id; of an Accounting-Request we
//     ask for Acct-Status-Type only. One of a kind that nobody knows is kept and answered
//     like the others.
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
// that is no NAS. A sender is a NAS that sends Message-Authenticators. A rule
// excludes a login: it needs no code then. The TMS is what verifies codes behind us, and a
// Backend speaks to it. An alias is what may be another name of a user. An errand is
// what a login waits for a directory or the Enroller for. A session is what the NAS reports
// at UDP 1813, and a session limit bounds how many there are. A dialog is what begins with an Access-Challenge.
// The same login is one that has come to this or another server before, from the same NAS
// and station. A login is let in that is accepted without being recorded, and owed until it is.
// A user is invited who may become the holder of a token that is nobody's yet.
package radiusd
