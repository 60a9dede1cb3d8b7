package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/otp"
	"countersign/tms"
)

// rows is a row function of Import: users from one number up to another, each
// with an event token that has used 5 codes.
func rows(from, to int) func() (tms.User, tms.Token, bool, error) {
	return func() (tms.User, tms.Token, bool, error) {
		if from == to {
			return tms.User{}, tms.Token{}, false, nil
		}
		name := otp.UserName(fmt.Sprintf("user%05d", from))
		token := importedToken(from)
		from++
		return tms.User{Exists: true, Name: name, PIN: otp.NewPIN([]byte(pin)), Created: noon},
			tms.Token{Exists: true, Token: token, User: name, Created: noon}, true, nil
	}
}

func importedToken(n int) otp.Token {
	t := hotp(fmt.Sprintf("T%05d", n))
	t.State.Counter = 5
	return t
}

const imported = 5000

func importRows(w *world) {
	n, err := w.store.Import(w.Context(), act("user.import", ""), rows(0, imported))
	if n != imported || err != nil {
		w.Fatalf("imported %d, error %v", n, err)
	}
	for range 2 {
		for i := 0; i < imported; i += imported / 7 {
			name, token := fmt.Sprintf("user%05d", i), importedToken(i)
			counter := w.token(token.Serial).State.Counter
			w.expect(otp.Replayed, name, pin+code(token, counter-1))
			w.expect(otp.Accepted, name, pin+code(token, counter))
		}
		w.reopen()
	}
	if acts := w.events(tms.Filter{}); !slices.ContainsFunc(acts, func(e tms.Event) bool { return e.Verb == "user.import" }) {
		w.Error("there is no audit record of the import")
	}
	if n, err := w.store.Import(w.Context(), act("user.import", ""), rows(0, 0)); n != 0 || err != nil {
		w.Errorf("of no rows %d were imported, error %v", n, err)
	}
}

// importStopsAtDouble imports rows of which one is there already, as a user or as
// a token.
func importStopsAtDouble(w *world) {
	w.addUser("user04321")
	w.addToken("", hotp("T09876"))
	for _, test := range []struct {
		from, to int
		double   string
	}{{0, imported, "user04321"}, {imported, 2 * imported, "T09876"}} {
		n, err := w.store.Import(w.Context(), act("user.import", ""), rows(test.from, test.to))
		if !errors.Is(err, tms.ErrExists) || !strings.Contains(fmt.Sprint(err), test.double) {
			w.Fatalf("error %v, want one that names %s", err, test.double)
		}
		if there := w.importedFrom(test.from, test.to); there != n || n == test.to-test.from {
			w.Errorf("%d rows are said to be imported, %d are there", n, there)
		}
	}
}

// importedFrom counts the rows of an import that are there.
func (w *world) importedFrom(from, to int) (count int) {
	w.Helper()
	w.must(w.store.Users(w.Context(), tms.Filter{}, func(u *tms.User) error {
		number := 0
		if _, err := fmt.Sscanf(string(u.Name), "user%d", &number); err != nil {
			return err
		}
		if len(u.Tokens) > 0 && number >= from && number < to {
			count++
		}
		return nil
	}))
	return count
}

// importStopsAtBadRow imports one row twice, and rows that end in an error.
func importStopsAtBadRow(w *world) {
	first, again := rows(0, 1), rows(0, 1)
	n, err := w.store.Import(w.Context(), act("user.import", ""), func() (tms.User, tms.Token, bool, error) {
		if u, t, more, err := first(); more || err != nil {
			return u, t, more, err
		}
		return again()
	})
	if n != 0 || !errors.Is(err, tms.ErrExists) {
		w.Errorf("one row twice: imported %d, error %v", n, err)
	}
	bad := errors.New("line 7 is no good")
	n, err = w.store.Import(w.Context(), act("user.import", ""), func() (tms.User, tms.Token, bool, error) {
		return tms.User{}, tms.Token{}, false, bad
	})
	if n != 0 || !errors.Is(err, bad) {
		w.Errorf("a bad row: imported %d, error %v", n, err)
	}
	if n := len(w.listUsers(tms.Filter{})); n != 0 {
		w.Errorf("%d users are there", n)
	}
}

func listings(w *world) {
	if _, err := w.store.Import(w.Context(), act("user.import", ""), rows(0, 1000)); err != nil {
		w.Fatal(err)
	}
	w.addUser("zoe", hotp("A1"), hotp("Z9"))
	w.addToken("", hotp("SPARE"))
	for _, test := range []struct {
		filter        tms.Filter
		users, tokens int
	}{
		{tms.Filter{}, 1001, 1003},
		{tms.Filter{Limit: 300}, 300, 300},
		{tms.Filter{User: "zoe"}, 1, 2},
		{tms.Filter{User: "zo"}, 0, 0},
		{tms.Filter{User: "nobody"}, 0, 0},
		{tms.Filter{Serial: "Z9"}, 1, 1},
		{tms.Filter{Serial: "SPARE"}, 0, 1},
		{tms.Filter{Serial: "NONE"}, 0, 0},
		{tms.Filter{User: "zoe", Serial: "Z9"}, 1, 1},
		{tms.Filter{User: "zoe", Serial: "T00001"}, 0, 0},
	} {
		users, tokens := w.listUsers(test.filter), w.listTokens(test.filter)
		if len(users) != test.users || len(tokens) != test.tokens {
			w.Errorf("%+v: %d users and %d tokens, want %d and %d", test.filter, len(users), len(tokens), test.users, test.tokens)
		}
		if !slices.IsSorted(users) || !slices.IsSorted(tokens) {
			w.Errorf("%+v: not in order", test.filter)
		}
	}
	stop := errors.New("stop")
	if err := w.store.Users(w.Context(), tms.Filter{}, func(*tms.User) error { return stop }); err != stop {
		w.Errorf("error %v, want that of the callback", err)
	}
}

// listingsAreWhole lists what a change has written, and the state that the last
// login has left.
func listingsAreWhole(w *world) {
	token := hotp("A1")
	w.addUser("zoe", token, hotp("Z9"))
	w.expect(otp.Accepted, "zoe", pin+code(token, 5))
	user, listed := w.user("zoe"), w.token("A1")
	if !slices.Equal(user.Tokens, []otp.Serial{"A1", "Z9"}) || !user.PIN.Equal(otp.NewPIN([]byte(pin))) {
		w.Errorf("user %+v", user)
	}
	if !user.Created.Equal(noon) || !user.Exists || !listed.Created.Equal(noon) || !listed.Exists {
		w.Errorf("user %+v, token %+v", user, listed)
	}
	if listed.State.Counter != 6 || listed.User != "zoe" || !listed.Seed.Equal(token.Seed) {
		w.Errorf("token %+v", listed)
	}
}

func (w *world) listUsers(f tms.Filter) (names []otp.UserName) {
	w.Helper()
	w.must(w.store.Users(w.Context(), f, func(u *tms.User) error { names = append(names, u.Name); return nil }))
	return names
}

func (w *world) listTokens(f tms.Filter) (serials []otp.Serial) {
	w.Helper()
	w.must(w.store.Tokens(w.Context(), f, func(t *tms.Token) error { serials = append(serials, t.Serial); return nil }))
	return serials
}
