package tables

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"countersign/otp/seal"
	"countersign/tms/audit"
)

// metaCopying is in a store that is a copy which is not complete: the CopyEnd of the
// source, in JSON.
const metaCopying = "copying"

// RefuseCopying keeps a store from being opened that is a copy which is not complete.
func RefuseCopying(c Conn, d Dialect) error {
	mark, err := readCopying(c, d)
	if err == nil && mark != nil {
		err = errors.New("it is a copy of another store and not complete: give the same `countersign store copy` again, which goes on where it was broken off")
	}
	return err
}

// VerifyKeys makes sure that one of the KEKs is that of a store which is to be copied: its
// copy needs the same. Else the error wraps seal.ErrOpen.
func VerifyKeys(c Conn, d Dialect, keks []seal.KEK, rand io.Reader) error {
	var sealed []byte
	err := c.Query(d.ReadBytes, func(r Row) error { sealed = r.Blob(0); return nil }, MetaKeyring)
	if err == nil && sealed == nil {
		err = errors.New("there is no store in it yet")
	}
	if err != nil {
		return err
	}
	_, err = seal.OpenKeyring(sealed, keks, rand)
	return err
}

// readCopying reads the mark, nil if there is none.
func readCopying(c Conn, d Dialect) (mark []byte, err error) {
	err = c.Query(d.ReadBytes, func(r Row) error { mark = r.Blob(0); return nil }, metaCopying)
	return mark, err
}

// begin finds the copy empty and marks it, or finds it broken off.
func (c *copier) begin() error {
	d := c.from.Dialect(RecordsPart)
	if err := c.from.Read(RecordsPart, func(conn Conn) error { return RefuseCopying(conn, d) }); err != nil {
		return err
	}
	var err error
	if c.report.End, err = readEnd(c.from); err != nil {
		return err
	}
	var mark []byte
	err = c.to.Read(RecordsPart, func(conn Conn) (err error) {
		mark, err = readCopying(conn, c.to.Dialect(RecordsPart))
		return err
	})
	switch {
	case err != nil:
		return err
	case mark == nil:
		err = c.refuseUsed()
	case c.Anew:
		err = c.clear()
	default:
		c.report.Resumed = true
		return c.compareMark(mark)
	}
	if err != nil {
		return err
	}
	return c.mark()
}

// mark notes in the copy what it is made of.
func (c *copier) mark() error {
	mark, err := json.Marshal(c.report.End)
	if err != nil {
		return err
	}
	return c.to.Write(RecordsPart, func(w Conn) error {
		return w.Exec(c.to.Dialect(RecordsPart).WriteBytes, metaCopying, mark)
	})
}

// compareMark finds out whether what was begun can be gone on with.
func (c *copier) compareMark(mark []byte) error {
	var begun CopyEnd
	if err := json.Unmarshal(mark, &begun); err != nil {
		return fmt.Errorf("reading what was begun: %w", err)
	}
	if end := &c.report.End; !begun.same(end) {
		return fmt.Errorf("%w (its journal ended with batch %d then and its accounting log with %d; now it is %d and %d)",
			ErrSourceChanged, begun.Batch, begun.Accounting, end.Batch, end.Accounting)
	}
	return nil
}

func (e *CopyEnd) same(o *CopyEnd) bool {
	return bytes.Equal(e.Store, o.Store) && e.Batch == o.Batch && bytes.Equal(e.Chain, o.Chain) && e.Accounting == o.Accounting
}

// refuseUsed refuses a place in which there is something.
func (c *copier) refuseUsed() error {
	var there []string
	for i := range copiedTables {
		t := &copiedTables[i]
		rows, err := countRows(c.to, t)
		if err != nil {
			return err
		}
		if rows > 0 {
			there = append(there, fmt.Sprintf("%s (%d)", t.name, rows))
		}
	}
	keyring, err := readMeta(c.to, &copiedMeta{RecordsPart, MetaKeyring, true})
	if err == nil && keyring != nil {
		there = append(there, "keys")
	}
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%w, and in that there is a store, which has: %s", ErrTargetUsed, strings.Join(there, ", "))
	}
	return err
}

// clear removes what a copy that was broken off has left.
func (c *copier) clear() error {
	for i := range copiedTables {
		t := &copiedTables[i]
		if err := c.to.Write(t.part, func(w Conn) error { return w.Exec(c.to.Empty(t.name)) }); err != nil {
			return fmt.Errorf("emptying table %s: %w", t.name, err)
		}
	}
	for i := range copiedMetas {
		m := &copiedMetas[i]
		if err := c.to.Write(m.part, func(w Conn) error { return w.Exec("DELETE FROM meta WHERE name = ?", m.name) }); err != nil {
			return fmt.Errorf("removing value %s: %w", m.name, err)
		}
	}
	return nil
}

// readEnd reads how far the logs of a store go.
func readEnd(s CopyStore) (end CopyEnd, err error) {
	d := s.Dialect(RecordsPart)
	err = s.Read(RecordsPart, func(c Conn) error {
		err := c.Query("SELECT batch, chain FROM journal ORDER BY batch DESC LIMIT 1", func(r Row) error {
			end.Batch, end.Chain = r.Integer(0), r.Blob(1)
			if len(end.Chain) != len(audit.Hash{}) {
				return fmt.Errorf("batch %d, the last of the journal, has a hash of %d bytes: restore a backup", end.Batch, len(end.Chain))
			}
			return nil
		})
		if err != nil {
			return err
		}
		last, err := c.Number("SELECT max(batch) FROM accounting")
		if err != nil {
			return err
		}
		forgot, err := c.Number(d.ReadNumber, MetaForgot)
		if err != nil {
			return err
		}
		end.Accounting = max(last, forgot)
		return c.Query(d.ReadBytes, func(r Row) error { end.Store = r.Blob(0); return nil }, MetaStore)
	})
	return end, err
}
