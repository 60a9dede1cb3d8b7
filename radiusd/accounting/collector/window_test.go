package collector

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// entryOf is a record of some session of some NAS.
func entryOf(n int, nas string, status accounting.Status, session string) accounting.Entry {
	return accounting.Entry{
		Position: accounting.Position{Batch: uint64(n + 1)}, NAS: nas,
		Attributes: append(number(packet.AcctStatusType, uint32(status)), attribute(packet.AcctSessionID, []byte(session))...),
	}
}

// Whatever comes, and in whatever order it is done: records of a session go one after the
// other, and an Accounting-On goes after all of its NAS and before all that follow.
func TestWindowOrder(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		w := window{lanes: map[lane]*item{}}
		const records = 300
		var lanes [records]lane
		var done [records]bool
		previous := accounting.Position{}
		for n := range records {
			status := accounting.InterimUpdate
			if dice.IntN(15) == 0 {
				status = accounting.AccountingOn + accounting.Status(dice.IntN(2))
			}
			e := entryOf(n, fmt.Sprint("nas", dice.IntN(3)), status, fmt.Sprint("s", dice.IntN(5)))
			lanes[n] = laneOf(&e)
			w.add(&e, previous)
			previous = e.Position
		}
		var flying []*item
		for w.len() > 0 {
			flying = append(flying, w.take(1+dice.IntN(4))...)
			if len(flying) == 0 {
				t.Fatal("nothing can go, and something is there")
			}
			i := dice.IntN(len(flying))
			it := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			if dice.IntN(5) == 0 {
				w.putBack([]*item{it})
				continue
			}
			n := int(it.Position.Batch - 1)
			for before := range n {
				a, b := lanes[before], lanes[n]
				if !done[before] && a.nas == b.nas && (a.all || b.all || a.session == b.session) {
					t.Fatalf("%+v went before %+v", b, a)
				}
			}
			w.finish(it)
			done[n] = true
			verifyCursor(t, &w, done[:])
		}
		if len(w.lanes) != 0 {
			t.Errorf("%d lanes are left", len(w.lanes))
		}
	}
}

// verifyCursor verifies that all is done up to the first item, and not it.
func verifyCursor(t *testing.T, w *window, done []bool) {
	t.Helper()
	first := w.first()
	if first == nil {
		return
	}
	undone := 0
	for n, is := range done {
		if !is && undone == 0 && uint64(n) != first.before.Batch {
			t.Fatalf("record %d is the first that is not done, and the cursor %v", n, first.before)
		}
		if !is {
			undone++
		}
	}
	if passed := uint64(len(done) - int(first.before.Batch) - undone); w.passed() != passed {
		t.Fatalf("%d are done behind the first, not %d", passed, w.passed())
	}
}

func TestWindowOfOneLane(t *testing.T) {
	var w window
	for n := range 10 {
		e := entryOf(n, "nas", accounting.Start, "s")
		w.add(&e, accounting.Position{})
	}
	batch := w.take(6)
	if len(batch) != 6 {
		t.Fatalf("%d go at once", len(batch))
	}
	for _, it := range batch[:2] {
		w.finish(it)
	}
	w.putBack(batch[2:])
	for n, it := range w.take(100) {
		if it.Position.Batch != uint64(n+3) {
			t.Errorf("record %v is the %dth to go", it.Position, n)
		}
	}
}

// What is skipped does not let its successors go before their predecessors.
func TestSkippable(t *testing.T) {
	w := window{lanes: map[lane]*item{}}
	for n, session := range []string{"a", "a", "b", "a", "b"} {
		e := entryOf(n, "nas", accounting.Start, session)
		w.add(&e, accounting.Position{})
	}
	if going := w.take(1); going[0].Position.Batch != 1 {
		t.Fatal("the first is not the first")
	}
	var skipped []uint64
	for it := range w.skippable(10, func(it *item) bool { return it.Position.Batch < 5 }) {
		skipped = append(skipped, it.Position.Batch)
		w.finish(it)
	}
	if fmt.Sprint(skipped) != "[3]" {
		t.Errorf("%v are skipped", skipped)
	}
	if next := w.take(10); len(next) != 1 || next[0].Position.Batch != 5 {
		t.Error("what was behind the skipped cannot go")
	}
}
