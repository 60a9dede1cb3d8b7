package seal

import (
	"crypto/rand"
	"testing"

	"countersign/otp/oath"
)

// A seed of 20 bytes is what most values are.
const benchmarkSeed, benchmarkContext = "12345678901234567890", "seed/4F214C507612A26A"

func TestOpenDoesNotAllocate(t *testing.T) {
	k := newTestKeyring(t)
	old := mustSeal(t, k, benchmarkSeed, benchmarkContext)
	mustRotate(t, k)
	young := mustSeal(t, k, benchmarkSeed, benchmarkContext)
	dst := make([]byte, 0, 64)
	allocs := testing.AllocsPerRun(100, func() {
		for _, sealed := range [][]byte{old, young} {
			if _, err := k.Open(dst, sealed, benchmarkContext); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("Open: %v allocations", allocs)
	}
	dst = make([]byte, 0, 128)
	allocs = testing.AllocsPerRun(100, func() {
		if _, err := k.Seal(dst, []byte("4711"), "pin/kay"); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 1 { // that of []byte("4711") above
		t.Errorf("Seal: %v allocations", allocs)
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	k := newTestKeyring(b)
	sealed := mustSeal(b, k, benchmarkSeed, benchmarkContext)
	dst := make([]byte, 0, 64)
	for b.Loop() {
		if _, err := k.Open(dst, sealed, benchmarkContext); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenStore opens the seeds of a large store into one buffer, as at the
// start of a server; the time is that of one seed.
func BenchmarkOpenStore(b *testing.B) {
	const rows = 100_000
	k := newTestKeyring(b)
	var sealed []byte
	for range rows {
		var err error
		if sealed, err = k.Seal(sealed, []byte(benchmarkSeed), benchmarkContext); err != nil {
			b.Fatal(err)
		}
	}
	const size = len(benchmarkSeed) + Overhead
	seeds := make([]oath.Seed, rows)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += rows {
		buffer := make([]byte, 0, rows*len(benchmarkSeed))
		for i := range min(rows, b.N-n) {
			start := len(buffer)
			var err error
			if buffer, err = k.Open(buffer, sealed[i*size:(i+1)*size], benchmarkContext); err != nil {
				b.Fatal(err)
			}
			seeds[i] = oath.NewSeed(buffer[start:])
		}
	}
}

func BenchmarkOpenParallel(b *testing.B) {
	b.ReportAllocs()
	k := newTestKeyring(b)
	sealed := mustSeal(b, k, benchmarkSeed, benchmarkContext)
	b.RunParallel(func(pb *testing.PB) {
		dst := make([]byte, 0, 64)
		for pb.Next() {
			if _, err := k.Open(dst, sealed, benchmarkContext); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	b.ReportAllocs()
	k := newTestKeyring(b)
	dst := make([]byte, 0, 64)
	for b.Loop() {
		if _, err := k.Seal(dst, []byte(benchmarkSeed), benchmarkContext); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenKeyring(b *testing.B) {
	b.ReportAllocs()
	kek, k := newTestKEK(b), newTestKeyring(b)
	sealed := mustMarshal(b, k, kek)
	for b.Loop() {
		if _, err := OpenKeyring(sealed, []KEK{kek}, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}
