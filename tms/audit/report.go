package audit

import (
	"crypto/ed25519"
	"time"
)

// Report is what a verification has found.
type Report struct {
	// Key is the key that the checkpoints were verified by, LogKey the one that comes with
	// the log. They differ when the key was pinned, and the log has another.
	Key, LogKey ed25519.PublicKey

	// Begin is after what the log begins: the last batch that retention has removed, or
	// that an export leaves out; nil when it has all from the first batch on. Retained says
	// that it is signed that retention did it. Else it is a checkpoint, or has no signature
	// when an export begins between two: then what it has is a link between two hashes.
	Begin    *Checkpoint
	Retained bool

	Batches uint64    // there were so many
	Bare    uint64    // of these without a hash of their own
	Records uint64    // in them, when Format.Split is known
	First   uint64    // number of the first batch, 0 when there is none
	Last    uint64    // number of the last
	FirstAt time.Time // of the first record, when Format.Parse is known
	LastAt  time.Time // of the last
	Chain   Hash      // of the last batch

	Checkpoints uint64      // of the log that are right
	Checkpoint  *Checkpoint // the last of them, nil when there is none
	Unsigned    uint64      // batches after it
	Noted       int         // of VerifyOptions.Noted that are right
	// Before are those of VerifyOptions.Noted, rightly signed, of batches that are not
	// there any more: nothing can be said about them.
	Before []Checkpoint

	// Of an export: how many lines it has, which version of the program wrote it, and
	// whether what people read in it was compared with the records. Bounded says that it
	// ends where its range did, and After has those of VerifyOptions.Noted that are of
	// batches beyond.
	Lines    int
	Version  string
	Compared bool
	Bounded  bool
	After    []Checkpoint

	Faults []Fault // the first MaxFaults
	More   uint64  // how many there were beyond
	// Doubts are what may be wrong, or the clock's doing; the first MaxFaults.
	Doubts []Fault
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }
