// Package embedded keeps a store in one SQLite file. One process has it open, and
// that process is the only one that writes: a lock on a file beside it says so.
//
// # What a login costs
//
// A login writes no row of its own. Logins that come while a commit is in flight
// gather, and their records (package store) become one row of table journal, in
// one transaction. So a commit's fsync and its 60 to 80 microseconds of CPU are
// shared by hundreds of logins when there are hundreds. Accounting-Requests gather
// beside them, and become one row of table accounting in the same transaction; so
// neither waits for the other, and each has numbers without gaps.
//
//	Submit       finds the account in its shard of the cache and, under the lock of
//	             the shard, decides the attempt, takes the changed states over and
//	             appends the record to the batch that is filling. Nothing is
//	             allocated, no goroutine is started or waited for.
//	committer    one goroutine that owns the writing connection. It takes the batch,
//	             writes it with synchronous=FULL, and hands it on.
//	answerLoop   tells the waiters, while the next commit is already in flight.
//	loaders      decide attempts whose account is not in the cache: they read the
//	             rows, open the seals, put the account in and do what Submit does.
//
// A decision that is Outstanding ends in Submit or with the loader: it has neither
// a record nor a state, so its waiter is told at once.
//
// So a state in memory runs ahead of the disk by the commit in flight, and nobody
// outside hears of it until that is durable. At most maxDepth attempts are under
// way; beyond that Submit refuses.
//
// # The tables
//
// Users and tokens are rows that only administrators change. States are in a
// narrow table of their own, and behind the journal: the newest state of a token
// is in the cache, or in the overlay, or in the row, whichever has the highest
// revision. A fold, once a minute, writes the changed states into their rows, in
// transactions of a millisecond between the commits, and moves the mark up to
// which the journal need not be replayed (meta.folded); see fold. At the start,
// what is after the mark is replayed into the overlay: 600 ms for a million
// logins. Journal rows stay: they are the log of events, and the audit log.
//
// Every writer carries revisions, so it does not matter in which order journal,
// folds and changes reach a row: the highest revision wins, also when a crash has
// the journal replayed over rows that are newer.
//
// A file of an older version is brought up to this one when it is opened, in one
// transaction and only after its keys have opened (see migrate).
//
// # The chain
//
// A journal row carries the hash of its batch and, by the hash of the one before, of all
// before it (audit.Link): one SHA-256 a commit, where the logins of a batch share all but
// the hashing of their own 70 bytes. The committer knows the last number and hash (heads),
// and takes them back when a transaction is rolled back; at the start, and after a
// failure, they are those of the last row. Once a minute, if something was recorded, and
// when the store closes, a checkpoint is signed by a key that is sealed in the file. Its
// public key is in the file in clear, so who has only the file can verify it (OpenAudit);
// who wants to be sure keeps a copy of the key elsewhere. The newest checkpoint is also sealed
// in the file (see keepWitness), so that a start finds when the journal was made anew or cut
// off together with its checkpoints: then the act audit.gap is recorded first. A start signs
// what a killed server has left.
//
// Prune removes what is old: whole batches up to a checkpoint, and none after a record that
// is too new, because the clock may have been behind for a while. That they are gone is
// noted first, signed and with the act, in one transaction; the rows go after that, in
// transactions of a millisecond. Broken off between, the chain begins there all the same,
// and the next Prune removes the rest. Nothing is removed that no fold has reached. Who
// removes the beginning without the key cannot sign that (audit.NewBegin). PruneAccounting does the same to
// the accounting log, where sessions have been made of it.
//
// A journal of before there was a chain is covered by the hash of its last batch, which
// the migration reckons.
//
// # Rules
//
// A change of the rules is a revision, and each revision can be listed again: rows
// of rules are never changed or deleted, only closed (see ruleSchema). A listing
// notes the ids of a revision and then reads page by page. The rules of the
// configuration are compared with what is there as JSON text, outside of the
// committer, so that a start which changes nothing costs logins nothing.
//
// How often a rule was used is counted, not revised, so the order does matter: a
// commit adds the uses of its batch to the counts in memory, a fold moves these to
// table rule_use, and each row there says up to which batch it counts. What is
// replayed after a crash is counted only in later batches. So every login counts
// once, and logins without a rule cost nothing.
//
// # The cache
//
// Accounts are packed (type account), about 170 bytes with all that belongs to
// them, so a million users fit; rows are read ahead in the background until the
// cache is full. Any account may be dropped at any time. States that are not
// folded go to the overlay then. What could go wrong is that rows read before a
// change are put in after it; so who reads rows notes two numbers first, the
// generation of the shard (an account has left it) and the epoch that is folded,
// and reads again if one of them has moved (see install).
//
// # Changes by administrators
//
// An administrative act is done by the committer between two commits, in one
// transaction with its record. To change a token it first drops the owner's
// account (alone): logins of that user then wait with the loaders, so the change
// starts from the state the last login left, and the next login reads what came
// of it. Imports and rotations of keys are many such transactions, of some
// milliseconds each.
//
// # Users who come from a TMS
//
// Who verifies a user's codes (tms.User.Home) is part of the account in the cache, and
// that a user has learned a token is a flag of the token there, which goes when the
// token leaves the user. What a token has shown beside the TMS is part of its state, so
// it runs with the counter through journal, overlay and folds. The tokens that may be
// learned have an index of their own, because they are few among many.
//
// Whom the TMS has seen is a table by itself (tms_seen), which no login reads or writes.
// What is noted again is found out on a connection that reads, so the committer gets
// only news, a thousand users in a transaction.
//
// # Invitations and mails
//
// A user with tokens, invitation and mails is changed by the committer too, all in one
// transaction and alone like a token (ChangeHolder). Invitations and mails are
// sealed whole: an address is nobody's business either. Table opener leads from the
// hash of a link or of an Activation Key to the invitation, in one indexed read, but
// does not decide: the hash must be among those sealed in the invitation, so whoever
// can write the file cannot make a link of their own. Who is invited is in memory
// besides, read at the start and after a failure, so that a login that asks waits
// for nothing.
//
// A mail that cannot be opened is left out of listings, logged and counted, so that the
// others are sent; Check finds it.
//
// A backup brings back links that were used and mails that were sent. Restore voids
// all links and drops all mails; the reminder of an invitation, which has another
// link, is queued again. Invitations to event tokens it ends: one code activates a
// token, and which codes were used is not known.
//
// # The history
//
// Sessions, and the index by which the journal is searched, are in a second file beside
// the store (type history). It can be made again from the journal and the accounting
// log, so it is written with synchronous=NORMAL on a connection of its own that no login
// waits for, is in no backup, and when it is damaged, or of another store, it is removed
// and made again. While it cannot be written (the disk is full), the log keeps what
// sessions will be made of, and searches read the journal itself.
//
//	sessions  Take shows entries of the accounting log and writes what is made of them,
//	          and how far it has got, in one transaction. Repeats are found by a
//	          fingerprint in their session; how many others there are is counted as
//	          they are taken, so that nobody has to count a long log (Waiting).
//	index     The journal is cut into segments of whole batches. For each field and
//	          bucket of hashes a segment has one row: which of its records have a value
//	          with that hash (postings). A search goes through the segments from the newest
//	          to the oldest, intersects the lists of what it is for, and reads only the
//	          batches in which something may be wanted; then it judges the records
//	          themselves. So a value that never occurs costs one small row a segment, and
//	          a rare combination of frequent values their lists. Segments that are not of
//	          the time in question are passed over. Four segments lie side by side, by
//	          field and bucket (postingID): were it all of them, each would be written to
//	          pages all over the table, and were it one, a search that finds nothing in
//	          memory would read a page of the disk for each.
//	the rest  What is not a segment yet, 32768 records at most, or 8192 batches, is read
//	          whole: a few milliseconds. A batch in which the bytes of a name do not occur is
//	          not even parsed.
//
// The index is made in the background and is never needed for a right answer: without it
// a search takes longer. It costs about 0.4 microseconds of a CPU a record, of which half
// is reading the journal, and two megabytes, kept from one segment to the next. When
// logins wait, it reads only half of the time. That is still a million records a second,
// so it does not fall behind.
//
// # A disk that is nearly full
//
// Logins need little room, and are what must go on. So of the last of the disk nothing else
// gets anything: below a reserve the history waits (sessions are late, searches take
// longer), and below half of it accounting records are not taken, which NASes keep and
// repeat. All of it goes on by itself (lookAtDisk). Take, which was told once that the
// history does not work, waits the next time until it does.
//
// # The write-ahead log
//
// It is written with zeros up to walSize in advance, because an fsync of a file
// that does not grow costs half. Automatic checkpoints are off: a connection of
// its own copies the log in the background, a few megabytes at a time, and when
// the log is to begin anew the committer copies the last pages (see wal).
//
// # Failure
//
// After an error of a commit nobody knows what is on disk. Whoever waits is told
// an error, so nothing is answered; everything in memory is dropped; and once a
// second the file is closed and opened again, its log copied and synced into the
// database (after a failed fsync the pages in memory are not to be trusted to be
// on disk), the journal replayed, the invited read and something written. When all that succeeds
// the store is ready again.
//
// # Locks
//
// In this order, and never two of a kind at once: pruning, files, the lock of a shard, the
// lock of the overlay, of the uses, of the invited or of the queue. Only the
// committer holds several shards, in their order, when an import changes states. It
// waits for nobody who holds one of these locks. The data keys change under sealing, which is taken before
// a job is given to the committer and never by it.
//
// The history has locks of its own, which come after pruning and before files: tending,
// taking, its files, writing. So what Take and Change call may read the journal, but asks
// the history by its Tx only.
package embedded
