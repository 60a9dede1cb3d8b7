package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// The journal that is searched: four years of it.
const (
	benchUsers  = 20_000
	benchNASes  = 50
	benchBatch  = 256
	benchYears  = 4
	benchPeriod = benchYears * 365 * 24 * time.Hour
)

// BenchmarkSearch searches ten million records, a hundred thousand with -short, for the
// fifty newest that are wanted.
func BenchmarkSearch(b *testing.B) {
	records := 10_000_000
	if testing.Short() {
		records = 100_000
	}
	o := testOptions(b)
	o.history.off = true
	k := openKit(b, o)
	k.load(records)
	k.must(k.Close())
	o.history.off = false
	began := time.Now()
	k = openKit(b, o)
	k.must(k.tendHistory(context.Background()))
	took := time.Since(began)
	b.Run("index", func(b *testing.B) { // made once
		b.ReportMetric(float64(took.Nanoseconds())/float64(records), "ns/record")
		b.ReportMetric(float64(fileSize(k.history.path))/float64(records), "bytes/record")
		b.ReportMetric(float64(fileSize(o.Path))/float64(records), "journal-bytes/record")
		b.ReportMetric(float64(k.history.journal.count()), "records-behind")
		b.ReportMetric(0, "ns/op")
	})
	random := rand.New(rand.NewPCG(6, 6))
	instant := func() time.Time { return noon.Add(time.Duration(random.Int64N(int64(benchPeriod)))) }
	user := func() otp.UserName { return otp.UserName(userName(random.IntN(benchUsers))) }
	nas := func() string { return benchNAS(random.IntN(benchNASes)) }
	for _, search := range []struct {
		name   string
		filter func() tms.Filter
	}{
		{"all", func() tms.Filter { return tms.Filter{} }},
		{"user", func() tms.Filter { return tms.Filter{User: user()} }},
		{"serial", func() tms.Filter { return tms.Filter{Serial: serial(random.IntN(benchUsers))} }},
		{"nas", func() tms.Filter { return tms.Filter{NAS: nas()} }},
		{"verdict", func() tms.Filter { return tms.Filter{Verdict: otp.WrongCode} }},
		{"time", func() tms.Filter { at := instant(); return tms.Filter{From: at, To: at.Add(time.Hour)} }},
		{"instant", func() tms.Filter { at := instant(); return tms.Filter{From: at, To: at.Add(1)} }},
		{"before", func() tms.Filter {
			return tms.Filter{User: user(), Before: otp.EventID{Batch: 1 + random.Uint64N(uint64(records/benchBatch))}}
		}},
		{"absent-user", func() tms.Filter { return tms.Filter{User: "nobody-" + user()} }},
		{"absent-serial", func() tms.Filter { return tms.Filter{Serial: "X" + serial(random.IntN(benchUsers))} }},
		{"absent-nas", func() tms.Filter { return tms.Filter{NAS: "x" + nas()} }},
		{"absent-verdict", func() tms.Filter { return tms.Filter{Verdict: otp.CannotAsk} }},
		{"differing", func() tms.Filter { return tms.Filter{Differing: true} }},
		{"rare-verdict", func() tms.Filter { return tms.Filter{Verdict: otp.TooManySessions} }},
		{"rare-verdict-of-nas", func() tms.Filter { return tms.Filter{Verdict: otp.TooManySessions, NAS: nas()} }},
		{"frequent-but-never-together", func() tms.Filter { return tms.Filter{Verdict: otp.WrongCode, NAS: benchNAS(0)} }},
		{"user-at-nas", func() tms.Filter { return tms.Filter{User: user(), NAS: nas()} }},
		{"user-with-verdict", func() tms.Filter { return tms.Filter{User: user(), Verdict: otp.WrongPIN} }},
		{"user-in-a-month", func() tms.Filter {
			at := instant()
			return tms.Filter{User: user(), From: at, To: at.AddDate(0, 1, 0)}
		}},
		{"nas-in-an-hour", func() tms.Filter { at := instant(); return tms.Filter{NAS: nas(), From: at, To: at.Add(time.Hour)} }},
	} {
		b.Run(search.name, func(b *testing.B) {
			found, slowest := 0, time.Duration(0)
			for b.Loop() {
				f := search.filter()
				f.Limit = 50
				began := time.Now()
				k.must(k.Events(context.Background(), f, func(*tms.Event) error { found++; return nil }))
				slowest = max(slowest, time.Since(began))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/search")
			b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest")
			b.ReportMetric(float64(found)/float64(b.N), "events/search")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func benchNAS(n int) string { return fmt.Sprintf("gateway-%02d.example.com", n) }

// load writes records straight into the journal.
func (k *kit) load(records int) {
	k.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	step := benchPeriod / time.Duration(records)
	var record []byte
	for n := 0; n < records; {
		k.must(k.do(context.Background(), func() error {
			return k.transaction(func(*conn) error {
				for range 64 {
					batch, first := store.BeginBatch(nil), n
					for ; n < min(first+benchBatch, records); n++ {
						r := benchRecord(random, noon.Add(time.Duration(n)*step))
						record = store.AppendRecord(record[:0], &r)
						batch = store.AppendToBatch(batch, record)
					}
					if n == first {
						return nil
					}
					if err := k.insert(batch, n-first); err != nil {
						return err
					}
				}
				return nil
			})
		}))
	}
}

// benchRecord is a login as they come, or now and then an act. NAS 0 never has a wrong
// code.
func benchRecord(random *rand.Rand, at time.Time) store.Record {
	user, nas := random.IntN(benchUsers), random.IntN(benchNASes)
	if random.IntN(2000) == 0 {
		return store.Record{Event: tms.Event{At: at, Kind: tms.ActEvent, Act: tms.Act{At: at, Actor: "root@cli", Verb: "token.unlock", Object: string(serial(user))}}}
	}
	d := otp.Decision{Verdict: otp.Accepted, Serial: serial(user)}
	switch n := random.IntN(100_000); {
	case n < 4_000 && nas != 0:
		d.Verdict = otp.WrongCode
	case n < 5_500:
		d.Verdict, d.Serial = otp.WrongPIN, ""
	case n < 9_500:
		d.Verdict, d.Serial = otp.Excluded, ""
	case n < 11_000:
		d.Verdict, d.Serial = otp.UnknownUser, ""
	case n < 11_500:
		d.Verdict = otp.Replayed
	case n < 11_600:
		d.Verdict = otp.Locked
	case n < 11_601:
		d.Verdict, d.Serial = otp.TooManySessions, ""
	case n < 11_602:
		d.Verdict, d.Own = otp.AcceptedByTMS, otp.WrongCode
	}
	r := store.Record{Event: tms.Event{At: at, Kind: tms.LoginEvent, Login: tms.Login{
		User: userName(user), NAS: benchNAS(nas), Station: "00-11-22-33-44-55", Method: otp.PAP, Decision: d,
	}}}
	if d.Verdict == otp.Accepted {
		r.Changes = []store.Change{{Token: int64(user + 1), Rev: uint64(at.Unix()), State: otp.State{Counter: uint64(at.Unix()), Drift: 1}}}
	}
	return r
}
