package otp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// ledger is what a store that is shared keeps of misses.
type ledger map[[16]byte]*shared

type shared struct {
	wrong int
	last  time.Time
}

// tick is what a store does twice a second for one server.
func (l ledger) tick(v *Verifier, now time.Time) {
	for _, miss := range v.TakeMisses(nil, now, 1000) {
		e := l[miss.Key]
		if e == nil {
			e = &shared{}
			l[miss.Key] = e
		}
		if miss.Forgiven {
			*e = shared{}
		}
		e.wrong += miss.Wrong
		if last := now.Add(-miss.Age); last.After(e.last) {
			e.last = last
		}
	}
	var all []Miss
	for key, e := range l {
		all = append(all, Miss{Key: key, Wrong: e.wrong, Age: now.Sub(e.last)})
	}
	v.PutMisses(all, now)
	v.PutMisses(all, now) // twice is as good
}

func TestMissesAddUp(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	table := ledger{}
	for i := range 2 {
		for node, v := range c.nodes {
			c.shows(node, c.attempt(fmt.Sprint(9000+10*i+node)+c.wrong(i), "pc"), WrongPIN)
			table.tick(v, c.at)
		}
	}
	table.tick(c.nodes[0], c.at)
	for node := range c.nodes {
		c.shows(node, c.attempt("4711"+c.code(0), "pc"), Throttled)
	}
	c.shows(1, c.attempt("9999"+c.wrong(9), "another pc"), WrongPIN)
	c.at = c.at.Add(time.Second)
	c.shows(1, c.attempt("4711"+c.code(0), "pc"), Accepted)
	table.tick(c.nodes[1], c.at)
	table.tick(c.nodes[0], c.at)
	for i := range 3 { // forgiven everywhere
		c.shows(0, c.attempt(fmt.Sprint(9100+i)+c.wrong(i), "pc"), WrongPIN)
	}
	c.shows(0, c.attempt("4711"+c.code(1), "pc"), Accepted)
}

// TestWhatIsForgivenStaysForgiven while others still tell the old count.
func TestWhatIsForgivenStaysForgiven(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	source := c.nodes[0].misses.source(c.attempt("", "pc"))
	c.nodes[0].PutMisses([]Miss{{Key: source, Wrong: 3}}, c.at)
	c.shows(0, c.attempt("4711"+c.code(0), "pc"), Accepted)
	c.nodes[0].PutMisses([]Miss{{Key: source, Wrong: 3}}, c.at)
	c.shows(0, c.attempt("9999"+c.wrong(1), "pc"), WrongPIN)
	c.shows(0, c.attempt("4711"+c.code(1), "pc"), Accepted)
	told := c.nodes[0].TakeMisses(nil, c.at, 10)
	if want := (Miss{Key: source, Forgiven: true}); len(told) != 1 || told[0] != want {
		t.Errorf("told %+v", told)
	}
}

func TestMissesThatAreOldAreNotTakenIn(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	source := c.nodes[0].misses.source(c.attempt("", "pc"))
	c.nodes[0].PutMisses([]Miss{{Key: source, Wrong: 30, Age: 15*time.Minute + 1}}, c.at)
	c.shows(0, c.attempt("4711"+c.code(0), "pc"), Accepted)
	c.nodes[0].PutMisses([]Miss{{Key: source, Wrong: 30, Age: 59 * time.Second}}, c.at)
	c.shows(0, c.attempt("4711"+c.code(1), "pc"), Throttled)
	c.at = c.at.Add(time.Second)
	c.shows(0, c.attempt("4711"+c.code(1), "pc"), Accepted)
}

func TestWrongPasswordsAddUp(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	table := ledger{}
	ask := func(node int, password string, answer Verdict) (Verdict, bool) {
		a := c.attempt(password, "pc")
		instead, may := c.nodes[node].AskDirectory(context.Background(), a)
		if may {
			c.nodes[node].DirectoryAnswered(a, answer)
		}
		return instead, may
	}
	for i := range 3 {
		if _, may := ask(i%2, fmt.Sprint("wrong", i), WrongPassword); !may {
			t.Fatalf("wrong password %d was not shown", i)
		}
		table.tick(c.nodes[0], c.at)
		table.tick(c.nodes[1], c.at)
		table.tick(c.nodes[0], c.at)
	}
	for node := range 2 {
		if instead, may := ask(node, "another", WrongPassword); may || instead != Throttled {
			t.Errorf("node %d: %v, %v", node, instead, may)
		}
	}
	c.at = c.at.Add(30*time.Minute + 1)
	if _, may := ask(1, "right", Accepted); !may {
		t.Error("the right one was not shown")
	}
	if instead, may := ask(0, "wrong0", WrongPassword); !may {
		t.Error(instead)
	}
}

func TestARightPasswordForgivesEverywhere(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	table := ledger{}
	for i, answer := range []Verdict{WrongPassword, WrongPassword, Accepted, WrongPassword, WrongPassword} {
		a := c.attempt(fmt.Sprint("password", i), "pc")
		if instead, may := c.nodes[i%2].AskDirectory(context.Background(), a); !may {
			t.Fatalf("password %d: %v", i, instead)
		}
		c.nodes[i%2].DirectoryAnswered(a, answer)
		table.tick(c.nodes[i%2], c.at)
		table.tick(c.nodes[1-i%2], c.at)
	}
}

// TestTakingMisses takes no more than is asked for, and each once.
func TestTakingMisses(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	for i := range 7 {
		c.shows(0, c.attempt("9999"+c.wrong(i), fmt.Sprint("pc", i)), WrongPIN)
	}
	c.at = c.at.Add(time.Second)
	seen := map[[16]byte]bool{}
	for _, want := range []int{3, 3, 1, 0} {
		told := c.nodes[0].TakeMisses(nil, c.at, 3)
		if len(told) != want {
			t.Fatalf("%d were told, want %d", len(told), want)
		}
		for _, miss := range told {
			if seen[miss.Key] || miss.Wrong != 1 || miss.Age != time.Second || miss.Forgiven {
				t.Errorf("%+v", miss)
			}
			seen[miss.Key] = true
		}
	}
	alone := NewVerifier(c.shelf, DefaultPolicy())
	a := c.attempt("9999"+c.wrong(1), "pc")
	if v, err := alone.Verify(context.Background(), a); v != WrongPIN || err != nil {
		t.Fatal(v, err)
	}
	if told := alone.TakeMisses(nil, c.at, 3); len(told) != 0 {
		t.Errorf("a server alone told %+v", told)
	}
}

// TestNewsAreBounded as what is remembered is.
func TestNewsAreBounded(t *testing.T) {
	c := newCluster(t, func(p *Policy) { p.ThrottleEntries = 10 }, clockToken("T"))
	for i := range 100 {
		c.shows(0, c.attempt("9999"+c.wrong(i), fmt.Sprint("pc", i)), WrongPIN)
	}
	if n := len(c.nodes[0].TakeMisses(nil, c.at, 1000)); n != 10 {
		t.Errorf("%d news", n)
	}
}

// TestKeysOfMisses are the same on all servers with the key, and differ in all else.
func TestKeysOfMisses(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	other := NewVerifier(c.shelf, DefaultPolicy())
	other.ShareMisses([32]byte{8})
	var all [][16]byte
	for _, v := range []*Verifier{c.nodes[0], c.nodes[1], other} {
		for _, challenge := range []Challenge{nil, &noting{}} {
			a := c.attempt("", "pc")
			a.Challenge = challenge
			all = append(all, v.misses.source(a), v.misses.guesses(a), v.misses.person(a))
		}
	}
	if !slices.Equal(all[:6], all[6:12]) {
		t.Error("two servers have not the same keys")
	}
	distinct := map[[16]byte]bool{}
	for _, key := range all {
		distinct[key] = true
	}
	if len(distinct) != 8 { // of each key source, person, and guesses with and without a challenge
		t.Errorf("%d distinct keys", len(distinct))
	}
}

func TestKeyer(t *testing.T) {
	sum := func(key byte, purpose string, parts ...string) [16]byte {
		k := NewKeyer([32]byte{key}, purpose)
		k.AddString("something before")
		k.Sum()
		for _, part := range parts {
			k.Add([]byte(part))
		}
		return k.Sum()
	}
	if first := sum(1, "a", "alice", "pc"); first != sum(1, "a", "alice", "pc") {
		t.Error("the same parts have two sums")
	}
	distinct := map[[16]byte]bool{}
	for _, s := range [][16]byte{
		sum(1, "a", "alice", "pc"), sum(2, "a", "alice", "pc"), sum(1, "b", "alice", "pc"), sum(1, "a", "alicep", "c"),
		sum(1, "a", "alice", "pc", ""), sum(1, "a", "alice"), sum(1, "a"),
	} {
		distinct[s] = true
	}
	if len(distinct) != 7 {
		t.Errorf("%d distinct sums", len(distinct))
	}
	k := NewKeyer([32]byte{1}, "a")
	k.AddString("planted")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(format, k); !strings.Contains(text, "redacted") {
			t.Errorf("%s prints %.40q", format, text)
		}
	}
}
