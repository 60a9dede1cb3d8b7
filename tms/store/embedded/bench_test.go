package embedded

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store"
	"countersign/tms/store/storetest"
	"countersign/tms/store/tables"
)

func BenchmarkLogin(b *testing.B) {
	storetest.Benchmark(b, engine, func(s storetest.Store) { awaitCache(b, s.(*Store)) })
}

func BenchmarkSubmit(b *testing.B) {
	storetest.BenchmarkSubmit(b, engine, func(s storetest.Store) { awaitCache(b, s.(*Store)) })
}

func BenchmarkRules(b *testing.B) { storetest.BenchmarkRules(b, engine) }

func BenchmarkImport(b *testing.B) { storetest.BenchmarkImport(b, engine) }

// awaitCache waits until every user is in the cache.
func awaitCache(tb testing.TB, s *Store) {
	tb.Helper()
	users := int64(0)
	err := s.read(func(c *conn) (err error) {
		users, err = c.Number("SELECT count(*) FROM user")
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	for s.cache.users.Load() < users {
		signal(s.cold)
		time.Sleep(10 * time.Millisecond)
	}
}

// heap is what is allocated and reachable.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkOpen opens a store with a million tokens after a clean end, and after
// a crash with a million logins in the journal that no fold has reached.
func BenchmarkOpen(b *testing.B) {
	const users = 1_000_000
	k := newKit(b)
	k.populate(users, false)
	k.must(k.fold(context.Background()))
	k.must(k.checkpoint(context.Background()))
	folded := k.crash()
	var batch []byte
	for n := range int64(users) {
		if n%250 == 0 {
			k.journal(batch)
			batch = store.BeginBatch(nil)
		}
		r := store.Record{
			Event: tms.Event{At: noon, Kind: tms.LoginEvent, Login: tms.Login{
				User: userName(int(n)), NAS: "ras-gateway", Station: "00-11-22-33-44-55", Decision: otp.Decision{Verdict: otp.Accepted, Serial: serial(int(n))},
			}},
			Changes: []store.Change{{Token: n + 1, Rev: 1, State: otp.State{Counter: 1}}},
		}
		batch = store.AppendToBatch(batch, store.AppendRecord(nil, &r))
	}
	k.journal(batch)
	unfolded := k.crash()
	for name, o := range map[string]Options{"folded": folded, "unfolded": unfolded} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				copied := o
				copied.Path = copyStore(b, o.Path)
				begin := time.Now()
				s := openKit(b, copied)
				s.expect(otp.Accepted, users/2, passcode(users/2, 1))
				b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-to-first-login")
				b.ReportMetric(float64(s.unfolded.Load()), "records")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// journal writes a batch.
func (k *kit) journal(batch []byte) {
	if batch != nil {
		k.must(k.do(context.Background(), func() error { return k.insert(batch, 250) }))
	}
}

// BenchmarkCachedUser measures what a user with a token takes in memory, and what
// filling the cache costs.
func BenchmarkCachedUser(b *testing.B) {
	const users = 1_000_000
	k := newKit(b)
	k.populate(users, false)
	k.must(k.Close())
	for b.Loop() {
		before, began := heap(), time.Now()
		k := openKit(b, k.options)
		awaitCache(b, k.Store)
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/users, "ns-to-fill/user")
		b.ReportMetric(float64(heap()-before)/users, "bytes/user")
		k.must(k.Close())
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoad reads accounts that are not in the cache.
func BenchmarkLoad(b *testing.B) {
	const users = 100_000
	k := newKit(b)
	k.populate(users, false)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = (n + 61_803) % users
		if u, err := k.readAccount(fmt.Append(nil, userName(n))); err != nil || u == nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFold folds a hundred thousand tokens that changed.
func BenchmarkFold(b *testing.B) {
	const users = 100_000
	k := newKit(b)
	k.populate(users, false)
	awaitCache(b, k.Store)
	for b.Loop() {
		b.StopTimer()
		for i := range k.cache.shards {
			sh := &k.cache.shards[i]
			sh.mu.Lock()
			for _, p := range sh.accounts {
				p.SetState(0, p.Rev(0)+1, &otp.State{Counter: p.Rev(0)})
				p.SetEpoch(k.overlay.epoch.Load())
			}
			sh.mu.Unlock()
		}
		b.StartTimer()
		k.must(k.fold(context.Background()))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/users, "ns/token")
}

// BenchmarkUnpack measures what a login pays to read its account in the cache.
func BenchmarkUnpack(b *testing.B) {
	u := &tables.UserRow{Name: userName(0), PIN: []byte(pin)}
	u.Tokens = []tables.TokenRow{{ID: 123_456, Token: otp.Token{Serial: serial(0), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(seed(0))}}}
	p := tables.Pack(u)
	var a otp.Account
	for b.Loop() {
		p.Unpack(&a)
	}
	b.ReportMetric(float64(p.Size()), "bytes")
}

// BenchmarkChain measures what a login pays for the hash of its batch.
func BenchmarkChain(b *testing.B) {
	for _, logins := range []int{1, 16, 250} {
		b.Run(fmt.Sprint("logins=", logins), func(b *testing.B) {
			batch := store.BeginBatch(nil)
			for n := range logins {
				r := oldLogin(n, store.Change{Token: int64(n), Rev: 1, State: otp.State{Counter: 1}})
				batch = store.AppendToBatch(batch, store.AppendRecord(nil, &r))
			}
			b.ReportAllocs()
			var head audit.Hash
			for b.Loop() {
				head = audit.Link(head, 1, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(logins), "ns/login")
			b.ReportMetric(float64(len(batch))/float64(logins), "bytes/login")
		})
	}
}

// BenchmarkPrune removes a journal of batches with a login each, in transactions that
// logins may have to wait for.
func BenchmarkPrune(b *testing.B) {
	const batches = 20_000
	for b.Loop() {
		b.StopTimer()
		k := newKit(b)
		k.must(k.do(b.Context(), func() error {
			return k.transaction(func(*conn) error {
				for n := range batches {
					if err := k.insert(oldBatch(n, store.Change{Token: 1, Rev: 1}), 1); err != nil {
						return err
					}
				}
				return nil
			})
		}))
		k.must(k.fold(b.Context()))
		_, err := k.Checkpoint(b.Context())
		k.must(err)
		b.StartTimer()
		if n, err := k.Prune(b.Context(), noon.Add(time.Second), math.MaxInt64, tms.Act{At: noon, Verb: "test"}); n != batches || err != nil {
			b.Fatal(n, err)
		}
		b.StopTimer()
		k.must(k.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())*tables.PruneRows/batches/float64(b.N), "us/transaction")
}
