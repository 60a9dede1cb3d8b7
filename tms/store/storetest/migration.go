package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// setHome says who verifies a user's codes.
func (w *world) setHome(name string, home otp.Home) {
	w.Helper()
	w.changeUser(name, func(u *tms.User) { u.Home = home })
}

// homeIsKept sets homes in every way there is to change a user, and changes what else
// there is of them.
func homeIsKept(w *world) {
	w.addUser("alice", hotp("T1"))
	w.addUser("bob")
	row := tms.User{Exists: true, Name: "carol", Home: otp.HomeTMS}
	w.must(w.importRow(row, tms.Token{}))
	w.setHome("alice", otp.HomeLocal)
	w.changeHolder("bob", func(h *tms.Holder) { h.User.Home = otp.HomeTMS })
	w.changeHolder("new", func(h *tms.Holder) {
		h.User = tms.User{Exists: true, Home: otp.HomeLocal}
	})
	w.changeUser("alice", func(u *tms.User) { u.Disabled = true })
	w.changeHolder("alice", func(h *tms.Holder) {
		if h.User.Home != otp.HomeLocal {
			w.Errorf("a change sees home %v", h.User.Home)
		}
		h.User.PIN = otp.PIN{}
	})
	w.changeToken("T1", func(t *tms.Token) { t.User = "bob" })
	for range 2 {
		for name, want := range map[string]otp.Home{"alice": otp.HomeLocal, "bob": otp.HomeTMS, "carol": otp.HomeTMS, "new": otp.HomeLocal} {
			if u := w.user(name); u.Home != want || !u.Exists {
				w.Errorf("user %+v, want home %v", u, want)
			}
		}
		w.reopen()
	}
	w.setHome("bob", otp.HomeUnsaid)
	w.changeUser("alice", func(u *tms.User) { u.Exists = false })
	w.addUser("alice")
	for _, name := range []string{"alice", "bob"} {
		if home := w.user(name).Home; home != otp.HomeUnsaid {
			w.Errorf("home of %q: %v", name, home)
		}
	}
}

// importRow imports a user with a token.
func (w *world) importRow(u tms.User, t tms.Token) error {
	rows := 1
	_, err := w.store.Import(w.Context(), act("user.import", string(u.Name)), func() (tms.User, tms.Token, bool, error) {
		rows--
		return u, t, rows == 0, nil
	})
	return err
}

func refusedHomes(w *world) {
	const unknown = otp.HomeTMS + 1
	w.addUser("alice")
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.User.Home = unknown })
	before := w.everything()
	changed := w.store.ChangeUser(w.Context(), "alice", act("user.set", "alice"), func(u *tms.User) error {
		u.Home = unknown
		return nil
	})
	imported := w.importRow(tms.User{Exists: true, Name: "bob", Home: unknown}, tms.Token{})
	for _, err := range []error{changed, imported} {
		if !errors.Is(err, tms.ErrInvalid) {
			w.Errorf("error %v, want %v", err, tms.ErrInvalid)
		}
	}
	if after := w.everything(); after != before || w.user("alice").Home != otp.HomeUnsaid {
		w.Errorf("of\n%s\nhas become\n%s", before, after)
	}
}

// learn has a token learned by a user.
func (w *world) learn(serial, user string) {
	w.Helper()
	w.changeToken(otp.Serial(serial), func(t *tms.Token) { t.User, t.Learned = otp.UserName(user), true })
}

// learnedIsKept has users learn tokens, until they lose them.
func learnedIsKept(w *world) {
	w.addUser("alice")
	w.addUser("bob")
	serials := []string{"T0", "T1", "T2", "T3", "T4", "T5"}
	for i, serial := range serials {
		w.addToken("", hotp(serial))
		w.learn(serial, []string{"alice", "bob"}[i/3])
	}
	w.changeToken("T1", func(t *tms.Token) { t.Enrolled, t.Disabled, t.Lost = true, true, true })
	w.expect(otp.Accepted, "alice", pin+code(hotp("T0"), 0))
	w.learned(serials...)
	w.changeToken("T0", func(t *tms.Token) { t.User = "" })                     // unassigned
	w.changeToken("T1", func(t *tms.Token) { t.User = "bob" })                  // somebody else's
	w.changeHolder("alice", func(h *tms.Holder) { h.Tokens[0].User = "" })      // T2
	w.changeToken("T3", func(t *tms.Token) { t.Learned = false })               // proven otherwise
	w.changeHolder("bob", func(h *tms.Holder) { h.User.PIN = otp.NewPIN(nil) }) // stays
	w.learned("T4", "T5")
	w.changeUser("bob", func(u *tms.User) { u.Exists = false })
	w.learned()
	if t := w.token("T1"); !t.Enrolled || !t.Disabled {
		w.Errorf("token %+v", t)
	}
	w.learn("T4", "alice")
	w.changeHolder("alice", func(h *tms.Holder) { h.User.Exists = false })
	w.learned()
	w.changeToken("T5", func(t *tms.Token) { t.Learned = true }) // by nobody
	w.learned()
}

// learned expects these tokens, and no others, to be learned, also after the store was
// opened again.
func (w *world) learned(serials ...string) {
	w.Helper()
	for range 2 {
		var got []string
		w.must(w.store.Tokens(w.Context(), tms.Filter{}, func(t *tms.Token) error {
			if t.Learned {
				got = append(got, string(t.Serial))
			}
			return nil
		}))
		if !slices.Equal(got, serials) {
			w.Errorf("learned are %q, want %q", got, serials)
		}
		w.reopen()
	}
}

// importsTeachNothing imports tokens that say they were learned, and one that was.
func importsTeachNothing(w *world) {
	said := hotp("SAID")
	said.Learned = true
	w.must(w.importRow(tms.User{Exists: true, Name: "alice"}, tms.Token{Exists: true, Token: said, User: "alice"}))
	row := hotp("ROW")
	row.Learned = true
	w.addToken("", hotp("KEPT"))
	w.learn("KEPT", "alice")
	rows := seedRows(row, hotp("KEPT"))
	rows[0].User = "alice"
	w.importTokens(rows, func(k *tms.Stock) {
		take(rows, k)
		k.Tokens[1].Digits = 8
	})
	w.learned("KEPT")
	if t := w.token("KEPT"); t.Digits != 8 {
		w.Errorf("token %+v", t)
	}
}

// learnableTokens lists those in stock and those that were learned, among many others.
func learnableTokens(w *world) {
	const all = 700 // several pages
	n := -1
	_, err := w.store.Import(w.Context(), act("user.import", ""), func() (tms.User, tms.Token, bool, error) {
		n++
		row, user := tms.Token{Exists: true, Token: hotp(fmt.Sprintf("T%03d", n))}, tms.User{}
		if n%3 == 0 {
			user = tms.User{Exists: true, Name: otp.UserName(fmt.Sprint("user", n)), PIN: otp.NewPIN([]byte(pin))}
			row.User = user.Name
		}
		return user, row, n < all, nil
	})
	w.must(err)
	var want []otp.Serial
	for n := range all {
		switch serial := fmt.Sprintf("T%03d", n); {
		case n%30 == 0:
			w.changeToken(otp.Serial(serial), func(t *tms.Token) { t.Learned = true })
		case n%30 == 1:
			w.changeToken(otp.Serial(serial), func(t *tms.Token) { t.Disabled = true })
			continue
		case n%3 == 0:
			continue
		}
		want = append(want, otp.Serial(fmt.Sprintf("T%03d", n)))
	}
	w.expect(otp.Accepted, "user30", pin+code(hotp("T030"), 4))
	w.changeToken("T002", func(t *tms.Token) { t.State.Counter = 9 })
	for _, test := range []struct {
		filter tms.Filter
		want   []otp.Serial
	}{
		{tms.Filter{Learnable: true}, want},
		{tms.Filter{Learnable: true, Limit: 300}, want[:300]},
		{tms.Filter{Learnable: true, User: "user30"}, []otp.Serial{"T030"}},
		{tms.Filter{Learnable: true, User: "user33"}, nil},
		{tms.Filter{Learnable: true, Serial: "T001"}, nil},
		{tms.Filter{Learnable: true, Serial: "T002"}, []otp.Serial{"T002"}},
	} {
		if got := w.listTokens(test.filter); !slices.Equal(got, test.want) {
			w.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
	counters := map[otp.Serial]uint64{"T030": 5, "T002": 9}
	w.must(w.store.Tokens(w.Context(), tms.Filter{Learnable: true}, func(t *tms.Token) error {
		if !t.Exists || t.State.Counter != counters[t.Serial] || !t.Seed.Equal(hotp(string(t.Serial)).Seed) || t.Learned != (t.User != "") {
			w.Errorf("token %+v", t)
		}
		return nil
	}))
}

// seenAtTMS notes users who were seen, some again, later and earlier.
func seenAtTMS(w *world) {
	day := func(n int) time.Time { return noon.AddDate(0, 0, n) }
	note := func(seen ...tms.Seen) { w.must(w.store.NoteSeen(w.Context(), seen)) }
	note()
	note(tms.Seen{User: "bob", Last: day(2)}, tms.Seen{User: "alice", Last: day(1)}, tms.Seen{User: "carol", Last: day(3)})
	note(tms.Seen{User: "bob", Last: day(1)}, tms.Seen{User: "alice", Last: day(2)}, tms.Seen{User: "alice", Last: day(5)}, tms.Seen{User: "alice", Last: day(4)})
	for _, test := range []struct {
		filter tms.Filter
		want   []tms.Seen
	}{
		{tms.Filter{}, []tms.Seen{{User: "alice", Last: day(5)}, {User: "bob", Last: day(2)}, {User: "carol", Last: day(3)}}},
		{tms.Filter{User: "bob"}, []tms.Seen{{User: "bob", Last: day(2)}}},
		{tms.Filter{User: "bo"}, nil},
		{tms.Filter{Limit: 1}, []tms.Seen{{User: "alice", Last: day(5)}}},
	} {
		if got := w.seen(test.filter); !slices.EqualFunc(got, test.want, sameSeen) {
			w.Errorf("%+v: %v, want %v", test.filter, got, test.want)
		}
	}
	w.reopen()
	if got := w.seen(tms.Filter{}); len(got) != 3 || len(w.events(tms.Filter{})) != 0 {
		w.Errorf("seen %v, and %d events", got, len(w.events(tms.Filter{})))
	}
	if err := w.store.NoteSeen(w.Context(), []tms.Seen{{User: "dave", Last: noon}, {Last: noon}}); !errors.Is(err, tms.ErrInvalid) || len(w.seen(tms.Filter{User: "dave"})) > 0 {
		w.Errorf("nobody was seen: error %v", err)
	}
}

// manySeenAtTMS notes more users than one page or one transaction has, from several
// sides at once.
func manySeenAtTMS(w *world) {
	const users, sides = 3000, 4
	done := make(chan error, sides)
	for side := range sides {
		go func() {
			seen := make([]tms.Seen, users)
			for n := range seen {
				seen[n] = tms.Seen{User: otp.UserName(fmt.Sprintf("user%04d", n)), Last: noon.Add(time.Duration((n+side)%sides) * time.Hour)}
			}
			done <- w.store.NoteSeen(w.Context(), seen)
		}()
	}
	for range sides {
		w.must(<-done)
	}
	got := w.seen(tms.Filter{})
	if len(got) != users {
		w.Fatalf("%d users, want %d", len(got), users)
	}
	for n, s := range got {
		if want := (tms.Seen{User: otp.UserName(fmt.Sprintf("user%04d", n)), Last: noon.Add((sides - 1) * time.Hour)}); !sameSeen(s, want) {
			w.Fatalf("seen %v, want %v", s, want)
		}
	}
}

func sameSeen(a, b tms.Seen) bool { return a.User == b.User && a.Last.Equal(b.Last) }

func (w *world) seen(f tms.Filter) (all []tms.Seen) {
	w.Helper()
	w.must(w.store.SeenAtTMS(w.Context(), f, func(s *tms.Seen) error { all = append(all, *s); return nil }))
	return all
}
