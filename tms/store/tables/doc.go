// Package tables is what the engines of the store have in common: the tables of users,
// tokens, rules, invitations, mails, the journal and the sessions, and the acts on them, in
// SQL that SQLite and PostgreSQL both understand. What an engine does in its own way, how a
// login is made durable first of all, is behind Engine; so the two say the same of
// everything but how fast it is and what may fail.
//
// # The division
//
// An engine makes Tables when its keys are open, and embeds them: their methods are the
// greater part of what a store offers (tms.Store, tms.EnrolmentStore, tms.Audit,
// accounting.Store and more). Its own are the login path (Submit, AppendAccounting, the cache
// of accounts, of which Account is the packed form and AccountReader reads the rows), opening
// and closing, failures, metrics, backups, and the columns and indexes of the tables. Names
// of columns are the same with both; Dialect has the few words that are not.
//
// An act is done by Engine.Do: one after another, with a connection that reads the newest,
// and in one Transaction with its record in the journal. To change a token or a user it keeps
// the logins of that user away first (Alone, Hold), so that it starts from the state that the
// last login left (CatchUp), and the next login reads what came of it. Imports and new seals
// are many such transactions, of some milliseconds each. A listing reads page by page, each
// as it is then, so that one that takes its time holds up nothing; Latest adds what is
// decided and not in the rows yet.
//
// Statements keep to what both databases know: ON CONFLICT with its target, a LIMIT on all
// that may be long, no statement while another runs on the same connection, table "user"
// quoted. Texts are compared by their bytes.
//
// # Rows and seals
//
// Instants are Unix seconds. PINs, seeds, invitations and mails are sealed, each for the
// place it belongs to: an address is nobody's business either. Ids of users, tokens, rules
// and mails are handed out by table meta and never used again, because the journal refers to
// them. The current data key does not change between a seal and what is written with it
// (ChangeKey).
//
// Table opener leads from the hash of a link or of an Activation Key to the invitation, in
// one indexed read, but does not decide: the hash must be among those sealed in the
// invitation, so whoever can write the tables cannot make a link of their own. A mail that
// cannot be opened is left out of listings, logged and counted, so that the others are sent;
// CheckRows finds it.
//
// A restored backup brings back links that were used and mails that were sent. AfterRestore
// voids all links and drops all mails; the reminder of an invitation, which has another link,
// is queued again. Invitations to event tokens it ends: one code activates a token, and which
// codes were used is not known.
//
// # The chain
//
// A journal row carries the hash of its batch and, by the hash of the one before, of all
// before it (audit.Link). Once a minute, if something was recorded, and when the store
// closes, a checkpoint is signed by a key that is sealed in table meta. Its public key is
// there in clear, so who has only the tables can verify the chain (ChainLog); who wants to be
// sure keeps a copy of the key elsewhere. The newest checkpoint is also sealed in table meta
// (see keepWitness), so that a start finds when the journal was made anew or cut off together
// with its checkpoints: then the act audit.gap is recorded first. A start signs what a killed
// server has left.
//
// Prune removes what is old: whole batches up to a checkpoint, and none after a record that
// is too new, because the clock may have been behind for a while. That they are gone is
// noted first, signed and with the act, in one transaction; the rows go after that, in
// transactions of a millisecond. Broken off between, the chain begins there all the same,
// and the next Prune removes the rest. Nothing is removed that is not in the tables made of it
// (Engine.Folded). Who removes the beginning without the key cannot sign that
// (audit.NewBegin). PruneAccounting does the same to the accounting log, where sessions have
// been made of it.
//
// # Rules
//
// A change of the rules is a revision, and each revision can be listed again: rows of rules
// are never changed or deleted, only closed. A listing notes the ids of a revision and then
// reads page by page. The rules of the configuration are compared with what is there as JSON
// text, outside of Do, so that a start which changes nothing costs logins nothing. How often
// a rule was used is counted, not revised; Uses has what an engine has not written yet.
//
// # Users who come from a TMS
//
// That a user has learned a token is a flag of the token, which goes when the token leaves
// the user. The tokens that may be learned have an index of their own (Learnable), because
// they are few among many. Whom the TMS has seen is a table by itself (tms_seen), which no
// login reads or writes. What is noted again is found out on a connection that reads, so Do
// gets only news, a thousand users in a transaction.
//
// # The history
//
// Sessions, and the index by which the journal is searched, can be made again from the journal
// and the accounting log; where an engine keeps them is behind History.
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
// The index is made in the background and is never needed for a right answer: without it a
// search takes longer. It costs about 0.4 microseconds of a CPU a record, of which half is
// reading the journal, and two megabytes, kept from one segment to the next.
//
// # Locks
//
// In this order: pruning; sealing, which is held around Do and never taken within; indexing.
package tables
