// Package store is what every engine that keeps users, tokens and events has in
// common: the encoding of the journal, of the accounting log, and of invitations and
// mails. The engines are the packages below it; package storetest is the suite that all
// of them must pass.
//
// # The journal
//
// Every login, whatever its verdict, and every administrative act is one record.
// Records that become durable together are a batch, which an engine keeps as one value
// under a number: each is one more than the one before, and none is used again. So the
// number of its batch and its place in it name a record (otp.EventID).
//
// The journal is the audit log as well. The hash of each batch covers the one before
// (audit.Link), so batches are never changed, and removed only from the beginning on.
//
// A record says what happened (tms.Event), and of each token whose state it
// changed the whole new state with its revision (Change). Revisions of a token
// only rise. So the journal can be replayed over the tokens in any order and any
// number of times: a change is applied if its revision is greater. The uses of a
// rule are counted (Use), so who keeps the count keeps with it up to which batch it
// goes.
//
// # The accounting log
//
// Every Accounting-Request is a record of a log of its own, with batches and numbers of
// its own (accounting.Position). What sessions the records make is found out afterwards.
// Journals of before there was this log have Accounting-Requests among their records;
// they stay there.
//
// # Encoding
//
// Numbers are the varints of encoding/binary, signed ones zigzag; text is its
// length as a varint and its bytes, never cut.
//
//	batch       version (one byte, 1), then for each record its length and the record
//	record      kind (one byte of tms.EventKind), instant (Unix nanoseconds, 8 bytes,
//	            little endian), the number of changes, the changes, the event
//	change      token id, revision, state
//	state       flags (one byte), counter, then what the flags say:
//	            1 must resync; 2 drift; 4 failures; 8 locked until (Unix seconds);
//	            16 resync factor and resync until (Unix seconds); 32 agreed and disagreed
//	login       user, NAS, station, method (one byte), verdict (one byte), flags (one
//	            byte: 1 repeated, 2 locked now, 4 own), serial, offset; own (one byte)
//	            when a flag says so; and, only when one of them is there, rule and
//	            trace (text)
//	act         actor, verb, object, detail
//	accounting  NAS, source, attributes; only in journals of before
//	entry       of the accounting log: instant, NAS, source, attributes
//
// A login takes about 70 bytes, and as much more as its trace. Decision.Changed is
// not kept: the changes are. The bytes of verdicts, methods and kinds are the
// numbers of their types, so these types may grow at their ends only; a test holds
// them to it.
//
// # Invitations and mails
//
// They are few and hold much, so an engine keeps each as one sealed value, in JSON,
// which may get new fields. The columns beside it are only there to find it.
package store
