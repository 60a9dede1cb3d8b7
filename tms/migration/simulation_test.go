package migration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// person is a user with one token.
type person struct {
	user, pin, serial string
	imported          bool
}

// town is a number of people who log in once a day.
type town struct {
	*kit
	people []person
	rand   *rand.Rand
}

// newTown makes people with tokens of all kinds. Of the first of them, pairs show the
// same code when the one or the other first logs in; of strangers the token is not
// imported, and some of those are in such a pair.
func newTown(t *testing.T, seed uint64, people, pairs, strangers int) (*town, []time.Time) {
	w := &town{kit: newKit(t), rand: random(seed)}
	day := w.day(people)
	seeds := make([]uint64, people)
	for i := range seeds {
		seeds[i] = seed<<40 + uint64(i)
	}
	for i := range pairs {
		seeds[2*i], seeds[2*i+1] = collision(day[2*i], seed<<40+uint64(i)<<20+uint64(people))
	}
	for i, n := range w.rand.Perm(people) {
		p := person{
			user: fmt.Sprint("user", i), pin: fmt.Sprint(w.rand.IntN(1e6)), serial: fmt.Sprint("T", i),
			imported: n >= strangers,
		}
		kind := w.kind(i < 2*pairs)
		if p.imported {
			w.stock(p.serial, seeds[i], kind)
		} else {
			w.device(p.serial, seeds[i], kind)
		}
		w.people = append(w.people, p)
	}
	w.load()
	return w, day
}

// kind makes most tokens usual ones, as those of pairs are.
func (w *town) kind(usual bool) func(*device) {
	return func(d *device) {
		if usual {
			return
		}
		switch w.rand.IntN(10) {
		case 0:
			d.Digits = 8
		case 1:
			d.Type, d.Period = otp.HOTP, 0
		case 2:
			d.drift = time.Duration(w.rand.IntN(61)-30) * time.Second
		case 3:
			d.Algorithm, d.Period = oath.SHA256, 60
		}
	}
}

// day is when each logs in, on the next day.
func (w *town) day(people int) []time.Time {
	begin := w.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	at := make([]time.Time, people)
	for i := range at {
		at[i] = begin.Add(time.Duration(w.rand.Int64N(int64(24 * time.Hour))))
	}
	return at
}

// goBy lets a day go by.
func (w *town) goBy(day []time.Time) {
	order := w.rand.Perm(len(day))
	slices.SortFunc(order, func(a, b int) int { return day[a].Compare(day[b]) })
	for n, i := range order {
		w.now = day[i]
		p := &w.people[i]
		w.login(p.user, p.pin, p.serial)
		if n%10 == 0 && w.moved.Swap(false) {
			w.eliminate(w.Context(), w.index.Load())
		}
		if n%50 == 0 {
			w.load()
		}
	}
	w.eliminate(w.Context(), w.index.Load())
	w.load()
}

// check counts those who have their token, and finds what is wrong: a token is another's,
// or the PIN is.
func (w *town) check(wrongAllowed func(agreed uint16) bool) (right, wrong int) {
	for _, p := range w.people {
		token := w.shelf.tokens[otp.Serial(p.serial)]
		switch pin := string(w.shelf.users[otp.UserName(p.user)].PIN.Bytes()); {
		case token.User == "":
		case string(token.User) != p.user:
			wrong++
			if !wrongAllowed(token.State.Agreed) {
				w.Errorf("%s is %q's, agreed %d", p.serial, token.User, token.State.Agreed)
			}
		case pin != p.pin:
			w.Errorf("the PIN of %s is another", p.user)
		default:
			right++
		}
	}
	return right, wrong
}

func never(uint16) bool { return false }

// A thousand users: after one login each all have their tokens, but those of whom it is
// reported why not, and after the second all.
func TestAThousandUsers(t *testing.T) {
	w, day := newTown(t, 1, 1000, 0, 0)
	w.goBy(day)
	right, _ := w.check(never)
	if open := len(w.Ambiguities()); right+open != 1000 || open > 10 {
		t.Errorf("%d have their token after a day, and %d are open", right, open)
	}
	w.goBy(w.day(1000))
	if right, _ := w.check(never); right != 1000 || len(w.Ambiguities()) > 0 {
		t.Errorf("%d have their token after two days, and open is %v", right, w.Ambiguities())
	}
}

// The same with many tokens that show the same code when they are first used.
func TestManyCollisions(t *testing.T) {
	ambiguous := 0
	for seed := range uint64(12) {
		w, day := newTown(t, seed+100, 80, 20, 0)
		w.goBy(day)
		right, _ := w.check(never)
		open := len(w.Ambiguities())
		if right+open != 80 {
			t.Errorf("%d have their token after a day, and %d are open", right, open)
		}
		ambiguous += w.count(Ambiguous)
		w.goBy(w.day(80))
		if right, _ := w.check(never); right != 80 || len(w.Ambiguities()) > 0 {
			t.Errorf("%d have their token after two days, and open is %v", right, w.Ambiguities())
		}
		w.goBy(w.day(80))
		for _, p := range w.people {
			if agreed := w.shelf.tokens[otp.Serial(p.serial)].State.Agreed; agreed < 2 {
				t.Errorf("%s agreed %d times after three days", p.serial, agreed)
			}
		}
	}
	if ambiguous < 60 {
		t.Errorf("only %d logins were ambiguous", ambiguous)
	}
}

// Whose token is not imported may get another's by chance, but never one that is active,
// and not for long.
func TestStrangers(t *testing.T) {
	chance := 0 // logins that show what another was given before
	for seed := range uint64(12) {
		w, day := newTown(t, seed+200, 80, 20, 30)
		for i := range 6 {
			w.goBy(day)
			right, wrong := w.check(func(agreed uint16) bool { return agreed < 2 })
			if i == 5 && right+wrong != 50 {
				t.Errorf("%d have their token in the end, %d another", right, wrong)
			}
			day = w.day(80)
		}
		chance += w.count(Conflict)
		for _, p := range w.people {
			for _, token := range w.shelf.of(otp.UserName(p.user)) {
				if string(token.Serial) != p.serial && token.State.Agreed >= 2 {
					t.Errorf("%s has %s in the end", p.user, token.Serial)
				}
			}
		}
	}
	if chance < 50 {
		t.Errorf("%d conflicts: the test shows little", chance)
	}
}

// count is how many logins had an outcome.
func (k *kit) count(o Outcome) int {
	return int(value(k.TB, k.metrics.logins.WithLabelValues(o.String())))
}

// With so many tokens every eleventh login is ambiguous, and still all is found.
func TestThirtyThousandTokens(t *testing.T) {
	const stock, people = 30000, 150
	w := &town{kit: newKit(t), rand: random(3)}
	for i := range uint64(stock) {
		w.stock(fmt.Sprint("T", i), i)
	}
	for i := range people {
		w.people = append(w.people, person{user: fmt.Sprint("user", i), pin: fmt.Sprint(w.rand.IntN(1e6)), serial: fmt.Sprint("T", i*200), imported: true})
	}
	w.load()
	x := w.index.Load()
	if w.wantLogin(NotReady, "user0", "0", "T0"); t.Failed() {
		return // a login builds no tables of so many
	}
	for round := range 3 {
		for _, p := range w.people {
			w.now = w.now.Add(time.Second)
			x.prepare(w.now, w.now, &w.policy)
			w.login(p.user, p.pin, p.serial)
		}
		w.eliminate(t.Context(), x)
		right, _ := w.check(never)
		if open := len(w.Ambiguities()); right+open != people || round == 0 && open < 5 || round > 1 && open > 0 {
			t.Errorf("after %d logins each %d have their token, and %d are open", round+1, right, open)
		}
	}
}
