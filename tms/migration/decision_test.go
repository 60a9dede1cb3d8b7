package migration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

func TestATokenIsLearnedAndProves(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 1)
	k.later()
	k.wantLogin(Known, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 2)
	k.open("")
}

// Everything that a token can be is found, and PINs of all kinds.
func TestKindsOfTokens(t *testing.T) {
	for name, c := range map[string]struct {
		pin    string
		change func(*device)
	}{
		"no PIN":        {"", func(*device) {}},
		"a short PIN":   {"1", func(*device) {}},
		"letters":       {"Kölner Dom"[:6], func(*device) {}},
		"eight digits":  {"4711", func(d *device) { d.Digits = 8 }},
		"ten digits":    {"4711", func(d *device) { d.Digits = 10 }},
		"a minute":      {"4711", func(d *device) { d.Period, d.T0 = 60, 17 }},
		"SHA-256":       {"4711", func(d *device) { d.Algorithm = oath.SHA256 }},
		"late":          {"4711", func(d *device) { d.drift = -30 * time.Second }},
		"ahead":         {"4711", func(d *device) { d.drift = 30 * time.Second }},
		"too late":      {"4711", func(d *device) { d.drift = -time.Minute }},
		"a known drift": {"4711", func(d *device) { d.drift, d.State.Drift = 4*time.Minute, 8 }},
		"a small one":   {"4711", func(d *device) { d.drift, d.State.Drift = time.Minute, 1 }},
		"an old drift":  {"4711", func(d *device) { d.drift, d.State.Drift = 0, -20 }},
		"a far drift":   {"4711", func(d *device) { d.drift, d.State.Drift = -10*time.Minute, -20 }},
		"events":        {"4711", func(d *device) { d.Type, d.Period = otp.HOTP, 0 }},
		"later events":  {"4711", func(d *device) { d.Type, d.Period, d.State.Counter = otp.HOTP, 0, 815 }},
		"MobilePASS":    {"4711", func(d *device) { d.Type, d.Period, d.Algorithm = otp.MobilePASS, 0, oath.SHA256 }},
		"must resync":   {"4711", func(d *device) { d.State.MustResync = true }},
	} {
		k := newKit(t)
		k.stock("T1", 1, c.change)
		for n := range uint64(50) {
			k.stock(fmt.Sprint("X", n), n+2)
		}
		k.load()
		want := LearnedToken
		if name == "an old drift" || name == "too late" {
			want = NotShown // beyond what the verifier would take
		}
		if got := k.login("alice", c.pin, "T1"); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		} else if want == LearnedToken {
			k.holds("T1", "alice", c.pin, 1)
		}
	}
	// What was skipped of an event token is skipped, up to the look-ahead.
	for skipped, want := range map[uint64]Outcome{10: LearnedToken, 11: NotShown} {
		k := newKit(t)
		k.stock("T1", 1, func(d *device) { d.Type, d.Period = otp.HOTP, 0 }).State.Counter = skipped
		k.load()
		k.wantLogin(want, "alice", "4711", "T1")
	}
}

func TestNothingIsLearned(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.device("OTHER", 2)
	k.wantLogin(NotReady, "alice", "4711", "T1")
	k.load()
	k.wantLogin(NotShown, "alice", "4711", "OTHER")
	for _, passcode := range []string{"", "12345", "47 11", "4711abcdef"} {
		if got := k.accepted("alice", passcode); got != NotShown {
			t.Errorf("%q: %v", passcode, got)
		}
	}
	k.off = true
	k.wantLogin(Off, "alice", "4711", "T1")
	k.inStock("T1")
	if len(k.shelf.acts) > 0 || len(k.shelf.users) > 0 {
		t.Errorf("something was done: %+v", k.shelf.acts)
	}
}

func TestAPINThatCannotBeKept(t *testing.T) {
	for _, pin := range []string{"47\x0011", "with space", strings.Repeat("x", 65), "\xff\xfe"} {
		k := newKit(t)
		k.stock("T1", 1)
		k.load()
		k.wantLogin(Unfit, "alice", pin, "T1")
		k.inStock("T1")
		k.open("alice unfit [T1]")
	}
}

func TestTokensThatAreNotFit(t *testing.T) {
	for name, change := range map[string]func(*device){
		"disabled": func(d *device) { d.Disabled = true },
		"over":     func(d *device) { d.ValidUntil = noon.Unix() },
		"to come":  func(d *device) { d.ValidFrom = noon.Unix() + 1 },
	} {
		k := newKit(t)
		a, b := collision(k.now, 0)
		k.stock("T1", a, change)
		k.load()
		if got := k.login("alice", "4711", "T1"); got != Unfit {
			t.Errorf("%s: %v", name, got)
		}
		// Nor does another get the place of it.
		k.stock("T2", b)
		k.load()
		k.wantLogin(Ambiguous, "alice", "4712", "T1")
		k.inStock("T1", "T2")
	}
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.shelf.users["alice"] = tms.User{Exists: true, Disabled: true}
	if got := k.Accepted(t.Context(), "alice", otp.NewPasscode([]byte("4711"+k.code("T1"))), k.now); got != Unfit {
		t.Errorf("a disabled user: %v", got)
	}
	k.inStock("T1")
}

func TestANewPIN(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.login("alice", "4711", "T1")
	k.later()
	k.wantLogin(LearnedPIN, "alice", "2580", "T1")
	k.holds("T1", "alice", "2580", 2)
	// Unless it may be another token that is shown.
	a, b := collision(k.now.Add(5*time.Minute), 100)
	k.stock("A", a)
	k.load()
	k.shelf.users["bob"] = tms.User{Exists: true, PIN: otp.NewPIN([]byte("1111"))}
	held := k.device("B", b)
	held.User, held.Learned = "bob", true
	k.shelf.tokens["B"] = held.Token
	k.load()
	k.later()
	k.wantLogin(Ambiguous, "bob", "3333", "B")
	k.open("bob ambiguous [A B]")
	k.later()
	k.wantLogin(LearnedPIN, "bob", "3333", "B")
	k.open("")
	// Or the user has tokens of ours, which go by the old one.
	own := k.device("OWN", 7)
	own.User = "alice"
	k.shelf.tokens["OWN"] = own.Token
	k.wantLogin(OtherPIN, "alice", "4097", "T1")
	k.open("alice other_pin [T1]")
}

// The code that is shown is of a token that the user holds already.
func TestAnOwnTokenExplains(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	own := k.device("OWN", a)
	own.User = "alice"
	k.shelf.tokens["OWN"] = own.Token
	k.shelf.users["alice"] = tms.User{Exists: true, PIN: otp.NewPIN([]byte("4711"))}
	k.stock("T1", b)
	k.load()
	k.wantLogin(Known, "alice", "4711", "OWN")
	k.inStock("T1")
}

func TestASecondToken(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.stock("T2", 2)
	k.stock("T3", 3)
	k.load()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.later()
	// The first has not proven itself: one of the two may be by chance.
	k.wantLogin(SecondToken, "alice", "4711", "T2")
	k.inStock("T2")
	k.open("alice second_token [T2]")
	k.later()
	k.wantLogin(Known, "alice", "4711", "T1")
	k.open("")
	// Now it has.
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T2")
	k.holds("T2", "alice", "4711", 1)
	k.later()
	k.wantLogin(OtherPIN, "alice", "2580", "T3")
	k.open("alice other_pin [T3]")
	k.inStock("T3")
}

// A token that is shown twice is the user's, whatever was learned once.
func TestWhatIsShownTwice(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.stock("T2", 2)
	k.load()
	k.login("alice", "4711", "T1")
	k.later()
	k.wantLogin(SecondToken, "alice", "4711", "T2")
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T2")
	k.holds("T1", "alice", "4711", 1)
	k.holds("T2", "alice", "4711", 1)

	k = newKit(t)
	k.stock("T1", 1)
	k.stock("T2", 2, func(d *device) { d.Digits = 8 })
	k.load()
	k.login("alice", "4711", "T1")
	k.later()
	k.wantLogin(SecondToken, "alice", "2580", "T2")
	k.later()
	k.wantLogin(LearnedToken, "alice", "2580", "T2")
	k.inStock("T1")
	k.holds("T2", "alice", "2580", 1)
}

// Bob was given by chance what Alice has.
func TestAConflict(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.device("BOBS", b) // which is not imported
	k.load()
	k.wantLogin(LearnedToken, "bob", "1111", "BOBS")
	k.later()
	k.wantLogin(NotShown, "bob", "1111", "BOBS")
	k.later()
	k.wantLogin(Conflict, "alice", "4711", "T1")
	k.holds("T1", "bob", "1111", 1) // who of the two it is that shows it by chance nobody knows
	k.open("alice conflict [T1]")
	k.wantLogin(Repeated, "alice", "4711", "T1")
	k.holds("T1", "bob", "1111", 1)
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 1)
	k.open("")
	k.later()
	k.wantLogin(Known, "alice", "4711", "T1")
	// Now it is Alice's.
	k.now = noon.Add(24 * time.Hour)
	a, b = collision(k.now, 1<<20)
	k.stock("T2", a)
	k.device("EVES", b)
	held := k.shelf.tokens["T2"]
	held.User, held.Learned, held.State.Agreed = "alice", true, 2
	k.shelf.tokens["T2"] = held
	k.load()
	k.wantLogin(Held, "eve", "6666", "EVES")
	k.holds("T2", "alice", "4711", 2)
	k.open("eve held [T2]")
}

// It proved itself since the index was loaded.
func TestAConflictWithWhatIsActiveByNow(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.login("alice", "4711", "T1")
	k.later()
	k.wantLogin(Conflict, "eve", "6666", "T1")
	k.later()
	k.login("alice", "4711", "T1")
	k.later()
	k.wantLogin(Held, "eve", "6666", "T1")
	k.holds("T1", "alice", "4711", 2)
}

// What is out of use stays its user's: without it they would hold nothing.
func TestAConflictWithWhatIsOutOfUse(t *testing.T) {
	for name, change := range map[string]func(*tms.Token){
		"disabled": func(t *tms.Token) { t.Disabled = true },
		"lost":     func(t *tms.Token) { t.Disabled, t.Lost = true, true },
		"over":     func(t *tms.Token) { t.ValidUntil = noon.Unix() + 60 },
	} {
		k := newKit(t)
		k.stock("T1", 1)
		k.load()
		k.login("alice", "4711", "T1")
		k.later()
		k.wantLogin(Conflict, "eve", "6666", "T1")
		token := k.shelf.tokens["T1"]
		change(&token)
		k.shelf.tokens["T1"] = token
		k.later()
		if name == "over" {
			k.load()
		}
		for range 2 { // whether the index knows of it or not
			if got := k.login("eve", "6666", "T1"); got != Held {
				t.Errorf("%s: %v", name, got)
			}
			k.load()
			k.later()
		}
		if got := k.shelf.tokens["T1"]; got != token {
			t.Errorf("%s: T1 became %+v", name, got)
		}
	}
}

// What is shown at two logins in a row is the user's, whatever is in stock and shows the
// second code too.
func TestAConflictAndChance(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now.Add(10*time.Minute), 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	k.wantLogin(LearnedToken, "bob", "1111", "T1")
	k.later()
	k.wantLogin(Conflict, "alice", "4711", "T1")
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 1)
	k.inStock("T2")
}

// Of a token that is out of use it is not said that it was by chance.
func TestAnotherPINAndATokenOutOfUse(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.stock("T2", 2)
	k.load()
	k.login("alice", "4711", "T1")
	token := k.shelf.tokens["T1"]
	token.Disabled, token.Lost = true, true
	k.shelf.tokens["T1"] = token
	k.later()
	k.wantLogin(SecondToken, "alice", "2580", "T2")
	k.later()
	k.wantLogin(OtherPIN, "alice", "2580", "T2")
	if k.shelf.tokens["T1"] != token {
		t.Errorf("T1 became %+v", k.shelf.tokens["T1"])
	}
	k.inStock("T2")
}

// The index is behind what an administrator has done.
func TestTheIndexIsBehind(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	given := k.shelf.tokens["T1"]
	given.User = "bob"
	k.shelf.users["bob"] = tms.User{Exists: true}
	k.shelf.tokens["T1"] = given
	k.wantLogin(NotShown, "alice", "4711", "T1")
	if len(k.shelf.acts) > 0 {
		t.Errorf("something was done: %+v", k.shelf.acts)
	}
}

func TestTheStoreIsAway(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.shelf.broken = errAway
	k.wantLogin(Failed, "alice", "4711", "T1")
	if log := k.log.String(); !strings.Contains(log, "the store is away") || !strings.Contains(log, "alice") {
		t.Errorf("logged: %s", log)
	}
	if err := k.Learner.load(t.Context()); err == nil {
		t.Error("loading did not fail")
	}
	k.shelf.broken = nil
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
}

// However many logins come at the same time, each token has one user.
func TestLoginsAtTheSameTime(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.stock("T2", 2)
	k.load()
	together := func(users ...string) {
		var wait sync.WaitGroup
		code := k.code("T1")
		for _, user := range users {
			wait.Go(func() {
				k.Accepted(t.Context(), otp.UserName(user), otp.NewPasscode([]byte("4711"+code)), k.now)
			})
		}
		wait.Wait()
	}
	together("alice", "alice", "alice", "alice")
	k.holds("T1", "alice", "4711", 0)
	if n := len(k.shelf.acts); n != 2 {
		t.Errorf("%d acts, want the PIN and the token", n)
	}
	k = newKit(t)
	k.stock("T1", 1)
	k.load()
	together("alice", "bob", "carol", "dave")
	owner := k.shelf.tokens["T1"].User
	if x, _ := k.index.Load().holder("T1"); x != owner {
		t.Errorf("T1 is %q's, and the index says %q", owner, x)
	}
	// By and by it comes to who shows it.
	for range 3 {
		k.later()
		k.login("alice", "4711", "T1")
	}
	if token := k.shelf.tokens["T1"]; token.User != "alice" || token.State.Agreed < 2 {
		t.Errorf("T1 is %q's, agreed %d", token.User, token.State.Agreed)
	}
}

// Nothing that is secret is in the log, or in what is printed of a Learner.
func TestNothingSecretIsPrinted(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.stock("T3", 1<<33)
	k.load()
	code := k.code("T1")
	k.accepted("alice", "secretPIN"+code)
	k.wantLogin(LearnedToken, "bob", "anotherPIN", "T3")
	x := k.index.Load()
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		fmt.Fprintf(&printed, verb+verb+verb+verb, k.doubts.of("alice"), *k.doubts.of("alice"), *x.tokens["T1"], x.groups)
		fmt.Fprintf(&printed, verb, k.Ambiguities())
	}
	printed.WriteString(k.log.String())
	text := printed.String()
	for _, secret := range []string{"secretPIN", "anotherPIN", "secretPIN" + code, "the seed no", fmt.Sprintf("%x", "secretPIN"), fmt.Sprintf("%x", "the seed"), fmt.Sprint([]byte("secret"))[1:15]} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if !strings.Contains(text, "T1") || !strings.Contains(text, "alice") {
		t.Error("nothing is printed at all")
	}
}

func TestWordsOfOutcomes(t *testing.T) {
	words := map[string]bool{}
	for o := range outcomeCount {
		text, _ := o.MarshalText()
		words[string(text)] = true
	}
	if len(words) != int(outcomeCount) || words[""] || (outcomeCount+1).String() != "outcome(16)" {
		t.Errorf("%v", words)
	}
}
