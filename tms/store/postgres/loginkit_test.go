package postgres

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

// loginNoon is the instant of all attempts, whatever the clock of the database says.
var loginNoon = time.Unix(1_800_000_000, 0)

const loginPIN = "4711"

// loginDigits are so many that no token shows the same twice, in a test.
const loginDigits = 8

// loginNode is a node of a test, with a verifier of its own.
type loginNode struct {
	testing.TB
	*Store
	*otp.Verifier
}

func (n *loginNode) Submit(a *otp.Attempt) bool { return n.Verifier.Submit(a) }

// loginWorld is a database, and how nodes open it.
type loginWorld struct {
	testing.TB
	server   *postgrestest.Server
	database string
	options  Options
	keys     *seal.Keyring
	users    int
}

// newLoginWorld makes a database with the tables.
func newLoginWorld(t testing.TB, server *postgrestest.Server) *loginWorld {
	t.Helper()
	w := &loginWorld{TB: t, server: server, database: migratedDatabase(t, server)}
	w.options = testOptions(server.DSN(w.database), server.Password())
	w.options.Logger = newLogger(w.Output())
	return w
}

// open opens the database as a node, until the end of the test.
func (w *loginWorld) open(name string) *loginNode {
	w.Helper()
	o := w.options
	o.Node = name
	s, err := Open(context.Background(), o)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.Error(err)
		}
	})
	w.keys = s.keyring
	return &loginNode{w.TB, s, otp.NewVerifier(s, otp.DefaultPolicy())}
}

// two opens it as two nodes.
func (w *loginWorld) two() (a, b *loginNode) {
	w.Helper()
	return w.open("a"), w.open("b")
}

// run runs something on a connection of its own.
func (w *loginWorld) run(s *Store, run func(c *conn) error) {
	w.Helper()
	k := link{store: s}
	defer k.close()
	if err := k.use(context.Background(), time.Minute, run); err != nil {
		w.Fatal(err)
	}
}

// addUsers adds users with so many tokens each, made by token.
func (w *loginWorld) addUsers(s *Store, users, tokens int, token func(serial otp.Serial) otp.Token) {
	w.Helper()
	w.run(s, func(c *conn) error {
		for range users {
			w.users++
			if err := w.addUser(c, w.users, tokens, token); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *loginWorld) addUser(c *conn, n, tokens int, token func(serial otp.Serial) otp.Token) error {
	name := loginUser(n)
	pin, err := w.keys.Seal(nil, []byte(loginPIN), "pin/"+name)
	if err != nil {
		return err
	}
	if err := c.Exec(`INSERT INTO "user" (id, name, pin, disabled, created) VALUES (?, ?, ?, 0, 0)`, int64(n), name, pin); err != nil {
		return err
	}
	for i := range tokens {
		t := token(loginSerial(n, i))
		seed, err := w.keys.Seal(nil, t.Seed.Bytes(), "seed/"+string(t.Serial))
		if err != nil {
			return err
		}
		id := int64(n*otp.MaxTokens + i)
		err = c.Exec(`INSERT INTO token (id, serial, user_id, type, algorithm, digits, period, t0, seed, disabled, created) VALUES (?, ?, ?, ?, 0, ?, ?, 0, ?, 0, 0)`,
			id, string(t.Serial), int64(n), int64(t.Type), int64(t.Digits), int64(t.Period), seed)
		if err != nil {
			return err
		}
	}
	return nil
}

func loginUser(n int) string { return fmt.Sprintf("user%06d", n) }

func loginSerial(n, i int) otp.Serial { return otp.Serial(fmt.Sprintf("T%06d-%d", n, i)) }

// hotpToken is an event token and totpToken a clock token; its seed follows from its serial.
func hotpToken(serial otp.Serial) otp.Token {
	return otp.Token{Serial: serial, Type: otp.HOTP, Digits: loginDigits, Seed: oath.NewSeed([]byte("seed of token " + serial))}
}

func totpToken(serial otp.Serial) otp.Token {
	t := hotpToken(serial)
	t.Type, t.Period = otp.TOTP, 30
	return t
}

// passcode is what the user types whose token shows the code of this factor; of a clock token
// it counts from now on.
func passcode(t otp.Token, factor uint64) string {
	if t.Type == otp.TOTP {
		factor += uint64(oath.TimeStep(loginNoon, t.T0, t.Period))
	}
	return loginPIN + oath.HOTP(t.Algorithm, t.Seed, factor, int(t.Digits))
}

func loginAttempt(n int, passcode string) *otp.Attempt {
	return &otp.Attempt{
		At: loginNoon, User: []byte(loginUser(n)), NAS: "ras-gateway", Station: []byte("00-11-22-33-44-55"),
		Passcode: otp.NewPasscode([]byte(passcode)),
	}
}

// login logs a user in and expects a verdict.
func (n *loginNode) login(want otp.Verdict, user int, passcode string) {
	n.Helper()
	n.verify(want, loginAttempt(user, passcode))
}

func (n *loginNode) verify(want otp.Verdict, a *otp.Attempt) {
	n.Helper()
	if got, err := n.Verify(context.Background(), a); got != want || err != nil {
		n.Errorf("login of %s: %v, error %v, want %v", a.User, got, err, want)
	}
}

// told is a Waiter that counts.
type told struct {
	sync.WaitGroup
	mu       sync.Mutex
	attempts []*otp.Attempt
	errs     []error
}

// Decided implements otp.Waiter.
func (w *told) Decided(a *otp.Attempt, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts, w.errs = append(w.attempts, a), append(w.errs, err)
	w.Done()
}

// submit submits attempts to a node, all before any is waited for.
func (w *told) submit(n *loginNode, attempts ...*otp.Attempt) {
	for _, a := range attempts {
		a.Waiter = w
		w.Add(1)
		if !n.Submit(a) {
			w.Decided(a, otp.ErrBusy)
		}
	}
}

// verdicts waits for all and counts them. An error is a failure.
func (w *told) verdicts(t testing.TB) map[otp.Verdict]int {
	t.Helper()
	w.Wait()
	count := map[otp.Verdict]int{}
	for i, a := range w.attempts {
		if w.errs[i] != nil {
			t.Errorf("login of %s: %v", a.User, w.errs[i])
		}
		count[a.Decision.Verdict]++
	}
	return count
}

// stateOf is what table state has of a token.
func (w *loginWorld) stateOf(s *Store, serial otp.Serial) (state otp.State) {
	w.Helper()
	w.run(s, func(c *conn) error {
		return c.Query("SELECT s.state FROM token t JOIN state s ON s.token_id = t.id WHERE t.serial = ?", func(r tables.Row) (err error) {
			state, err = store.ParseState(r.Blob(0))
			return err
		}, string(serial))
	})
	return state
}

// records calls each with the records of the journal.
func (w *loginWorld) records(s *Store, each func(*store.Record)) {
	w.Helper()
	w.run(s, func(c *conn) error {
		return c.Query("SELECT records FROM journal ORDER BY batch", func(r tables.Row) error {
			return store.Records(r.Blob(0), func(_ uint32, record []byte) error {
				parsed, err := store.ParseRecord(record)
				each(&parsed)
				return err
			})
		})
	})
}

// verifyJournal expects that the journal is a chain without gaps, whose totals are right and
// whose end is in table head; and that it has the latest state of every token.
func (w *loginWorld) verifyJournal(s *Store) {
	w.Helper()
	var last audit.Hash
	number, total := int64(0), int64(0)
	w.run(s, func(c *conn) error {
		return c.Query("SELECT batch, records, chain, total FROM journal ORDER BY batch", func(r tables.Row) error {
			number++
			last = audit.Link(last, uint64(number), r.Blob(1))
			err := store.Records(r.Blob(1), func(uint32, []byte) error { total++; return nil })
			if r.Integer(0) != number || !bytes.Equal(last[:], r.Blob(2)) || r.Integer(3) != total {
				w.Errorf("batch %d has number %d, chain %x (want %v), total %d (want %d)", number, r.Integer(0), r.Blob(2), last, r.Integer(3), total)
			}
			return err
		})
	})
	w.run(s, func(c *conn) error {
		return c.Query("SELECT number, chain, total FROM head WHERE id = 1", func(r tables.Row) error {
			if r.Integer(0) != number || !bytes.Equal(r.Blob(1), last[:]) || r.Integer(2) != total {
				w.Errorf("the head is %d, %x, %d; the journal ends with %d, %v, %d", r.Integer(0), r.Blob(1), r.Integer(2), number, last, total)
			}
			return nil
		})
	})
	states := map[int64]store.Change{}
	w.records(s, func(r *store.Record) {
		if r.Event.Kind == tms.LoginEvent {
			for _, c := range r.Changes {
				if c.Rev <= states[c.Token].Rev {
					w.Errorf("token %d: revision %d after %d", c.Token, c.Rev, states[c.Token].Rev)
				}
				states[c.Token] = c
			}
		}
	})
	w.run(s, func(c *conn) error {
		return c.Query("SELECT token_id, rev, state FROM state", func(r tables.Row) error {
			in, known := states[r.Integer(0)]
			if known && uint64(r.Integer(1)) == in.Rev && !bytes.Equal(store.AppendState(nil, &in.State), r.Blob(2)) {
				w.Errorf("token %d has the state %x, the journal %+v", r.Integer(0), r.Blob(2), in)
			}
			return nil
		})
	})
}
