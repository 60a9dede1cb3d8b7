// Package postgres keeps a store in a PostgreSQL database that many nodes share. They are all
// equal: none keeps anything of its own that matters, and any of them may decide any login.
// The tables, and the acts on them, are those of package tables.
//
// # What a login costs
//
// A node decides a login at once by the account in its cache. What is written is one statement
// for all logins that came while the one before was under way (burnStatement): for each
// account the row in table state that must still be as it was when the login was decided, what
// it becomes, and the records. Who finds another revision or stamp there has lost to another
// node, or to an act: the account is read anew, and the login decided again. So a code is good
// once, whichever nodes it is shown to at the same instant, and no node has to ask another.
//
//	Submit      decides in the caller's goroutine and puts the login into the group that fills.
//	burnLoop    sends one group after the other, on a connection of its own.
//	answerLoop  tells the waiters, while the next group is already under way.
//	loadLoop    reads accounts that are not in the cache, or are out of date, many at once.
//
// Accounting-Requests gather in the same way on another connection (accountingLog), and what is
// shown to a TMS is claimed on a third (claims).
//
// # Locks in the database
//
// A transaction takes rows of state in the order of tokens, those of rule_use in the order of
// rules, and the row of head last, because who has that keeps all others from committing. So
// groups of several nodes do not deadlock. Acts that change two users may: PostgreSQL finds
// that out after a second, an act says so.
//
// A group waits for others for 0.3 s at most. When it did in vain, because an act stands still
// or takes long, it is tried again in another way, and for a while all groups are, in which
// it does not wait for rows of state (burnUnlocked): the users whose rows are locked wait for
// these, all others go on. The statements of an act that take the head are sent together with
// its COMMIT, so that no node waits for what this one does in between.
//
// # Acts
//
// An act is one transaction with its record, under a lock that all nodes share: so acts are one
// after the other, and may read before they write. An act that changes a user, or one of their
// tokens, first changes revision and stamp of all their rows in state (touch). What any node
// has in its cache of that user loses from then on. Statements that return nothing are not
// waited for: they go along with the next that does (conn), so that imports do not cost a
// round trip a row.
//
// What nodes keep in memory beside accounts, as the rules and who is invited, has a number in
// table change that triggers raise; each node looks at these twice a second (watch.go).
//
// # The journal
//
// Its last number and hash are in table head. The hash of a batch is computed where the last
// one is known, in the database. The batches of all nodes are one chain. It is signed once a
// minute by the node that has the lease "checkpoint", when a node stops, and when one starts.
//
// # Sessions and searches
//
// They are in the same database (history.go). One node at a time makes sessions of the
// accounting log, and one has the index of the journal go on.
//
// # When the database is away
//
// A node must not accept what it cannot burn. So a group whose fate is not known is answered
// with an error, which is silence to a NAS; the accounts in it leave the cache, and nothing is
// taken until a connection is found that commits (failure.go). All hosts of the DSN are tried
// at once. A server that is a standby is not used, nor one that another has replaced: with each
// fail-over PostgreSQL's timeline rises, and the highest that was met counts. That does not
// help a node which meets the old server only: it has to be fenced, as any failed primary.
//
// A commit that waits for a standby in vain, or was told to wait no more (WARNING 01000), is
// one whose fate is not known. synchronous_commit is on for our connections, whatever the
// configuration of the server says, unless that is stricter.
//
// # Clocks
//
// Instants that nodes compare are those of the database's clock. A node measures durations by
// its own monotonic clock.
//
// # Keys
//
// The keyring is sealed in table meta. Nodes that make it at once agree on one. How it is
// changed while all nodes work is told in rotate.go.
//
// # Versions
//
// The tables are made and changed by Migrate alone (migrations/*.sql). A version only adds, so
// the nodes are updated one after the other: the tables first, with which the program before
// goes on working, then each node.
//
// # Backups
//
// They are the database's own. One that is put back turns counters back: Rewound moves tokens
// on before a node is started (see there).
package postgres
