package radiustest

import (
	"math/bits"
	"time"
)

// histogram counts durations with a relative precision of under one percent:
// the buckets of every power of two of nanoseconds are 128 of one width, so a
// bucket is at most 1/128 of its values wide. It has room for any duration in
// a fixed 59 KiB.
type histogram struct {
	buckets [(65 - histogramBits) << histogramBits]uint64
	count   uint64
	largest time.Duration
}

const histogramBits = 7

// bucketOf returns the bucket of a value: the power of two it lies in and the
// seven bits that follow its first.
func bucketOf(v uint64) int {
	power := max(bits.Len64(v)-1-histogramBits, 0)
	return power<<histogramBits + int(v>>power)
}

// middle returns the value in the middle of a bucket.
func middle(bucket int) uint64 {
	power := max(bucket>>histogramBits-1, 0)
	first := uint64(bucket-power<<histogramBits) << power
	return first + 1<<power>>1
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.largest = max(h.largest, d)
}

// quantile returns the duration that a fraction q of those added do not
// exceed, 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	var below uint64
	for i, n := range h.buckets {
		if below += n; below > rank {
			return min(time.Duration(middle(i)), h.largest)
		}
	}
	return h.largest
}
