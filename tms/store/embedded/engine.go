package embedded

import (
	"context"

	"countersign/otp"
	"countersign/tms/audit"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// dialect is what SQLite wants written in its own way.
var dialect = tables.Dialect{
	ReadNumber: readMeta, WriteNumber: writeMeta, ReadBytes: readMeta, WriteBytes: writeMeta,
	Among:       "IN (SELECT value FROM json_each(?))",
	Unindexed:   "+",
	PageBatches: pageBatches,
}

// pageBatches is how many batches of the journal are read at once.
const pageBatches = 512

// adapter is the store as package tables sees it: a tables.Engine and tables.History.
type adapter struct{ *Store }

// newTables makes the acts of the store, whose keys are open.
func (s *Store) newTables() *tables.Tables {
	e := adapter{s}
	return tables.New(tables.Config{
		Name: s.options.Path, Engine: e, History: e, Dialect: dialect, Keyring: s.keyring,
		Rand: s.options.Rand, Clock: s.options.Clock, Logger: s.options.Logger, Uses: &s.uses,
		Signed:  s.signed,
		Damaged: s.metrics.damaged.Inc,
		Gap:     s.metrics.gaps.Inc,
		Filled:  func() { signal(s.cold) },
		Pruned:  func() { signal(s.history.due) },
	})
}

// signed takes note of the newest checkpoint.
func (s *Store) signed(c audit.Checkpoint) {
	if c.Batch > 0 {
		s.figures.checkpoint.Store(c.At.Unix())
	}
}

// Read implements tables.Engine.
func (e adapter) Read(run func(tables.Conn) error) error {
	return e.read(func(c *conn) error { return run(c) })
}

// Do implements tables.Engine.
func (e adapter) Do(ctx context.Context, run func(w tables.Conn) error) error {
	return e.do(ctx, func() error { return run(e.db.writer) })
}

// Transaction implements tables.Engine.
func (e adapter) Transaction(_ tables.Conn, run func(w tables.Conn) error) error {
	return e.transaction(func(w *conn) error { return run(w) })
}

// Append implements tables.Engine.
func (e adapter) Append(_ tables.Conn, records []byte, count int) error {
	return e.insert(records, count)
}

// Head implements tables.Engine.
func (e adapter) Head(tables.Conn) (tables.Head, error) { return e.committer.Head, nil }

// Folded implements tables.Engine.
func (e adapter) Folded(c tables.Conn) (uint64, error) {
	folded, err := c.Number(readMeta, tables.MetaFolded)
	return uint64(folded), err
}

// WriteStates implements tables.Engine.
func (e adapter) WriteStates(w tables.Conn, changes []store.Change) error {
	return foldInto(w, changes)
}

// Alone implements tables.Engine.
func (e adapter) Alone(_ tables.Conn, name otp.UserName, run func() error) error {
	return e.alone(name, run)
}

// Hold implements tables.Engine.
func (e adapter) Hold(_ tables.Conn, names []otp.UserName) (release func(), err error) {
	return e.hold(names), nil
}

// Forget implements tables.Engine.
func (e adapter) Forget(_ tables.Conn, name otp.UserName) error {
	if name == "" {
		return nil
	}
	return e.alone(name, func() error { return nil })
}

// CatchUp implements tables.Engine: the overlay has what the tables do not.
func (e adapter) CatchUp(_ tables.Conn, tokens []*tables.TokenRow) error {
	e.overlay.mu.Lock()
	defer e.overlay.mu.Unlock()
	for _, t := range tokens {
		e.overlay.latest(t)
	}
	return nil
}

// Latest implements tables.Engine: a state is in the cache, in the overlay or in its row.
func (e adapter) Latest(user otp.UserName, t *tables.TokenRow) {
	sh := &e.cache.shards[e.cache.index(string(user))]
	sh.mu.Lock()
	if p := sh.accounts[string(user)]; p != nil {
		p.Each(func(c store.Change) {
			if c.Token == t.ID && c.Rev > t.Rev {
				t.Rev, t.State = c.Rev, c.State
			}
		})
	}
	sh.mu.Unlock()
	_ = e.CatchUp(nil, []*tables.TokenRow{t})
}

// Invite implements tables.Engine.
func (e adapter) Invite(name otp.UserName, invited bool) { e.invited.set(name, invited) }

// Duplicate implements tables.Engine.
func (e adapter) Duplicate(err error) bool { return resultCode(err) == resultConstraint }

// Grew implements tables.Engine.
func (e adapter) Grew(pages int) { e.wal.grew(pages) }

// ReadHistory implements tables.History.
func (e adapter) ReadHistory(run func(tables.Conn) error) error {
	return e.readHistory(func(c *conn) error { return run(c) })
}

// WriteHistory implements tables.History.
func (e adapter) WriteHistory(run func(w tables.Conn) error) error {
	return e.writeHistory(func(w *conn) error { return run(w) })
}

// Taking implements tables.History. After an error of the history it waits until that works
// again, or there is room on the disk.
func (e adapter) Taking(ctx context.Context) (done func(taken int, err error), err error) {
	if err := e.awaitHistory(ctx); err != nil {
		return nil, err
	}
	h := &e.history
	h.taking.Lock()
	return func(taken int, err error) {
		if err != nil {
			h.waiting.Store(e.historyWaits())
		}
		h.log.shrank(taken, 0)
		h.taking.Unlock()
	}, nil
}

// More implements tables.History.
func (e adapter) More() { signal(e.appended) }

// Indexed implements tables.History.
func (e adapter) Indexed() (batch, generation uint64) {
	return e.indexedBatch(), e.history.opened.Load()
}
