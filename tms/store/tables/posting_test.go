package tables

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"countersign/tms/store"
)

// TestPostings finds in encoded lists what a map has.
func TestPostings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 6))
	h := newHasher([]byte("id"))
	var p postings
	want := map[string][]uint32{}
	for ordinal := range uint32(20_000) {
		user, nas := string(rune('a'+random.IntN(26)))+string(rune('a'+random.IntN(26))), string(rune('A'+random.IntN(3)))
		want[user], want[nas] = append(want[user], ordinal), append(want[nas], ordinal)
		p.add(h, &store.Keys{User: []byte(user), NAS: []byte(nas)}, ordinal)
	}
	find := func(f field, value string) []byte {
		var found []byte
		err := p.lists(f, func(bucket byte, lists []byte) error {
			hash := h.text(value)
			if bucket != bucketOf(hash) {
				return nil
			}
			list, err := findList(lists, hash)
			found = slices.Clone(list)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for value, ordinals := range want {
		f := userField
		if len(value) == 1 {
			f = nasField
		}
		if got, err := intersect(nil, [][]byte{find(f, value)}); err != nil || !reflect.DeepEqual(got, ordinals) {
			t.Errorf("%q: %d ordinals, error %v, want %d", value, len(got), err, len(ordinals))
		}
	}
	for _, value := range []string{"a", "aaa", ""} {
		if list := find(userField, value); list != nil {
			t.Errorf("%q is there", value)
		}
	}
	both := slices.DeleteFunc(slices.Clone(want["ab"]), func(o uint32) bool { return !slices.Contains(want["B"], o) })
	if got, err := intersect(nil, [][]byte{find(nasField, "B"), find(userField, "ab")}); err != nil || !slices.Equal(got, both) {
		t.Errorf("in both %v, error %v, want %v", got, err, both)
	}
}

// TestDamagedPostings reads any bytes without going out of their bounds.
func TestDamagedPostings(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 6))
	bad := 0
	for range 20_000 {
		b := make([]byte, random.IntN(24))
		for i := range b {
			b[i] = byte(random.Uint32() >> (random.IntN(3) * 8) & 0xff >> random.IntN(8))
		}
		_, err := findList(b, random.Uint32()&0xff)
		_, err2 := intersect(nil, [][]byte{b, b})
		_, _, err3 := batchStarts(1, b)
		for _, err := range []error{err, err2, err3} {
			if err != nil && !errors.Is(err, ErrUselessHistory) {
				t.Fatal(err)
			}
			if err != nil {
				bad++
			}
		}
	}
	if bad == 0 {
		t.Error("nothing was damaged")
	}
}

// TestBatchCounts finds the batches of a segment again, also when numbers are missing.
func TestBatchCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 6))
	for range 200 {
		var counts []byte
		var want []batchStart
		first, records := 1+random.Uint64N(1<<40), uint64(0)
		number := first - 1
		for range random.IntN(50) {
			missing := random.Uint64N(3) * random.Uint64N(1000)
			if number < first {
				missing = 0
			}
			number += missing + 1
			n := 1 + random.Uint64N(300)
			counts = appendCount(counts, n, missing)
			want = append(want, batchStart{number, records})
			records += n
		}
		if starts, n, err := batchStarts(first, counts); err != nil || n != records || !reflect.DeepEqual(starts, want) {
			t.Fatalf("%d records in %v, error %v, want %d in %v", n, starts, err, records, want)
		}
	}
}
