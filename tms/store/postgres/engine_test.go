package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms/audit"
	"countersign/tms/store"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

// openStore opens a store until the end of the test.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// as is a node of another name.
func (o Options) as(node string) Options { o.Node = node; return o }

// do does an act that must succeed.
func do(t testing.TB, s *Store, run func(w tables.Conn) error) {
	t.Helper()
	must(t, engine{s}.Do(context.Background(), run))
}

// number is that of a query.
func number(t testing.TB, s *Store, sql string) (n int64) {
	t.Helper()
	must(t, engine{s}.Read(func(c tables.Conn) (err error) { n, err = c.Number(sql); return err }))
	return n
}

// What an act has written is there whole or not at all, and that of a transaction in it too.
func TestActsAreWhole(t *testing.T) {
	s := openStore(t, migrated(t, postgrestest.Shared(t)))
	e := engine{s}
	write := func(w tables.Conn, nas string) error { return w.Exec("INSERT INTO nas_seen (nas) VALUES (?)", nas) }
	no := errors.New("no")
	do(t, s, func(w tables.Conn) error {
		must(t, write(w, "one"))
		err := e.Transaction(w, func(w tables.Conn) error {
			must(t, write(w, "two"))
			return write(w, "one")
		})
		if !e.Duplicate(err) {
			t.Errorf("the same twice: error %v", err)
		}
		must(t, e.Transaction(w, func(w tables.Conn) error {
			err := e.Transaction(w, func(w tables.Conn) error { must(t, write(w, "three")); return no })
			if !errors.Is(err, no) {
				t.Errorf("error %v", err)
			}
			return write(w, "four")
		}))
		return nil
	})
	if n := number(t, s, "SELECT count(*) FROM nas_seen WHERE nas IN ('one', 'four')"); n != 2 || number(t, s, "SELECT count(*) FROM nas_seen") != 2 {
		t.Errorf("%d of the two rows are there", n)
	}
	if err := e.Do(t.Context(), func(w tables.Conn) error { must(t, write(w, "five")); return no }); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	err := e.Do(t.Context(), func(w tables.Conn) error {
		must(t, write(w, "one"))
		_, _ = w.Number("SELECT 1") // has failed, which nobody minds
		return nil
	})
	if err == nil {
		t.Error("an act of which a statement has failed was done")
	}
	if n := number(t, s, "SELECT count(*) FROM nas_seen"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// Acts of two nodes are one after the other.
func TestActsAreAlone(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	nodes := []*Store{openStore(t, o.as("a")), openStore(t, o.as("b"))}
	do(t, nodes[0], func(w tables.Conn) error { return w.Exec(writeNumber, "count", int64(0)) })
	const acts = 20
	var wg sync.WaitGroup
	for i := range 2 * acts {
		wg.Go(func() {
			do(t, nodes[i%2], func(w tables.Conn) error {
				n, err := w.Number(readNumber, "count")
				return errors.Join(err, w.Exec(writeNumber, "count", n+1))
			})
		})
	}
	wg.Wait()
	if n := number(t, nodes[0], "SELECT number FROM meta WHERE name = 'count'"); n != 2*acts {
		t.Errorf("%d acts counted of %d", n, 2*acts)
	}
}

// The database links batches as audit.Link does.
func TestAppendLinks(t *testing.T) {
	s := openStore(t, migrated(t, postgrestest.Shared(t)))
	e := engine{s}
	var chain audit.Hash
	batches := [][]byte{store.BeginBatch(nil), {1, 0, 0xff, '\\', '\''}, bytes.Repeat([]byte{1}, 10000)}
	do(t, s, func(w tables.Conn) error {
		head, err := e.Head(w)
		must(t, err)
		chain = head.Chain
		for i, b := range batches {
			must(t, e.Append(w, b, i))
			head.Batch++
			chain = audit.Link(chain, head.Batch, b)
			if got, err := e.Head(w); got != (tables.Head{Batch: head.Batch, Chain: chain}) || err != nil {
				t.Errorf("batch %d: the head is %v, error %v", head.Batch, got, err)
			}
		}
		return nil
	})
	if n := number(t, s, "SELECT total FROM journal ORDER BY batch DESC LIMIT 1"); n != 0+1+2 {
		t.Errorf("%d records in all", n)
	}
}

// An act that changes a user changes the rows of their tokens, and makes those that lack.
func TestTouch(t *testing.T) {
	s := openStore(t, migrated(t, postgrestest.Shared(t)))
	e := engine{s}
	do(t, s, func(w tables.Conn) error {
		must(t, w.Exec(`INSERT INTO "user" (id, name, disabled, created) VALUES (1, 'kay', 0, 0), (2, 'lou', 0, 0)`))
		for id, owner := range []int64{1, 1, 2} {
			must(t, w.Exec("INSERT INTO token (id, serial, user_id, type, algorithm, digits, period, t0, seed, disabled, created) VALUES (?, ?, ?, 0, 0, 6, 0, 0, '', 0, 0)",
				int64(id), string(rune('A'+id)), owner))
		}
		return e.WriteStates(w, []store.Change{{Token: 1, Rev: 7, State: otp.State{Counter: 5}}})
	})
	before := number(t, s, "SELECT stamp FROM state WHERE token_id = 1")
	do(t, s, func(w tables.Conn) error {
		return e.Alone(w, "kay", func() error {
			kay := []*tables.TokenRow{{ID: 1}, {ID: 0}}
			must(t, e.CatchUp(w, kay))
			if kay[0].Rev != 8 || kay[0].State.Counter != 5 || kay[1].Rev != 0 {
				t.Errorf("caught up with %v %v", kay[0], kay[1])
			}
			return e.WriteStates(w, []store.Change{{Token: 1, Rev: 9, State: otp.State{Counter: 6}}})
		})
	})
	if n := number(t, s, "SELECT count(*) FROM state"); n != 2 {
		t.Errorf("%d rows, want those of kay", n)
	}
	if number(t, s, "SELECT stamp FROM state WHERE token_id = 1") == before || number(t, s, "SELECT rev FROM state WHERE token_id = 1") != 9 {
		t.Error("the row was not changed as it should be")
	}
}

// A database that hangs, or is gone, is noticed, acts end with an error, and all goes on
// within a second of its return.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	s := openStore(t, migrated(t, server))
	act := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		return engine{s}.Do(ctx, func(w tables.Conn) error { return w.Exec(writeNumber, "count", int64(0)) })
	}
	must(t, act())
	for name, outage := range map[string]struct{ begin, end func() }{
		"hangs":  {server.Freeze, server.Thaw},
		"killed": {server.Kill, func() { server.Restart(t) }},
	} {
		outage.begin()
		if err := act(); err == nil {
			t.Errorf("%s: an act was done", name)
		}
		await(t, 5*time.Second, func() bool { return s.Ready() != nil })
		if err := s.Ready(); err != nil && strings.Contains(err.Error(), server.Password()) {
			t.Errorf("%s: error %v", name, err)
		}
		outage.end()
		began := time.Now()
		await(t, 5*time.Second, func() bool { return s.Ready() == nil })
		t.Logf("%s: in service %v after its return", name, time.Since(began))
		must(t, act())
	}
}

// After a fail-over the store goes on with the standby, with all that was acknowledged, and does
// not take the old primary for the database when that comes back.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary := postgrestest.Start(t, postgrestest.Options{})
	o := migrated(t, primary)
	standby := primary.Standby(t)
	database := o.DSN[strings.LastIndexByte(o.DSN, '/')+1:]
	database = database[:strings.IndexByte(database, '?')]
	o.DSN = primary.MultiDSN(database, standby) + "&sslmode=disable"
	s := openStore(t, o)
	act := func(n int64) error {
		return engine{s}.Do(t.Context(), func(w tables.Conn) error { return w.Exec(writeNumber, "count", n) })
	}
	must(t, act(1))
	primary.Kill()
	if act(2) == nil {
		t.Error("an act was done without a database")
	}
	standby.Promote(t)
	began := time.Now()
	await(t, 5*time.Second, func() bool { return s.Ready() == nil })
	t.Logf("in service %v after the promotion", time.Since(began))
	if n := number(t, s, "SELECT number FROM meta WHERE name = 'count'"); n != 1 {
		t.Errorf("count %d, want that of the act that was done", n)
	}
	must(t, act(3))

	primary.Restart(t)
	config := s.database.config()
	setWays(config, waysOf(config)[:1])
	if err := s.database.with(t.Context(), config, func(*conn) error { return nil }); err == nil || !strings.Contains(err.Error(), "timeline") {
		t.Errorf("the old primary: error %v", err)
	}
	must(t, act(4))
}

// A pooler would have a statement or a setting of ours meet another server connection.
func TestNoPooler(t *testing.T) {
	server := postgrestest.Shared(t)
	o := migrated(t, server)
	o.DSN = strings.Replace(o.DSN, server.Address(), pooler(t, server.Address()), 1)
	s, err := Open(t.Context(), o)
	if err == nil {
		must(t, s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "pooler") || strings.Contains(err.Error(), server.Password()) {
		t.Errorf("error %v", err)
	}
}

// pooler is a way to a server that gives connections numbers of its own, as poolers do.
func pooler(t *testing.T, server string) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.Copy(to, client); _ = to.Close() }()
			go func() { renumber(client, to); _ = client.Close() }()
		}
	}()
	return l.Addr().String()
}

// renumber passes on what a server says, with another number of its process in BackendKeyData
// (PostgreSQL's manual, Message Formats).
func renumber(client io.Writer, server io.Reader) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' {
			body[3] ^= 1
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// await waits until something is so.
func await(t testing.TB, most time.Duration, so func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is not so after %v", most)
		}
	}
}
