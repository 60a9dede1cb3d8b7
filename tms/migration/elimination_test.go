package migration

import (
	"testing"
	"time"

	"countersign/otp/oath"
)

func TestASecondLoginDecides(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	k.wantLogin(Ambiguous, "alice", "4711", "T1")
	k.inStock("T1", "T2")
	k.open("alice ambiguous [T1 T2]")
	k.wantLogin(Repeated, "alice", "4711", "T1") // the same again tells nothing
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 1)
	k.open("")
	k.inStock("T2")
}

// Of the two that are shown the second time, one was shown the first time.
func TestWhatTwoLoginsHaveInCommon(t *testing.T) {
	k := newKit(t)
	a, b, c := collisions(k.now, k.now.Add(5*time.Minute))
	k.stock("T1", a)
	k.stock("T2", b)
	k.stock("T3", c)
	k.load()
	k.wantLogin(Ambiguous, "alice", "4711", "T1")
	k.open("alice ambiguous [T1 T2]")
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.inStock("T2", "T3")
}

// Another PIN, or nothing that was shown before: it begins anew.
func TestTwoLoginsThatDoNotAgree(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	k.wantLogin(Ambiguous, "alice", "4711", "T1")
	k.wantLogin(Ambiguous, "alice", "2580", "T1")
	k.device("OTHER", 1<<40)
	k.later()
	k.wantLogin(NotShown, "alice", "4711", "OTHER")
	k.open("")
}

func TestElimination(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now, 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	passcode := "4711" + k.code("T1")
	k.accepted("alice", passcode)
	k.wantLogin(Ambiguous, "bob", "1111", "T2")
	k.eliminate(t.Context(), k.index.Load())
	k.inStock("T1", "T2")
	step := uint64(oath.TimeStep(k.now, 0, 30))
	k.later()
	k.wantLogin(LearnedToken, "bob", "1111", "T2")
	if !k.moved.Load() {
		t.Fatal("the doubts are not looked through")
	}
	k.eliminate(t.Context(), k.index.Load())
	k.holds("T1", "alice", "4711", 0)
	k.open("")
	if next := k.shelf.tokens["T1"].State.Counter; next != step+1 {
		t.Errorf("the code that Alice showed is not burned: next is step %d, want %d", next, step+1)
	}
	k.later()
	k.wantLogin(Known, "alice", "4711", "T1")
	k.later()
	k.wantLogin(Known, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 2)
}

// What others had learned before is not what is shown.
func TestWhatOthersHaveLearned(t *testing.T) {
	k := newKit(t)
	a, b := collision(k.now.Add(5*time.Minute), 0)
	k.stock("T1", a)
	k.stock("T2", b)
	k.load()
	k.wantLogin(LearnedToken, "bob", "1111", "T2")
	k.later()
	k.wantLogin(LearnedToken, "alice", "4711", "T1")
	k.holds("T1", "alice", "4711", 1)
	k.holds("T2", "bob", "1111", 1)
}

// An administrator has given the other one to somebody, or has removed it.
func TestEliminationByAnAdministrator(t *testing.T) {
	for _, remove := range []bool{false, true} {
		k := newKit(t)
		a, b := collision(k.now, 0)
		k.stock("T1", a)
		k.stock("T2", b)
		k.load()
		k.wantLogin(Ambiguous, "alice", "4711", "T1")
		other := k.shelf.tokens["T2"]
		other.User, other.Exists = "bob", !remove
		k.shelf.tokens["T2"] = other
		k.load()
		k.eliminate(t.Context(), k.index.Load())
		if remove {
			k.inStock("T1")
		} else {
			k.holds("T1", "alice", "4711", 0)
		}
	}
}

// collisions finds a seed that shows the same code as a second one at one instant, and as
// a third one at another.
func collisions(one, other time.Time) (a, b, c uint64) {
	const seeds = 40000
	at := func(instant time.Time) (codes []string, first map[string]uint64) {
		first = map[string]uint64{}
		for n := range uint64(seeds) {
			code := oath.TOTP(oath.SHA1, seedOf(n), instant, 0, 30, 6)
			if _, found := first[code]; !found {
				first[code] = n
			}
			codes = append(codes, code)
		}
		return codes, first
	}
	codes, first := at(one)
	later, firstLater := at(other)
	for n := range uint64(seeds) {
		if b, c := first[codes[n]], firstLater[later[n]]; b != n && c != n && b != c {
			return n, b, c
		}
	}
	panic("no seed of these shows what two others show")
}
