package embedded

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/tms/store/tables"
)

// limitHistory has the writer of the history run a pragma.
func (k *kit) limitHistory(sql string) {
	k.Helper()
	k.must(k.withHistory(func(db *historyFile) error {
		k.history.writing.Lock()
		defer k.history.writing.Unlock()
		return db.writer.Query(sql, func(tables.Row) error { return nil })
	}))
}

// fillRoom has the history grow no more, and returns the first error of that.
func (k *kit) fillRoom() (full error) {
	k.Helper()
	k.limitHistory("PRAGMA max_page_count = 1") // as many as there are
	for n := 0; full == nil; n++ {
		k.must(k.account(fmt.Sprint("another ", n)))
		_, full = k.takeSome()
	}
	return full
}

// TestTakeWaitsForRoom has nobody but the store find out that there is room again.
func TestTakeWaitsForRoom(t *testing.T) {
	k, _ := newHistoryKit(t)
	k.must(k.tendHistory(t.Context()))
	if err := k.fillRoom(); resultCode(err) != resultFull {
		t.Fatal(err)
	}
	taken := make(chan error)
	go func() {
		n, err := k.takeSome()
		if n == 0 {
			err = errors.Join(err, errors.New("nothing was taken"))
		}
		taken <- err
	}()
	k.limitHistory("PRAGMA max_page_count = 1000000")
	if err := <-taken; err != nil {
		t.Error(err)
	}
	<-k.Appended() // and who takes has heard of it
}

// TestTakeWhileClosing ends the wait of a Take.
func TestTakeWhileClosing(t *testing.T) {
	o := testOptions(t)
	o.history.retry = time.Hour
	k := openKit(t, o)
	k.must(k.tendHistory(t.Context()))
	if err := k.fillRoom(); resultCode(err) != resultFull {
		t.Fatal(err)
	}
	taken := make(chan error)
	go func() {
		_, err := k.takeSome()
		taken <- err
	}()
	k.must(k.Close())
	if err := <-taken; !errors.Is(err, errClosed) {
		t.Errorf("error %v", err)
	}
}
