// Command bench compares Countersign with FreeRADIUS at the job both can do:
// logging users in with a PIN and a TOTP code; or with itself, with many tokens or
// with a slow TMS; or on PostgreSQL with what PostgreSQL's own benchmark makes of it.
// scripts/bench builds and runs it.
//
// # What is compared
//
// Both servers have the same users, PINs and seeds and get the same requests:
// SHA-1, six digits, 30 seconds, PAP, and a Message-Authenticator, which both
// verify. They take turns on one machine, in rounds, one after the other over
// loopback, so that a disturbance of the machine falls on both. A server has
// one CPU and the generator another, where it spins: the server's sends then
// never have to wake a sleeper. Each measurement has a newly started server on
// a new copy of its users.
//
// FreeRADIUS is Debian's, with rlm_totp and a few lines of its configuration
// language that take PIN and code apart and compare the PIN. It has the
// cheapest settings that were found for it: no thread pool (-s), no log, no
// modules but the two it needs, a receive buffer that holds all that is in
// flight. It keeps its replies for repeated requests for five seconds, as
// installed; -cleanup-delay 0 turns that off and makes it about a fifth
// cheaper, but then a gateway that repeats a request is another login. Its
// replies have no Message-Authenticator, as is its default, Countersign's do.
//
// # Fresh codes
//
// A server that burns codes takes each once, so all codes sent to Countersign
// are fresh. 10,000 users have 30,000 codes of the steps around the present
// one, which last a fraction of a second, and a shorter period would not help:
// steps of one second give 10,000 logins a second. So the tokens' clocks are
// made to run ahead: each login of a user is one step later than the one
// before, as if the clock had moved on by a step between them, and the server,
// which follows a token's drift from login to login, is told to follow it for
// 1,000 steps (max_drift) in place of 10. That gives ten million logins. They
// cost the server a little more than those of real users, because it looks at
// the step that it expects, and the one before, before it looks at the next.
// A few in a million are refused: six digits that equal a code just used.
//
// FreeRADIUS gets the code of the present step each time. Its rlm_totp (3.2)
// takes no other: the period is 30 seconds, there is no look-back, and nothing
// can be set. It keeps no record of codes either, so a code that was used
// costs it exactly what a fresh one does. When the step changes, the requests
// on their way are refused; they are not among the accepted.
//
// # What is printed
//
// For each mode of the load, both servers' figures as the median of the rounds
// with the least and the greatest, and the ratio of one to the other within
// each round, so that more is always better for Countersign:
//
//   - 8 x 32: eight source ports with 32 requests in flight each, in a closed
//     loop, for the throughput of one CPU and CPU time a login;
//   - 256 x 1: 256 source ports with one request each, the hardest case for a
//     server that works in batches;
//   - 20,000 logins a second, begun on schedule whether or not there are
//     replies, for latency as users have it.
//
// CPU time is the server's user and system time over the measured part. On
// loopback the kernel delivers a datagram in the sender's time: a reply's way
// to the generator's socket is on the server's account.
//
// # A million tokens
//
// With -tokens N there is a second comparison, of Countersign with itself: a
// store of N tokens of which as many users as in the first are active, and one
// where each of the N is as likely to log in, against a store that has no
// more tokens than active users. The files are in the page cache. The server
// is at rest after its start, and each user has logged in before the measured
// part, with one exception: "right after the start" it may still be filling its
// caches, and users come from the database.
//
// It also takes the time from the start of the process to the first
// Access-Accept, after a proper stop and after kill -9 in the middle of a load.
//
// # A slow TMS
//
// With -tms D there is a third comparison: of local users, who hold tokens, with
// themselves, while users of a TMS log in beside them. The TMS is a RADIUS server of
// this program that verifies the Message-Authenticator and answers each login after the
// time D; its users' names are not in the store, and what they type is never the same.
// Settings are as shipped, local-then-tms and all. Both loads begin -rate logins a second
// on schedule, from sockets of their own:
//
//   - local users alone;
//   - beside as many other local users, which is what the machine and the disk make of
//     twice the logins, without any TMS;
//   - beside as many users of the TMS;
//   - beside users of a TMS that ceases to answer when the measured part begins, until
//     the circuit breaker opens and after that;
//   - beside users of a TMS that ceased long before.
//
// The load generators sleep until there is something to do, and share their CPU with the
// TMS, so latency is that of a machine with other things to do; the ratios are what
// counts. A user whose login is lost may be refused at the next, because its code is one
// step further ahead than the server expects.
//
// # Accounting
//
// With -accounting there is a fourth comparison, of Accounting-Requests: Start,
// Interim-Update and Stop of sessions of all users, in a closed loop, of 8 x 32 in flight.
// Countersign answers when a record is durable. FreeRADIUS is measured with detail, which
// writes a file and leaves it to the system to write that to disk, so a power cut loses
// what was answered; and with sql and SQLite, in Debian's settings, where each record is a
// transaction of its own that is synced. FreeRADIUS's sql has made a session of the record
// when it answers; Countersign makes it after that. So CPU time is given twice: while
// records come, and until the server rests again.
package main
