package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"

	"countersign/radiusd/remote/remotetest"
	"countersign/tms/console"
)

// record is an Accounting-Request: of each session comes Start, then some Interim-Updates,
// then Stop.
func record(session, number, last int) *radius.Packet {
	p := radius.New(radius.CodeAccountingRequest, []byte(sharedSecret))
	status := rfc2866.AcctStatusType_Value_InterimUpdate
	switch number {
	case 0:
		status = rfc2866.AcctStatusType_Value_Start
	case last:
		status = rfc2866.AcctStatusType_Value_Stop
	}
	for _, err := range []error{
		rfc2866.AcctStatusType_Set(p, status),
		rfc2866.AcctSessionID_SetString(p, fmt.Sprintf("session-%06d", session)),
		rfc2865.UserName_SetString(p, fmt.Sprintf("user%d", session%50)),
		rfc2865.NASIdentifier_SetString(p, "gw"),
		rfc2866.AcctSessionTime_Set(p, rfc2866.AcctSessionTime(60*number)),
		rfc2866.AcctInputOctets_Set(p, rfc2866.AcctInputOctets(1000*number)),
	} {
		if err != nil {
			panic(err)
		}
	}
	return p
}

// account sends all records of some sessions, those of each in order and once each was
// answered, from so many sockets at once. It counts the answered.
func (in *installation) account(sessions, last, sockets int, answered *atomic.Int64) {
	in.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for s := range sockets {
		n := in.nas(in.acct)
		n.Retry = 50 * time.Millisecond
		wg.Go(func() {
			for session := s; session < sessions; session += sockets {
				for number := range last + 1 {
					request := record(session, number, last)
					request.Identifier = byte(session*(last+1) + number)
					if _, err := n.Exchange(ctx, request); err != nil {
						in.Errorf("session %d, record %d: %v", session, number, err)
						return
					}
					answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

// collecting is FreeRADIUS as a collector of accounting.
const collecting = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
max_requests = 65536
cleanup_delay = 5
log {
  destination = stdout
}
security {
  status_server = yes
}
proxy_requests = no
client countersign {
  ipaddr = 127.0.0.0/8
  secret = "$SECRET"
}
modules {
  detail {
    filename = $DIR/detail
    header = "%t"
    permissions = 0600
    locking = no
  }
}
server default {
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = $PORT
    recv_buff = 4194304
  }
  accounting {
    detail
  }
}
`

// TestCollectors: FreeRADIUS behind us is killed in the middle and comes back: it gets
// every record, and those of each session in order; so does the file.
func TestCollectors(t *testing.T) {
	need(t, "freeradius")
	const sessions, last = 150, 3
	collector := remotetest.StartConfigured(t, collecting, "")
	in := install(t, "")
	in.write("127.0.0.0/8", sharedSecret, fmt.Sprintf(`
[[collector]]
name = "billing"
type = "radius"
servers = [%q]
secret = %q
timeout = "500ms"

[[collector]]
name = "file"
type = "jsonl"
file = "accounting.jsonl"
`, collector.Addr, remotetest.Secret))
	in.start()
	in.await("the collectors to begin", func() bool {
		return strings.Count(in.run("", "collector", "list", "--json"), `"name"`) == 2
	})
	var answered atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		in.account(sessions, last, 8, &answered)
	}()
	in.await("some records", func() bool { return answered.Load() > sessions && collector.File("detail") != "" })
	collector.Stop()
	<-done
	if waits := decodeLines[struct{ Waiting int64 }](in, in.run("", "collector", "list", "--json"))[0]; waits.Waiting == 0 {
		t.Error("nothing waits for the collector that is dead")
	}
	in.kill() // what waits is on disk
	in.start()
	collector.Start()
	in.await("the collector to have all", func() bool { return len(inDetail(collector.File("detail"))) == sessions*(last+1) })
	recordsInOrder(t, "FreeRADIUS", collector.File("detail"), sessions, last)

	path, text := filepath.Join(in.dir, "accounting.jsonl"), ""
	in.await("the file to have all", func() bool {
		text = in.inFile(path)
		return len(inDetail(text)) == sessions*(last+1)
	})
	recordsInOrder(t, "the file", text, sessions, last)
}

// inFile is what the file of a collector has, as detail would write it.
func (in *installation) inFile(path string) string {
	in.Helper()
	var b strings.Builder
	type line struct {
		SessionID string `json:"session_id"`
		Seconds   int    `json:"session_seconds"`
	}
	for _, l := range decodeLines[line](in, in.read(path)) {
		fmt.Fprintf(&b, "\tAcct-Session-Id = %q\n\tAcct-Session-Time = %d\n\n", l.SessionID, l.Seconds)
	}
	return b.String()
}

// detailRecord is a record as detail writes it.
type detailRecord struct{ session, time string }

// inDetail are the records of a detail file, without repeats, in the order in which they
// came first.
func inDetail(text string) []detailRecord {
	var records []detailRecord
	seen := map[detailRecord]bool{}
	for block := range strings.SplitSeq(text, "\n\n") {
		var r detailRecord
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
			switch name {
			case "Acct-Session-Id":
				r.session = strings.Trim(value, `"`)
			case "Acct-Session-Time":
				r.time = value
			}
		}
		if r.session != "" && r.time != "" && !seen[r] {
			seen[r] = true
			records = append(records, r)
		}
	}
	return records
}

// recordsInOrder demands that the records of each session came in their order.
func recordsInOrder(t *testing.T, who, text string, sessions, last int) {
	t.Helper()
	next := map[string]int{}
	for _, r := range inDetail(text) {
		if want := fmt.Sprint(60 * next[r.session]); r.time != want {
			t.Fatalf("%s got the record of %s s of %s when it was the turn of that of %s s", who, r.time, r.session, want)
		}
		next[r.session]++
	}
	if len(next) != sessions {
		t.Errorf("%s has %d sessions, want %d", who, len(next), sessions)
	}
}

// TestKillInTheMiddleOfAccounting: of 100,000 records, with the server killed on the way,
// every one that was answered is there, and none twice although their gateways repeated
// them.
func TestKillInTheMiddleOfAccounting(t *testing.T) {
	const sessions, last = 25_000, 3
	in := install(t, "")
	in.start()
	var answered atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		in.account(sessions, last, 48, &answered)
	}()
	for _, share := range []int64{4, 2} {
		in.await("some answers", func() bool { return answered.Load() >= sessions*(last+1)/share })
		in.kill()
		in.start()
	}
	<-done
	if n := answered.Load(); n != sessions*(last+1) {
		t.Fatalf("%d records were answered, want all %d", n, sessions*(last+1))
	}
	in.await("all to be sessions", func() bool { return in.metric("countersign_accounting_log_waiting_records") == "0" })
	seen := map[string]int{}
	for _, r := range decodeLines[recordLine](in, in.run("", "session", "records", "--json")) {
		seen[r.value("Acct-Session-Id")+" "+r.value("Acct-Session-Time")]++
	}
	if len(seen) != sessions*(last+1) {
		t.Errorf("%d records, want %d", len(seen), sessions*(last+1))
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("record %s is there %d times", what, n)
		}
	}
	closed := decodeLines[console.SessionView](in, in.run("", "session", "list", "--state", "closed", "--json"))
	for _, s := range closed {
		if s.Records != last+1 || s.SessionFigures == nil || s.InputOctets != 1000*last {
			t.Fatalf("session %+v", s)
		}
	}
	if len(closed) != sessions {
		t.Errorf("%d sessions, want %d", len(closed), sessions)
	}
}
