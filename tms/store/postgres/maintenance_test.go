package postgres

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

const testPIN = "4711"

func testSeed(user string) []byte { return []byte("the seed of " + user) }

// testCode is a passcode of a user of addUsers.
func testCode(user string, counter uint64) string {
	return testPIN + oath.HOTP(oath.SHA1, oath.NewSeed(testSeed(user)), counter, 6)
}

// addUsers adds users, each with an event token.
func addUsers(t testing.TB, s *Store, users ...string) {
	t.Helper()
	n := 0
	_, err := s.Import(t.Context(), tms.Act{At: noon, Actor: "test", Verb: "user.import"}, func() (tms.User, tms.Token, bool, error) {
		if n == len(users) {
			return tms.User{}, tms.Token{}, false, nil
		}
		name := users[n]
		n++
		return tms.User{Exists: true, Name: otp.UserName(name), PIN: otp.NewPIN([]byte(testPIN))},
			tms.Token{Exists: true, User: otp.UserName(name), Token: otp.Token{Serial: otp.Serial("T" + name), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(testSeed(name))}}, true, nil
	})
	must(t, err)
}

// login logs a user in at a node.
func login(t testing.TB, s *Store, user, passcode string) otp.Verdict {
	t.Helper()
	verdict, err := otp.NewVerifier(s, otp.DefaultPolicy()).Verify(t.Context(), &otp.Attempt{
		At: noon, User: []byte(user), NAS: "ras-gateway", Station: []byte("00-11-22-33-44-55"), Passcode: otp.NewPasscode([]byte(passcode)),
	})
	must(t, err)
	return verdict
}

// Two nodes that make a database's first keyring at the same time agree on one; one with
// another key file is told what to do.
func TestFirstKeyring(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	var wg sync.WaitGroup
	boxes := make([][]byte, 3)
	for i := range boxes {
		wg.Go(func() {
			s, err := Open(context.Background(), o.as(string(rune('a'+i))))
			if err == nil {
				boxes[i], err = s.BoxKey(context.Background())
				err = errors.Join(err, s.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(boxes[0], boxes[1]) || !bytes.Equal(boxes[1], boxes[2]) {
		t.Error("the nodes have different keys")
	}
	o.KEKs = []seal.KEK{newKEK(9)}
	if _, err := Open(context.Background(), o); !errors.Is(err, seal.ErrOpen) || !strings.Contains(err.Error(), "copy that of the other node") {
		t.Errorf("with another key file: error %v", err)
	}
}

// Keys are rotated while two nodes let users in, and change them; a node that was started with
// the old key file goes on.
func TestRotateKeys(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	a, b := openStore(t, o.as("a")), openStore(t, o.as("b"))
	users := []string{"ann", "bob", "kay", "lou"}
	addUsers(t, a, users...)
	box, err := a.BoxKey(t.Context())
	must(t, err)
	next := newKEK(8)
	for round := range 4 {
		by := []*Store{a, b}[round%2] // at once after the other, which may not have followed yet
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, s := range []*Store{a, b} {
			wg.Go(func() { disturb(ctx, t, s, otp.UserName(users[i])) })
		}
		total := int64(0)
		err := by.RotateKeys(t.Context(), next, func(_, all int64) { total = all })
		stop()
		wg.Wait()
		must(t, err)
		if total < int64(2*len(users)) {
			t.Errorf("progress of %d values", total)
		}
		if got := by.keyring.Current(); got != uint32(round+2) {
			t.Errorf("data key %d", got)
		}
		if left := number(t, by, "SELECT count(*) FROM meta WHERE name IN ('keyring_offered', 'keyring_transport', 'keyring_round')"); left != 0 {
			t.Errorf("%d values are left in table meta", left)
		}
	}
	await(t, 5*time.Second, func() bool { return a.keyring.Current() == 5 && b.keyring.Current() == 5 })
	for i, s := range []*Store{a, b} {
		must(t, s.Check(t.Context()))
		if got := login(t, s, users[2], testCode(users[2], uint64(i))); got != otp.Accepted {
			t.Errorf("node %d: %v", i, got)
		}
	}
	if _, err := Open(t.Context(), o.as("c")); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("with the old key alone: error %v", err)
	}
	o.KEKs = []seal.KEK{next}
	c := openStore(t, o.as("c"))
	must(t, c.Check(t.Context()))
	if again, err := c.BoxKey(t.Context()); !bytes.Equal(again, box) || err != nil {
		t.Errorf("another box key, error %v", err)
	}
}

// disturb gives a user new PINs until ctx is done.
func disturb(ctx context.Context, t *testing.T, s *Store, name otp.UserName) {
	for ctx.Err() == nil {
		err := s.ChangeUser(context.Background(), name, tms.Act{At: noon, Actor: "test", Verb: "user.pin"}, func(u *tms.User) error {
			u.PIN = otp.NewPIN([]byte("1234"))
			return nil
		})
		if err != nil && !errors.Is(err, errKeysChanged) {
			t.Error(err)
		}
	}
}

// Keys are not changed while a node does not follow.
func TestRotateKeysWithoutNode(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	s := openStore(t, o.as("a"))
	do(t, s, func(w tables.Conn) error {
		return w.Exec("INSERT INTO node (name, instance, process, version, schema, started, seen, skew) VALUES ('deaf', 'x', '', '1', 1, 0, " + clockNow + " + 60000000, 0)")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.RotateKeys(ctx, newKEK(8), nil); err == nil || !strings.Contains(err.Error(), "deaf") {
		t.Errorf("error %v, want one that names the node", err)
	}
	if s.keyring.Current() != 1 {
		t.Errorf("data key %d", s.keyring.Current())
	}
	addUsers(t, s, "kay") // is sealed under the old key, and opens
	must(t, s.Check(t.Context()))
}

// A database that was put back does not accept codes again.
func TestRewound(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	s := openStore(t, o.as("a"))
	addUsers(t, s, "kay")
	if err := Rewound(t.Context(), o.as("a/command-1"), otp.DefaultPolicy()); !errors.Is(err, ErrNodes) {
		t.Errorf("with a node at work: error %v", err)
	}
	if got := login(t, s, "kay", testCode("kay", 0)); got != otp.Accepted {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
	must(t, Rewound(t.Context(), o.as("a/command-1"), otp.DefaultPolicy()))
	s = openStore(t, o.as("a"))
	if got := login(t, s, "kay", testCode("kay", 1)); got.Accepts() {
		t.Errorf("a code after the restore: %v", got)
	}
	if got := login(t, s, "kay", testCode("kay", 2)); got != otp.Accepted {
		t.Errorf("the second of two: %v", got)
	}
	if err := s.Backup(t.Context(), "file", nil); err == nil || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("backup: error %v", err)
	}
	must(t, s.Check(t.Context()))
}

// The journal can be verified beside the nodes, without a key. What was cut off its end is
// noticed at the next start.
func TestOpenAudit(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	s := openStore(t, o.as("a"))
	addUsers(t, s, "kay")
	addUsers(t, s, "lou")
	_, err := s.Checkpoint(t.Context())
	must(t, err)
	l, err := OpenAudit(t.Context(), Options{DSN: o.DSN, Password: o.Password, Version: "1"})
	must(t, err)
	report, err := audit.Verify(t.Context(), l, audit.VerifyOptions{})
	must(t, err, l.Close())
	if !report.OK() || report.Batches == 0 {
		t.Errorf("report %+v", report)
	}
	must(t, s.Close())
	c := connect(t, o)
	last, err := c.Number("SELECT max(batch) FROM journal")
	must(t, err)
	must(t, c.Exec("DELETE FROM checkpoint WHERE batch = ?", last), c.Exec("DELETE FROM journal WHERE batch = ?", last),
		c.Exec("UPDATE head SET number = number - 1, chain = (SELECT chain FROM journal ORDER BY batch DESC LIMIT 1) WHERE id = 1"), c.flush())
	s = openStore(t, o.as("a"))
	gaps := 0
	must(t, s.Events(t.Context(), tms.Filter{}, func(e *tms.Event) error {
		if e.Act.Verb == "audit.gap" {
			gaps++
		}
		if e.ID.Batch == uint64(last) {
			t.Error("the number of the batch that was cut off is used again")
		}
		return nil
	}))
	if gaps != 1 {
		t.Errorf("%d records of a gap", gaps)
	}
}
