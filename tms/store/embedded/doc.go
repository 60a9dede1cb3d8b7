// Package embedded keeps a store in one SQLite file. One process has it open, and
// that process is the only one that writes: a lock on a file beside it says so.
//
// What is in the tables, and the acts on them, it has in common with another engine: package
// tables. Here is how a login becomes durable, what is kept in memory, and the file.
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
// A journal row carries the hash of its batch: one SHA-256 a commit, where the logins of a
// batch share all but the hashing of their own 70 bytes. The committer knows the last number
// and hash (heads), and takes them back when a transaction is rolled back; at the start, and
// after a failure, they are those of the last row.
//
// A journal of before there was a chain is covered by the hash of its last batch, which
// the migration reckons.
//
// # Uses of rules
//
// How often a rule was used is counted, and the order matters: a commit adds the uses of
// its batch to the counts in memory, a fold moves these to table rule_use, and each row
// there says up to which batch it counts. What is replayed after a crash is counted only in
// later batches. So every login counts once, and logins without a rule cost nothing.
//
// # The cache
//
// Accounts are packed (tables.Account), about 170 bytes with all that belongs to
// them, so a million users fit; rows are read ahead in the background until the
// cache is full. Any account may be dropped at any time. States that are not
// folded go to the overlay then. What could go wrong is that rows read before a
// change are put in after it; so who reads rows notes two numbers first, the
// generation of the shard (an account has left it) and the epoch that is folded,
// and reads again if one of them has moved (see install).
//
// # Changes by administrators
//
// An administrative act is done by the committer between two commits (adapter). To change
// a token it first drops the owner's account (alone): logins of that user then wait with the
// loaders, so the change starts from the state the last login left, and the next login reads
// what came of it. An import that changes tokens holds the shards of their owners (hold).
//
// Who verifies a user's codes (tms.User.Home) is part of the account in the cache, and that
// a user has learned a token is a flag of the token there. What a token has shown beside the
// TMS is part of its state, so it runs with the counter through journal, overlay and folds.
// Who is invited is in memory too, read at the start and after a failure, so that a login that
// asks waits for nothing.
//
// # The history
//
// Sessions, and the index by which the journal is searched, are in a second file beside
// the store (type history). It can be made again from the journal and the accounting
// log, so it is written with synchronous=NORMAL on a connection of its own that no login
// waits for, is in no backup, and when it is damaged, or of another store, it is removed
// and made again. While it cannot be written (the disk is full), the log keeps what
// sessions will be made of, and searches read the journal itself. How much of the journal
// and of the log it does not have yet is counted as they grow (tail). When logins wait, the
// index builder reads only half of the time. That is still a million records a second, so it
// does not fall behind.
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
// In this order, and never two of a kind at once: those of package tables, files, the lock of
// a shard, the lock of the overlay, of the uses, of the invited or of the queue. Only the
// committer holds several shards, in their order, when an import changes states. It
// waits for nobody who holds one of these locks. The data keys change while nobody seals
// (tables.ChangeKey), and never within a job.
//
// The history has locks of its own, which come after pruning and before files: tending,
// taking, its files, writing. So what Take and Change call may read the journal, but asks
// the history by its Tx only.
package embedded
