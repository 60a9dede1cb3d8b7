package tables

import (
	"database/sql/driver"
	"fmt"
	"slices"
)

// copiedMeta is a value of table meta that goes along.
type copiedMeta struct {
	part  CopyPart
	name  string
	bytes bool // else a number
}

// copiedMetas are all values but those that an engine keeps for itself (CopyStore.Keeps).
var copiedMetas = []copiedMeta{
	{RecordsPart, MetaKeyring, true}, {RecordsPart, MetaBox, true}, {RecordsPart, MetaSigner, true}, {RecordsPart, MetaVerifier, true},
	{RecordsPart, MetaWitness, true}, {RecordsPart, MetaBegin, true}, {RecordsPart, MetaStore, true},
	{RecordsPart, MetaUsers, false}, {RecordsPart, MetaTokens, false}, {RecordsPart, MetaRules, false}, {RecordsPart, MetaRevision, false},
	{RecordsPart, MetaMails, false}, {RecordsPart, MetaPruned, false}, {RecordsPart, MetaForgot, false},
	{HistoryPart, MetaTaken, false},
}

// copyMeta copies the values of a part. They are few, so all are written again when a copy
// goes on.
func (c *copier) copyMeta(part CopyPart) error {
	if !c.from.Has(part) {
		return nil
	}
	if err := c.knowMeta(part); err != nil {
		return err
	}
	d := c.to.Dialect(part)
	return c.to.Write(part, func(w Conn) error {
		for i := range copiedMetas {
			m := &copiedMetas[i]
			if m.part != part {
				continue
			}
			v, err := readMeta(c.from, m)
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			sql := d.WriteNumber
			if m.bytes {
				sql = d.WriteBytes
			}
			if err := w.Exec(sql, m.name, v); err != nil {
				return fmt.Errorf("writing value %s: %w", m.name, err)
			}
		}
		return nil
	})
}

// knowMeta refuses a source with a value that would be left behind.
func (c *copier) knowMeta(part CopyPart) error {
	return c.from.Read(part, func(conn Conn) error {
		return conn.Query("SELECT name FROM meta ORDER BY name LIMIT 1000", func(r Row) error {
			name := r.Text(0)
			if c.from.Keeps(name) || slices.ContainsFunc(copiedMetas, func(m copiedMeta) bool { return m.name == name }) {
				return nil
			}
			return fmt.Errorf("value %q in table meta is not known here: copy with the Countersign that has written it", name)
		})
	})
}

// readMeta reads a value; nil when it is not there.
func readMeta(s CopyStore, m *copiedMeta) (v driver.Value, err error) {
	d := s.Dialect(m.part)
	sql := d.ReadNumber
	if m.bytes {
		sql = d.ReadBytes
	}
	err = s.Read(m.part, func(c Conn) error {
		return c.Query(sql, func(r Row) error {
			if v = r.Integer(0); m.bytes {
				v = r.Blob(0)
			}
			return nil
		}, m.name)
	})
	if err != nil {
		err = fmt.Errorf("reading value %s: %w", m.name, err)
	}
	return v, err
}

// compareMeta compares the values in both stores.
func (c *copier) compareMeta() error {
	for i := range copiedMetas {
		m := &copiedMetas[i]
		if !c.from.Has(m.part) {
			continue
		}
		theirs, err := readMeta(c.from, m)
		if err != nil {
			return err
		}
		ours, err := readMeta(c.to, m)
		if err != nil {
			return err
		}
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			return fmt.Errorf("value %s: %w", m.name, ErrCopyDiffers)
		}
	}
	return nil
}
