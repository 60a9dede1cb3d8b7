package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// Store keeps users, tokens and the journal in one file. It is safe for
// concurrent use. Open makes one.
type Store struct {
	*tables.Tables // the acts on the tables; nil until the keys are open
	options        Options
	lock           *os.File
	keyring        *seal.Keyring

	// files is held for reading by whoever uses db from outside of the
	// committer, and for writing when db is replaced.
	files sync.RWMutex
	db    *database // nil while recovery has none

	cache     cache
	overlay   overlay
	uses      uses
	invited   invited
	queue     queue
	committer committer
	answers   chan answer
	appended  chan struct{} // there is more in the accounting log
	wal       wal
	disk      disk
	history   history
	metrics   metrics
	figures   figures
	loads     chan *otp.Attempt
	cold      chan struct{} // the cache is to be filled
	foldDue   chan struct{}
	unfolded  atomic.Int64 // records in the journal that a start would replay

	failure  atomic.Pointer[error] // why the store is out of service
	closing  atomic.Bool
	rotating sync.Mutex // held by a rotation of the keys

	stop       context.CancelFunc
	background sync.WaitGroup
	answering  sync.WaitGroup
}

var (
	_ otp.TokenStore = (*Store)(nil)
	_ tms.Store      = (*Store)(nil)

	_ tms.EnrolmentStore = (*Store)(nil)
	_ tms.MigrationStore = (*Store)(nil)
	_ tms.Audit          = (*Store)(nil)
	_ tms.Sessions       = (*Store)(nil)

	_ accounting.Store = (*Store)(nil)
)

// Open opens the store, and makes an empty one if there is no file yet. The
// journal that no fold has reached is replayed, so what comes back is ready. An
// error wraps ErrLocked when another process has the store open, and
// seal.ErrOpen when none of the KEKs fits.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := newStore(o)
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("opening token store %q: %w", o.Path, err)
	}
	return s, nil
}

func newStore(o Options) *Store {
	o.fill()
	s := &Store{
		options:  o,
		answers:  make(chan answer, 2),
		appended: make(chan struct{}, 1),
		loads:    make(chan *otp.Attempt, maxLoads),
		cold:     make(chan struct{}, 1),
		foldDue:  make(chan struct{}, 1),
	}
	s.cache.init(o.CacheUsers)
	s.queue.init()
	s.committer.init()
	s.wal.init()
	s.initHistory()
	s.metrics.init(s)
	return s
}

func (s *Store) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockFile(s.options.Path); err != nil {
		return err
	}
	if err = refuseRestoring(s.options.Path); err == nil {
		err = s.openFile()
	}
	if err == nil {
		err = s.metrics.register(s.options.Registerer)
	}
	if err != nil {
		return errors.Join(err, s.release())
	}
	s.start()
	return nil
}

func (s *Store) openFile() error {
	var err error
	if s.db, err = openDatabase(s.options.Path); err != nil {
		return err
	}
	if err := tables.RefuseCopying(s.db.writer, dialect); err != nil {
		return err
	}
	if err := s.openKeyring(); err != nil {
		return err
	}
	if err := s.migrate(); err != nil {
		return err
	}
	s.Tables = s.newTables()
	if err := s.OpenSigner(s.db.writer); err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.takeUp(); err != nil {
		return err
	}
	return s.SignTail(s.db.writer)
}

// takeUp reads into memory what is kept there.
func (s *Store) takeUp() error {
	if err := s.findHeads(); err != nil {
		return err
	}
	s.recountHistory()
	if err := s.replay(); err != nil {
		return err
	}
	return s.invited.load(s.db.writer)
}

// openKeyring opens the data keys in the file, or makes a new file's first one.
func (s *Store) openKeyring() error {
	var sealed []byte
	err := s.db.writer.Query(readMeta, func(r tables.Row) error { sealed = r.Blob(0); return nil }, tables.MetaKeyring)
	if err != nil {
		return err
	}
	if sealed != nil {
		s.keyring, err = seal.OpenKeyring(sealed, s.options.KEKs, s.options.Rand)
		return err
	}
	if len(s.options.KEKs) == 0 {
		return errors.New("a new store needs a key-encryption key")
	}
	if s.keyring, err = seal.NewKeyring(s.options.Rand); err != nil {
		return err
	}
	if sealed, err = s.keyring.Marshal(s.options.KEKs[0], s.options.Rand); err != nil {
		return err
	}
	return s.db.writer.Exec(writeMeta, tables.MetaKeyring, sealed)
}

// replay reads from the journal what no fold has reached.
func (s *Store) replay() error {
	w := s.db.writer
	folded, err := w.Number(readMeta, tables.MetaFolded)
	if err != nil {
		return err
	}
	counted, err := countedUses(w, folded)
	if err != nil {
		return err
	}
	s.overlay.reset()
	s.uses.reset()
	s.unfolded.Store(0)
	var changes []store.Change
	batch := int64(0)
	one := func(_ uint32, record []byte) error {
		var use store.Use
		var err error
		if changes, use, err = store.ParseChanges(changes[:0], record); err != nil {
			return err
		}
		for _, c := range changes {
			s.overlay.replay(c)
		}
		if use.Rule != 0 && batch > counted[use.Rule] {
			s.uses.add([]store.Use{use})
		}
		s.unfolded.Add(1)
		return nil
	}
	return w.Query("SELECT batch, records FROM journal WHERE batch > ? ORDER BY batch", func(r tables.Row) error {
		batch = r.Integer(0)
		if err := store.Records(r.Blob(1), one); err != nil {
			return fmt.Errorf("replaying batch %d of the journal: %w", batch, err)
		}
		return nil
	}, folded)
}

// start starts the goroutines.
func (s *Store) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.lookAtDisk()
	go s.commitLoop()
	s.answering.Go(s.answerLoop)
	for range loaders {
		s.background.Go(func() { s.loadLoop(ctx) })
	}
	s.background.Go(func() { s.warmLoop(ctx) })
	s.background.Go(func() { s.foldLoop(ctx) })
	s.background.Go(func() { s.checkpointLoop(ctx) })
	s.background.Go(func() { s.minuteLoop(ctx) })
	s.background.Go(func() { s.diskLoop(ctx) })
	s.startHistory(ctx)
	signal(s.cold)
	if s.unfolded.Load() > foldRecords/10 {
		signal(s.foldDue) // to have the memory of the overlay back
	}
}

// Close decides and answers what is under way, folds and signs the journal and leaves a
// file without a log. Nothing is taken from its beginning on.
func (s *Store) Close() error {
	if s.closing.Swap(true) {
		return nil
	}
	for s.queue.depth.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	s.stop()
	s.background.Wait()
	var err error
	if s.failure.Load() == nil {
		err = s.fold(context.Background())
		err = errors.Join(err, s.do(context.Background(), func() error { return s.SignTail(s.db.writer) }))
	}
	close(s.committer.quit)
	<-s.committer.gone
	close(s.answers)
	s.answering.Wait()
	s.metrics.unregister(s.options.Registerer)
	return errors.Join(err, s.closeHistory(), s.release())
}

// release lets go of the files.
func (s *Store) release() error {
	s.files.Lock() // waits for who still reads
	defer s.files.Unlock()
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.close()) // SQLite checkpoints and removes the log
		s.db = nil
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
