package audit

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readFrame reads a message as it comes over TCP.
func readFrame(r *bufio.Reader) (string, error) {
	length, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
	if err != nil {
		return "", err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(r, text)
	return string(text), err
}

// accept takes the next connection.
func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// TestSyslogBegin has a new server get what comes from now on, and the last checkpoint.
func TestSyslogBegin(t *testing.T) {
	l := listen(t)
	f := newFeed()
	f.add(3)
	f.sign(1)
	f.sign(3)
	s := testSyslog(t, f, "tcp://"+l.Addr().String(), nil)
	stop := start(t, s)
	r := bufio.NewReader(accept(t, l))
	for i, want := range []string{"audit checkpoint 3 ", `event="4-0"`, `event="4-1"`, "audit checkpoint 4 "} {
		if i == 1 {
			f.add(1)
			f.sign(4)
			s.Wake()
		}
		if text, err := readFrame(r); err != nil || !strings.Contains(text, want) {
			t.Fatalf("message %q, %v; want one with %q", text, err, want)
		}
	}
	until(t, "the cursors", func() bool { return f.cursor("siem") == Place{4, 1} && f.cursor("siem checkpoints") == Place{Batch: 4} })
	state, err := s.State(t.Context())
	if err != nil || !state.Connected || state.Sent != 4 || state.Waiting != 0 || !state.Oldest.IsZero() || state.Done != (Place{4, 1}) ||
		state.Success.IsZero() || state.Fault != "" || state.Name != "siem" || state.Server != "tcp://"+l.Addr().String() {
		t.Errorf("state %+v, %v", state, err)
	}
	stop()
	if state, _ := s.State(t.Context()); state.Connected {
		t.Error("connected after the end")
	}
}

// TestSyslogReset has a server close connections with something unread in them.
func TestSyslogReset(t *testing.T) {
	l := listen(t)
	f := newFeed()
	f.cursors["siem"] = Place{}
	f.add(50)
	s := testSyslog(t, f, "tcp://"+l.Addr().String(), nil)
	s.times.settle = time.Hour
	stop := start(t, s)
	for range 3 {
		conn := accept(t, l)
		if _, err := readFrame(bufio.NewReaderSize(conn, 16)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	conn := accept(t, l)
	r := bufio.NewReader(conn)
	for i := range 100 {
		want := fmt.Sprintf(`event="%d-%d"`, i/2+1, i%2)
		if text, err := readFrame(r); err != nil || !strings.Contains(text, want) {
			t.Fatalf("message %q, %v; want one with %q", text, err, want)
		}
	}
	if f.cursor("siem") != (Place{}) {
		t.Errorf("the cursor is at %v", f.cursor("siem"))
	}
	go stop()
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) { // all was read, and no more comes
		t.Errorf("after the last message: %v", err)
	}
	conn.Close()
	until(t, "the cursor", func() bool { return f.cursor("siem") == Place{50, 1} })
}

// TestSyslogStalled has a server that reads nothing: the cursor does not pass what its
// kernel has taken, and the end does not wait for it.
func TestSyslogStalled(t *testing.T) {
	l := listen(t)
	f := newFeed()
	f.cursors["siem"] = Place{}
	f.add(50000)
	s := testSyslog(t, f, "tcp://"+l.Addr().String(), nil)
	s.times.settle, s.times.patience = 0, 300*time.Millisecond
	stop := start(t, s)
	first := accept(t, l)
	second := accept(t, l) // the first was given up
	state, err := s.State(t.Context())
	if err != nil || state.Waiting == 0 || state.Oldest.IsZero() || state.Failure.IsZero() {
		t.Errorf("state %+v, %v", state, err)
	}
	stop()
	if f.cursor("siem").Batch >= 50000 {
		t.Errorf("the cursor is at %v", f.cursor("siem"))
	}
	first.Close()
	second.Close()
}

func TestSyslogTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := certificate(t, dir, "siem")
	otherFile, _ := certificate(t, dir, "other")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, ca, host, want string
		max                  uint16
	}{
		{name: "right", ca: certFile, host: "127.0.0.1"},
		{"another authority", otherFile, "127.0.0.1", "certificate", 0},
		{"another name", certFile, "localhost", "wanted to match localhost", 0},
		{"an old version", certFile, "127.0.0.1", "protocol version", tls.VersionTLS11},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listen(t)
			f := newFeed()
			f.cursors["siem"] = Place{}
			f.add(1)
			_, port, _ := net.SplitHostPort(l.Addr().String())
			s := testSyslog(t, f, "tls://"+net.JoinHostPort(c.host, port), func(o *SyslogOptions) { o.CAFile = c.ca })
			start(t, s)
			server := tls.Server(accept(t, l), &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: c.max})
			text, err := readFrame(bufio.NewReader(server))
			if c.want == "" {
				if err != nil || !strings.Contains(text, `event="1-0"`) {
					t.Fatalf("message %q, %v", text, err)
				}
				until(t, "the cursor", func() bool { return f.cursor("siem") == Place{1, 1} })
				return
			}
			if err == nil {
				t.Fatalf("message %q", text)
			}
			server.Close()
			until(t, "the fault", func() bool {
				state, err := s.State(t.Context())
				return err == nil && strings.Contains(state.Fault, c.want) && state.Waiting == 1 && !state.Failure.IsZero()
			})
		})
	}
}

func TestSyslogFeedFails(t *testing.T) {
	f := newFeed()
	f.err = errors.New("the disk is on fire")
	s := testSyslog(t, f, "tcp://"+listen(t).Addr().String(), nil)
	start(t, s)
	until(t, "the fault", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(s.state.Fault, "the disk is on fire")
	})
	if _, err := s.State(t.Context()); err == nil {
		t.Error("the state is known")
	}
}

func TestNewSyslog(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]SyslogOptions{
		`the server "" has to be tcp://HOST:PORT or tls://HOST:PORT`:       {},
		`the server "udp://a" has to be tcp://HOST:PORT`:                   {Server: "udp://a"},
		`the server "tcp://a/b" has to be`:                                 {Server: "tcp://a/b"},
		`the server "tcp://:601" has to be`:                                {Server: "tcp://:601"},
		`the facility "mine" is not known`:                                 {Server: "tcp://a", Facility: "mine"},
		`there is no certificate in PEM in ` + empty:                       {Server: "tls://a", CAFile: empty},
		`reading the certificates that the syslog server's is verified by`: {Server: "tls://a", CAFile: filepath.Join(dir, "none")},
	} {
		if _, err := NewSyslog(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for server, want := range map[string]string{"tcp://a": "a:601", "tls://a": "a:6514", "tls://[::1]:7": "[::1]:7"} {
		s, err := NewSyslog(SyslogOptions{Server: server})
		if err != nil || s.server.address != want || (s.server.tls != nil) != strings.HasPrefix(server, "tls") {
			t.Errorf("%s: %+v, %v", server, s, err)
		}
	}
}

func TestSyslogMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFeed()
	f.cursors["siem"] = Place{}
	f.add(3)
	s := testSyslog(t, f, "tcp://"+freePort(t), func(o *SyslogOptions) { o.Registerer = registry })
	start(t, s)
	until(t, "a failure", func() bool { state, _ := s.State(t.Context()); return state.Fault != "" })
	response := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	text := response.Body.String()
	check := exec.Command("promtool", "check", "metrics") // of Debian's package prometheus
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v: scripts/test installs it\n%s", err, out)
	}
	for _, want := range []string{
		`countersign_syslog_messages_total{syslog="siem"} 0`, `countersign_syslog_connected{syslog="siem"} 0`,
		`countersign_syslog_waiting_batches{syslog="siem"} 3`, `countersign_syslog_oldest_waiting_timestamp_seconds{syslog="siem"} 1.800000001e+09`,
		`countersign_syslog_last_success_timestamp_seconds{syslog="siem"} 0`, `countersign_syslog_last_failure_timestamp_seconds{syslog="siem"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if _, err := NewSyslog(SyslogOptions{Name: "siem", Server: "tcp://a", Registerer: registry}); err == nil {
		t.Error("the same name twice")
	}
}
