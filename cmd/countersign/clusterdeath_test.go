package main

import (
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2866"

	"countersign/tms/mail/mailtest"
)

// takenOverWithin is how soon another node does the work of one that was killed.
const takenOverWithin = 10 * time.Second

// The names of leases.
const (
	mailWork      = "outbox"
	collectorWork = "collector billing"
)

// departed is a cluster of which node a is killed in the middle of what it does.
type departed struct {
	*cluster
	a, b   *node
	killed time.Time
	ledger *ledger
}

// TestNodeDies: the node that has asked for the next code, and for a PIN, is killed, and the
// other goes on with both dialogs. It sends the mails and feeds the collector too, which
// was the work of the dead one, and nobody gets anything twice.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	need(t, "radclient", "/usr/sbin/slapd")
	_, directory := staff(t)
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	d := &departed{ledger: startLedger(t)}
	d.cluster = installCluster(t, layout{nodes: 2, nasKeys: "mode = \"create-token\"\nchallenge = true\n", more: fmt.Sprintf(`listen_https = "PAGES"
url = "https://localhost:0"
[mail]
server = %q
ca_file = %q
user = %q
password = %q
from = "IT Service <otp@example.org>"
[enrol]
mail_domains = ["example.org"]
[[collector]]
name = "billing"
type = "radius"
servers = [%q]
secret = %q
timeout = "500ms"
%s`, sink.Addr, sink.CAFile, sink.User, sink.Password, d.ledger.addr(), sharedSecret, directory)})
	d.a, d.b = d.nodes[0], d.nodes[1]
	for _, n := range d.nodes {
		n.change("localhost:0", fmt.Sprintf("localhost:%d", d.b.pages.Port())) // of a load balancer that has noticed
	}
	d.a.alice("--type", "hotp")
	d.start(d.a)
	d.start(d.b)
	d.a.await("node a to do the work", func() bool {
		return d.a.works(mailWork) && d.a.works(collectorWork) && d.forwarded() != ""
	})
	before := d.forwarded()
	d.report(d.a, record(7, 0, 2))
	d.a.await("a record to be forwarded", func() bool { return d.ledger.total() == 1 && d.forwarded() != before })
	next := d.a.dial("alice", eventPasscode(50)).asked("next")
	first := d.a.dial("bob", anyPassword).asked("OTP PIN")
	again := first.then("bob", "4711").asked()
	d.a.kill()
	d.killed = time.Now()

	d.b.dial("alice", eventPasscode(51), next).want("Access-Accept")
	d.b.dial("alice", eventPasscode(51)).want("Access-Reject")
	mail := d.b.dial("bob", "4711", again).asked("e-mail")
	last := mail.then("bob", "bob@example.org").asked("eToken")
	d.report(d.b, record(7, 1, 2))
	d.report(d.b, record(7, 2, 2))
	d.getsMail(sink, last)
	d.getsRecords()
}

// forwarded is how far the records have come that the collector has, as far as that was
// kept: who is killed before that sends the last ones again.
func (d *departed) forwarded() string {
	d.Helper()
	return d.sql("SELECT value FROM note WHERE kind = 'collector'")
}

// getsMail: the mail comes soon, and what is in it works at every node.
func (d *departed) getsMail(sink *mailtest.Sink, last *reply) {
	d.Helper()
	m := d.b.mails(sink, 1)[0]
	d.inTime("the mail came", time.Now())
	page := d.b.browser().open(activationLink.FindString(m.Text)).submit("/activate")
	shows := page.token()
	last.then("bob", "4711"+shows(0)).want("Access-Accept")
	d.b.dial("bob", "4711"+shows(0)).want("Access-Reject")

	d.cluster.start(d.a)
	d.b.await("an empty outbox", func() bool { return d.b.run("", "mail", "list", "--json") == "" })
	d.b.mails(sink, 2) // the second says that the token is in use
	d.a.dial("bob", "4711"+shows(1)).want("Access-Accept")
	d.b.demandSilence(`User-Name = "bob"`, password("4711"+shows(1))) // the same login once more
}

// getsRecords: each record comes to the collector, and none twice.
func (d *departed) getsRecords() {
	d.Helper()
	d.b.await("the collector to have the rest", func() bool { return d.ledger.total() == 3 })
	d.inTime("the collector has the records", d.ledger.last())
	for what, n := range d.ledger.all() {
		if n != 1 {
			d.Errorf("record %s came %d times", what, n)
		}
	}
	if !d.b.works(collectorWork) {
		d.Errorf("node b feeds the collector, and the leases are %+v", d.b.status().Leases)
	}
	contains(d.T, d.a.run("", "cluster", "status"), "a", "b", mailWork, collectorWork)
}

// inTime demands that something was done soon after the kill.
func (d *departed) inTime(what string, when time.Time) {
	d.Helper()
	took := when.Sub(d.killed)
	d.Logf("%s %v after the kill", what, took)
	if took > takenOverWithin {
		d.Errorf("%s %v after the node was killed that did that, want %v", what, took, takenOverWithin)
	}
}

// ledger is a collector of accounting records.
type ledger struct {
	conn net.PacketConn
	mu   sync.Mutex
	came map[string]int // by session and time
	new  time.Time      // when the last came that had not come before
}

func startLedger(t *testing.T) *ledger {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, done := &ledger{conn: conn, came: map[string]int{}}, make(chan struct{})
	go func() { l.keep(); close(done) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return l
}

// keep answers what comes.
func (l *ledger) keep() {
	b := make([]byte, 4096)
	for {
		n, from, err := l.conn.ReadFrom(b)
		if err != nil {
			return // closed
		}
		p, err := radius.Parse(b[:n], []byte(sharedSecret))
		if err != nil || !radius.IsAuthenticRequest(b[:n], []byte(sharedSecret)) {
			continue
		}
		answer, err := p.Response(radius.CodeAccountingResponse).Encode()
		if err != nil {
			continue
		}
		l.take(fmt.Sprintf("%s %d", rfc2866.AcctSessionID_Get(p), rfc2866.AcctSessionTime_Get(p)))
		_, _ = l.conn.WriteTo(answer, from) // it asks again
	}
}

func (l *ledger) take(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.came[what]++; l.came[what] == 1 {
		l.new = time.Now()
	}
}

func (l *ledger) addr() string { return l.conn.LocalAddr().String() }

// total is how many different records came.
func (l *ledger) total() int { return len(l.all()) }

// last is when the last of them came.
func (l *ledger) last() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.new
}

func (l *ledger) all() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.came)
}
