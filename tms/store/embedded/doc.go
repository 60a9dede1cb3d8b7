// Package embedded keeps users, tokens and the journal in one SQLite file
// (modernc.org/sqlite, pure Go), for one server process. A lock beside the file
// says that this process is the only one that writes, so what it has in memory
// is the truth and a login needs no read.
//
// # The journal
//
// A login does not update rows. It appends one record to the journal: what
// happened, and the new state of each token it changed. Records gather while a
// commit is in flight and then become one row of table journal in one
// transaction (WAL, synchronous=FULL). So a commit, which costs the disk's fsync
// and some 60 microseconds of CPU, is shared by all logins of its batch. Batches
// are numbered; a batch and a place in it are an event's id. Administrative acts
// and Accounting-Requests are records too. Journal rows are never changed.
//
// # Where the truth is
//
//	table user, token    what an administrator changes; seeds and PINs sealed
//	table state          the state of each token as of the last fold
//	journal              all states since, in order
//	cache                accounts by user name, each with its latest states
//	overlay              latest states that are in the journal but neither in
//	                     table state nor in the cache
//
// A fold writes the latest states into table state, in small transactions
// between commits, and notes the batch up to which the journal is not needed
// for a start any more. Each state has a revision that only grows: a fold or a
// replay never puts an older state over a newer one. Open replays the batches
// after the last fold into the overlay.
//
// # A login
//
// Submit takes the lock of the cache's shard, unpacks the account, has the
// attempt decided, packs the changed states and appends the record to the next
// batch, all under that lock: so the records of an account stand in the order of
// the decisions, and of two attempts with one code the second finds it burned.
// Nothing is allocated. An account that is not cached is read by a loader
// goroutine first; after a start the cache is filled in the background.
//
// # Goroutines
//
//	committer     owns the connection that writes: batches, and between them
//	              jobs (administrative acts, chunks of folds and imports)
//	answerer      tells the waiters of a batch, while the next is in flight
//	loaders       read accounts that are not cached
//	warmer        fills the cache
//	folder        folds once a minute, or when the journal has become long
//	checkpointer  moves the write-ahead log into the file, off the hot path
//
// # When the disk fails
//
// After an error of a commit nobody knows what is on disk. All who wait get the
// error, which means silence to a NAS; nothing in memory is trusted any more;
// Ready says why. The store then opens the file anew every second, with a
// checkpoint that truncates the log, since after a failed fsync pages in the
// system's cache may not be on disk; it replays, commits a probe, and goes on.
package embedded
