// Package collector forwards accounting records to those who collect them: to
// accounting servers (RFC 2866), or as JSON lines to a file. The gateways know nothing of
// it: they are answered when a record is durable here, and a [Collector] takes records from
// that log, a [Queue], afterwards.
//
// # The queue
//
// A Collector keeps one [accounting.Position], its cursor: it has all up to there. From
// there it reads ahead into a window of some thousand records, delivers them in parallel,
// and moves the cursor behind the oldest that is not done. The cursor is saved once a second
// at most, and at the end. After a crash what was done and not saved is delivered again, so
// it is at least once; what an orderly stop finds on its way gets a second to arrive. A
// Collector that is new begins with what comes from now on, and keeps at once where that
// was.
//
// Records of a session go one after the other: the next when the one before was answered.
// So that no NAS can break it, a session is a lane by the name of the NAS and the
// Acct-Session-Id alone: gateways that share a name, and by chance an id, share the lane.
// An Accounting-On or Accounting-Off goes after all that came before from its NAS, and
// before all that came after.
//
// # Accounting servers
//
// A record goes to the first server of the list that is up. A server is down when a
// request was sent to it three times without an answer, and it has answered no other
// meanwhile, or when nobody listens at its port. After a pause, from a second to a minute,
// one record tries it again, before the next server gets it; Status-Server (RFC 5997)
// would tell whether a server is there, but not whether its accounting works. When no
// server answers, one record in a pause tries all of them, and all others wait.
//
// A request has what the NAS said, in its order, whether known to us or not. It has not what
// is of one hop: Proxy-State and Message-Authenticator, and the Request Authenticator is
// computed anew. Acct-Delay-Time (RFC 2866 section 5.2) is what the NAS said and how long
// the record has waited here, when that is a second or more. Event-Timestamp (RFC 2869
// section 5.3) is added when there is none, and NAS-IP-Address or NAS-IPv6-Address, the
// source, when the NAS does not say who it is. What we add is left out when the packet would
// become too long for it. The three sendings of a request are the same octets, so that
// the server knows the repeats; the next try is a new request with a new Acct-Delay-Time.
//
// Each server has up to 16 connected UDP sockets of 256 Identifiers, and the one that was
// not used for longest is next. How many requests are in flight follows what is lost, as in
// TCP, up to 1,024: as many as a server 50 ms away needs for some thousand records a second,
// and not so many that they overrun the buffer of its socket. An answer counts when it is an
// Accounting-Response whose Response Authenticator is right; all else is as if it had not
// come.
//
// # A record that is never answered
//
// A server may be silent to one record and answer others, because its database does not
// take what the record says. Such a record is tried again and again, with pauses of up to
// a minute, and its session waits; others go past it. It is kept for as long as that harms
// nobody: until it is too old for the limits below. When records like it fill the window,
// so that others have to wait, or when a hundred thousand have gone past it, which would be
// delivered again after a crash, it is skipped, if it was refused 64 times, which is about an
// hour; those that come after it in its session are then skipped after one refusal. Only
// refusals count during which the servers answered others: while they answer nothing,
// nothing is skipped but by the limits.
//
// # The file
//
// There is one JSON object a line for each record, in the order of the queue: what it says
// by name, and all of its attributes as they came in base64. A line is done when it is on the
// disk (fsync). A file that would grow above its size is renamed to have the time in its
// name, as lumberjack does it, and a new one has its mode and owner. The first is
// created for its owner alone, because it tells who was where and when: an administrator who
// wants a group to read it changes the mode once.
//
// The file is opened for each batch. So it can be moved away or removed at any time, by
// logrotate for instance, without a signal. A line without an end, which a crash or a full
// disk leaves, gets one before the next. The folder is never made: where a disk is not
// mounted, its records would be in the wrong place. A full disk, a folder that is not
// there, or anything else that fails is a fault that ends by itself: the batch is tried
// again, with pauses, from the first line that is not there in full.
//
// # Limits
//
// What waits is bounded in number and in age. What is beyond is skipped, the oldest
// first, counted, and logged once a minute. A warning is logged at 80 % of either limit,
// and again only after it was below 60 %; countersign_collector_queue_records and
// _queue_age_seconds stand beside _queue_limit_records and _queue_limit_seconds so that an
// alert can be set before. A record that is skipped is skipped for this collector only: the
// sessions here have it, and other collectors.
package collector
