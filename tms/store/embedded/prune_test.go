package embedded

import (
	"cmp"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/tms"
	"countersign/tms/audit"
)

// acts records so many acts at a time, and signs them.
func (k *kit) acts(n int, at time.Time) {
	k.Helper()
	for range n {
		k.must(k.Record(k.Context(), tms.Act{At: at, Verb: "test"}))
	}
	_, err := k.Checkpoint(k.Context())
	k.must(err)
	k.must(k.fold(k.Context()))
}

// prune is Prune without a bound.
func (k *kit) prune(before time.Time) int64 {
	k.Helper()
	n, err := k.Prune(k.Context(), before, math.MaxInt64, tms.Act{At: before, Verb: "audit.prune"})
	k.must(err)
	return n
}

// TestPruneAfterAClockThatWasBehind has a server start once with a clock that is ten years
// behind.
func TestPruneAfterAClockThatWasBehind(t *testing.T) {
	k := newKit(t)
	k.acts(3, noon)
	k.acts(2, noon.AddDate(-10, 0, 0))
	k.acts(1, noon.Add(time.Minute))
	if n := k.prune(noon.AddDate(0, 0, -30)); n != 0 {
		t.Errorf("%d batches were removed, of which the first are new", n)
	}
	if r := verified(t, k); r.Begin != nil || r.Batches != 6 {
		t.Errorf("report %+v", r)
	}
	if n := k.prune(noon.Add(time.Second)); n != 5 { // the act before is not recorded
		t.Errorf("%d batches were removed, want those before the last", n)
	}
	verified(t, k)
}

// TestPruneUpToACheckpoint removes what is old only as far as it is signed, over several
// pages.
func TestPruneUpToACheckpoint(t *testing.T) {
	k := newKit(t)
	k.acts(pageBatches+10, noon)
	k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
	k.acts(1, noon.Add(time.Hour))
	if n := k.prune(noon.Add(time.Minute)); n != pageBatches+10 {
		t.Errorf("%d batches were removed", n)
	}
	verified(t, k)
}

// TestCutOff removes the beginning of a journal as retention would, but for what it signs.
func TestCutOff(t *testing.T) {
	const cut = "DELETE FROM journal WHERE batch <= 4; DELETE FROM checkpoint WHERE batch < 4; "
	for name, test := range map[string]struct {
		pruned bool // retention removed batches 1 and 2 before
		sql    string
	}{
		"never pruned":        {false, "INSERT INTO meta VALUES ('pruned', 4)"},
		"farther than it did": {true, "UPDATE meta SET value = 4 WHERE name = 'pruned'"},
		"with no signature":   {true, "UPDATE meta SET value = 4 WHERE name = 'pruned'; DELETE FROM meta WHERE name = 'begin'"},
		"with another's text": {true, "UPDATE meta SET value = 4 WHERE name = 'pruned'; UPDATE meta SET value = CAST(replace(CAST(value AS TEXT), '2 ', '4 ') AS BLOB) WHERE name = 'begin'"},
		"with a checkpoint":   {false, "INSERT INTO meta VALUES ('pruned', 4); INSERT INTO meta VALUES ('begin', CAST('FOURTH' AS BLOB))"},
	} {
		k := newKit(t)
		k.acts(2, noon.Add(-time.Hour))
		if test.pruned && k.prune(noon) != 2 {
			t.Fatal("nothing was removed")
		}
		for range 4 {
			k.acts(1, noon)
		}
		fourth := ""
		k.must(k.Checkpoints(t.Context(), 3, func(c *audit.Checkpoint) error {
			fourth = cmp.Or(fourth, c.String())
			return nil
		}))
		k.must(k.do(t.Context(), func() error {
			return k.db.writer.script(cut + strings.ReplaceAll(test.sql, "FOURTH", fourth))
		}))
		backup := filepath.Join(t.TempDir(), "backup.db")
		k.must(k.Backup(t.Context(), backup, nil))
		for what, log := range map[string]audit.Log{"store": k, "backup": openAudit(t, backup)} {
			r, err := audit.Verify(t.Context(), log, audit.VerifyOptions{})
			if err != nil || len(r.Faults) == 0 || r.Faults[0].Kind != audit.CutOff || r.Retained {
				t.Errorf("%s: %s: report %+v, error %v", name, what, r, err)
			}
		}
		if err := k.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
