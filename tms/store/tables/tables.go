package tables

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"countersign/otp/seal"
	"countersign/tms/audit"
)

// Config is what Tables work with. All of it is needed but where it says so.
type Config struct {
	Name    string // of the store, for errors
	Engine  Engine
	History History
	Dialect Dialect
	Keyring *seal.Keyring
	Rand    io.Reader // safe for concurrent use
	Clock   func() time.Time
	Logger  *slog.Logger
	// Uses is nil when table rule_use counts all uses.
	Uses Uses

	// These may be nil.

	Signed  func(audit.Checkpoint) // a checkpoint is the newest, zero for none
	Damaged func()                 // a mail is found that cannot be opened, for the first time
	Gap     func()                 // the journal is not what it was
	Filled  func()                 // there are more users
	Pruned  func()                 // batches were removed from the journal or the accounting log
}

// Tables are the acts on the tables of a store. An engine embeds them, so that what they
// offer is its own. They are safe for concurrent use.
type Tables struct {
	*ChainLog
	config  Config
	engine  Engine
	history History
	dialect Dialect
	keyring *seal.Keyring
	signer  signer
	hasher  hasher // of the index
	page    string // the LIMIT of readBatches

	sealing  sync.RWMutex // held for writing while the current data key changes
	pruning  sync.Mutex   // held by who removes what is old
	indexing sync.Mutex   // held by who makes a segment of the index
	postings postings     // of that segment

	damagedMails sync.Map // what noteDamaged has logged
}

// New makes the acts of an engine. Before any is done, OpenSigner and Identify are called,
// and FindGap.
func New(c Config) *Tables {
	for _, hook := range []*func(){&c.Damaged, &c.Gap, &c.Filled, &c.Pruned} {
		if *hook == nil {
			*hook = func() {}
		}
	}
	if c.Signed == nil {
		c.Signed = func(audit.Checkpoint) {}
	}
	return &Tables{
		ChainLog: NewChainLog(c.Name, c.Dialect, c.Engine.Read),
		config:   c, engine: c.Engine, history: c.History, dialect: c.Dialect, keyring: c.Keyring,
		page: pageLimit(c.Dialect.PageBatches),
	}
}

// change does an administrative act. The current data key stays the same meanwhile.
func (s *Tables) change(ctx context.Context, run func(w Conn) error) error {
	if err := s.engine.Ready(); err != nil {
		return err
	}
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	return s.engine.Do(ctx, run)
}

// ChangeKey runs something that changes the current data key: nothing is sealed meanwhile.
func (s *Tables) ChangeKey(run func() error) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	return run()
}
