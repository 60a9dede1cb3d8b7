package embedded

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// TestQueriesHaveIndexes looks at the plans of what must be fast with many sessions.
func TestQueriesHaveIndexes(t *testing.T) {
	k, _ := newHistoryKit(t)
	from := noon.Add(-time.Hour)
	for _, f := range []accounting.Filter{
		{}, {User: "alice"}, {NAS: "ras"}, {Serial: "T1"}, {Rule: "r"}, {Station: "s"}, {NAS: "ras", User: "alice"}, {From: from}, {To: from},
		{From: from, NAS: "ras"}, {User: "alice", From: from}, {States: []accounting.State{accounting.Open}}, {States: []accounting.State{accounting.Stale}, NAS: "ras"},
		{States: []accounting.State{accounting.Open}, From: from}, {ID: accounting.Position{Batch: 7}},
	} {
		k.must(k.Sessions(t.Context(), f, func(*accounting.Session) error { return nil }))
	}
	k.must(k.Change(t.Context(), func(tx accounting.Tx) error {
		none := func(*accounting.Session) error { return nil }
		_, err := tx.Forget(from, 9)
		for _, gateway := range []string{"", "g"} {
			find := tx.Find(accounting.Key{NAS: "ras", SessionID: "1", Gateway: gateway}, func(*accounting.Session) bool { return true })
			err = errors.Join(err, find, tx.Living("ras", gateway, none))
		}
		return errors.Join(err, tx.Silent(from, 9, none))
	}))
	db := k.Store.history.db
	k.Store.history.writing.Lock()
	defer k.Store.history.writing.Unlock()
	lists, finds := plans(t, " FROM session ", idle(t, db.readers)...), plans(t, " FROM session ", db.writer)
	long := 0
	for sql, plan := range lists {
		if strings.Contains(sql, tables.Lasting) {
			if long++; !strings.Contains(plan, "session_long") {
				t.Errorf("%s\n%s", sql, plan)
			}
		}
	}
	if len(lists) != 16 || len(finds) != 6 || long != 2 {
		t.Errorf("%d statements for lists, %d of them of long sessions, and %d others", len(lists), long, len(finds))
	}
	maps.Copy(lists, finds)
	for sql, plan := range lists {
		for step := range strings.Lines(plan) {
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "INDEX") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s\n%s", step, sql)
			}
		}
	}
}

// TestEveryVerdictIsIndexed finds one login of each verdict by the index.
func TestEveryVerdictIsIndexed(t *testing.T) {
	o := testOptions(t)
	o.history = historyOptions{records: len(otp.Verdicts()), retry: time.Hour}
	k := openKit(t, o)
	k.must(k.do(t.Context(), func() error {
		for _, v := range otp.Verdicts() {
			a := attempt(int(v), "")
			a.Decision.Verdict = v
			if err := k.insert(store.AppendToBatch(store.BeginBatch(nil), store.AppendLogin(nil, a, nil)), 1); err != nil {
				return err
			}
		}
		return nil
	}))
	k.must(k.tendHistory(t.Context()))
	if last := uint64(len(otp.Verdicts())); k.indexedBatch() != last {
		t.Fatalf("batch %d is the last in the index, want %d", k.indexedBatch(), last)
	}
	for _, v := range otp.Verdicts() {
		var found []string
		k.must(k.Events(t.Context(), tms.Filter{Verdict: v}, func(e *tms.Event) error {
			found = append(found, e.User)
			return nil
		}))
		if len(found) != 1 || found[0] != userName(int(v)) {
			t.Errorf("%v: found %q", v, found)
		}
	}
}
