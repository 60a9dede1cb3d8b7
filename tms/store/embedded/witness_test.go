package embedded

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store/tables"
)

// forge changes the file as somebody without its keys might, while no server has it open.
func (k *kit) forge(change func(*conn) error) {
	k.Helper()
	k.must(k.Close())
	c, err := openConn(k.options.Path)
	k.must(err)
	k.must(errors.Join(c.transaction(func() error { return change(c) }), c.close()))
}

// relink reckons all hashes of the chain anew.
func relink(c *conn) error {
	chain, chains := audit.Hash{}, map[int64]audit.Hash{}
	err := c.Query("SELECT batch, records FROM journal ORDER BY batch", func(r tables.Row) error {
		chain = audit.Link(chain, uint64(r.Integer(0)), r.Blob(1))
		chains[r.Integer(0)] = chain
		return nil
	})
	for batch, chain := range chains {
		err = errors.Join(err, c.Exec("UPDATE journal SET chain = ? WHERE batch = ?", chain[:], batch))
	}
	return err
}

const rename = "UPDATE journal SET records = CAST(replace(records, 'user000000', 'user999999') AS BLOB) WHERE batch = 3; "

// TestForgedJournal forges the journal in ways that leave a chain without faults: the next
// start finds it and says so in the journal, before it signs anything, and only once.
func TestForgedJournal(t *testing.T) {
	for name, test := range map[string]struct {
		sql, want string
		relink    bool
	}{
		"a record, without checkpoints": {rename + "DELETE FROM checkpoint", "was signed up to batch 5, and its newest checkpoint is of batch 0", true},
		"a record, with one less":       {rename + "DELETE FROM checkpoint WHERE batch > 1", "and its newest checkpoint is of batch 1", true},
		"a record":                      {rename, "batch 5 of the journal, up to which it was signed, has another hash", true},
		"a checkpoint of no key":        {rename + "UPDATE checkpoint SET signature = zeroblob(64) WHERE batch = 5", "the checkpoint of batch 5 is not the one", true},
		"the end":                       {"DELETE FROM journal WHERE batch > 3; DELETE FROM checkpoint WHERE batch > 3", "ends with batch 3, and was signed up to batch 5", false},
		"all":                           {"DELETE FROM journal; DELETE FROM checkpoint", "ends with batch 0, and was signed up to batch 5", false},
		"checkpoints alone":             {"DELETE FROM checkpoint", "its newest checkpoint is of batch 0", false},
		"no witness":                    {"DELETE FROM meta WHERE name = 'witness'", "the note of how far the journal was signed is missing", false},
		"another witness":               {"UPDATE meta SET value = zeroblob(length(value)) WHERE name = 'witness'", "is not one that this server has made", false},
		"no key":                        {"DELETE FROM meta WHERE name IN ('witness', 'signer', 'verifier'); DELETE FROM checkpoint", "is missing", false},
		"no key, but a witness":         {"DELETE FROM meta WHERE name IN ('signer', 'verifier'); DELETE FROM checkpoint", "its newest checkpoint is of batch 0", false},
	} {
		k := newKit(t)
		k.populate(1, false)
		_, err := k.Checkpoint(t.Context())
		k.must(err)
		for n := range uint64(4) {
			k.expect(otp.Accepted, 0, passcode(0, n))
		}
		k.forge(func(c *conn) error {
			err := c.script(test.sql)
			if test.relink {
				err = errors.Join(err, relink(c))
			}
			return err
		})
		var said bytes.Buffer
		registry := prometheus.NewRegistry()
		k.options.Logger, k.options.Registerer = newLogger(&said), registry
		k = openKit(t, k.options)
		gaps := k.gaps()
		if len(gaps) != 1 || !strings.Contains(gaps[0].Detail, test.want) || !strings.Contains(said.String(), test.want) {
			t.Errorf("%s: acts %+v, logged %q", name, gaps, &said)
		}
		if n := gather(t, registry)["countersign_audit_gaps_total"]; n != 1 {
			t.Errorf("%s: %v gaps were counted", name, n)
		}
		k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
		if last, err := k.LastEvent(t.Context()); err != nil || last.Batch != 7 {
			t.Errorf("%s: event %v, error %v: a number was used again", name, last, err)
		}
		if k = k.reopen(); len(k.gaps()) != 1 {
			t.Errorf("%s: the start after that: acts %+v", name, k.gaps())
		}
	}
}

// TestNoGap does to a store what may rightly be done: nothing is found.
func TestNoGap(t *testing.T) {
	k := newKit(t)
	k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
	silent := func(what string, k *kit) {
		t.Helper()
		if gaps := k.gaps(); len(gaps) > 0 {
			t.Errorf("%s: acts %+v", what, gaps)
		}
		verified(t, k)
	}
	silent("killed before anything was signed", openKit(t, k.crash()))
	k.populate(1, false)
	_, err := k.Checkpoint(t.Context())
	k.must(err)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	silent("killed after that", openKit(t, k.crash()))
	k = k.reopen()
	silent("closed", k)
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(t.Context(), backup, nil))
	k.expect(otp.Accepted, 0, passcode(0, 1))
	k.must(k.do(t.Context(), k.refuseWrites))
	if err := k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}); err == nil {
		t.Error("an act was recorded")
	}
	k.awaitReady()
	silent("failed and recovered", k)
	next := newKEK(t, 8)
	k.must(k.RotateKeys(t.Context(), next, nil))
	k.must(k.Close())
	old := k.options
	k.options.KEKs = []seal.KEK{next}
	k = openKit(t, k.options)
	silent("with other keys", k)
	k.must(k.fold(t.Context()))
	if n := k.prune(noon.Add(time.Second)); n == 0 {
		t.Error("nothing was removed")
	}
	silent("killed after retention", openKit(t, k.crash()))
	k = k.reopen()
	silent("closed after retention", k)
	k.must(k.Close())
	k.must(Restore(context.Background(), backup, old.Path, old, otp.DefaultPolicy()))
	silent("restored", openKit(t, old))
	for version := range chainedVersion - 1 {
		silent("migrated", openKit(t, oldVersion(t, version+1)).reopen())
	}
}

// TestTailIsSignedAtTheStart leaves nothing of a killed server unsigned.
func TestTailIsSignedAtTheStart(t *testing.T) {
	k := newKit(t)
	k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
	k = openKit(t, k.crash())
	if r := verified(t, k); r.Unsigned != 0 || r.Checkpoint == nil {
		t.Errorf("report %+v", r)
	}
}
