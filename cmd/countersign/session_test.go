package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/conf"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/console"
)

// book is a tms.Sessions of some sessions with a record each, a Disconnector, and a store
// that has no users.
type book struct {
	tms.Store
	sessions []accounting.Session
	answer   accounting.Answer
	silent   error
	asked    []accounting.Position
	ended    int // sessions that were ended here
}

func (b *book) Users(context.Context, tms.Filter, func(*tms.User) error) error { return nil }
func (b *book) Record(context.Context, tms.Act) error                          { return nil }

func (b *book) Sessions(_ context.Context, f accounting.Filter, each func(*accounting.Session) error) error {
	for i := range b.sessions {
		s := &b.sessions[i]
		if !f.ID.IsZero() && s.ID != f.ID || f.User != "" && s.Name() != f.User {
			continue
		}
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) entry(p accounting.Position) *accounting.Entry {
	return &accounting.Entry{
		Position: p, At: b.sessions[0].Heard, NAS: "ras", Source: "192.0.2.1",
		Attributes: []byte("\x28\x06\x00\x00\x00\x02\x01\x07alice\x2c\x040A\x1f\x07s\x1btat"),
	}
}

func (b *book) Records(_ context.Context, session accounting.Position, each func(*accounting.Entry) error) error {
	return each(b.entry(session))
}

func (b *book) Forwardable(_ context.Context, after accounting.Position, _ int, each func(*accounting.Entry) error) (accounting.Position, error) {
	last := accounting.Position{Batch: 17, Index: 3}
	if after.Compare(last) >= 0 {
		return after, nil
	}
	return last, each(b.entry(last))
}

func (b *book) Disconnect(_ context.Context, s *accounting.Session) (accounting.Answer, error) {
	b.asked = append(b.asked, s.ID)
	return b.answer, b.silent
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// booked is an app with a client of a service with sessions: 17-3 of alice, with all that
// can be known, 16-0 of a user whose name is a formula, and 15-0, which has ended.
// AppendAccounting implements tms.AccountingLog.
func (b *book) AppendAccounting(_ time.Time, _, _ string, _ []byte, done func(error)) bool {
	b.ended++
	done(nil)
	return true
}

func booked(t *testing.T) (a *app, out *bytes.Buffer, client *console.Client, b *book) {
	t.Helper()
	b = &book{sessions: []accounting.Session{
		{
			ID: accounting.Position{Batch: 17, Index: 3}, Key: accounting.Key{NAS: "ras", Gateway: "gw", SessionID: "0A"}, Source: "192.0.2.1",
			User: `EXAMPLE\Alice`, Station: "00-10-A4-23-19-C0", Address: netip.MustParseAddr("10.8.0.6"), NASPort: "7", NASAddress: netip.MustParseAddr("10.0.0.1"),
			Login: accounting.Login{Event: "12-0", At: noon.Add(-2 * time.Hour), User: "alice", Serial: "T1", NAS: "ras", Pool: "contractors"},
			State: accounting.Open, Started: noon.Add(-90 * time.Minute), Heard: noon.Add(-time.Minute), Last: noon.Add(-time.Minute), Begun: true, Records: 4,
			Figures: accounting.Figures{Has: true, Time: 90 * time.Minute, InputOctets: 1536, OutputOctets: 5 << 30, InputPackets: 3, OutputPackets: 4},
		},
		{
			ID: accounting.Position{Batch: 16}, Key: accounting.Key{NAS: "ras", SessionID: "'0B"}, Source: "192.0.2.1", User: `=cmd|"/c calc"!A0`,
			Login: accounting.Login{Event: "11-0", At: noon, User: `=cmd|"/c calc"!A0`, NAS: "vpn", Rule: "printers"},
			State: accounting.Stale, Started: noon.Add(-50 * time.Hour), Heard: noon.Add(-48 * time.Hour), Last: noon.Add(-48 * time.Hour), Station: "a\nb\x1b", Records: 1,
		},
		{
			ID: accounting.Position{Batch: 15}, Key: accounting.Key{NAS: "vpn", SessionID: "0C"}, Source: "192.0.2.2", User: "bob",
			State: accounting.Closed, Started: noon.Add(-time.Hour), Heard: noon, Last: noon, Ended: noon.Add(-59 * time.Minute), Cause: 1, Records: 2,
		},
	}}
	clock := func() time.Time { return noon }
	client, stop := serveInProcess(tms.NewService(tms.Options{Store: b, Sessions: b, Accounting: b, Disconnector: b, Clock: clock}))
	t.Cleanup(stop)
	out = &bytes.Buffer{}
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nothing.Close() })
	return &app{out: out, err: out, in: nothing, clock: clock}, out, client, b
}

func TestTheTableOfSessions(t *testing.T) {
	a, out, client, _ := booked(t)
	table := a.sessionTable()
	err := table.end(client.Sessions(t.Context(), accounting.Filter{}, func(v console.SessionView) error { return table.add(v, a.sessionCells(&v)...) }))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(rows) != 4 {
		t.Fatalf("%s", out)
	}
	for i, want := range []string{
		"17-3 alice ras " + date(noon.Add(-90*time.Minute)) + " 1h30m 1.5 KiB 5.0 GiB 10.8.0.6 00-10-A4-23-19-C0 T1 open",
		`16-0 =cmd|"/c calc"!A0 ras ` + date(noon.Add(-50*time.Hour)) + ` 2h00m - - - "a\nb\x1b" rule printers stale`,
		"15-0 bob vpn " + date(noon.Add(-time.Hour)) + " 1m00s - - - - - closed: User-Request",
	} {
		if got := strings.Join(strings.Fields(rows[i+1]), " "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// The CSV form has what the JSON form has, and nothing that a spreadsheet would compute.
func TestSessionsAsCSV(t *testing.T) {
	a, out, client, _ := booked(t)
	c := a.newSessionCSV()
	var views []console.SessionView
	err := c.end(client.Sessions(t.Context(), accounting.Filter{}, func(v console.SessionView) error {
		views = append(views, v)
		return c.add(v)
	}))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(out).ReadAll()
	if err != nil || len(rows) != 4 || !reflect.DeepEqual(rows[0], sessionColumns) {
		t.Fatalf("%v, %v", rows, err)
	}
	for i, row := range rows[1:] {
		for j, name := range sessionColumns {
			if strings.ContainsRune("=+-@\t\r\n", rune((row[j] + " ")[0])) {
				t.Errorf("%s is %q, which a spreadsheet may compute", name, row[j])
			}
			if got, want := strings.TrimPrefix(row[j], "'"), jsonText(t, views[i], name); got != want {
				t.Errorf("%s of %v is %q, want %q", name, views[i].ID, got, want)
			}
		}
	}
	text, _ := json.Marshal(views[0])
	var fields map[string]any
	_ = json.Unmarshal(text, &fields)
	for name := range fields {
		if !strings.Contains(strings.Join(sessionColumns, " "), name) {
			t.Errorf("the CSV form has no column %s", name)
		}
	}
	if rows[2][6] != "''0B" || rows[2][2] != `'=cmd|"/c calc"!A0` {
		t.Errorf("%q", rows[2])
	}
}

// jsonText is what the JSON form of a session has in a field, "" when it is left out.
func jsonText(t *testing.T, v console.SessionView, name string) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	var value string
	if json.Unmarshal(fields[name], &value) != nil {
		return string(fields[name])
	}
	return value
}

// Each sign with which a formula may begin has a ' before it, and what has one is told from it.
func TestCellsAreNoFormulas(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "alice": "alice", "a-1": "a-1", "=1+cmd": "'=1+cmd", "+1+cmd": "'+1+cmd", "-1+cmd": "'-1+cmd", "@cmd": "'@cmd", "'0B": "''0B",
		"\tcmd": "'\tcmd", "\r=cmd": "'\r=cmd", "\n=cmd": "'\n=cmd", " x": " x",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q: %q, want %q", cell, got, want)
		}
	}
}

func TestAnEmptyCSV(t *testing.T) {
	a, out, _, _ := booked(t)
	if err := a.newSessionCSV().end(nil); err != nil || !strings.HasPrefix(out.String(), "id,state,user,") {
		t.Errorf("%q, %v", out, err)
	}
	out.Reset()
	failed := errors.New("failed")
	if err := a.newSessionCSV().end(failed); !errors.Is(err, failed) || out.Len() > 0 {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAmountsForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 1536 << 20: "1.5 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := octets(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 59*time.Second + 999*time.Millisecond: "59s", 61 * time.Second: "1m01s", 2*time.Hour + 59*time.Minute: "2h59m", 49 * time.Hour: "2d01h",
	} {
		if got := lasting(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestShowingASession(t *testing.T) {
	a, out, client, _ := booked(t)
	show := func(id string) string {
		out.Reset()
		v, err := client.Session(t.Context(), id)
		if err == nil {
			err = a.showSession(&v)
		}
		r, errRecords := a.newRecords(&conf.Config{})
		if err := errors.Join(err, errRecords); err != nil {
			t.Fatal(err)
		}
		if err := client.SessionRecords(t.Context(), id, r.show); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	contains(t, show("17-3"), "alice (User-Name EXAMPLE\\Alice)", "12-0 at ", ", token T1, session limit contractors (`countersign explain 12-0` tells more)",
		"ras, gateway gw, source address 192.0.2.1, NAS-IP-Address 10.0.0.1, port 7", "1.5 KiB in, 5.0 GiB out (1536 and 5368709120 octets, 3 and 4 packets)", "1h30m",
		"Stop, from 192.0.2.1 Acct-Status-Type = Stop User-Name = alice")
	if text := out.String(); strings.Contains(text, "\x1b") || strings.Contains(text, "ended") || strings.Contains(text, "another NAS") {
		t.Errorf("%q", text)
	}
	contains(t, show("16-0"), ", at another NAS, vpn, no eToken by rule printers", "(reckoned: no Start has come)")
	contains(t, show("15-0"), "not known: no Class of ours", "ended "+date(noon.Add(-59*time.Minute))+", User-Request")
	a.json = true
	lines := strings.Split(strings.TrimSpace(show("17-3")), "\n")
	var record recordLine
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"id":"17-3","state":"open","user":"alice"`) || json.Unmarshal([]byte(lines[1]), &record) != nil {
		t.Fatalf("%q", lines)
	}
	if len(record.Attributes) != 24 || record.Named[0] != "Acct-Status-Type = Stop" || record.Record.String() != "17-3" || record.Status != "Stop" || record.SessionID != "0A" || record.User != "alice" {
		t.Errorf("%+v", record)
	}
}

func TestTheTableOfRecords(t *testing.T) {
	a, out, client, _ := booked(t)
	r, err := a.newRecords(&conf.Config{})
	if err != nil {
		t.Fatal(err)
	}
	table := a.newTable("RECORD")
	_, err = client.AccountingRecords(t.Context(), accounting.Position{}, 0, func(v console.RecordView) error { return r.add(table, &v) })
	if err := table.end(err); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(), "17-3 "+date(noon.Add(-time.Minute))+" ras Stop alice 0A")
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out)
	}
}

func TestDisconnectingInWords(t *testing.T) {
	for name, test := range map[string]struct {
		answer accounting.Answer
		silent error
		want   string
		failed string
	}{
		"ack":     {answer: accounting.Answer{Acknowledged: true}, want: "session 17-3 of alice at ras: the gateway has ended it\n"},
		"unknown": {answer: accounting.Answer{Cause: 503, Text: "Session Context Not Found (503)"}, want: "session 17-3 of alice at ras: the gateway does not know it any more, and it has ended here too\n"},
		"other":   {answer: accounting.Answer{Cause: 599, Text: "599"}, failed: "the gateway has not ended it: 599: its log may tell why"},
		"silence": {silent: errors.New("asking 192.0.2.1:3799: no answer; see to it"), failed: "asking 192.0.2.1:3799: no answer; does the gateway take Disconnect-Requests from this server (CoA, DAS, dynamic authorization), with the shared secret of its [[nas]], at the port that disconnect_port there names, and does a firewall let them through?"},
	} {
		a, out, client, b := booked(t)
		b.answer, b.silent = test.answer, test.silent
		err := a.disconnect(t.Context(), client, []string{"17-3"})
		if (err == nil) != (test.failed == "") || err != nil && !strings.Contains(err.Error(), test.failed) || out.String() != test.want {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		a.json = true
		out.Reset()
		if err = a.disconnect(t.Context(), client, []string{"17-3"}); (err == nil) != (test.failed == "") || !strings.HasPrefix(out.String(), `{"session":"17-3","user":"alice","nas":"ras","address":"192.0.2.1","answer":"`) {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
}

// Of several sessions each is asked about, unless its gateway was silent before.
func TestDisconnectingSeveral(t *testing.T) {
	a, out, client, b := booked(t)
	b.answer.Acknowledged = true
	err := a.disconnect(t.Context(), client, []string{"17-3", "15-0", "9-9", "16-0"})
	if err == nil || !strings.Contains(err.Error(), "15-0 of bob at vpn ended at") || !strings.Contains(err.Error(), `"9-9": not found`) || strings.Count(out.String(), "has ended it") != 2 {
		t.Errorf("%s, %v", out, err)
	}
	b.silent, b.asked = errors.New("no answer"), nil
	err = a.disconnect(t.Context(), client, []string{"17-3", "16-0"})
	if err == nil || !strings.Contains(err.Error(), "session 16-0 of") || !strings.Contains(err.Error(), "the gateway was not asked") || fmt.Sprint(b.asked) != "[17-3]" {
		t.Errorf("%v, %v", b.asked, err)
	}
}

// Who chooses sessions by flags sees them first, and has to say that they are right.
func TestChoosingSessions(t *testing.T) {
	a, out, client, _ := booked(t)
	f := &disconnectFlags{}
	ids, err := a.chooseSessions(t.Context(), client, f)
	if err == nil || !strings.Contains(err.Error(), "3 sessions would be disconnected: say --yes") || len(ids) > 0 {
		t.Errorf("%v, %v", ids, err)
	}
	contains(t, out.String(), "SESSION", "17-3")
	f.yes, f.User = true, "alice"
	out.Reset()
	if ids, err = a.chooseSessions(t.Context(), client, f); err != nil || fmt.Sprint(ids) != "[17-3]" {
		t.Errorf("%v, %v", ids, err)
	}
	contains(t, out.String(), "17-3")
	f.User = "carol"
	out.Reset()
	if ids, err = a.chooseSessions(t.Context(), client, f); err != nil || len(ids) > 0 {
		t.Errorf("%v, %v", ids, err)
	}
	if out.String() != "there is no such session\n" {
		t.Error(out)
	}
}

// How long a session was the gateway knows better than our clock.
func TestHowLongASessionWas(t *testing.T) {
	closed := console.SessionView{State: "closed", Started: noon, Ended: noon.Add(49 * time.Second)}
	if got := sessionTime(&closed, noon); got != 49*time.Second {
		t.Error(got)
	}
	closed.SessionFigures = &console.SessionFigures{Seconds: 50}
	if got := sessionTime(&closed, noon); got != 50*time.Second {
		t.Error(got)
	}
}

func TestTheNASReportInWords(t *testing.T) {
	a, out, _, _ := booked(t)
	seen := tms.NASSeen{
		Name: "ras", Since: noon.Add(-time.Hour), Last: noon, Logins: 100, PAP: 90, NoMethod: 10, ASCII: 88, UTF8: 2,
		MessageAuthenticators: 100, Leading: 100, Retransmissions: 4, Repeated: 3, Interval: 2999 * time.Millisecond, IntervalUsual: 3 * time.Second,
		Challenges: 5, Answered: 3, Cut: 2, Accounting: 7, AccountingLast: noon,
	}
	settings := tms.NASSettings{Name: "ras", Addresses: []string{"192.0.2.1", "192.0.2.2"}, MessageAuthenticator: "auto"}
	n := tms.NASReport{NASSeen: seen, Settings: settings, Advice: tms.AdviseNAS(&settings, &seen)}
	if err := a.showNAS(&n); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"NAS                    ras (192.0.2.1, 192.0.2.2)\n",
		"Message-Authenticator  always, as the first attribute\n",
		"methods                90 PAP, 10 without a password\n",
		"passwords              88 ASCII, 2 UTF-8\n",
		"repeated               3 of 100 logins, 4 requests, after 3s at the least, usually 3s\n",
		"challenges             5, 3 answered, 2 with the beginning of their State only\n",
		"accounting             7 requests, the last " + date(noon) + "\n",
		"to set                 in the gateway: PAP\n                       because 10 of 100 logins",
		"to set                 in its [[nas]]: message_authenticator = \"require\"\n                       because each of 100 logins",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for want, change := range map[string]func(*tms.NASReport){
		"never":                             func(n *tms.NASReport) { n.MessageAuthenticators, n.Leading = 0, 0 },
		"sometimes (60 of 100)":             func(n *tms.NASReport) { n.MessageAuthenticators, n.Leading = 60, 0 },
		"always, 10 as the first attribute": func(n *tms.NASReport) { n.Leading = 10 },
		"":                                  func(n *tms.NASReport) { n.NASSeen = tms.NASSeen{} },
		"sometimes (1 of 100), as the first attribute": func(n *tms.NASReport) { n.MessageAuthenticators, n.Leading = 1, 1 },
	} {
		changed := n
		if change(&changed); protects(&changed) != want {
			t.Errorf("%q, want %q", protects(&changed), want)
		}
	}
	out.Reset()
	if err := a.showNAS(&tms.NASReport{NASSeen: tms.NASSeen{Name: "new"}}); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(), "logins none seen", "to set nothing is known yet: 10 logins tell more")
	out.Reset()
	if err := a.showNAS(&tms.NASReport{NASSeen: tms.NASSeen{Name: "old", Logins: 10}}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "to set                 nothing\n") {
		t.Error(out)
	}
}

func TestTheSettingsOfNASes(t *testing.T) {
	cfg := conf.Defaults()
	cfg.NAS = []conf.NAS{
		{Name: "ras", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("198.51.100.0/24")}, MessageAuthenticator: "off", ReplyMessageAuthenticator: "last", Class: "send"},
		{Name: "vpn", Challenge: true, Excluded: conf.ExcludedDirectoryPassword},
	}
	cfg.Radius.Acct = nil
	want := []tms.NASSettings{
		{Name: "ras", Addresses: []string{"192.0.2.1", "198.51.100.0/24"}, MessageAuthenticator: "off", ReplyMessageAuthenticator: "last", Class: "send"},
		{Name: "vpn", Challenge: true, DirectoryPassword: true},
	}
	if got := nasSettings(cfg); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	cfg.Radius.Acct, cfg.Login.MaxSessions = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1813")}, 1
	cfg.Directories = []conf.Directory{{Timeout: 5 * time.Second}, {Timeout: 3 * time.Second}}
	cfg.TMS.OTPServiceURL, cfg.TMS.Timeout = "https://tms.example.com", 8*time.Second
	if s := nasSettings(cfg)[0]; !s.Accounting || !s.SessionLimits || s.Slowest != 13*time.Second+queueTime {
		t.Errorf("%+v", s)
	}
}
