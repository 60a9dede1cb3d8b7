package embedded

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store/tables"
)

// seen notes users of these numbers.
func (k *kit) seen(from, to int) {
	k.Helper()
	var seen []tms.Seen
	for n := from; n < to; n++ {
		seen = append(seen, tms.Seen{User: otp.UserName(userName(n)), Last: noon})
	}
	k.must(k.NoteSeen(context.Background(), seen))
}

// countSeen is how many users the TMS has seen.
func (k *kit) countSeen() (n int) {
	k.Helper()
	k.must(k.SeenAtTMS(context.Background(), tms.Filter{}, func(*tms.Seen) error { n++; return nil }))
	return n
}

// TestSeenAgainCostsNothing holds the committer while users are noted again.
func TestSeenAgainCostsNothing(t *testing.T) {
	k := newKit(t)
	k.seen(0, 100)
	k.must(k.do(context.Background(), func() error {
		k.seen(0, 100)
		k.seen(50, 60)
		return nil
	}))
	if n := k.countSeen(); n != 100 {
		t.Errorf("%d users are noted, want 100", n)
	}
}

// TestLearnableHasAnIndex holds the listing to reading nothing but what it lists.
func TestLearnableHasAnIndex(t *testing.T) {
	k := newKit(t)
	for _, user := range []otp.UserName{"", "x"} {
		k.must(k.Tokens(t.Context(), tms.Filter{Learnable: true, User: user}, func(*tms.Token) error { return nil }))
	}
	found := plans(t, tables.Learnable, idle(t, k.db.readers)...)
	for sql, plan := range found {
		ofUser := strings.Contains(sql, "user_id = ")
		if !ofUser && !strings.Contains(plan, "USING INDEX token_learnable") || strings.Contains(plan, "SCAN token") || strings.Contains(plan, "SCAN user") {
			t.Errorf("the plan is\n%s", plan)
		}
	}
	if len(found) != 2 {
		t.Errorf("%d statements, want one with a user and one without", len(found))
	}
}

// TestRestoreKeepsTheWayFromTheTMS restores homes, what tokens have shown, and who was
// seen.
func TestRestoreKeepsTheWayFromTheTMS(t *testing.T) {
	k := newKit(t)
	k.populate(2, true)
	k.setHome(1, otp.HomeTMS)
	k.seen(0, 3)
	for n := range 2 {
		k.must(k.ChangeToken(context.Background(), serial(n), tms.Act{At: noon}, func(t *tms.Token) error {
			t.Learned, t.State.Agreed, t.State.Disagreed = true, 3, uint16(n)
			return nil
		}))
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(context.Background(), backup, nil))
	k.seen(3, 5)
	k.must(k.Close())
	k.must(Restore(context.Background(), backup, k.options.Path, k.options, otp.DefaultPolicy()))
	k = openKit(t, k.options)
	if n := k.countSeen(); n != 3 {
		t.Errorf("%d users are noted, want the 3 of the backup", n)
	}
	for n := range 2 {
		if got := k.token(serial(n)); !got.Learned || got.State.Agreed != 3 || got.State.Disagreed != uint16(n) {
			t.Errorf("token %+v", got)
		}
	}
	u, err := k.readAccount([]byte(userName(1)))
	if err != nil || u.Home != otp.HomeTMS {
		t.Errorf("home %v, error %v", u.Home, err)
	}
}

// BenchmarkNoteSeen notes users in a store where a million have been seen.
func BenchmarkNoteSeen(b *testing.B) {
	const users = 1_000_000
	k := newKit(b)
	k.seen(0, users)
	day := noon
	for _, count := range []int{100, tables.SeenChunk} {
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("users=%d,again=%v", count, again), func(b *testing.B) {
				seen := make([]tms.Seen, count)
				for b.Loop() {
					if !again {
						day = day.AddDate(0, 0, 1)
					}
					for i := range seen {
						seen[i] = tms.Seen{User: otp.UserName(userName(i * (users / count))), Last: day}
					}
					k.must(k.NoteSeen(context.Background(), seen))
				}
			})
		}
	}
}

// BenchmarkLearnable lists a thousand tokens in stock among a hundred thousand that
// users have.
func BenchmarkLearnable(b *testing.B) {
	k := newKit(b)
	k.populate(100_000, false)
	n := 100_000
	_, err := k.Import(context.Background(), tms.Act{At: noon}, func() (tms.User, tms.Token, bool, error) {
		n++
		return tms.User{}, tms.Token{Exists: true, Token: otp.Token{Serial: serial(n), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(seed(n))}}, n <= 101_000, nil
	})
	k.must(err)
	for b.Loop() {
		if got := len(k.learnable()); got != 1000 {
			b.Fatalf("%d tokens", got)
		}
	}
}
