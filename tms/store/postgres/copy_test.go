package postgres

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"countersign/otp/seal"
	"countersign/tms/store/embedded"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/storetest"
	"countersign/tms/store/tables"
)

// fileOptions are those of a store in a file, with the keys of o.
func fileOptions(t *testing.T, o Options) embedded.Options {
	t.Helper()
	return embedded.Options{Path: filepath.Join(t.TempDir(), "countersign.db"), KEKs: o.KEKs, Rand: o.Rand, Clock: o.Clock, Logger: o.Logger}
}

// withFile opens a store in a file, has something done with it and closes it.
func withFile(t *testing.T, o embedded.Options, run func(storetest.Store)) {
	t.Helper()
	s, err := embedded.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	run(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// withStore is withFile for a database.
func withStore(t *testing.T, o Options, run func(storetest.Store)) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	run(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// filledFile is a store in a file with all that one can have, and what it lists.
func filledFile(t *testing.T, o embedded.Options) (all []string) {
	t.Helper()
	withFile(t, o, func(s storetest.Store) { storetest.Fill(t, s) })
	withFile(t, o, func(s storetest.Store) { storetest.Age(t, s) })
	withFile(t, o, func(s storetest.Store) { all = storetest.Everything(t, s) })
	return all
}

// copyUp copies a file to a database, and copyDown back.
func copyUp(ctx context.Context, from embedded.Options, to Options, o tables.CopyOptions) (tables.CopyReport, error) {
	source, err := embedded.OpenSource(ctx, from)
	if err != nil {
		return tables.CopyReport{}, err
	}
	defer source.Close()
	target, err := OpenTarget(ctx, to)
	if err != nil {
		return tables.CopyReport{}, err
	}
	r, err := tables.Copy(ctx, source, target, o)
	return r, errors.Join(err, target.Close())
}

func copyDown(ctx context.Context, from Options, to embedded.Options, o tables.CopyOptions) (tables.CopyReport, error) {
	source, err := OpenSource(ctx, from)
	if err != nil {
		return tables.CopyReport{}, err
	}
	defer source.Close()
	target, err := embedded.OpenTarget(ctx, to)
	if err != nil {
		return tables.CopyReport{}, err
	}
	r, err := tables.Copy(ctx, source, target, o)
	return r, errors.Join(err, target.Close())
}

// A store goes to a database and back, broken off again and again, and each time all of it
// is there and goes on.
func TestCopyThereAndBack(t *testing.T) {
	shared := migrated(t, postgrestest.Shared(t))
	file, back := fileOptions(t, shared), fileOptions(t, shared)
	want := filledFile(t, file)
	brokenOff(t, func(ctx context.Context, o tables.CopyOptions) (tables.CopyReport, error) {
		r, err := copyUp(ctx, file, shared, o)
		if errors.Is(err, context.Canceled) {
			notComplete(t, shared)
		}
		return r, err
	})
	withFile(t, file, func(s storetest.Store) { storetest.SameLines(t, storetest.Everything(t, s), want) })
	withStore(t, shared, func(s storetest.Store) {
		storetest.SameLines(t, storetest.Everything(t, s), want)
		storetest.GoesOn(t, s, 0)
	})
	withStore(t, shared, func(s storetest.Store) { want = storetest.Everything(t, s) })
	brokenOff(t, func(ctx context.Context, o tables.CopyOptions) (tables.CopyReport, error) {
		return copyDown(ctx, shared, back, o)
	})
	withFile(t, back, func(s storetest.Store) {
		storetest.SameLines(t, storetest.Everything(t, s), want)
		storetest.GoesOn(t, s, 1)
	})
}

// brokenOff copies, and breaks off every few pages, until all is copied.
func brokenOff(t *testing.T, run func(context.Context, tables.CopyOptions) (tables.CopyReport, error)) {
	t.Helper()
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(t.Context())
		pages := 0
		report, err := run(ctx, tables.CopyOptions{Page: 4, Progress: func(what string, _, _ int64) {
			if pages++; strings.HasPrefix(what, "copying") && pages == 40 {
				cancel()
			}
		}})
		cancel()
		switch {
		case report.Resumed != (try > 0):
			t.Errorf("try %d: resumed %v", try, report.Resumed)
		case err == nil && try > 0:
			return
		case !errors.Is(err, context.Canceled):
			t.Fatalf("try %d: error %v", try, err)
		}
	}
}

// notComplete expects that nobody can open a copy which is not complete, nor copy it.
func notComplete(t *testing.T, o Options) {
	t.Helper()
	if s, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Fatalf("opened: %v, error %v", s != nil, err)
	}
	if _, err := copyDown(t.Context(), o, fileOptions(t, o), tables.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("copied, error %v", err)
	}
}

func TestRefusedCopies(t *testing.T) {
	ctx := t.Context()
	server := postgrestest.Shared(t)
	empty := newOptions(t, server)
	file := fileOptions(t, empty)
	filledFile(t, file)
	if _, err := copyUp(ctx, file, empty, tables.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "store migrate") {
		t.Errorf("copied to no tables: error %v", err)
	}
	shared := migrated(t, server)
	if _, err := copyDown(ctx, shared, fileOptions(t, shared), tables.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("copied an empty database: error %v", err)
	}
	if _, err := copyUp(ctx, file, shared, tables.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := copyUp(ctx, file, shared, tables.CopyOptions{Anew: true}); !errors.Is(err, tables.ErrTargetUsed) || !strings.Contains(err.Error(), "user (") {
		t.Errorf("copied to a store: error %v", err)
	}
	wrong := shared
	wrong.KEKs = []seal.KEK{newKEK(9)}
	if _, err := copyDown(ctx, wrong, file, tables.CopyOptions{}); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("copied with another key: error %v", err)
	}
	c := connect(t, shared)
	if err := errors.Join(c.Exec("INSERT INTO node (name, instance, process, version, schema, started, seen, skew) VALUES ('other', 'x', 'x', '1', 1, 0, "+clockNow+", 0)"), c.flush()); err != nil {
		t.Fatal(err)
	}
	if _, err := copyDown(ctx, shared, fileOptions(t, shared), tables.CopyOptions{}); !errors.Is(err, ErrNodes) || !strings.Contains(err.Error(), "other") {
		t.Errorf("copied while a node runs: error %v", err)
	}
	v, err := Look(ctx, shared)
	if err != nil || v.Tables != v.Known || !v.Used || len(v.Nodes) != 1 || v.Nodes[0] != (NodeVersion{"other", "1", 1}) || v.By != shared.Version {
		t.Errorf("versions %+v, error %v", v, err)
	}
}

// TestCopyAnew begins a copy again that was broken off, because its source was used.
func TestCopyAnew(t *testing.T) {
	shared := migrated(t, postgrestest.Shared(t))
	file := fileOptions(t, shared)
	filledFile(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := copyUp(ctx, file, shared, tables.CopyOptions{Progress: func(what string, _, _ int64) {
		if strings.HasSuffix(what, "session") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var want []string
	withFile(t, file, func(s storetest.Store) { storetest.GoesOn(t, s, 0) })
	withFile(t, file, func(s storetest.Store) { want = storetest.Everything(t, s) })
	if _, err := copyUp(t.Context(), file, shared, tables.CopyOptions{}); !errors.Is(err, tables.ErrSourceChanged) {
		t.Errorf("error %v", err)
	}
	if _, err := copyUp(t.Context(), file, shared, tables.CopyOptions{Anew: true}); err != nil {
		t.Fatal(err)
	}
	withStore(t, shared, func(s storetest.Store) { storetest.SameLines(t, storetest.Everything(t, s), want) })
}

// TestCopyKnowsAllTables finds tables and columns that a copy would leave behind.
func TestCopyKnowsAllTables(t *testing.T) {
	c := connect(t, migrated(t, postgrestest.Shared(t)))
	own := map[string]bool{}
	for _, name := range strings.Fields("meta head segment posting change key_learned claim throttle node lease migration") {
		own[name] = true
	}
	for _, name := range strings.Fields("state.stamp state.last_key state.last_at state.last_verdict journal.total journal.at accounting.total session.who session.there") {
		own[name] = true
	}
	known := tables.CopiedColumns(tables.RecordsPart)
	for name := range tables.CopiedColumns(tables.HistoryPart) {
		known[name] = true
	}
	err := c.Query("SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = current_schema()", func(r tables.Row) error {
		if name := r.Text(0) + "." + r.Text(1); !known[name] && !own[r.Text(0)] && !own[name] {
			t.Errorf("%s is not copied", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
