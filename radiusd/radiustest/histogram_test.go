package radiustest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramPrecision(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 100_000 {
		// From nanoseconds to minutes, every magnitude alike.
		d := time.Duration(math.Exp(random.Float64() * math.Log(100e9)))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.1, 0.5, 0.9, 0.99, 0.999} {
		want := float64(all[int(q*float64(len(all)))])
		if got := float64(h.quantile(q)); math.Abs(got-want) > 0.01*want {
			t.Errorf("quantile %g is %.0f ns, want %.0f within one percent", q, got, want)
		}
	}
	if h.largest != all[len(all)-1] || h.quantile(1) != h.largest {
		t.Errorf("largest %v, quantile 1 %v, want %v", h.largest, h.quantile(1), all[len(all)-1])
	}
}

func TestHistogramBuckets(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 257, 511, 512, 1 << 20, 1<<20 + 9999, math.MaxInt64, math.MaxUint64} {
		b := bucketOf(v)
		if b < 0 || b >= len(histogram{}.buckets) {
			t.Fatalf("value %d is in bucket %d of %d", v, b, len(histogram{}.buckets))
		}
		if again := bucketOf(middle(b)); again != b {
			t.Errorf("the middle %d of bucket %d is in bucket %d", middle(b), b, again)
		}
	}
}

func TestHistogramOfNothing(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v, want 0", got)
	}
}
