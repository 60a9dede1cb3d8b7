package embedded

import (
	"context"
	"testing"

	"countersign/otp"
	"countersign/tms"
)

// journalUses counts the logins by rules in the journal.
func (k *kit) journalUses() map[uint64]uint64 {
	k.Helper()
	counts := map[uint64]uint64{}
	k.must(k.Events(context.Background(), tms.Filter{}, func(e *tms.Event) error {
		if e.Rule != 0 {
			counts[e.Rule]++
		}
		return nil
	}))
	return counts
}

// usesAgree expects that the uses of all rules are what the journal says.
func (k *kit) usesAgree() {
	k.Helper()
	counts := k.journalUses()
	for _, r := range k.rules() {
		if r.Use.Count != counts[r.ID] || r.Use.Count > 0 && !r.Use.Last.Equal(noon) {
			k.Errorf("rule %d: use %+v, the journal has %d", r.ID, r.Use, counts[r.ID])
		}
	}
}

// TestUsesAreReplayedOnce crashes stores before, in and after a fold.
func TestUsesAreReplayedOnce(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.setFileRules("one", "two", "three")
	login := func() {
		for i, times := range []int{1, 2, 5} {
			for range times {
				k.excluded(0, k.rules()[i].ID)
			}
		}
		k.expect(otp.UnknownUser, 9, "nobody")
	}
	check := func() {
		t.Helper()
		k.usesAgree()
		crashed := openKit(t, k.crash())
		crashed.usesAgree()
		crashed.excluded(0, 2)
		crashed.usesAgree()
		again := openKit(t, crashed.crash())
		again.usesAgree()
		again.must(again.fold(context.Background()))
		again.usesAgree()
		openKit(t, again.crash()).usesAgree()
	}
	login()
	check()
	k.must(k.fold(context.Background()))
	check()
	login()
	check()

	// a fold, by hand as far as one of the rules
	f, err := k.beginFold(context.Background())
	k.must(err)
	login()
	k.must(f.step(context.Background(), func() error { return f.writeUses([]uint64{2}) }))
	check()
	login()
	check() // the row is older than the journal and newer than the mark

	k.must(k.fold(context.Background()))
	if n := len(k.uses.ids()); n != 0 {
		t.Errorf("after the fold the counts of %d rules are in memory", n)
	}
	check()
	k.reopen().usesAgree()
}

// TestUsesAreListedWhileFolding moves counts to the table while they are listed:
// none may be missing, or be there twice.
func TestUsesAreListedWhileFolding(t *testing.T) {
	k := newKit(t)
	k.setFileRules("one", "two")
	ctx, stop := context.WithCancel(context.Background())
	parallel(3, func(part int) {
		switch part {
		case 0:
			defer stop()
			for n := range uint64(400) {
				k.excluded(0, 1)
				if use := k.rules()[0].Use; use.Count != n+1 {
					t.Errorf("%d uses are listed after %d", use.Count, n+1)
				}
			}
		case 1:
			for ctx.Err() == nil {
				k.excluded(0, 2)
			}
		case 2:
			for ctx.Err() == nil {
				k.must(k.fold(context.Background()))
				k.must(k.checkpoint(context.Background()))
			}
		}
	})
	k.usesAgree()
	openKit(t, k.crash()).usesAgree()
}

// TestUsesReadBeforeTheyMoved must not be taken for what the table says now.
func TestUsesReadBeforeTheyMoved(t *testing.T) {
	k := newKit(t)
	k.setFileRules("one")
	for _, move := range []func(){
		func() { k.must(k.fold(context.Background())) },
		func() { k.uses.reset() },
	} {
		k.excluded(0, 1)
		generation, rules := k.uses.Generation(), k.rules()
		if !k.uses.UpdateUses(rules, generation) {
			t.Error("nothing has moved")
		}
		if move(); k.uses.UpdateUses(rules, generation) {
			t.Error("rows read before counts moved to the table are taken for new ones")
		}
	}
}

// TestUsesAfterAFailure counts again from what is on disk.
func TestUsesAfterAFailure(t *testing.T) {
	k := newKit(t)
	k.setFileRules("one", "two")
	for range 3 {
		k.excluded(0, 1)
		k.must(k.do(context.Background(), k.refuseWrites))
		a := attempt(0, "")
		a.Preset, a.Rule = otp.Excluded, 2
		if _, err := k.Verify(context.Background(), a); err == nil {
			t.Error("a login was answered that could not be written")
		}
		k.awaitReady()
		k.usesAgree()
	}
	if got := k.rules()[0].Use.Count; got != 3 {
		t.Errorf("%d uses, want 3", got)
	}
	k.reopen().usesAgree()
}
