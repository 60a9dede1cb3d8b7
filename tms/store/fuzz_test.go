package store

import (
	"reflect"
	"testing"
)

// FuzzParseRecord: whatever parses comes out the same when it is written and
// parsed again, and its changes, its use of a rule and its keys parse by themselves.
func FuzzParseRecord(f *testing.F) {
	for i := range everything {
		f.Add(AppendRecord(nil, &everything[i]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := ParseRecord(b)
		if err != nil {
			return
		}
		changes, use, err := ParseChanges(nil, b)
		if err != nil || !reflect.DeepEqual(changes, first.Changes) || use != useOf(&first) {
			t.Fatalf("changes %+v, use %+v, error %v, want %+v", changes, use, err, first)
		}
		if keys, err := ParseKeys(b); err != nil || printed(keys) != printed(keysOf(&first.Event)) {
			t.Fatalf("keys %+v, error %v, of %+v", keys, err, first)
		}
		if at := InstantOf(b); at != first.Event.At.UnixNano() {
			t.Fatalf("instant %d of %+v", at, first)
		}
		second, err := ParseRecord(AppendRecord(nil, &first))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(normal(first), normal(second)) {
			t.Fatalf("first  %+v\nsecond %+v", first, second)
		}
	})
}

// FuzzRecords: a batch of any bytes is split without going out of its bounds.
func FuzzRecords(f *testing.F) {
	batch := BeginBatch(nil)
	for i := range everything {
		batch = AppendToBatch(batch, AppendRecord(nil, &everything[i]))
		f.Add(batch)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again := BeginBatch(nil)
		err := Records(b, func(_ uint32, record []byte) error {
			again = AppendToBatch(again, record)
			return nil
		})
		if err == nil && len(again) > len(b) {
			t.Fatalf("%d bytes have become %d", len(b), len(again))
		}
	})
}
