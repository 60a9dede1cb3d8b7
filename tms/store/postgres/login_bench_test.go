package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms/store/postgrestest"
)

// BenchmarkBurn measures logins by PAP with event tokens, so many in flight, of users at
// random: what it costs of our CPU time, making the attempts included, and of that of the
// server's process for logins, and how many share a commit. The server syncs its disk; once it
// has a synchronous standby. To compare with, pgbench updates a row of a table like ours in
// each transaction, from 256 connections.
func BenchmarkBurn(b *testing.B) {
	server := postgrestest.Start(b, postgrestest.Options{Durable: true, Settings: map[string]string{"max_connections": "300"}})
	w := newLoginWorld(b, server)
	const users = 20_000
	w.addUsers(w.open("first").Store, users, 1, hotpToken)
	n := w.open("bench")
	for n.logins.cache.users.Load() < users {
		time.Sleep(10 * time.Millisecond)
	}
	w.run(n.Store, func(c *conn) error {
		if err := c.Exec("CREATE TABLE bench (LIKE state INCLUDING ALL) WITH (fillfactor = 50)"); err != nil {
			return err
		}
		return c.Exec("INSERT INTO bench SELECT g, 0, 0, '\\x0000' FROM generate_series(1, ?::bigint) g", int64(users))
	})
	l := &benchLoad{loginNode: n, next: make([]uint64, users)}
	for _, standby := range []bool{false, true} {
		if standby {
			server.Standby(b)
		}
		b.Run(fmt.Sprintf("standby=%v/pgbench", standby), func(b *testing.B) { pgbench(b, w) })
		for _, inFlight := range []int{1, 16, 256, 1024} {
			b.Run(fmt.Sprintf("standby=%v/in-flight=%d", standby, inFlight), func(b *testing.B) { l.run(b, inFlight) })
		}
	}
}

// BenchmarkLoad reads accounts that are not in the cache, as many at once as the loader does.
func BenchmarkLoad(b *testing.B) {
	const users = 20_000
	w := newLoginWorld(b, postgrestest.Shared(b))
	n := w.open("bench")
	w.addUsers(n.Store, users, 1, hotpToken)
	next := 0
	load := func() {
		names := make([]string, 0, maxNames)
		for range maxNames {
			next++
			names = append(names, loginUser(1+next*7919%users))
		}
		if accounts, err := n.logins.readNamed(b.Context(), names); err != nil || len(accounts) != maxNames {
			b.Fatal(len(accounts), err)
		}
	}
	for range users / maxNames {
		load() // which makes the rows of state
	}
	for b.Loop() {
		load()
	}
	b.ReportMetric(float64(b.N)*maxNames/b.Elapsed().Seconds(), "accounts/s")
	b.ReportMetric(0, "ns/op")
}

// benchLoad logs users in, each again when it is answered.
type benchLoad struct {
	*loginNode
	next []uint64 // of each user, the lowest counter not used

	codes [][]string
	user  int // next in turn
	ready chan *otp.Attempt
	wrong int
}

// Decided implements otp.Waiter.
func (l *benchLoad) Decided(a *otp.Attempt, err error) {
	if err != nil {
		panic(err)
	}
	l.ready <- a
}

func (l *benchLoad) run(b *testing.B, inFlight int) {
	l.prepare(b.N)
	l.ready = make(chan *otp.Attempt, inFlight)
	for range inFlight {
		l.ready <- &otp.Attempt{}
	}
	runtime.GC()
	commits, server := l.batches(), l.serverTime()
	b.ReportAllocs()
	b.ResetTimer()
	cpu, began := cpuTime(), time.Now()
	for issued, answered := 0, 0; answered < b.N; {
		a := <-l.ready
		if a.User != nil {
			if answered++; a.Decision.Verdict != otp.Accepted {
				l.wrong++
			}
		}
		if issued < b.N {
			issued++
			l.send(a)
		}
	}
	took := time.Since(began)
	cpu, server = cpuTime()-cpu, l.serverTime()-server
	b.StopTimer()
	if l.wrong > 1+b.N/1000 { // codes meet by chance
		b.Errorf("%d of %d logins were not accepted", l.wrong, b.N)
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "logins/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N), "cpu-us/login")
	b.ReportMetric(float64(server.Microseconds())/float64(b.N), "server-us/login")
	b.ReportMetric(float64(b.N)/float64(l.batches()-commits), "logins/commit")
	b.ReportMetric(0, "ns/op")
}

// prepare makes the passcodes that a run needs.
func (l *benchLoad) prepare(logins int) {
	each := logins/len(l.next) + 1
	var gen oath.Generator
	l.codes, l.user, l.wrong = make([][]string, each), 0, 0
	for k := range each {
		l.codes[k] = make([]string, len(l.next))
	}
	for i := range l.next {
		gen.Init(oath.SHA1, hotpToken(loginSerial(i+1, 0)).Seed.Bytes())
		for k := range each {
			l.codes[k][i] = loginPIN + string(oath.AppendCode(nil, gen.Code(l.next[i]+uint64(k), loginDigits), loginDigits))
		}
	}
}

func (l *benchLoad) send(a *otp.Attempt) {
	i := l.user % len(l.next)
	i = i * 7919 % len(l.next) // jump about
	code := l.codes[l.user/len(l.next)][i]
	l.user++
	l.next[i]++
	*a = *loginAttempt(i+1, code)
	a.Waiter = l
	if !l.Submit(a) {
		panic("the store refused a login")
	}
}

func (l *benchLoad) batches() int64 {
	k := link{store: l.Store}
	defer k.close()
	n := int64(0)
	err := k.use(l.Context(), time.Second, func(c *conn) (err error) {
		n, err = c.Number("SELECT number FROM head WHERE id = 1")
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	return n
}

// serverTime is the CPU time of the server's process that makes logins durable.
func (l *benchLoad) serverTime() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.logins.burner.conn.raw.PID()))
	if err != nil {
		l.Fatal(err)
	}
	const before = 13 // fields before utime and stime, in hundredths of a second (proc(5))
	var user, system int64
	fields := strings.Fields(string(stat))
	if _, err := fmt.Sscan(fields[before]+" "+fields[before+1], &user, &system); err != nil {
		l.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// pgbench measures one conditional update of a row a transaction.
func pgbench(b *testing.B, w *loginWorld) {
	script := filepath.Join(b.TempDir(), "update.sql")
	update := fmt.Sprintf("\\set id random(1, %d)\nUPDATE bench SET rev = rev + 1, stamp = stamp + 1, state = '\\x000102030405' WHERE token_id = :id AND stamp >= 0;\n", w.users)
	if err := os.WriteFile(script, []byte(update), 0o600); err != nil {
		b.Fatal(err)
	}
	command := exec.Command("pgbench", "-n", "-M", "prepared", "-c", "256", "-j", "2", "-t", strconv.Itoa(b.N/256+1), "-f", script, w.server.DSN(w.database))
	command.Env = append(os.Environ(), "PGPASSWORD="+w.server.Password())
	out, err := command.CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v: %s", err, out)
	}
	var rate float64
	if _, tail, found := strings.Cut(string(out), "tps = "); found {
		_, err = fmt.Sscan(tail, &rate)
	}
	if err != nil || rate == 0 {
		b.Fatalf("%v: %s", err, out)
	}
	b.ReportMetric(rate, "updates/s")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is the CPU time of the process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
