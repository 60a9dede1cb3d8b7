package accounting

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"countersign/radiusd/packet"
)

// with adds a Class to a record.
func with(class string, e Entry) Entry {
	e.Attributes = says(e.Attributes).text(packet.Class, class)
	return e
}

func TestJoin(t *testing.T) {
	k := newKit(t)
	login := Login{Event: "17-3", At: epoch, User: "kay", Serial: "GAKT1", Rule: "office", NAS: "vpn"}
	k.logins[Position{17, 3}] = login
	ours := k.class(17, 3, "staff") + "\x00\x00"
	k.takes(by("EXAMPLE\\Kay", start(0)))
	if s := k.one(); s.Login != (Login{}) || s.Name() != "EXAMPLE\\Kay" || k.OpenOf([]byte("kay")) != 0 || k.OpenIn("staff") != 0 {
		t.Fatalf("%+v", s)
	}
	forged := NewClasses([]byte("not the key that the server has!")).Append(nil, 17, 3, "staff")
	k.takes(with("group=staff", with(string(forged), interim(50, 50))))
	if s := k.one(); s.Login != (Login{}) || k.asked != 0 {
		t.Fatalf("joined by a Class that is not ours: %+v", s)
	}
	k.takes(with(ours, with("group=staff", interim(100, 100))), with(ours, interim(200, 200)))
	login.Pool = "staff"
	if s := k.one(); s.Login != login || s.Name() != "kay" || k.OpenOf([]byte("kay")) != 1 || k.OpenIn("staff") != 1 || k.asked != 1 {
		t.Fatalf("asked %d times: %+v", k.asked, s)
	}
	if k.OpenOf([]byte("EXAMPLE\\Kay")) != 0 {
		t.Error("the session counts for two")
	}
	// Verified again, and a record that is older than that.
	k.logins[Position{17, 2}], k.logins[Position{18, 0}] = Login{User: "kay"}, Login{User: "kay"}
	k.takes(with(k.class(18, 0, "staff"), interim(300, 300)))
	if s := k.one(); s.Login.Event != "17-3" {
		t.Errorf("joined to a later login: %+v", s.Login)
	}
	k.takes(with(k.class(17, 2, ""), arrived(interim(250, 250), 301)), with(ours, stop(400, 400)))
	if s := k.one(); s.Login.Event != "17-2" || s.State != Closed || k.OpenOf([]byte("kay")) != 0 || k.OpenIn("staff") != 0 {
		t.Errorf("%+v", s)
	}
	k.verify()
}

// TestSeveralClasses: of several logins the first is whose session it is.
func TestSeveralClasses(t *testing.T) {
	for _, order := range [][2]uint64{{17, 18}, {18, 17}} {
		k := newKit(t)
		k.takes(with(k.class(order[0], 0, "staff"), with(k.class(order[1], 0, "staff"), start(0))))
		if s := k.one(); s.Login.Event != "17-0" {
			t.Errorf("of logins %v it is %+v", order, s.Login)
		}
	}
}

// TestClassOfBeforeRestore: the key is made anew when a backup is restored, because the
// numbers of logins are given out again: the Class of one that the backup does not have
// would be that of somebody else.
func TestClassOfBeforeRestore(t *testing.T) {
	before, after := newKit(t), newKit(t)
	after.classes = NewClasses(bytes.Repeat([]byte{8}, 32))
	after.Book.options.Classes = after.classes
	for _, k := range []*kit{before, after} {
		k.logins[Position{17, 3}] = Login{Event: "17-3", User: "lee"}
		k.takes(with(before.class(17, 3, "staff"), start(0)))
	}
	if s := before.one(); s.Login.User != "lee" {
		t.Errorf("before: %+v", s.Login)
	}
	if s := after.one(); s.Login != (Login{}) || after.asked != 0 || after.OpenIn("staff") != 0 {
		t.Errorf("after: %+v", s.Login)
	}
}

// TestClassOfAnotherNAS: a Class is no secret. Another NAS cannot have its sessions count for
// the users whose logins it has seen.
func TestClassOfAnotherNAS(t *testing.T) {
	k := newKit(t)
	k.logins[Position{17, 3}] = Login{User: "lee", NAS: "vpn"}
	class := k.class(17, 3, "staff")
	k.takes(with(class, start(0)), with(class, nasOf("lab", start(1))))
	all := k.all()
	if len(all) != 2 || all[0].Login.User != "lee" || all[1].Login != (Login{}) || k.OpenOf([]byte("lee")) != 1 || k.OpenOf([]byte("kay")) != 1 || k.OpenIn("staff") != 1 {
		t.Errorf("%+v", all)
	}
	k.wantMetrics("foreign_classes_total 1", "sessions_joined_total 1")
}

// TestJoinUnknown: the record of a login may be gone; its name is still true.
func TestJoinUnknown(t *testing.T) {
	k := newKit(t)
	k.takes(with(k.class(17, 3, "staff"), start(0)))
	if s := k.one(); s.Login != (Login{Event: "17-3", Pool: "staff"}) || k.OpenOf([]byte("kay")) != 1 || k.OpenIn("staff") != 1 {
		t.Errorf("%+v", s)
	}
}

// TestReusedByAnotherLogin: another Class tells sessions apart where nothing else does.
func TestReusedByAnotherLogin(t *testing.T) {
	k := newKit(t)
	k.takes(with(k.class(1, 0, ""), start(0)), with(k.class(2, 0, ""), start(600)))
	all := k.all()
	if len(all) != 2 || all[0].By != "reuse" || all[0].State != Closed || all[1].State != Open || k.OpenOf([]byte("kay")) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestUserName(t *testing.T) {
	m := newMemory()
	book, err := NewBook(t.Context(), Options{Store: m, Settings: func() Settings { return Settings{} }, UserName: strings.ToLower})
	must(t, err)
	m.add(by("KAY", start(0)))
	_, err = book.take(t.Context())
	must(t, err)
	if book.OpenOf([]byte("kay")) != 1 || book.OpenOf([]byte("KAY")) != 0 {
		t.Error("the name was not folded")
	}
}

// TestSavedOnce: a session is written once a chunk, and what was there when the Book was
// made is counted.
func TestSavedOnce(t *testing.T) {
	k := newKit(t)
	k.takes(start(0), interim(100, 100), interim(200, 200), of("vpn2", start(0)))
	if k.changes != 2 {
		t.Errorf("%d sessions were saved", k.changes)
	}
	other := kitOn(t, k.memory)
	other.verify()
	other.takes(stop(300, 300))
	other.verify()
	if n := other.OpenOf([]byte("kay")); n != 1 {
		t.Errorf("%d open", n)
	}
}

// TestMadeAgain: a store whose sessions were lost shows its log from the beginning.
func TestMadeAgain(t *testing.T) {
	k := newKit(t)
	k.takes(start(0), of("vpn2", start(0)), interim(100, 100))
	before := fmt.Sprint(k.all())
	k.memory.forget()
	k.takes(stop(300, 300))
	if after := fmt.Sprint(k.all()[1:]); !strings.Contains(before, strings.Trim(after, "[]")) {
		t.Errorf("before %s\nafter %s", before, after)
	}
	k.verify()
	if n := k.OpenOf([]byte("kay")); n != 1 {
		t.Errorf("%d open", n)
	}
}

// TestManyLives: a gateway may give all its sessions one Acct-Session-Id.
func TestManyLives(t *testing.T) {
	k := newKit(t)
	for i := range 3 * maxLives {
		k.takes(by(fmt.Sprint("user", i), start(10*i)), by(fmt.Sprint("user", i), stop(10*i+8, 8)))
	}
	if all := k.all(); len(all) != 3*maxLives {
		t.Errorf("%d sessions", len(all))
	}
	k.verify()
}

func TestRepeats(t *testing.T) {
	k := newKit(t)
	k.takes(start(0), late(start(0), 5), late(start(0), 600), unstamped(interim(100, 100)), late(unstamped(interim(100, 100)), 700),
		restart(AccountingOn, 1000), late(restart(AccountingOn, 1000), 1010), unstamped(restart(AccountingOn, 1100)), unstamped(restart(AccountingOn, 1100)))
	if len(k.memory.repeats) != 3 || k.one().Records != 2 {
		t.Errorf("repeats %v", k.memory.repeats)
	}
	k.wantMetrics("late_records_total 0", `records_total{status="accounting-on"} 4`, `records_total{status="interim-update"} 2`,
		`records_total{status="start"} 3`, `records_total{status="tunnel-start"} 0`, `records_total{status="other"} 0`, "repeats_total 3")
}

// wantMetrics looks for lines in the page of the metrics, and returns that.
func (k *kit) wantMetrics(lines ...string) string {
	k.t.Helper()
	page := httptest.NewRecorder()
	promhttp.HandlerFor(k.registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(page.Body.String(), "\n"+metricName(line)+"\n") {
			k.t.Errorf("no line %q in\n%s", line, page.Body)
		}
	}
	return page.Body.String()
}

func TestMetrics(t *testing.T) {
	k := newKit(t)
	k.later(250 * time.Second)
	k.takes(start(0), with(k.class(1, 0, ""), of("vpn2", start(0))), interim(200, 200), arrived(interim(100, 100), 250),
		changed(start(0), packet.AcctStatusType, "\xff\xff\xff\xff"))
	page := k.wantMetrics("late_records_total 1", `sessions{nas="vpn",state="open"} 2`, `sessions{nas="vpn",state="stale"} 0`,
		"sessions_begun_total 2", "sessions_joined_total 1", `records_total{status="other"} 1`,
		`record_wait_seconds_bucket{le="10"} 1`, `record_wait_seconds_bucket{le="600"} 5`)
	lint := exec.Command("promtool", "check", "metrics") // of Debian's package prometheus
	lint.Stdin = strings.NewReader(page)
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v: %s: scripts/test installs it", err, out)
	}
}

// running runs the Book in a bubble of synctest until the test ends.
func (k *kit) running(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { k.Book.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		for i := range 3 * chunkEntries {
			k.memory.add(changed(start(0), packet.AcctSessionID, fmt.Sprint(i)))
		}
		k.running(t)
		synctest.Wait()
		if n := k.OpenOf([]byte("kay")); n != 3*chunkEntries {
			t.Fatalf("%d open", n)
		}
		k.memory.add(start(10))
		synctest.Wait()
		if n := k.OpenOf([]byte("kay")); n != 3*chunkEntries+1-1 { // there is one with this name
			t.Fatalf("%d open", n)
		}
		// All but one become silent.
		k.memory.add(changed(interim(3600, 3600), packet.AcctSessionID, "7"))
		synctest.Wait()
		k.later(24*time.Hour + time.Minute)
		time.Sleep(sweepPause)
		synctest.Wait()
		if n := k.OpenOf([]byte("kay")); n != 1 || k.counts.ofNASes()["vpn"][Stale] != 3*chunkEntries-1 {
			t.Fatalf("%d open, %v", n, k.counts.ofNASes())
		}
		// One of them speaks again.
		k.memory.add(changed(interim(90000, 90000), packet.AcctSessionID, "8"))
		synctest.Wait()
		if n := k.OpenOf([]byte("kay")); n != 2 {
			t.Fatalf("%d open", n)
		}
		k.verify()
		// All that do not are forgotten in the end, and not counted any more.
		k.later(402 * 24 * time.Hour)
		time.Sleep(sweepPause)
		synctest.Wait()
		if n := len(k.all()); n != 0 { // those that were open became stale, and are as old
			t.Fatalf("%d sessions", n)
		}
		time.Sleep(countPause)
		synctest.Wait()
		k.verify()
		if n := len(k.counts.ofNASes()); n != 0 {
			t.Errorf("%v", k.counts.ofNASes())
		}
	})
}

// TestFailures: errors are told once, and nothing is lost by them.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		var log bytes.Buffer
		k.Book.taking.logger = slog.New(slog.NewTextHandler(&log, nil))
		k.memory.mu.Lock()
		k.memory.fail = errTest
		k.memory.mu.Unlock()
		k.running(t)
		k.memory.add(start(0))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := strings.Count(log.String(), "out of order"); got != 1 {
			t.Errorf("told %d times:\n%s", got, &log)
		}
		k.memory.mu.Lock()
		k.memory.fail = nil
		k.memory.mu.Unlock()
		time.Sleep(maxPause)
		synctest.Wait()
		if s := k.one(); s.State != Open || k.OpenOf([]byte("kay")) != 1 {
			t.Errorf("%+v", s)
		}
		if got := strings.Count(log.String(), "again"); got != 1 {
			t.Errorf("told %d times that it is over:\n%s", got, &log)
		}
	})
}

// TestLoginNotKnownNow: a login that cannot be read holds up no session for long, and the
// session is joined by its next record.
func TestLoginNotKnownNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.loginErr = errTest
		k.logins[Position{1, 0}] = Login{User: "lee"}
		class := k.class(1, 0, "")
		k.memory.add(with(class, start(0)))
		k.running(t)
		synctest.Wait()
		if n := len(k.all()); n != 0 {
			t.Errorf("%d sessions at once", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := k.one(); s.Login.Event != "" || k.OpenOf([]byte("kay")) != 1 {
			t.Errorf("%+v", s)
		}
		k.loginErr = nil
		k.memory.add(with(class, interim(60, 60)))
		synctest.Wait()
		if s := k.one(); s.Login.User != "lee" || k.OpenOf([]byte("kay")) != 0 || k.OpenOf([]byte("lee")) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := NewBook(t.Context(), Options{}); err == nil {
		t.Error("a Book without a store")
	}
	m := newMemory()
	m.fail = errTest
	book, err := NewBook(t.Context(), Options{Store: m, Settings: func() Settings { return Settings{} }})
	if err != nil || book.OpenOf(nil) != 0 || book.OpenIn("") != 0 {
		t.Errorf("while the store is out of order: %v", err)
	}
}

func TestOpenAllocations(t *testing.T) {
	k := newKit(t)
	k.takes(start(0))
	user := []byte("kay")
	if n := testing.AllocsPerRun(100, func() {
		if k.OpenOf(user) != 1 || k.OpenIn("staff") != 0 {
			t.Error("not counted")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOpenOf(b *testing.B) {
	k := newKit(b)
	k.takes(start(0))
	user := []byte("kay")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k.OpenOf(user)
		}
	})
}

// BenchmarkTake is what a record costs besides the store.
func BenchmarkTake(b *testing.B) {
	k := newKit(b)
	class := k.class(1, 0, "")
	b.ReportAllocs()
	var entries []Entry
	for i := range chunkEntries / 4 {
		for _, e := range whole(true) {
			e = with(class, changed(e, packet.AcctSessionID, fmt.Sprint(i)))
			e.Position = Position{1, uint32(len(entries))}
			entries = append(entries, e)
		}
	}
	for b.Loop() {
		k.memory.forget()
		c := newChunk(b.Context(), k.Book, memoryTx{k.memory})
		must(b, c.take(entries))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/record")
}
