package embedded

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/radiusd/accounting"
)

func TestRoomOf(t *testing.T) {
	const mb = 1 << 20
	for _, test := range []struct {
		before     room
		free, size uint64
		want       room
	}{
		{enough, 256 * mb, 1 << 40, enough},
		{enough, 256*mb - 1, 1 << 40, low},
		{low, 300 * mb, 1 << 40, low}, // it has begun to wait
		{low, 320 * mb, 1 << 40, enough},
		{enough, 128*mb - 1, 1 << 40, veryLow},
		{low, 128 * mb, 1 << 40, low},
		{veryLow, 150 * mb, 1 << 40, veryLow},
		{veryLow, 160 * mb, 1 << 40, low},
		{veryLow, 300 * mb, 1 << 40, low},
		{veryLow, 1 << 40, 1 << 40, enough},
		{enough, 5 * mb, 100 * mb, enough}, // a small disk
		{enough, 5*mb - 1, 100 * mb, low},
		{enough, 0, 0, enough}, // nobody knows
		{enough, 0, math.MaxUint64, veryLow},
	} {
		if got := roomOf(test.before, test.free, test.size); got != test.want {
			t.Errorf("%d of %d free, %d before: %d, want %d", test.free, test.size, test.before, got, test.want)
		}
	}
}

// TestDiskNearlyFull has logins go on while sessions, and then accounting, wait for room.
func TestDiskNearlyFull(t *testing.T) {
	const size = 1 << 30
	var free atomic.Uint64
	free.Store(size)
	var said bytes.Buffer
	registry := prometheus.NewRegistry()
	o := testOptions(t)
	o.Logger, o.Registerer = newLogger(&said), registry
	o.history = historyOptions{records: 2, batches: 2, retry: time.Hour}
	o.disk = diskOptions{pause: time.Hour, look: func(string) (uint64, uint64, error) { return free.Load(), size, nil }}
	k := openKit(t, o)
	k.populate(1, false)
	have := func(bytes uint64) {
		free.Store(bytes)
		k.lookAtDisk()
		k.lookAtDisk()
	}
	take := func(ctx context.Context) (int, error) {
		return k.Take(ctx, 10, func(accounting.Tx, []accounting.Entry) error { return nil })
	}

	have(size/diskShare - 1)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	k.must(k.account("one"))
	if n, err := take(t.Context()); n != 0 || !errors.Is(err, errDiskLow) {
		t.Errorf("%d records taken, error %v", n, err)
	}
	if err := k.Change(t.Context(), func(accounting.Tx) error { return nil }); !errors.Is(err, errDiskLow) {
		t.Errorf("sessions were changed, error %v", err)
	}
	if err := k.tendHistory(t.Context()); !errors.Is(err, errDiskLow) || k.segments() != 0 {
		t.Errorf("%d segments, error %v", k.segments(), err)
	}

	have(size/diskShare/2 - 1)
	k.expect(otp.Accepted, 0, passcode(0, 1))
	if k.AppendAccounting(noon, "ras", "", []byte("two"), func(error) {}) {
		t.Error("a record was taken on a full disk")
	}
	if n := gather(t, registry)["countersign_store_dropped_total"]; n != 1 {
		t.Errorf("%v records were dropped", n)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := take(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits heard %v", err)
	}

	taken := make(chan int)
	go func() {
		n, err := take(t.Context()) // waits, and goes on by itself
		if err != nil {
			t.Error(err)
		}
		taken <- n
	}()
	have(size)
	if n := <-taken; n != 1 {
		t.Errorf("%d records were taken", n)
	}
	k.must(k.account("two"))
	k.must(k.tendHistory(t.Context()))
	if k.segments() == 0 {
		t.Error("there is no index")
	}
	k.must(k.Close())
	for _, says := range []string{"sessions and the index of the journal wait", "accounting records are not taken any more", "there is room on the disk again"} {
		if n := strings.Count(said.String(), says); n != 1 {
			t.Errorf("%d times %q in\n%s", n, says, &said)
		}
	}
}

// TestDiskIsUnknown goes on without knowing.
func TestDiskIsUnknown(t *testing.T) {
	var said bytes.Buffer
	o := testOptions(t)
	o.Logger = newLogger(&said)
	o.disk = diskOptions{pause: time.Hour, look: func(string) (uint64, uint64, error) { return 0, 0, errors.New("no idea") }}
	k := openKit(t, o)
	k.lookAtDisk()
	k.must(k.account("one"))
	k.must(k.Close())
	if n := strings.Count(said.String(), "no idea"); n != 1 {
		t.Errorf("said %d times in %s", n, &said)
	}
}

// TestDiskLoop looks at the disk again and again.
func TestDiskLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		o := testOptions(t)
		o.disk.look = func(string) (uint64, uint64, error) { looks++; return 1, 1, nil }
		s := newStore(o)
		ctx, stop := context.WithTimeout(t.Context(), 9*time.Second)
		defer stop()
		s.diskLoop(ctx)
		if looks != 4 {
			t.Errorf("%d looks in 9 seconds", looks)
		}
	})
}

func TestStatDisk(t *testing.T) {
	free, size, err := statDisk(t.TempDir())
	if err != nil || size == 0 || free > size {
		t.Errorf("%d bytes free of %d, error %v", free, size, err)
	}
	if _, _, err := statDisk("/nowhere"); err == nil {
		t.Error("a folder that is not there")
	}
}
