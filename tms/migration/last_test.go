package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// told tells the Learner alone of a login.
func (k *kit) told(want Outcome, user, passcode string) {
	k.Helper()
	if got := k.Learner.Accepted(k.Context(), otp.UserName(user), otp.NewPasscode([]byte(passcode)), k.now); got != want {
		k.Errorf("%s: %v, want %v", user, got, want)
	}
}

// sameCode finds two seeds: the one shows at one instant what the other does at another.
func sameCode(one, other time.Time) (a, b uint64) {
	codes := map[string]uint64{}
	for n := uint64(0); ; n++ {
		codes[oath.TOTP(oath.SHA1, seedOf(n), one, 0, 30, 6)] = n
		if a, found := codes[oath.TOTP(oath.SHA1, seedOf(n+1<<40), other, 0, 30, 6)]; found {
			return a, n + 1<<40
		}
	}
}

// The end of Eve's password is by chance what a token shows.
func TestAStaticPassword(t *testing.T) {
	k := newKit(t)
	now, later := sameCode(k.now, k.now.Add(codeTime))
	k.stock("T1", now)
	password := "password" + k.code("T1")
	k.load()
	k.told(LearnedToken, "eve", password)
	for range 2 { // the same login once more, for all that we know
		k.now = k.now.Add(codeTime/2 - time.Second)
		k.told(Repeated, "eve", password)
		k.holds("T1", "eve", "password", 0)
	}
	k.open("")
	// By chance again, and nothing comes of it.
	k.now = noon.Add(codeTime)
	k.stock("T2", later)
	k.load()
	for range 3 {
		k.told(Static, "eve", password)
		if token := k.shelf.tokens["T1"]; token.User != "" || token.Learned {
			t.Errorf("T1 is %q's still", token.User)
		}
		k.open("eve static []")
		k.now = k.now.Add(time.Second)
	}
	k.inStock("T2")
	if n := strings.Count(k.log.String(), "why=static"); n != 1 || strings.Contains(k.log.String(), "password") {
		t.Errorf("logged %d times: %s", n, k.log.String())
	}
	// Another time it is a code.
	k.later()
	k.wantLogin(LearnedToken, "eve", "4711", "T1")
	k.open("")
	k.later()
	k.wantLogin(Known, "eve", "4711", "T1")
	k.holds("T1", "eve", "4711", 2)
}

// What is active, or out of use, stays whose it is.
func TestAStaticPasswordBesideTokens(t *testing.T) {
	k := newKit(t)
	for n := range uint64(3) {
		d := k.device(fmt.Sprint("T", n), n)
		d.User, d.Learned = "eve", true
		if n == 0 {
			d.State.Agreed = 2
		}
		d.Disabled, d.Lost = n == 1, n == 1
		k.shelf.tokens[d.Serial] = d.Token
	}
	k.load()
	for _, want := range []Outcome{NotShown, Static, Static} {
		k.told(want, "eve", "password")
		k.told(NotShown, "", "") // nothing was seen
		k.later()
	}
	held := k.shelf.of("eve")
	if len(held) != 2 || held[0].Serial != "T0" || held[1].Serial != "T1" || !held[1].Lost {
		t.Errorf("Eve holds %+v", held)
	}
	k.inStock("T2")
}

// It became active since the store was read.
func TestAStaticPasswordAndTheStore(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	k.load()
	k.login("eve", "4711", "T1")
	k.told(NotShown, "eve", "password")
	k.later()
	token := k.shelf.tokens["T1"]
	k.shelf.reading = func() {
		token.State.Agreed = 2
		k.shelf.tokens["T1"] = token
	}
	k.told(Static, "eve", "password")
	k.holds("T1", "eve", "4711", 2)
	// The store does not do it: it is done the next time.
	token.State.Agreed = 1
	k.shelf.tokens["T1"] = token
	k.shelf.broken = errAway
	k.told(Failed, "eve", "password")
	k.shelf.broken = nil
	k.told(Static, "eve", "password")
	if k.shelf.tokens["T1"].User != "" {
		t.Error("T1 is Eve's still")
	}
}

// A login of which the passcode was not seen says nothing, and nothing against another.
func TestAPasscodeThatWasNotSeen(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	k.wantLogin(Ambiguous, "alice", "4711", "T1")
	for range 3 {
		k.later()
		k.told(NotShown, "alice", "")
	}
	k.open("alice ambiguous [T1 T2]")
}

// Where nothing could be looked at the same passcode is looked at the next time.
func TestAPasscodeThatWasNotLookedAt(t *testing.T) {
	k := newKit(t)
	k.stock("T1", 1)
	passcode := "4711" + k.code("T1")
	k.told(NotReady, "alice", passcode)
	k.load()
	k.told(LearnedToken, "alice", passcode)
	k.told(Repeated, "alice", passcode)
	k.told(Conflict, "bob", passcode)
}

func TestLastPasscodesAreBounded(t *testing.T) {
	var s lasts
	for n := range uint64(maxLasts + 10) {
		s.note(otp.UserName(fmt.Sprint("user", n)), n, noon)
	}
	if len(s.users) != maxLasts {
		t.Errorf("%d are remembered", len(s.users))
	}
	user := otp.UserName(fmt.Sprint("user", maxLasts+9))
	s.note(user, maxLasts+9, noon.Add(time.Hour))
	if since, again := s.find(user, maxLasts+9); !again || !since.Equal(noon) {
		t.Errorf("%v, %v", since, again)
	}
	if _, again := s.find("user", 0); again {
		t.Error("somebody is known who was never there")
	}
}
