package postgres

import (
	"slices"
	"testing"

	"countersign/otp"
	"countersign/tms/store"
)

// TestGroup joins what is decided about an account, and counts places as the database does.
func TestGroup(t *testing.T) {
	var q queue
	q.init()
	q.open()
	accounts := []*cached{{}, {}, {}}
	add := func(owner *cached, token int64, record string, changes ...store.Change) {
		d := &decided{owner: owner, token: token, changes: changes, record: []byte(record)}
		if !q.login(item{attempt: &otp.Attempt{Waiter: new(told)}}, d) {
			t.Fatal("refused")
		}
	}
	add(accounts[0], 30, "a", store.Change{Token: 30, Rev: 1}, store.Change{Token: 31, Rev: 1})
	add(nil, 0, "free")
	add(accounts[1], 10, "b")
	add(accounts[0], 30, "c", store.Change{Token: 31, Rev: 2})
	add(accounts[2], 20, "d")
	g := q.take()
	if q.take() != nil || len(g.entries) != 3 || len(g.items) != 5 || g.freed != 1 {
		t.Fatalf("%+v", g)
	}
	if e := g.entries[0]; string(e.records) != "\x01a\x01c" || e.count != 2 || len(e.further) != 1 || e.further[0].Rev != 2 {
		t.Errorf("%+v", e)
	}
	g.sort()
	if !slices.Equal(g.order, []int32{1, 2, 0}) || g.placeOf(0) != 3 || g.placeOf(noEntry) != 0 {
		t.Errorf("order %v", g.order)
	}
	if err := g.settle([]int64{3, 1}); err != nil {
		t.Fatal(err)
	}
	if g.entries[0].next != 1 || g.entries[1].next != 3 || g.entries[2].won || !g.entries[0].won {
		t.Errorf("%+v", g.entries)
	}
	for _, wrong := range []int64{0, 4, -1} {
		if g.settle([]int64{wrong}) == nil {
			t.Errorf("place %d is one", wrong)
		}
	}
	add(accounts[0], 30, "e") // into the next group
	if next := q.take(); len(next.entries) != 1 || string(next.entries[0].records) != "\x01e" {
		t.Errorf("%+v", next)
	}
	q.recycle(g)
	if again := q.fresh(); again != g || len(again.items)+len(again.entries)+len(again.free) != 0 {
		t.Errorf("%+v", again)
	}
	q.close()
	if q.login(item{}, &decided{}) {
		t.Error("a closed queue takes a login")
	}
}

func TestIntegers(t *testing.T) {
	var a array
	a.begin(oidInt8)
	if got, err := integers(nil, a.end()); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
	want := []int64{1, -2, 1 << 60}
	a.begin(oidInt8)
	for _, n := range want {
		a.integer(n)
	}
	if got, err := integers(nil, a.end()); !slices.Equal(got, want) || err != nil {
		t.Error(got, err)
	}
	for _, wrong := range [][]byte{{}, a.b[:13], a.b[:len(a.b)-1], a.b[:len(a.b)-12]} {
		if _, err := integers(nil, wrong); err == nil {
			t.Errorf("%d bytes are an array", len(wrong))
		}
	}
}
