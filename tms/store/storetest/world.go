package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// noon is the instant of all attempts.
var noon = time.Unix(1_800_000_000, 0)

const pin = "4711"

// world is a store with a verifier over it.
type world struct {
	testing.TB
	engine   Engine
	place    string
	store    Store
	verifier *otp.Verifier
}

func newWorld(t testing.TB, e Engine) *world {
	w := &world{TB: t, engine: e, place: e.Place(t)}
	w.open()
	return w
}

func (w *world) open() {
	w.Helper()
	s, err := w.engine.Open(w.place)
	if err != nil {
		w.Fatal(err)
	}
	if err := s.Ready(); err != nil {
		w.Fatal(err)
	}
	w.store, w.verifier = s, otp.NewVerifier(s, otp.DefaultPolicy())
}

func (w *world) close() {
	w.Helper()
	w.must(w.store.Close())
}

func (w *world) reopen() {
	w.Helper()
	w.close()
	w.open()
}

// settle has the store end what it does in the background.
func (w *world) settle() {
	if w.engine.Settle != nil {
		w.engine.Settle(w.store)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func act(verb, object string) tms.Act {
	return tms.Act{At: noon, Actor: "root@test", Verb: verb, Object: object, Detail: "for a test"}
}

// hotp is an event token and totp a clock token; its seed follows from its serial.
func hotp(serial string) otp.Token {
	return otp.Token{Serial: otp.Serial(serial), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed([]byte("seed of " + serial))}
}

func totp(serial string) otp.Token {
	t := hotp(serial)
	t.Type, t.Period = otp.TOTP, 30
	return t
}

// code is what a token shows at a factor.
func code(t otp.Token, factor uint64) string {
	return oath.HOTP(t.Algorithm, t.Seed, factor, int(t.Digits))
}

// now is the time step of a clock token.
func now(t otp.Token) uint64 { return uint64(oath.TimeStep(noon, t.T0, t.Period)) }

// addUser adds a user with the usual PIN and these tokens.
func (w *world) addUser(name string, tokens ...otp.Token) {
	w.Helper()
	w.must(w.store.ChangeUser(w.Context(), otp.UserName(name), act("user.add", name), func(u *tms.User) error {
		if u.Exists {
			return fmt.Errorf("user %q is there already", name)
		}
		*u = tms.User{Exists: true, Name: otp.UserName(name), PIN: otp.NewPIN([]byte(pin)), Created: noon}
		return nil
	}))
	for _, t := range tokens {
		w.addToken(name, t)
	}
}

func (w *world) addToken(user string, token otp.Token) {
	w.Helper()
	w.must(w.store.ChangeToken(w.Context(), token.Serial, act("token.add", string(token.Serial)), func(t *tms.Token) error {
		if t.Exists {
			return fmt.Errorf("token %q is there already", token.Serial)
		}
		*t = tms.Token{Exists: true, Token: token, User: otp.UserName(user), Created: noon}
		return nil
	}))
}

func (w *world) changeToken(serial otp.Serial, change func(*tms.Token)) {
	w.Helper()
	w.must(w.store.ChangeToken(w.Context(), serial, act("token.set", string(serial)), func(t *tms.Token) error {
		if !t.Exists {
			return fmt.Errorf("token %q is not there", serial)
		}
		change(t)
		return nil
	}))
}

func (w *world) changeUser(name string, change func(*tms.User)) {
	w.Helper()
	w.must(w.store.ChangeUser(w.Context(), otp.UserName(name), act("user.set", name), func(u *tms.User) error {
		if !u.Exists {
			return fmt.Errorf("user %q is not there", name)
		}
		change(u)
		return nil
	}))
}

// attempt is a login of a user by PAP.
func attempt(name, passcode string) *otp.Attempt {
	return &otp.Attempt{
		At: noon, User: []byte(name), NAS: "ras-gateway", Station: []byte("00-11-22-33-44-55"),
		Passcode: otp.NewPasscode([]byte(passcode)),
	}
}

// login has an attempt decided.
func (w *world) login(name, passcode string) otp.Verdict {
	w.Helper()
	verdict, err := w.verifier.Verify(context.Background(), attempt(name, passcode))
	w.must(err)
	return verdict
}

// expect logs in and compares the verdict.
func (w *world) expect(want otp.Verdict, name, passcode string) {
	w.Helper()
	if got := w.login(name, passcode); got != want {
		w.Errorf("login of %q: %v, want %v", name, got, want)
	}
}

// atOnce logs in several times at the same time and counts the verdicts.
func (w *world) atOnce(attempts ...*otp.Attempt) map[otp.Verdict]int {
	w.Helper()
	verdicts := map[otp.Verdict]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, a := range attempts {
		wg.Go(func() {
			<-start
			verdict, err := w.verifier.Verify(context.Background(), a)
			if err != nil {
				w.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			verdicts[verdict]++
		})
	}
	close(start)
	wg.Wait()
	return verdicts
}

// events are all events that a filter chooses, the newest first.
func (w *world) events(f tms.Filter) []tms.Event {
	w.Helper()
	var events []tms.Event
	w.must(w.store.Events(w.Context(), f, func(e *tms.Event) error {
		events = append(events, *e)
		return nil
	}))
	return events
}

// token is a token as it is listed.
func (w *world) token(serial otp.Serial) tms.Token {
	w.Helper()
	var token tms.Token
	w.must(w.store.Tokens(w.Context(), tms.Filter{Serial: serial}, func(t *tms.Token) error {
		token = *t
		return nil
	}))
	return token
}

// user is a user as he is listed.
func (w *world) user(name string) tms.User {
	w.Helper()
	var user tms.User
	w.must(w.store.Users(w.Context(), tms.Filter{User: otp.UserName(name)}, func(u *tms.User) error {
		user = *u
		return nil
	}))
	return user
}
