package radiusd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
)

// serverEnv makes the test binary a RADIUS server, so that a benchmark can tell
// the server's CPU time from the generator's. Its value is the store: memory or durable.
const serverEnv = "COUNTERSIGN_RADIUSD_SERVER"

func TestMain(m *testing.M) {
	if store := os.Getenv(serverEnv); store != "" {
		if err := benchServer(store); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const benchUsers = 10000

func benchUser(i int) string { return "user" + strconv.Itoa(i) }

// crowd is a store of benchUsers with event tokens.
type crowd struct {
	accounts map[string]*otp.Account
	mu       sync.Mutex
	arrived  sync.Cond
	waiting  []*otp.Attempt
	file     *os.File // where batches are made durable; nil when they are not
}

func newCrowd(file *os.File) *crowd {
	c := &crowd{accounts: map[string]*otp.Account{}, file: file}
	c.arrived.L = &c.mu
	for i := range benchUsers {
		a := newAccount()
		a.Tokens[0].Seed = oath.NewSeed(benchSeed(i))
		c.accounts[benchUser(i)] = a
	}
	return c
}

func benchSeed(i int) []byte { return fmt.Appendf(nil, "%020d", i) }

func (c *crowd) Submit(a *otp.Attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	account := c.accounts[string(a.User)]
	if account == nil {
		account = &otp.Account{}
	}
	a.Decide(account)
	if c.file == nil {
		a.Waiter.Decided(a, nil)
		return true
	}
	c.waiting = append(c.waiting, a)
	c.arrived.Signal()
	return true
}

// commit makes what is waiting durable with one fdatasync, again and again: while
// one batch is on its way the next gathers.
func (c *crowd) commit() {
	var batch []*otp.Attempt
	for {
		c.mu.Lock()
		for len(c.waiting) == 0 {
			c.arrived.Wait()
		}
		batch, c.waiting = c.waiting, batch[:0]
		c.mu.Unlock()
		_, err := c.file.WriteAt(make([]byte, 16*len(batch)), 0)
		if err == nil {
			err = unix.Fdatasync(int(c.file.Fd()))
		}
		for _, a := range batch {
			a.Waiter.Decided(a, err)
		}
	}
}

// benchServer serves on a free port, which it prints, until its standard input
// ends.
func benchServer(store string) error {
	var file *os.File
	if store == "durable" {
		var err error
		if file, err = os.CreateTemp("", "radiusd-bench-"); err != nil {
			return err
		}
		defer os.Remove(file.Name())
	}
	c := newCrowd(file)
	go c.commit()
	nases, err := NewNASTable([]NASConfig{loopbackNAS()}, nil)
	if err != nil {
		return err
	}
	s, err := New(Options{
		Auth: addresses("127.0.0.1:0"), NASes: nases, Verifier: otp.NewVerifier(c, otp.DefaultPolicy()),
	})
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return err
	}
	fmt.Println(s.Addrs()[0])
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return s.Serve(context.Background())
}

// startServer starts the test binary as a server and returns its address and
// process.
func startServer(b *testing.B, store string) (netip.AddrPort, int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+store)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return netip.MustParseAddrPort(line[:len(line)-1]), cmd.Process.Pid
}

func generated(yield func(radiustest.User) bool) {
	for i := range benchUsers {
		u := radiustest.User{
			Name: benchUser(i), PIN: radiustest.NewSecret(testPIN), Seed: radiustest.NewSecret(benchSeed(i)), Digits: 6,
		}
		if !yield(u) {
			return
		}
	}
}

// BenchmarkSocket logs users in over UDP and reports what a login costs the
// server process, in CPU time. "durable" writes every batch of logins to disk
// before it is answered. It takes the same time whatever b.N is.
func BenchmarkSocket(b *testing.B) {
	for _, store := range []string{"memory", "durable"} {
		for _, shape := range []struct{ sockets, window int }{{8, 32}, {8, 128}, {256, 1}} {
			b.Run(fmt.Sprintf("%s/%dx%d", store, shape.sockets, shape.window), func(b *testing.B) {
				address, pid := startServer(b, store)
				load := radiustest.Load{
					Server: address, Secret: radiustest.NewSecret(testSecret), Users: generated,
					Sockets: shape.sockets, Window: shape.window, Warmup: time.Second / 2, Duration: 2 * time.Second,
					Poll: 100 * time.Microsecond, ServerPID: pid,
				}
				r, err := load.Run(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if bad := r.Answered() - r.Accepted + r.TimedOut + r.BadAuthenticator + r.Malformed; bad > 0 {
					b.Errorf("not all logins were accepted: %+v", r)
				}
				b.ReportMetric(float64(r.ServerCPU.Nanoseconds())/1000, "server-us/login")
				b.ReportMetric(r.AcceptedPerSecond, "logins/s")
				b.ReportMetric(float64(r.P99.Microseconds()), "p99-us")
				b.ReportMetric(float64(r.Memory.Peak>>20), "peak-MiB")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
