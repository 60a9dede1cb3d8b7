package tables

import (
	"context"

	"countersign/otp/seal"
)

// ResealChunk is how many values go into one transaction, of some milliseconds.
const ResealChunk = 200

// sealedColumn is a column with sealed values.
type sealedColumn struct {
	count, read, write string
	context            func(name string) string
}

var sealedColumns = []sealedColumn{
	{
		count:   `SELECT count(*) FROM "user" WHERE pin IS NOT NULL`,
		read:    `SELECT id, name, pin FROM "user" WHERE id > ? AND pin IS NOT NULL ORDER BY id LIMIT ?`,
		write:   `UPDATE "user" SET pin = ? WHERE id = ?`,
		context: pinContext[string],
	},
	{
		count:   "SELECT count(*) FROM token",
		read:    "SELECT id, serial, seed FROM token WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE token SET seed = ? WHERE id = ?",
		context: seedContext[string],
	},
	{
		count:   "SELECT count(*) FROM invitation",
		read:    "SELECT id, name, sealed FROM invitation WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE invitation SET sealed = ? WHERE id = ?",
		context: invitationContext[string],
	},
	{
		count:   "SELECT count(*) FROM mail",
		read:    "SELECT id, CAST(id AS TEXT) AS name, sealed FROM mail WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE mail SET sealed = ? WHERE id = ?",
		context: mailContext,
	},
}

// sealedMeta are the sealed values in table meta, with what they belong to.
var sealedMeta = [...]struct{ name, context string }{
	{MetaBox, boxContext}, {MetaSigner, signerContext}, {MetaWitness, witnessContext},
}

// Reseal seals everything under the current data key that is sealed under another, a chunk at
// a time. Progress, in values, may be nil.
func (s *Tables) Reseal(ctx context.Context, progress func(done, total int64)) error {
	total, done := int64(len(sealedMeta)), int64(0)
	for _, column := range sealedColumns {
		err := s.engine.Read(func(c Conn) error {
			n, err := c.Number(column.count)
			total += n
			return err
		})
		if err != nil {
			return err
		}
	}
	tell := func(count int64) {
		if done = min(done+count, total); progress != nil {
			progress(done, total)
		}
	}
	for i := range sealedColumns {
		if err := s.resealColumn(ctx, &sealedColumns[i], tell); err != nil {
			return err
		}
	}
	err := s.engine.Do(ctx, s.resealMeta)
	if err == nil {
		tell(int64(len(sealedMeta)))
	}
	return err
}

// resealColumn seals a column, and tells after each chunk how many values it had.
func (s *Tables) resealColumn(ctx context.Context, column *sealedColumn, tell func(count int64)) error {
	for last, more := int64(0), true; more; {
		count := int64(0)
		err := s.engine.Do(ctx, func(w Conn) (err error) {
			last, count, err = s.resealSome(w, column, last)
			return err
		})
		if err != nil {
			return err
		}
		more = count == ResealChunk
		tell(count)
	}
	return nil
}

// resealMeta seals what is sealed in table meta.
func (s *Tables) resealMeta(w Conn) error {
	return s.engine.Transaction(w, func(w Conn) error {
		for _, v := range sealedMeta {
			sealed, err := s.dialect.readBytes(w, v.name)
			if err == nil && sealed != nil {
				sealed, err = s.reseal(sealed, v.context)
			}
			if err == nil && sealed != nil {
				err = w.Exec(s.dialect.WriteBytes, v.name, sealed)
			}
			if err != nil {
				return err
			}
		}
		s.engine.Grew(1)
		return nil
	})
}

// reseal seals a value under the current data key, and returns nil when it is so already.
func (s *Tables) reseal(sealed []byte, context string) ([]byte, error) {
	if id, _ := seal.KeyID(sealed); id == s.keyring.Current() {
		return nil, nil
	}
	value, err := s.keyring.Open(nil, sealed, context)
	if err != nil {
		return nil, err
	}
	return s.keyring.Seal(nil, value, context)
}

// resealed is a value sealed anew.
type resealed struct {
	id    int64
	value []byte
}

// resealSome seals the values of a chunk of rows after last, in one transaction.
// It returns the new last id and how many rows there were.
func (s *Tables) resealSome(w Conn, column *sealedColumn, last int64) (newLast, count int64, err error) {
	var values []resealed
	err = w.Query(column.read, func(r Row) error {
		count++
		last = r.Integer(0)
		value, err := s.reseal(r.Blob(2), column.context(r.Text(1)))
		if value != nil {
			values = append(values, resealed{last, value})
		}
		return err
	}, last, int64(ResealChunk))
	if err != nil || len(values) == 0 {
		return last, count, err
	}
	return last, count, s.engine.Transaction(w, func(w Conn) error {
		for _, v := range values {
			if err := w.Exec(column.write, v.value, v.id); err != nil {
				return err
			}
		}
		s.engine.Grew(len(values))
		return nil
	})
}
