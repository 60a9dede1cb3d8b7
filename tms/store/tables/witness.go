package tables

import (
	"encoding/binary"
	"fmt"

	"countersign/tms"
	"countersign/tms/audit"
)

// The witness is the number and the hash of the newest checkpoint, sealed under the data
// key and written with it: 8 bytes, big endian, and 32. Anybody can reckon the hashes of the
// chain, and can remove checkpoints; nobody who has only the file can make a witness that
// goes with what they have made of it. They can put back an old one with all that was in
// the file then: against that helps only what is noted elsewhere.
const witnessContext = "audit witness"

// keepWitness notes a checkpoint, in the transaction that writes it.
func (s *Tables) keepWitness(w Conn, batch uint64, chain audit.Hash) error {
	sealed, err := s.keyring.Seal(nil, append(binary.BigEndian.AppendUint64(nil, batch), chain[:]...), witnessContext)
	if err != nil {
		return err
	}
	return w.Exec(s.dialect.WriteBytes, MetaWitness, sealed)
}

// firstWitness notes, with a store's first signing key, that nothing is signed: a store that
// is new, or was just given its chain, has at most one batch with a hash. Any other has had a
// key, so what is missing is not made up for.
func (s *Tables) firstWitness(w Conn) error {
	had, err := s.dialect.readBytes(w, MetaWitness)
	if err != nil || had != nil {
		return err
	}
	signed, err := w.Number("SELECT count(*) FROM checkpoint")
	if err != nil || signed > 0 {
		return err
	}
	chained, err := w.Number("SELECT count(*) FROM journal WHERE chain IS NOT NULL")
	if err != nil || chained > 1 {
		return err
	}
	return s.keepWitness(w, 0, audit.Hash{})
}

// readWitness reads the note. Without an error why says what is wrong with it.
func (s *Tables) readWitness(w Conn) (head Head, why string, err error) {
	sealed, err := s.dialect.readBytes(w, MetaWitness)
	if err != nil {
		return head, "", err
	}
	if sealed == nil {
		return head, "the note of how far the journal was signed is missing", nil
	}
	note, err := s.keyring.Open(nil, sealed, witnessContext)
	if err != nil || len(note) != 8+len(head.Chain) {
		return head, "the note of how far the journal was signed is not one that this server has made", nil
	}
	copy(head.Chain[:], note[8:])
	head.Batch = binary.BigEndian.Uint64(note)
	return head, "", nil
}

// FindGap compares the journal, which ends with a head, with the witness, when an engine
// starts. gap says what is missing, or not what was signed, and is empty when nothing is;
// the head it returns is then after all that ever was, so that no number is used again.
func (s *Tables) FindGap(w Conn, end Head) (head Head, gap string, err error) {
	signed, err := newestCheckpoint(w)
	if err != nil {
		return end, "", err
	}
	witness, gap, err := s.readWitness(w)
	if err != nil {
		return end, "", err
	}
	if gap == "" {
		gap, err = s.compareWitness(w, end, &signed, witness)
	}
	if end.Batch < signed.Batch {
		gap = fmt.Sprintf("the journal ends with batch %d, and there is a checkpoint of batch %d", end.Batch, signed.Batch)
		end = Head{signed.Batch, signed.Chain}
	}
	if end.Batch < witness.Batch {
		end = witness
	}
	s.config.Signed(signed)
	return end, gap, err
}

// compareWitness is FindGap for a witness that can be read.
func (s *Tables) compareWitness(w Conn, end Head, signed *audit.Checkpoint, witness Head) (gap string, err error) {
	batch, chain := witness.Batch, witness.Chain
	if batch > end.Batch {
		return fmt.Sprintf("the journal ends with batch %d, and was signed up to batch %d", end.Batch, batch), nil
	}
	if signed.Batch != batch {
		return fmt.Sprintf("the journal was signed up to batch %d, and its newest checkpoint is of batch %d", batch, signed.Batch), nil
	} else if batch > 0 && (signed.Chain != chain || !signed.SignedBy(s.signer.public)) {
		return fmt.Sprintf("the checkpoint of batch %d is not the one that was signed", batch), nil
	}
	if batch == 0 {
		return "", nil
	}
	there, err := s.hashOf(w, batch)
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
func (s *Tables) hashOf(w Conn, batch uint64) (chain []byte, err error) {
	err = w.Query("SELECT chain FROM journal WHERE batch = ?", func(r Row) error { chain = append([]byte{}, r.Blob(0)...); return nil }, int64(batch))
	if err != nil || chain != nil {
		return chain, err
	}
	begin, _, err := s.dialect.readBegin(w)
	if err == nil && begin.Batch == batch && begin.BeginsBy(s.signer.public) {
		chain = begin.Chain[:]
	}
	return chain, err
}

// GapAct logs and counts that the journal is not what it was, and is the act that says so.
func (s *Tables) GapAct(what string) tms.Act {
	s.config.Logger.Error("the audit log is not what it was: its end may have been cut off, or an older file put in the place of the token store, or somebody has made anew what was signed; if nobody meant to, compare it with exports and syslog",
		"path", s.config.Name, "reason", what)
	s.config.Gap()
	return tms.Act{At: s.config.Clock(), Actor: "server", Verb: "audit.gap", Object: "journal", Detail: what}
}

// RecordGap records what FindGap has found, before anything is signed again. That the journal
// is signed in the same transaction makes another witness, so the next start does not find
// it again.
func (s *Tables) RecordGap(w Conn, gap string) error {
	act := s.GapAct(gap)
	return s.engine.Transaction(w, func(w Conn) error {
		if err := s.writeAct(w, &act, nil); err != nil {
			return err
		}
		return s.sign(w)
	})
}
