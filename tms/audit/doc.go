// Package audit makes the journal tamper-evident, verifies that off line, exports it, and
// sends it to syslog servers.
//
// # The chain
//
// The journal is written in batches, one for each commit. Each has a hash, [Link], of the
// hash of the batch before, its number and its records, which is stored with it in the same
// commit. Once a minute, when something was recorded, and when the server starts and stops, a
// [Checkpoint] says that the chain had reached a batch by a time; it is signed by Ed25519.
// The private key is in the store, sealed as seeds are; the public key is there in clear.
//
// Batches that were written before there was a chain are bare: they have no hash of their
// own. The first hash covers them all, so that a change of theirs is found, but not in
// which of them it is. Bare batches at any other place are a fault, and so are those that no
// signed batch comes after.
//
// # What it proves
//
// Somebody who can write to the file, but does not have the private key, can change
// nothing that is under a checkpoint without being found:
//
//   - A record that is changed does not go with the hash of its batch. [Verify] believes
//     the stored hash for what comes after, so it tells one batch from all. Where the hash
//     was made anew too, the next batch does not follow from it.
//   - Hashes that are all made anew from there on do not go with the next checkpoint.
//   - A checkpoint that is made anew is not signed by the key.
//   - What is removed, put in, exchanged or listed twice breaks the numbers or the hashes:
//     at the beginning, where the log has to begin with batch 1, or where retention has
//     ended; in the middle; and at the end, where there is a checkpoint of a batch that is
//     not there. Retention removes the oldest batches, up to one with a checkpoint, and
//     signs that it did ([NewBegin]), which no checkpoint can stand for. So what else cuts
//     off the beginning is found.
//
// The hashes have no key: whoever can write to the file can also make them anew, remove the
// checkpoints that are in the way, and have the server sign the result. Two things find
// that:
//
//   - Verify does not take what is not signed for good. Where the records go on for five
//     minutes with no checkpoint between them, at the end or in the midst of the log, or for
//     two in a log that has none at all, it is a fault. A single step of the clock is a doubt
//     only. It goes by the times of the records, which can be made anew too; so the report
//     says up to which batch the log is signed, and no more than that is proven.
//   - The store keeps the newest checkpoint once more, sealed as the private key is, and
//     compares it when it is opened. If it does not fit, the act audit.gap is recorded,
//     logged and counted before anything is signed again. What the killed server before has
//     left after its last checkpoint is not covered by that.
//
// Some things can only be found with something that is noted elsewhere, where who can
// write to the file cannot:
//
//   - A log in which everything was replaced, and signed by another key, is consistent.
//     Pin the public key: note what "countersign audit key" prints when the server is new,
//     and give it to each verification.
//   - An older copy of the whole file is consistent, too, and the server takes it for what
//     it is; and who has one, with what is sealed in it, can make anew what came after it. A
//     file whose last minutes were cut off, or made anew, with their checkpoints, is found by
//     the server but not by Verify.
//     Note checkpoints elsewhere: a syslog server gets each of them, and "countersign
//     audit checkpoint" prints the newest. Verify finds that a noted one is not in the
//     chain.
//
// And some cannot be found at all:
//
//   - What is after the last checkpoint, a minute at most while the server runs, is only
//     chained. It can be cut off, or made anew; the report says how much that is.
//   - Who has the private key, because they have both the file and the key that seals it, or
//     control the running server, can write whatever they want from then on, and can
//     sign anew what was before. Checkpoints that were noted before hold that together:
//     what they cover cannot be changed even with the key.
//   - What the server was told wrongly, or was never told, is recorded so, or not at all.
//
// # Exports
//
// An [Exporter] writes JSON lines, to be read by people and programs alike: first a line
// about the export; then for each record what people read of it, with its very bytes in
// base64 as the last member; after the records of a batch a line with its number, the
// count of its records and its hash; checkpoints where they belong; and a last line that
// says that it is complete. [VerifyExport] follows the chain through it as Verify does. It
// also renders each record again, and compares what people read with that byte for byte, so
// nothing can be shown that the record does not say; a version of the program that shows
// records otherwise finds a difference in each, and the report says which version wrote it.
// All other lines can be written in one way only. What is left, the version in the first
// line for example, is under a sum of all lines: it tells damage, but anybody can make it.
//
// A batch that cannot be split into records that make the same bytes again is exported as
// bytes.
//
// An export of a part begins after a hash, and after a checkpoint where the batch before
// has one. Nothing proves that hash but what comes after: the next checkpoint
// covers all that is in the export, because it is of a chain that goes through it. So the end
// is moved to the next checkpoint. Of what was before the part, nothing is said.
//
// # Syslog
//
// A [Syslog] sends a message (RFC 5424) for each record and each checkpoint, over TCP (RFC
// 6587, by octet counting) or TLS (RFC 5425), in order and at least once. It reads the
// journal by itself and remembers how far a server has come, so nobody ever waits for it,
// and after a day without a connection it goes on where it was. The journal is its queue.
//
// The protocol has no acknowledgement. A message counts as taken when the kernel at the
// other end has acknowledged its bytes, those of TLS included, and the connection has held for
// two seconds since: a server that dies with something unread resets the connection,
// and gets that again from the last place that counted. When we stop, we close our end and
// wait up to a second for the server to close its own, because then it has read all. What
// the server loses later, a queue in its memory when it is killed or files that its disk
// has not got yet, is lost: a server for which that matters has to have a queue on
// disk. A server that hangs without reading for more than those two seconds and is then
// killed loses what its kernel had in memory, some 100 kB to 6 MB.
//
// A message has at most 8,192 octets. In a longer one the longest values are cut, and the
// param "cut" names them (MSG is the text); the journal and exports have them whole.
// Values with control characters, and those that are not UTF-8, are written as in a Go
// string, and the param "quoted" names them, so nobody can write lines of their own into a
// file of the server's.
package audit
