package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// memoryFeed is a Feed and the Cursors of its readers.
type memoryFeed struct {
	mu          sync.Mutex
	messages    []Message
	checkpoints []Checkpoint
	cursors     map[string]Place
	saved       chan struct{} // gets an element when a cursor was saved
	err         error         // of Cursor
}

func newFeed() *memoryFeed {
	return &memoryFeed{cursors: make(map[string]Place), saved: make(chan struct{}, 1)}
}

// add appends batches of two messages.
func (f *memoryFeed) add(batches int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range batches {
		batch := uint64(len(f.messages)/2 + 1)
		for i := range uint32(2) {
			f.messages = append(f.messages, Message{
				Place: Place{batch, i}, At: noon.Add(time.Duration(batch) * time.Second), Severity: SeverityNotice, ID: "login",
				Params: []Param{{"event", fmt.Sprintf("%d-%d", batch, i)}, {"user", "alice"}}, Text: "accepted",
			})
		}
	}
}

func (f *memoryFeed) sign(batch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkpoints = append(f.checkpoints, NewCheckpoint(newKey("server"), batch, noon, Hash{byte(batch)}))
}

func (f *memoryFeed) After(_ context.Context, after Place, most int, each func(*Message) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := 0
	if after.Batch > 0 {
		first = int(after.Batch-1)*2 + int(after.Index) + 1
	}
	for i := first; i < min(first+most, len(f.messages)); i++ {
		m := f.messages[i]
		if err := each(&m); err != nil {
			return err
		}
	}
	return nil
}

func (f *memoryFeed) Last(context.Context) (Place, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.messages) == 0 {
		return Place{}, nil
	}
	return f.messages[len(f.messages)-1].Place, nil
}

func (f *memoryFeed) Checkpoints(_ context.Context, after uint64, each func(*Checkpoint) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.checkpoints {
		if c.Batch > after {
			if err := each(&c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *memoryFeed) Cursor(_ context.Context, name string) (Place, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.cursors[name]
	return p, ok, f.err
}

func (f *memoryFeed) SaveCursor(_ context.Context, name string, p Place) error {
	f.mu.Lock()
	f.cursors[name] = p
	f.mu.Unlock()
	select {
	case f.saved <- struct{}{}:
	default:
	}
	return nil
}

// cursor is how far a server is known to have come.
func (f *memoryFeed) cursor(name string) Place {
	p, _, _ := f.Cursor(context.Background(), name)
	return p
}

// testSyslog is a Syslog that does not take its time.
func testSyslog(t testing.TB, f *memoryFeed, server string, change func(*SyslogOptions)) *Syslog {
	t.Helper()
	o := SyslogOptions{Name: "siem", Server: server, Hostname: "radius1", Feed: f, Cursors: f, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s, err := NewSyslog(o)
	if err != nil {
		t.Fatal(err)
	}
	s.times = syslogTimes{
		poll: 5 * time.Millisecond, tick: 5 * time.Millisecond, settle: 300 * time.Millisecond,
		minPause: 5 * time.Millisecond, maxPause: 50 * time.Millisecond, stop: 5 * time.Second, patience: 20 * time.Second,
	}
	return s
}

// start runs a Syslog; stop ends it, and so does the end of the test.
func start(t testing.TB, s *Syslog) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// until waits for something that another program, or goroutine, will do.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("a minute, and still not: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// listen is a listener at a free port.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// freePort is the address of a port that nobody listens at.
func freePort(t testing.TB) string {
	l := listen(t)
	l.Close()
	return l.Addr().String()
}

// certificate writes a certificate for 127.0.0.1, which vouches for itself, and its key
// into files.
func certificate(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, bytes []byte) string {
		path := filepath.Join(dir, name+file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write(".pem", "CERTIFICATE", cert), write(".key", "PRIVATE KEY", bytes)
}
