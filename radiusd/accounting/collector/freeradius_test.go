package collector

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
	"countersign/radiusd/remote/remotetest"
)

// configuration is a FreeRADIUS that appends what it gets to the file detail.
const configuration = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
max_requests = 65536
log {
  destination = stdout
}
proxy_requests = no
client countersign {
  ipaddr = 127.0.0.0/8
  secret = "$SECRET"
}
modules {
  detail {
    filename = $DIR/detail
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

// detail is a record in that file: its attributes by name.
type detail map[string]string

func (d detail) number(t *testing.T, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(d[name], 10, 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", name, d, err)
	}
	return n
}

// detailsOf are the records that FreeRADIUS has. The last may be torn when it was killed.
func detailsOf(f *remotetest.FreeRADIUS) []detail {
	var all []detail
	for text := range strings.Lines(f.File("detail")) {
		name, value, ok := strings.Cut(strings.TrimSpace(text), " = ")
		switch {
		case ok:
			all[len(all)-1][name] = strings.Trim(value, `"`)
		case strings.TrimSpace(text) != "":
			all = append(all, detail{})
		}
	}
	return slices.DeleteFunc(all, func(d detail) bool { return d["Timestamp"] == "" })
}

func arrivalsOf(t *testing.T, details []detail) []arrival {
	var all []arrival
	for _, d := range details {
		all = append(all, arrival{session: d["Acct-Session-Id"], serial: uint32(d.number(t, "Acct-Session-Time"))})
	}
	return all
}

func toFreeRADIUS(f *remotetest.FreeRADIUS) Options {
	return Options{RADIUS: &RADIUS{
		Servers: []Server{{f.Addr, packet.NewSecret([]byte(remotetest.Secret))}}, Timeout: time.Second,
	}}
}

// FreeRADIUS is killed twice in the middle of it: nothing is lost, the order of each
// session is kept, and what it has is what the NAS said.
func TestFreeRADIUSKilled(t *testing.T) {
	const records, sessions = 6000, 200
	f := remotetest.StartConfigured(t, configuration, "")
	s := newStore()
	s.cursors["billing"] = accounting.Position{}
	came := time.Now().Add(-time.Hour).Truncate(time.Second)
	s.fill(came, records, sessions)
	k := newKit(t, s, toFreeRADIUS(f)).start()
	for _, n := range []int{records / 4, records / 2} {
		k.until(fmt.Sprintf("%d records are there", n), func() bool { return strings.Count(f.File("detail"), "Timestamp") >= n })
		f.Stop()
		k.until("the fault is told", func() bool { return k.state().Fault != "" })
		f.Start()
	}
	k.untilDone()
	k.stop()
	if s.cursor() != s.entries[records-1].Position {
		t.Errorf("the cursor is %v", s.cursor())
	}
	details := detailsOf(f)
	if n := inOrder(t, arrivalsOf(t, details)); n != records {
		t.Errorf("%d of %d records are there", n, records)
	}
	t.Logf("%d records, %d repeats", records, len(details)-records)
	for _, d := range details {
		happened := d.number(t, "Timestamp") - d.number(t, "Acct-Delay-Time")
		if late := happened - came.Unix(); late < -1 || late > 2*sendings { // its clock is some milliseconds behind
			t.Fatalf("Acct-Delay-Time is %d s wrong: %v", late, d)
		}
		if d["NAS-Identifier"] != "gw1" || d["NAS-IP-Address"] != "" {
			t.Fatalf("it is of another NAS: %v", d)
		}
	}
}

// What FreeRADIUS does not know either comes as it was sent.
func TestFreeRADIUSUnknownAttributes(t *testing.T) {
	f := remotetest.StartConfigured(t, configuration, "")
	s := newStore()
	s.cursors["billing"] = accounting.Position{}
	when := time.Now().Add(-time.Minute).Truncate(time.Second)
	s.append(accounting.Entry{At: when, NAS: "vpn", Source: "192.0.2.7", Attributes: slices.Concat(
		number(packet.AcctStatusType, 3), attribute(packet.AcctSessionID, []byte("one")), number(packet.AcctDelayTime, 30),
		attribute(packet.VendorSpecific, []byte{0, 1, 0x86, 0x9f, 1, 5, 'x', 0, 0xff}), attribute(packet.Type(250), []byte{0, 1, 2}),
		attribute(packet.Class, []byte("CS1-x")), attribute(packet.ProxyState, []byte("hop")),
	)})
	k := newKit(t, s, toFreeRADIUS(f)).start()
	k.untilDone()
	all := detailsOf(f)
	if len(all) != 1 {
		t.Fatalf("%d records are there: %v", len(all), all)
	}
	stamp, err := time.ParseInLocation("Jan _2 2006 15:04:05 MST", all[0]["Event-Timestamp"], time.Local)
	if err != nil || !stamp.Equal(when.Add(-30*time.Second)) {
		t.Errorf("Event-Timestamp %v instead of %v: %v", stamp, when, err)
	}
	for name, want := range map[string]string{
		"Acct-Session-Id": "one", "Attr-26.99999.1": "0x7800ff", "Attr-250": "0x000102", "Class": "0x4353312d78", "Proxy-State": "",
		"NAS-IP-Address": "192.0.2.7", "Acct-Status-Type": "Interim-Update",
	} {
		if got := all[0][name]; got != want {
			t.Errorf("%s is %q instead of %q: %v", name, got, want, all[0])
		}
	}
	if late := all[0].number(t, "Timestamp") - all[0].number(t, "Acct-Delay-Time") - stamp.Unix(); late < -1 || late > 2*sendings {
		t.Errorf("Acct-Delay-Time is %d s wrong", late)
	}
}

// A clock that is far off, as after a restore, does no harm but to the times.
func TestClockOff(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 100, 10)
	o := toPeers(soon, p)
	o.Clock = func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
	o.MaxAge = time.Hour
	k := newKit(t, s, o).start()
	k.untilDone()
	if n := inOrder(t, p.arrivals()); n != 100 {
		t.Errorf("%d records came", n)
	}
}

// BenchmarkForward is what a Collector forwards in a second: to a server that answers at
// once or after 50 ms, to FreeRADIUS, and to a file.
func BenchmarkForward(b *testing.B) {
	run := func(b *testing.B, o Options) {
		s := newStore()
		s.cursors["billing"] = accounting.Position{}
		s.fill(time.Now().Add(-24*time.Hour), max(b.N, 1), 500)
		k := newKit(b, s, o)
		b.ResetTimer()
		k.start()
		k.untilDone()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	}
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(fmt.Sprintf("RADIUS/delay=%v", delay), func(b *testing.B) {
			p := newPeer(b)
			p.delay = delay
			run(b, toPeers(time.Second, p))
		})
	}
	b.Run("FreeRADIUS", func(b *testing.B) {
		f := remotetest.StartConfigured(b, configuration, "")
		run(b, toFreeRADIUS(f))
	})
	b.Run("file", func(b *testing.B) {
		run(b, Options{File: &File{Path: b.TempDir() + string(os.PathSeparator) + "accounting.jsonl"}})
	})
}
