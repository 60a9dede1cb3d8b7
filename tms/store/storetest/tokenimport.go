package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// seedRows are rows of a seed file, as many as there are tokens, for nobody.
func seedRows(tokens ...otp.Token) []tms.TokenRow {
	rows := make([]tms.TokenRow, len(tokens))
	for i, t := range tokens {
		rows[i] = tms.TokenRow{Line: i + 1, Token: t}
	}
	return rows
}

// take makes of the stock what the rows have, whatever is there.
func take(rows []tms.TokenRow, k *tms.Stock) {
	for i := range rows {
		t := &k.Tokens[i]
		if !t.Exists {
			*t = tms.Token{Exists: true, Token: rows[i].Token, Created: noon}
		}
		if t.User == "" {
			t.User = rows[i].User
		}
	}
}

// importTokens has the store take rows.
func (w *world) importTokens(rows []tms.TokenRow, change func(*tms.Stock)) {
	w.Helper()
	w.must(w.store.ChangeStock(w.Context(), rows, func(k *tms.Stock) (tms.Act, error) {
		change(k)
		return act("token.import", ""), nil
	}))
}

func stockIsShown(w *world) {
	used := hotp("T2")
	w.addUser("alice", hotp("T1"), used)
	w.addUser("bob")
	w.expect(otp.Accepted, "alice", pin+code(used, 4))
	rows := seedRows(hotp("NEW"), used)
	rows[0].User, rows[1].User = "bob", "carol"
	look := func(k *tms.Stock) {
		if len(k.Tokens) != 2 || k.Tokens[0].Exists || k.Tokens[0].Serial != "NEW" || len(k.Added) > 0 {
			w.Errorf("stock %+v", k)
		}
		if t := k.Tokens[1]; !t.Exists || t.User != "alice" || t.State.Counter != 5 || !t.Seed.Equal(used.Seed) || !t.Created.Equal(noon) {
			w.Errorf("token %+v", t)
		}
		if n, there := k.Holds["bob"]; n != 0 || !there {
			w.Errorf("bob is there: %v, with %d tokens", there, n)
		}
		if _, there := k.Holds["carol"]; there {
			w.Error("carol is there")
		}
	}
	k, err := w.store.ReadStock(w.Context(), rows)
	w.must(err)
	look(k)
	refused := errors.New("refused")
	err = w.store.ChangeStock(w.Context(), rows, func(k *tms.Stock) (tms.Act, error) {
		look(k)
		take(rows, k)
		return tms.Act{}, refused
	})
	if !errors.Is(err, refused) || w.token("NEW").Exists {
		w.Errorf("error %v, and the token is there: %v", err, w.token("NEW").Exists)
	}
	ended, cancel := context.WithCancel(w.Context())
	cancel()
	if _, err := w.store.ReadStock(ended, rows); err == nil {
		w.Error("a look after the end")
	}
}

func stockIsChanged(w *world) {
	kept := hotp("KEPT")
	w.addUser("alice", kept)
	w.addToken("", hotp("SPARE"))
	w.changeToken("KEPT", func(t *tms.Token) { t.Disabled, t.Enrolled = true, true })
	fresh, spare := totp("FRESH"), hotp("SPARE")
	fresh.State = otp.State{Counter: 7, Drift: -3}
	fresh.ValidFrom, fresh.ValidUntil = noon.Unix()-1, noon.Unix()+100
	rows := seedRows(fresh, spare, kept)
	rows[0].User, rows[1].User = "dora", "alice"
	w.importTokens(rows, func(k *tms.Stock) {
		take(rows, k)
		k.Added = []otp.UserName{"dora"}
		k.Tokens[2].Digits, k.Tokens[2].Algorithm = 8, 1
	})
	for range 2 {
		dora, got := w.user("dora"), w.token("FRESH")
		if !dora.Exists || !dora.PIN.IsZero() || !slices.Equal(dora.Tokens, []otp.Serial{"FRESH"}) || !dora.Created.Equal(noon) {
			w.Errorf("user %+v", dora)
		}
		if got.State != fresh.State || got.User != "dora" || got.ValidUntil != fresh.ValidUntil || got.ValidFrom != fresh.ValidFrom || !got.Seed.Equal(fresh.Seed) {
			w.Errorf("token %+v", got)
		}
		if got := w.token("KEPT"); !got.Disabled || !got.Enrolled || got.User != "alice" || got.Digits != 8 || got.Algorithm != 1 || !got.Seed.Equal(kept.Seed) {
			w.Errorf("token %+v", got)
		}
		if got := w.token("SPARE"); got.User != "alice" {
			w.Errorf("token %+v", got)
		}
		w.reopen()
	}
	w.expect(otp.Accepted, "alice", pin+code(spare, 0))
	w.expect(otp.Accepted, "dora", code(fresh, now(fresh)-3))
	found := 0
	for _, e := range w.events(tms.Filter{}) {
		if e.Verb == "token.import" && e.Detail == "for a test" {
			found++
		}
	}
	if found != 1 {
		w.Errorf("%d audit records", found)
	}
}

// nextLoginSeesImport changes tokens of users who have just logged in.
func nextLoginSeesImport(w *world) {
	const users = 600 // several in each part of whatever keeps them in memory
	tokens := make([]otp.Token, users)
	for i := range tokens {
		tokens[i] = hotp(fmt.Sprint("T", i))
		w.addUser(fmt.Sprint("user", i), tokens[i])
		w.expect(otp.Accepted, fmt.Sprint("user", i), pin+code(tokens[i], 0))
	}
	w.importTokens(seedRows(tokens...), func(k *tms.Stock) {
		for i := range k.Tokens {
			if k.Tokens[i].State.Counter != 1 {
				w.Errorf("%s: counter %d", k.Tokens[i].Serial, k.Tokens[i].State.Counter)
			}
			if i%2 == 0 {
				k.Tokens[i].State.Counter = 3
			} else {
				k.Tokens[i].Digits = 8
			}
		}
	})
	for i, t := range tokens {
		name, expected := fmt.Sprint("user", i), uint64(1)
		if i%2 == 0 {
			expected = 3
			w.expect(otp.Replayed, name, pin+code(t, 2))
		} else {
			t.Digits = 8
		}
		w.expect(otp.Accepted, name, pin+code(t, expected))
	}
}

func refusedStock(w *world) {
	full := make([]otp.Token, otp.MaxTokens)
	for i := range full {
		full[i] = hotp(fmt.Sprint("F", i))
	}
	w.addUser("full", full...)
	w.addUser("nearly", hotp("N"))
	w.addUser("bob", hotp("B1"))
	many := make([]otp.Token, otp.MaxTokens)
	for i := range many {
		many[i] = hotp(fmt.Sprint("M", i))
	}
	for _, test := range []struct {
		user   otp.UserName
		tokens []otp.Token
		change func(*tms.Stock)
		kind   error
		says   string
	}{
		{"full", []otp.Token{hotp("X")}, nil, tms.ErrInvalid, `"full" has 32 tokens`},
		{"nearly", many, nil, tms.ErrInvalid, `"nearly" has 32 tokens`},
		{"nobody", []otp.Token{hotp("X")}, nil, tms.ErrNotFound, `"nobody"`},
		{"bob", []otp.Token{hotp("X"), hotp("X")}, nil, tms.ErrExists, "twice"},
		{"nearly", []otp.Token{hotp("X"), hotp("B1")}, func(k *tms.Stock) { k.Tokens[1].User = "nearly" }, tms.ErrInvalid, `"bob"'s`},
		{"bob", []otp.Token{hotp("X"), {Serial: "Y", Digits: 6}}, nil, tms.ErrInvalid, `"Y"`},
		{"bob", []otp.Token{hotp("X"), hotp("B1")}, func(k *tms.Stock) { k.Tokens[1].Exists = false }, nil, "removes"},
	} {
		rows := seedRows(test.tokens...)
		for i := range rows {
			rows[i].User = test.user
		}
		err := w.store.ChangeStock(w.Context(), rows, func(k *tms.Stock) (tms.Act, error) {
			take(rows, k)
			if test.change != nil {
				test.change(k)
			}
			return act("token.import", "refused"), nil
		})
		if err == nil || test.kind != nil && !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			w.Errorf("%q: error %v, want one that is %v and says %s", test.user, err, test.kind, test.says)
		}
		if w.token("X").Exists || w.token("M0").Exists {
			w.Errorf("%q: something was written", test.user)
		}
	}
	for _, e := range w.events(tms.Filter{}) {
		if e.Object == "refused" {
			w.Error("a refused import is recorded")
		}
	}
}

// importsAgainstLogins moves counters forward again and again, while users log in with
// every code once. No code is accepted twice, and none below a counter that was
// imported.
func importsAgainstLogins(w *world) {
	const users, codes, imports = 16, 40, 12
	tokens := make([]otp.Token, users)
	for i := range tokens {
		tokens[i] = killToken(i)
		w.addUser(fmt.Sprint("user", i), tokens[i])
	}
	var floor [users]atomic.Uint64
	var accepted [users][codes + imports + 1]atomic.Int32
	var wg sync.WaitGroup
	for i := range users {
		for range 2 {
			wg.Go(func() {
				for counter := range uint64(codes) {
					before := floor[i].Load()
					verdict := w.login(fmt.Sprint("user", i), pin+code(tokens[i], counter))
					if verdict == otp.Accepted {
						accepted[i][counter].Add(1)
						if counter < before {
							w.Errorf("user %d: code %d was accepted after counter %d was imported", i, counter, before)
						}
					}
				}
			})
		}
	}
	rows := seedRows(tokens...)
	for range imports {
		var after [users]uint64
		w.importTokens(rows, func(k *tms.Stock) {
			for i := range k.Tokens {
				k.Tokens[i].State.Counter++
				after[i] = k.Tokens[i].State.Counter
			}
		})
		for i := range after {
			floor[i].Store(after[i])
		}
	}
	wg.Wait()
	for i := range accepted {
		for counter := range accepted[i] {
			if n := accepted[i][counter].Load(); n > 1 {
				w.Errorf("user %d: code %d was accepted %d times", i, counter, n)
			}
		}
		if last := w.token(tokens[i].Serial).State.Counter; last < imports || w.login(fmt.Sprint("user", i), pin+code(tokens[i], last-1)) == otp.Accepted {
			w.Errorf("user %d: counter %d", i, last)
		}
	}
}

const (
	importVictim = "import"
	killedRows   = 1000
)

// importer is a victim that imports file after file, each in one transaction. It says
// "imported N", and how the time goes on.
func importer(s Store) {
	first := 0
	_ = s.Tokens(context.Background(), tms.Filter{}, func(t *tms.Token) error {
		n := 0
		_, _ = fmt.Sscanf(string(t.Serial), "F%d-", &n)
		first = max(first, n+1)
		return nil
	})
	var mu sync.Mutex
	say := func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	}
	go func() {
		for range time.Tick(time.Millisecond) {
			say("time")
		}
	}()
	for n := first; ; n++ {
		rows := make([]tms.TokenRow, killedRows)
		for i := range rows {
			rows[i] = tms.TokenRow{Line: i + 1, Token: hotp(fmt.Sprintf("F%d-%d", n, i)), User: otp.UserName(fmt.Sprintf("user%d-%d", n, i))}
		}
		err := s.ChangeStock(context.Background(), rows, func(k *tms.Stock) (tms.Act, error) {
			take(rows, k)
			for i := range rows {
				k.Added = append(k.Added, rows[i].User)
			}
			return act("token.import", fmt.Sprint("F", n)), nil
		})
		if err != nil {
			say("failed:", err)
		}
		say("imported", n)
	}
}

// killKeepsImportsWhole kills a process that imports. Every file that was answered is
// there, and every other is there whole or not at all.
func killKeepsImportsWhole(w *world) {
	answered := -1
	for round := 1; round <= 6 || answered < 0 && round <= 20; round++ {
		w.close()
		// Longer and longer, so that a slow machine answers too.
		w.kill(importVictim, 5+rand.IntN(100*round), func(line string) {
			n := 0
			switch got, _ := fmt.Sscanf(line, "imported %d", &n); {
			case got == 1:
				answered = n
			case line != "time":
				w.Errorf("the victim said %q", line)
			}
		})
		w.open()
		files, users, acts := map[string]int{}, map[string]int{}, 0
		w.must(w.store.Tokens(w.Context(), tms.Filter{}, func(t *tms.Token) error {
			file, _, _ := strings.Cut(string(t.Serial), "-")
			files[file]++
			return nil
		}))
		w.must(w.store.Users(w.Context(), tms.Filter{}, func(u *tms.User) error {
			file, _, _ := strings.Cut(string(u.Name), "-")
			users[strings.Replace(file, "user", "F", 1)] += len(u.Tokens)
			return nil
		}))
		for _, e := range w.events(tms.Filter{}) {
			acts++
			if files[e.Object] != killedRows || users[e.Object] != killedRows {
				w.Errorf("%s: %d tokens and %d of users", e.Object, files[e.Object], users[e.Object])
			}
		}
		if len(files) != acts || len(users) != acts || acts <= answered {
			w.Errorf("%d files, users of %d, %d acts, and %d was answered", len(files), len(users), acts, answered)
		}
	}
	if answered < 0 {
		w.Error("no file was answered")
	}
}
