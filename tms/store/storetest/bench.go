package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store"
)

// Benchmark measures logins by PAP with event tokens, so many users at random and
// so many in flight, and what they cost: the process's CPU time a login, logins a
// commit and the time to the answer. Everything is in it but the network; what
// making the attempts costs is too, some tenths of a microsecond. Warm returns
// when the engine has in memory what it wants to have there.
func Benchmark(b *testing.B, e Engine, warm func(Store)) {
	for _, users := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s := benchmarkStore(b, e, users)
			defer s.Close()
			warm(s)
			next := make([]uint64, users)
			for _, inFlight := range []int{1, 16, 256, 1024} {
				b.Run(fmt.Sprint("in-flight=", inFlight), func(b *testing.B) {
					newLoad(s, next, inFlight, b.N).run(b)
				})
			}
		})
	}
}

// BenchmarkSubmit measures what it costs that a login has a trace of 60 bytes, and
// that a rule decided it.
func BenchmarkSubmit(b *testing.B, e Engine, warm func(Store)) {
	const users, inFlight = 10_000, 256
	s := benchmarkStore(b, e, users)
	defer s.Close()
	warm(s)
	next := make([]uint64, users)
	for _, test := range []struct {
		name  string
		rule  uint64
		trace []byte
	}{{"trace=0", 0, nil}, {"trace=60", 0, make([]byte, 60)}, {"trace=60,rule", 1, make([]byte, 60)}} {
		b.Run(test.name, func(b *testing.B) {
			load := newLoad(s, next, inFlight, b.N)
			load.rule, load.trace = test.rule, test.trace
			load.run(b)
		})
	}
}

// BenchmarkRules measures the listing of as many rules as there may be, setting
// them when they have not changed and when one of them has, and a change of one
// that was added at run time.
func BenchmarkRules(b *testing.B, e Engine) {
	s, err := e.Open(e.Place(b))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var file []exclusions.Rule
	for n := range store.MaxRules - 1 {
		file = append(file, rule(fmt.Sprint("rule", n)))
	}
	set := func() {
		if err := s.SetFileRules(context.Background(), act("rule.file", ""), file); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for name, run := range map[string]func(){
		"list":      func() { listRules(b, s, 0) },
		"unchanged": set,
		"one":       func() { n++; file[n%len(file)].Reason = fmt.Sprint(n); set() },
		"all":       func() { n++; reword(file, n); set() },
		"added": func() {
			err := s.ChangeRule(context.Background(), "added", act("rule.set", "added"), func(r *tms.Rule) error {
				n++
				r.Exists, r.Reason = true, fmt.Sprint(n)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		},
	} {
		set()
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				run()
			}
		})
	}
}

func reword(rules []exclusions.Rule, n int) {
	for i := range rules {
		rules[i].Reason = fmt.Sprint("all ", n)
	}
}

// BenchmarkImport measures the import of a million users with a token each.
func BenchmarkImport(b *testing.B, e Engine) {
	const users = 1_000_000
	for b.Loop() {
		s := benchmarkStore(b, e, users)
		b.StopTimer()
		_ = s.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(users*b.N)/b.Elapsed().Seconds(), "users/s")
}

func benchmarkStore(b *testing.B, e Engine, users int) Store {
	b.Helper()
	s, err := e.Open(e.Place(b))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Import(context.Background(), act("user.import", ""), benchmarkRows(users)); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchmarkRows(users int) func() (tms.User, tms.Token, bool, error) {
	n := 0
	secret := otp.NewPIN([]byte(pin))
	return func() (tms.User, tms.Token, bool, error) {
		if n == users {
			return tms.User{}, tms.Token{}, false, nil
		}
		u := tms.User{Exists: true, Name: otp.UserName(benchmarkUser(nil, n)), PIN: secret}
		t := tms.Token{Exists: true, User: u.Name, Token: otp.Token{
			Serial: otp.Serial(fmt.Sprintf("%012d", n)), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(benchmarkSeed(n)),
		}}
		n++
		return u, t, true, nil
	}
}

// benchmarkUser appends the name of user n: "user" and seven digits.
func benchmarkUser(dst []byte, n int) []byte {
	return oath.AppendCode(append(dst, "user"...), uint64(n), 7)
}

func benchmarkSeed(n int) []byte { return fmt.Appendf(nil, "seed of user %07d", n) }

// load is logins that a benchmark makes.
type load struct {
	store    Store
	verifier *otp.Verifier
	next     []uint64 // of each user, the lowest counter not used
	each     int      // logins of a user at most
	codes    []uint32 // of each user, one after the other from next on
	used     []int32  // of these
	rule     uint64   // of each login
	trace    []byte
	loops    []*loop
}

// loop sends logins: as many as it was given, each again when it is answered.
type loop struct {
	*load
	from, to int // its users
	quota    int

	mu      sync.Mutex
	ready   []*sent
	wake    chan struct{}
	refused int

	took        []time.Duration
	first, last uint64 // commits
}

// sent is a login that is used again and again.
type sent struct {
	otp.Attempt
	loop     *loop
	began    time.Time
	name     []byte
	passcode []byte
}

func newLoad(s Store, next []uint64, inFlight, total int) *load {
	users := len(next)
	l := &load{store: s, verifier: otp.NewVerifier(s, otp.DefaultPolicy()), next: next, each: total/users + 2}
	l.codes, l.used = make([]uint32, users*l.each), make([]int32, users)
	var gen oath.Generator
	for n := range users {
		gen.Init(oath.SHA1, benchmarkSeed(n))
		for k := range l.each {
			l.codes[n*l.each+k] = uint32(gen.Code(next[n]+uint64(k), 6))
		}
	}
	loops := min(2, inFlight)
	for i := range loops {
		o := &loop{load: l, from: users * i / loops, to: users * (i + 1) / loops, quota: total/loops + 1, wake: make(chan struct{}, 1)}
		for range inFlight / loops {
			o.ready = append(o.ready, &sent{loop: o, passcode: []byte(pin)})
		}
		o.took = make([]time.Duration, 0, o.quota)
		l.loops = append(l.loops, o)
	}
	return l
}

func (l *load) run(b *testing.B) {
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	cpu, began := cpuTime(), time.Now()
	var wg sync.WaitGroup
	for _, o := range l.loops {
		wg.Go(o.run)
	}
	wg.Wait()
	took, cpu := time.Since(began), cpuTime()-cpu
	b.StopTimer()
	for n, used := range l.used {
		l.next[n] += uint64(used)
	}
	l.report(b, took, cpu)
}

func (l *load) report(b *testing.B, took, cpu time.Duration) {
	b.Helper()
	var all []time.Duration
	first, last := ^uint64(0), uint64(0)
	for _, o := range l.loops {
		all = append(all, o.took...)
		first, last = min(first, o.first), max(last, o.last)
		if o.refused > 1+len(o.took)/10_000 { // codes meet by chance
			b.Errorf("%d of %d logins were not accepted", o.refused, len(o.took))
		}
	}
	slices.Sort(all)
	logins := float64(len(all))
	b.ReportMetric(logins/took.Seconds(), "logins/s")
	b.ReportMetric(float64(cpu)/1e3/logins, "cpu-us/login")
	b.ReportMetric(logins/float64(last-first+1), "logins/commit")
	b.ReportMetric(float64(all[len(all)/2])/1e3, "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100])/1e3, "p99-us")
	b.ReportMetric(0, "ns/op")
}

// run logs in until the quota is answered: all of its users in turn, in an order
// that jumps about.
func (o *loop) run() {
	users := o.to - o.from
	stride := users*618/1000 | 1
	for users%stride == 0 && stride > 1 {
		stride += 2
	}
	var answered []*sent
	issued, user := 0, 0
	for len(o.took) < o.quota {
		if answered = o.take(answered[:0]); len(answered) == 0 {
			<-o.wake
			continue
		}
		now := time.Now()
		for _, a := range answered {
			o.note(a, now)
			if issued == o.quota {
				continue
			}
			a.send(o.from+user, now)
			issued++
			if user += stride; user >= users {
				user %= users
			}
		}
	}
}

// take returns what was answered.
func (o *loop) take(spare []*sent) []*sent {
	o.mu.Lock()
	defer o.mu.Unlock()
	answered := o.ready
	o.ready = spare
	return answered
}

func (o *loop) note(a *sent, now time.Time) {
	if a.Waiter == nil {
		return // not sent yet
	}
	if o.took = append(o.took, now.Sub(a.began)); o.first == 0 {
		o.first = a.Event.Batch
	}
	o.last = max(o.last, a.Event.Batch)
	if a.Decision.Verdict != otp.Accepted {
		o.refused++
	}
}

func (a *sent) send(n int, now time.Time) {
	o := a.loop
	a.name = benchmarkUser(a.name[:0], n)
	a.passcode = oath.AppendCode(a.passcode[:len(pin)], uint64(o.codes[n*o.each+int(o.used[n])]), 6)
	o.used[n]++
	a.Attempt = otp.Attempt{
		At: noon, User: a.name, NAS: "ras-gateway", Station: station, Passcode: otp.NewPasscode(a.passcode), Waiter: a,
		Rule: o.rule, Trace: o.trace,
	}
	a.began = now
	if !o.verifier.Submit(&a.Attempt) {
		panic("the store refused a login")
	}
}

var station = []byte("00-11-22-33-44-55")

// Decided implements otp.Waiter.
func (a *sent) Decided(_ *otp.Attempt, err error) {
	if err != nil {
		panic(err)
	}
	o := a.loop
	o.mu.Lock()
	o.ready = append(o.ready, a)
	wake := len(o.ready) == 1
	o.mu.Unlock()
	if wake {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// cpuTime is the CPU time of the process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
