package postgres

import (
	"context"
	"errors"
	"fmt"

	"countersign/otp/seal"
	"countersign/tms/store/tables"
)

// firstKeyring keeps that of the node that came first.
const firstKeyring = "INSERT INTO meta (name, bytes) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"

// openKeyring opens the data keys in the database, or makes the first one of a new one. Of
// nodes that do so at once one is the first.
func (s *Store) openKeyring(c *conn) error {
	sealed, err := readKeyring(c)
	if err == nil && sealed == nil {
		if sealed, err = s.newKeyring(); err == nil {
			err = c.Exec(firstKeyring, tables.MetaKeyring, sealed)
		}
		if err == nil {
			sealed, err = readKeyring(c)
		}
	}
	if err != nil {
		return err
	}
	if s.keyring, err = seal.OpenKeyring(sealed, s.options.KEKs, s.options.Rand); errors.Is(err, seal.ErrOpen) {
		err = fmt.Errorf("%w: all nodes of a database have the same key file: copy that of the other node", err)
	}
	return err
}

func readKeyring(c tables.Conn) (sealed []byte, err error) {
	err = c.Query(readBytes, func(r tables.Row) error { sealed = r.Blob(0); return nil }, tables.MetaKeyring)
	return sealed, err
}

func (s *Store) newKeyring() ([]byte, error) {
	if len(s.options.KEKs) == 0 {
		return nil, errors.New("a new store needs a key-encryption key")
	}
	keyring, err := seal.NewKeyring(s.options.Rand)
	if err != nil {
		return nil, err
	}
	return keyring.Marshal(s.options.KEKs[0], s.options.Rand)
}

// followKeyring learns, or goes over to, the data key that another node has made (see
// rotate.go).
func (s *Store) followKeyring(ctx context.Context) error {
	err := s.withConn(ctx, s.learnOffered)
	if err != nil && !outage(err) && ctx.Err() == nil {
		s.options.Logger.Error("another node rotates the keys, and this one could not follow: copy the key file of the other node, and start this one again", "error", err)
		return nil // once is enough: the next round, or a new start, mends it
	}
	if err == nil {
		err = s.withConn(ctx, s.verifyKeyFile)
	}
	return err
}

// errKeyFile has verifyKeyFile called again soon.
var errKeyFile = errors.New("the key file of this node does not open the store")

// verifyKeyFile finds out whether this node could be started again: whether its key file opens
// the keyring as it is by now. If not, the log says so once, and the list of nodes as long as
// it is so.
func (s *Store) verifyKeyFile(c *conn) error {
	if s.options.ReadKEKs == nil {
		return nil
	}
	sealed, err := readKeyring(c)
	if err != nil {
		return err
	}
	unfit := ""
	keks, err := s.options.ReadKEKs()
	if err == nil {
		_, err = seal.OpenKeyring(sealed, keks, s.options.Rand)
	}
	if err != nil {
		unfit = s.options.KeyFile
	}
	before, _ := s.cluster.keyFile.Swap(unfit).(string)
	switch {
	case unfit == before:
	case unfit == "":
		s.options.Logger.Info("the key file of this node opens the store again", "key_file", s.options.KeyFile)
	default:
		s.options.Logger.Warn("this node cannot be started again, because its key file does not open the store: copy that of the node where the keys were rotated", "key_file", unfit, "error", err)
	}
	if err != nil {
		return errKeyFile
	}
	return nil
}

// offered is a keyring as another node offers it.
type offered struct {
	current, round     int64
	keyring, transport []byte
}

func readOffered(c tables.Conn) (o offered, err error) {
	err = c.Query("SELECT name, number, bytes FROM meta WHERE name IN (?, ?, ?, ?) LIMIT 4", func(r tables.Row) error {
		switch r.Text(0) {
		case metaCurrent:
			o.current = r.Integer(1)
		case metaRound:
			o.round = r.Integer(1)
		case metaOffered:
			o.keyring = r.Blob(2)
		case metaTransport:
			o.transport = r.Blob(2)
		}
		return nil
	}, metaCurrent, metaRound, metaOffered, metaTransport)
	return o, err
}

func (s *Store) learnOffered(c *conn) error {
	o, err := readOffered(c)
	if err != nil {
		return err
	}
	// What was learned in an earlier round comes first: the next one puts another in its place.
	if err := s.adopt(o.current); err != nil {
		return err
	}
	if o.keyring != nil && o.round != s.learned.round {
		if err := s.learn(&o); err != nil {
			return err
		}
	}
	if o.round == s.learned.round && o.round != 0 {
		if err := errors.Join(s.noteLearned(c, o.round), c.flush()); err != nil {
			return err
		}
	}
	if err := s.adopt(o.current); err != nil || o.current <= int64(s.keyring.Current()) {
		return err
	}
	return fmt.Errorf("data key %d is not known here", o.current)
}

// adopt goes over to the keyring that was learned, if its current data key is this one.
func (s *Store) adopt(current int64) error {
	next := s.learned.keyring
	if next == nil || current <= int64(s.keyring.Current()) || int64(next.Current()) != current {
		return nil
	}
	return s.ChangeKey(func() error {
		s.keyring.Adopt(next)
		return nil
	})
}

// learn has us open what is sealed under the key that is offered.
func (s *Store) learn(o *offered) error {
	text, err := s.keyring.Open(nil, o.transport, transportContext)
	if err != nil {
		return err
	}
	transport, err := seal.ParseKeyFile(text)
	if err != nil {
		return errors.New("reading the key of the keyring that is offered") // no more: it is a key
	}
	next, err := seal.OpenKeyring(o.keyring, transport, s.options.Rand)
	if err != nil {
		return err
	}
	s.keyring.Learn(next)
	s.learned.keyring, s.learned.round = next, o.round
	return nil
}

// learned is what the node that rotates has offered last.
type learned struct {
	keyring *seal.Keyring
	round   int64
}

// errKeysChanged says that a value may have been sealed under a key that is not the current
// one any more.
var errKeysChanged = errors.New("another node has just changed the keys: try again")

// sameKeys, in an act, reports an error when the current data key is not that of this node.
func (s *Store) sameKeys(c *conn) error {
	current, err := c.Number("SELECT number FROM meta WHERE name = ?", metaCurrent)
	if err == nil && current != 0 && current != int64(s.keyring.Current()) {
		s.cluster.hurry() // to follow
		err = errKeysChanged
	}
	return err
}
