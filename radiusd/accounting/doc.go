// Package accounting is what NASes report at UDP 1813 (RFC 2866): records, and the
// sessions they make.
//
// # From a packet to a session
//
// The server makes each Accounting-Request durable in the log of the store, as it came,
// and only then answers it. All else follows from the log, later and as often as need be:
// a [Book] takes entries from it in order, reads each with [Parse], and writes what they
// say into sessions, in one [Tx] with how far it has come. If the sessions are lost, they
// are made again. So a NAS never waits for a session, and no record is lost for one.
//
// # What a record says
//
// Gateways send all kinds of things, so an attribute that is not what it should be is as
// if it were not there. Texts may end in NUL. When something happened is told by
// Event-Timestamp, unless that is from before the year 2000 or more than a day ahead,
// which is a clock that was never set; then by when the record came, less its
// Acct-Delay-Time. Records without Acct-Session-Id, and kinds that tell nothing of a
// session, such as those of tunnels (RFC 2867), are kept and forwarded, and change none.
//
// # Which session a record belongs to
//
// Records with the same [Key] belong together: the NAS by its name in our configuration,
// the gateway, and Acct-Session-Id.
//
// Several gateways may be behind one name, and number their sessions alike. Which it is
// is what it says of itself: NAS-Identifier and its addresses. Not every record says all
// of that. So two are one gateway when they say the same of something, and of nothing
// different things; who says nothing may be any of them. If a record could be of several
// gateways that differ, it is of none, and begins a session of its own.
//
// A gateway may use an Acct-Session-Id again. A record is of another session than the
// known one when
//
//   - it is a Start that happened after the known one was over;
//   - it is a Start about another user, machine or login (by Class), even if it happened
//     in the second of the Stop, or there was no Stop;
//   - its session began, reckoned back by Acct-Session-Time, after the known one was over,
//     or its figures begin anew.
//
// Times that the NAS stamps may differ by two seconds, others by a minute, for which a
// NAS may have repeated a request without saying so. A session that was still open then is
// over: the session By "reuse".
//
// # What a record changes
//
// In whatever order the records of a session come, and however often, the session is the
// same in the end:
//
//   - Start opens a session. A second one changes nothing. A late one joins the session
//     that other records have begun, and says when that really was.
//   - Interim-Update raises the figures; none ever falls. One of a session that is not
//     known opens it, begun as far back as its figures reach.
//   - Stop ends it. A Stop without Start makes a session that is over. Of several Stops
//     that with the longest time is right. What comes after a Stop opens nothing.
//   - Accounting-On and Accounting-Off end the sessions of the gateway that were last told
//     of before; those of all gateways of the NAS if it does not say which it is. One that
//     is told of after that lives on, and a Stop tells better when one has ended.
//
// A counter without Gigawords begins again at 4 GiB. How often is not known, so the most
// that was told stays: it is at least so much.
//
// A session that was silent for long is Stale, until it speaks again, and so is one whose
// NAS the configuration has no more.
//
// # Repeats
//
// Retransmissions that the reply cache of the server does not know any more are told by a
// fingerprint of their attributes, without those that change from one to the next, within
// their session. A repeat changes nothing, and is not forwarded. What is of no session, and
// an Interim-Update that tells no time, is never taken for a repeat: rather twice than not
// at all.
//
// # Whose session it is
//
// An Access-Accept carries a Class of [Classes], which names the login's record in the
// journal, and the session limit it counts for. It is signed (HMAC-SHA256 under a key of
// its own, derived from the root), so that no gateway can invent one. A store that is
// restored from a backup makes another key, and so no Class of before is believed: the
// numbers of the journal are given out again, and a Class that names a login the backup
// does not have would come to name somebody else's. Any record of the
// session may bring it back, also with others that are not ours, but only from the NAS
// where the login was: a Class is no secret. The login is looked up in
// the transaction of the record. When that fails again and again the session goes on
// without it, until the next record brings the Class.
//
// Book counts the sessions that are Open for each user and each limit, in memory, for the
// logins that ask [Book.OpenOf] and [Book.OpenIn]. A session that no login tells of counts
// for its User-Name, in the form that Options.UserName gives it; none is counted until the
// store can tell what there is. The counts are of what was taken from the log: two logins
// at once may both find room for one. When what was not taken is older than five seconds,
// because sessions are made again or the store is in trouble, they are of the past: then
// they are told as none, because in doubt nobody is refused.
//
// # Ending one
//
// [Disconnect] asks the NAS (RFC 5176). Its words about Event-Timestamp are there. An
// answer is believed if its Response Authenticator is right and so is its
// Message-Authenticator, if it has one: made as RFC 3579 has it for replies, or with
// zeros in the header, as FreeRADIUS 3.2 does.
package accounting
