package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"

	"countersign/tms/audit"
)

// The witness is the number and the hash of the newest checkpoint, sealed under the data
// key and written with it: 8 bytes, big endian, and 32. Anybody can reckon the hashes of the
// chain, and can remove checkpoints; nobody who has only the file can make a witness that
// goes with what they have made of it. They can put back an old one with all that was in
// the file then: against that helps only what is noted elsewhere.
const (
	metaWitness    = "witness"
	witnessContext = "audit witness"
)

// keepWitness notes a checkpoint, in the transaction that writes it.
func (s *Store) keepWitness(w *conn, batch uint64, chain audit.Hash) error {
	sealed, err := s.keyring.Seal(nil, append(binary.BigEndian.AppendUint64(nil, batch), chain[:]...), witnessContext)
	if err != nil {
		return err
	}
	return w.exec(writeMeta, metaWitness, sealed)
}

// firstWitness notes, with a file's first signing key, that nothing is signed: a file that
// is new, or was just given its chain, has at most one batch with a hash. Any other has had a
// key, so what is missing is not made up for.
func (s *Store) firstWitness(w *conn) error {
	had, err := w.number("SELECT (SELECT count(*) FROM meta WHERE name = ?) + (SELECT count(*) FROM checkpoint) + (SELECT count(*) > 1 FROM journal WHERE chain IS NOT NULL)", metaWitness)
	if err != nil || had > 0 {
		return err
	}
	return s.keepWitness(w, 0, audit.Hash{})
}

// readWitness reads the note. Without an error why says what is wrong with it.
func (s *Store) readWitness() (batch uint64, chain audit.Hash, why string, err error) {
	var sealed []byte
	err = s.db.writer.query(readMeta, func(r row) error { sealed = r.blob(0); return nil }, metaWitness)
	if err != nil {
		return 0, chain, "", err
	}
	if sealed == nil {
		return 0, chain, "the note of how far the journal was signed is missing", nil
	}
	note, err := s.keyring.Open(nil, sealed, witnessContext)
	if err != nil || len(note) != 8+len(chain) {
		return 0, chain, "the note of how far the journal was signed is not one that this server has made", nil
	}
	copy(chain[:], note[8:])
	return binary.BigEndian.Uint64(note), chain, "", nil
}

// findGap compares the journal with the witness. What it returns says what is missing, or
// not what was signed; the heads are then after all that ever was, so that no number is
// used again.
func (s *Store) findGap(h *heads) (gap string, err error) {
	batch, chain, gap, err := s.readWitness()
	if err != nil {
		return "", err
	}
	if gap == "" {
		gap, err = s.compareWitness(h, batch, chain)
	}
	if h.lastBatch < h.signed.Batch {
		gap = fmt.Sprintf("the journal ends with batch %d, and there is a checkpoint of batch %d", h.lastBatch, h.signed.Batch)
		h.lastBatch, h.chain = h.signed.Batch, h.signed.Chain
	}
	if h.lastBatch < batch {
		h.lastBatch, h.chain = batch, chain
	}
	return gap, err
}

// compareWitness is findGap for a witness that can be read.
func (s *Store) compareWitness(h *heads, batch uint64, chain audit.Hash) (gap string, err error) {
	if batch > h.lastBatch {
		return fmt.Sprintf("the journal ends with batch %d, and was signed up to batch %d", h.lastBatch, batch), nil
	}
	if c := &h.signed; c.Batch != batch {
		return fmt.Sprintf("the journal was signed up to batch %d, and its newest checkpoint is of batch %d", batch, c.Batch), nil
	} else if batch > 0 && (c.Chain != chain || !c.SignedBy(s.signer.public)) {
		return fmt.Sprintf("the checkpoint of batch %d is not the one that was signed", batch), nil
	}
	if batch == 0 {
		return "", nil
	}
	there, err := s.hashOf(batch)
	switch {
	case err != nil:
	case there == nil:
		gap = fmt.Sprintf("batch %d of the journal, up to which it was signed, is missing", batch)
	case string(there) != string(chain[:]):
		gap = fmt.Sprintf("batch %d of the journal, up to which it was signed, has another hash: the batches up to it are not what was signed", batch)
	}
	return gap, err
}

// hashOf is the hash of a batch of the journal, or of the last that retention has removed;
// nil when it is not there.
func (s *Store) hashOf(batch uint64) (chain []byte, err error) {
	w := s.db.writer
	err = w.query("SELECT chain FROM journal WHERE batch = ?", func(r row) error { chain = append([]byte{}, r.blob(0)...); return nil }, int64(batch))
	if err != nil || chain != nil {
		return chain, err
	}
	begin := audit.Checkpoint{}
	err = w.query(selectBegin, func(r row) (err error) { begin, err = readBegin(uint64(r.integer(0)), r.blob(1)); return err }, metaBegin, metaPruned)
	if err == nil && begin.Batch == batch && begin.BeginsBy(s.signer.public) {
		chain = begin.Chain[:]
	}
	return chain, err
}

// recordGap records a gap before anything is signed again. That the journal is signed in the
// same transaction makes another witness, so the next start does not find it again.
func (s *Store) recordGap(gap string) error {
	act := s.gapAct(gap)
	err := s.transaction(func(w *conn) error { return errors.Join(s.writeAct(&act, nil), s.signTo(w)) })
	s.committer.untold = 0 // the history is told of all there is
	return err
}

// signTail signs what a server that was killed has left, before anything is recorded: so a
// checkpoint is missing only where there never was more than a minute without one.
func (s *Store) signTail() error {
	if h := &s.committer.heads; h.lastBatch == h.signed.Batch {
		return nil
	}
	return s.transaction(s.signTo)
}

const insertCheckpoint = "INSERT INTO checkpoint (batch, at, chain, signature) VALUES (?, ?, ?, ?)"

// signTo signs how far the journal has gone by now, in a transaction.
func (s *Store) signTo(w *conn) error {
	h := &s.committer.heads
	c := s.signer.sign(h.lastBatch, s.options.Clock(), h.chain)
	if err := w.exec(insertCheckpoint, int64(c.Batch), c.At.Unix(), c.Chain[:], c.Signature); err != nil {
		return err
	}
	if err := s.keepWitness(w, c.Batch, c.Chain); err != nil {
		return err
	}
	s.wal.grew(2)
	s.signed(c)
	return nil
}
