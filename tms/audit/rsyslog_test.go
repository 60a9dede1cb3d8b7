package audit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// rsyslog is a real server, which writes what it gets to a file.
type rsyslog struct {
	testing.TB
	dir, address string
	running      *exec.Cmd
	output       bytes.Buffer
}

// newRsyslog writes the configuration of a server, which has TLS if it has a certificate.
func newRsyslog(t testing.TB, dir, certFile, keyFile string) *rsyslog {
	t.Helper()
	r := &rsyslog{TB: t, dir: dir, address: freePort(t)}
	host, port, _ := strings.Cut(r.address, ":")
	driver := ""
	if certFile != "" {
		driver = fmt.Sprintf("global(defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=%q defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)\n",
			certFile, certFile, keyFile)
	}
	conf := fmt.Sprintf("global(workDirectory=%q)\n%smodule(load=\"imtcp\"", dir, driver)
	if certFile != "" {
		conf += ` StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"`
	}
	conf += fmt.Sprintf(")\ntemplate(name=\"raw\" type=\"string\" string=\"%%rawmsg%%\\n\")\n"+
		"input(type=\"imtcp\" address=%q port=%q)\naction(type=\"omfile\" file=%q template=\"raw\")\n", host, port, r.file())
	if err := os.WriteFile(filepath.Join(dir, "rsyslog.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.running != nil {
			r.kill(syscall.SIGKILL)
		}
	})
	return r
}

func (r *rsyslog) file() string { return filepath.Join(r.dir, "messages") }

func (r *rsyslog) start() {
	r.Helper()
	r.running = exec.Command("rsyslogd", "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "pid"))
	r.running.Stdout, r.running.Stderr = &r.output, &r.output
	if err := r.running.Start(); err != nil {
		r.Fatalf("rsyslogd: %v (scripts/test installs it)", err)
	}
}

// kill ends the server and waits for its end.
func (r *rsyslog) kill(signal os.Signal) {
	r.Helper()
	if err := r.running.Process.Signal(signal); err != nil {
		r.Fatalf("rsyslogd: %v\n%s", err, r.output.String())
	}
	r.running.Wait() // its error is the signal
	r.running = nil
	os.Remove(filepath.Join(r.dir, "pid"))
}

// lines are the messages that the server has written.
func (r *rsyslog) lines() []string {
	text, err := os.ReadFile(r.file())
	if err != nil && !os.IsNotExist(err) {
		r.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1]
}

// events are the events of lines, each once, in the order in which they first came, and
// how many came again. As many lines may be torn as the server was killed.
func events(t testing.TB, lines []string, kills int) (events []string, again int) {
	t.Helper()
	const begin = "<85>1 "
	parser := rfc5424.NewParser()
	seen := make(map[string]bool)
	for _, text := range strings.Split(strings.Join(lines, ""), begin)[1:] {
		m, err := parser.Parse([]byte(begin + text))
		if err != nil {
			if kills--; kills < 0 {
				t.Fatalf("%v in %q", err, begin+text)
			}
			continue
		}
		if message := m.(*rfc5424.SyslogMessage); *message.MsgID == "login" {
			event := (*message.StructuredData)[element]["event"]
			if seen[event] {
				again++
				continue
			}
			seen[event] = true
			events = append(events, event)
		}
	}
	return events, again
}

// TestRsyslog sends to a real server that is killed, stopped and started again meanwhile.
func TestRsyslog(t *testing.T) {
	for _, scheme := range []string{"tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := "", ""
			if scheme == "tls" {
				certFile, keyFile = certificate(t, dir, "siem")
			}
			r := newRsyslog(t, dir, certFile, keyFile)
			f := newFeed()
			s := testSyslog(t, f, scheme+"://"+r.address, func(o *SyslogOptions) { o.CAFile = certFile })
			s.times.settle = time.Second
			stop := start(t, s)
			until(t, "a cursor", func() bool { _, ok, _ := f.Cursor(t.Context(), "siem"); return ok })

			f.add(2000) // while it is down
			until(t, "a failure", func() bool { state, err := s.State(t.Context()); return err == nil && state.Fault != "" })
			r.start()
			until(t, "messages from before the start", func() bool { return f.cursor("siem") == Place{2000, 1} })

			wait := func(part string, lines int) { until(t, part, func() bool { return len(r.lines()) >= lines }) }
			f.add(8000)
			f.sign(5000)
			wait("new messages", 6000)
			r.kill(syscall.SIGKILL)
			r.start()
			wait("messages after the kill", 10000)
			r.kill(syscall.SIGKILL)
			r.start()
			wait("messages after another kill", 14000)
			r.kill(syscall.SIGTERM)
			r.start()
			until(t, "the end", func() bool {
				return f.cursor("siem") == Place{10000, 1} && f.cursor("siem checkpoints") == Place{Batch: 5000}
			})
			stop()

			lines := r.lines()
			got, again := events(t, lines, 2)
			if len(got) != 20000 {
				t.Errorf("%d of 20000 messages came", len(got))
			}
			for i, event := range got {
				if want := fmt.Sprintf("%d-%d", i/2+1, i%2); event != want {
					t.Fatalf("message %d is of event %s and not %s", i, event, want)
				}
			}
			if !strings.Contains(strings.Join(lines, "\n"), "audit checkpoint 5000 2027-") {
				t.Error("no checkpoint came")
			}
			t.Logf("%d messages came again", again)
		})
	}
}

// TestRsyslogStopped stops and starts ourselves: nothing comes twice, because the server
// has read all when it closes its end.
func TestRsyslogStopped(t *testing.T) {
	for _, scheme := range []string{"tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := "", ""
			if scheme == "tls" {
				certFile, keyFile = certificate(t, dir, "siem")
			}
			r := newRsyslog(t, dir, certFile, keyFile)
			r.start()
			f := newFeed()
			f.cursors["siem"] = Place{}
			for round := range 3 {
				f.add(500)
				s := testSyslog(t, f, scheme+"://"+r.address, func(o *SyslogOptions) { o.CAFile = certFile })
				s.times.settle = 1 << 40 // never
				stop := start(t, s)
				until(t, "all messages", func() bool { return len(r.lines()) >= 1000*(round+1) })
				stop()
				if got, want := f.cursor("siem"), (Place{uint64(500 * (round + 1)), 1}); got != want {
					t.Errorf("the cursor is at %v, want %v", got, want)
				}
			}
			if got, again := events(t, r.lines(), 0); len(got) != 3000 || again != 0 {
				t.Errorf("%d messages came, and %d again", len(got), again)
			}
		})
	}
}
