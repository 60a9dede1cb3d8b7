package tables

import "io"

// The names in table meta.
const (
	MetaKeyring  = "keyring"  // the data keys, sealed under the key-encryption key
	MetaFolded   = "folded"   // what batches up to this one changed is in tables state and rule_use
	MetaUsers    = "users"    // the highest id given to a user
	MetaTokens   = "tokens"   // the highest id given to a token
	MetaRules    = "rules"    // the highest id given to a rule
	MetaRevision = "revision" // of the rules
	MetaMails    = "mails"    // the highest id given to a mail
	MetaBox      = "box"      // the key of BoxKey, sealed
	MetaSigner   = "signer"   // the seed of the key that signs checkpoints, sealed
	MetaVerifier = "verifier" // its public key
	MetaWitness  = "witness"  // the newest checkpoint, sealed
	MetaPruned   = "pruned"   // batches of the journal up to this one are removed
	MetaBegin    = "begin"    // the signature of that: audit.NewBegin, as text
	MetaForgot   = "forgot"   // batches of the accounting log up to this one are removed
	MetaStore    = "store"    // the number of the store, by which its history knows it
	MetaTaken    = "taken"    // of the history: the number of the last entry of the accounting log that was taken
)

// readBytes reads a value of table meta, nil if there is none.
func (d *Dialect) readBytes(c Conn, name string) (value []byte, err error) {
	err = c.Query(d.ReadBytes, func(r Row) error { value = r.Blob(0); return nil }, name)
	return value, err
}

// newIDs hands out count ids of a kind and returns the first. What a transaction
// that is rolled back has taken may be handed out again: nothing refers to it.
func (s *Tables) newIDs(w Conn, kind string, count int) (int64, error) {
	last, err := w.Number(s.dialect.ReadNumber, kind)
	if err != nil {
		return 0, err
	}
	return last + 1, w.Exec(s.dialect.WriteNumber, kind, last+int64(count))
}

// Identify reads the number by which the history knows its store, or makes one. A restored
// store has another.
func (s *Tables) Identify(w Conn) (id []byte, err error) {
	id, err = s.dialect.readBytes(w, MetaStore)
	if err == nil && id == nil {
		id = make([]byte, 16)
		if _, err = io.ReadFull(s.config.Rand, id); err == nil {
			err = w.Exec(s.dialect.WriteBytes, MetaStore, id)
		}
	}
	s.hasher = newHasher(id)
	return id, err
}
