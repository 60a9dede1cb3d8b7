package embedded

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"countersign/radiusd/accounting"
)

// BenchmarkTake makes sessions of four records each.
func BenchmarkTake(b *testing.B) {
	k := newKit(b)
	records := 0
	for b.Loop() {
		b.StopTimer()
		k.accountMany(20_000, records)
		b.StartTimer()
		for n := 1; n > 0; records += n {
			var err error
			n, err = k.Take(context.Background(), 256, func(tx accounting.Tx, entries []accounting.Entry) error {
				for i := range entries {
					k.must(benchSession(tx, &entries[i]))
				}
				return nil
			})
			k.must(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
	b.ReportMetric(0, "ns/op")
}

// accountMany appends records of users, four in a row of each.
func (k *kit) accountMany(records, from int) {
	var done sync.WaitGroup
	for n := range records {
		done.Add(1)
		for !k.AppendAccounting(noon.Add(time.Duration(n)), "gateway", "192.0.2.1", fmt.Appendf(nil, "session %d", (from+n)/4), func(err error) {
			k.must(err)
			done.Done()
		}) {
			time.Sleep(time.Millisecond)
		}
	}
	done.Wait()
}

func benchSession(tx accounting.Tx, e *accounting.Entry) error {
	id := string(e.Attributes)
	s := accounting.Session{
		ID: e.Position, Key: accounting.Key{NAS: e.NAS, Gateway: e.Source, SessionID: id}, Source: e.Source, User: userName(int(e.Position.Batch) % benchUsers),
		Station: "00-11-22-33-44-55", Address: netip.AddrFrom4([4]byte{10, byte(e.Position.Batch >> 8), byte(e.Position.Batch), byte(e.Position.Index)}),
		NASPort: "7", State: accounting.Open, Started: e.At,
	}
	if err := tx.Find(s.Key, func(found *accounting.Session) bool { s = *found; return false }); err != nil {
		return err
	}
	if _, err := tx.Note(s.ID, e, [16]byte{byte(s.Records), 1, 2, 3}); err != nil {
		return err
	}
	if s.Records++; s.Records == 4 {
		s.State, s.Ended = accounting.Closed, e.At
	}
	s.Heard, s.InputOctets = e.At, s.InputOctets+1_000_000
	return tx.Save(&s)
}
