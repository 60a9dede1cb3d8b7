package main

import (
	"context"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/console"
)

func TestLinesOfEvents(t *testing.T) {
	at := time.Date(2026, 5, 4, 12, 0, 0, 7_000_000, time.Local)
	login := console.EventView{
		ID: "17-3", At: at, Kind: "login", User: "alice", NAS: "ras", Station: "192.0.2.7", Method: "pap", Verdict: "wrong_code", Serial: "A1", Offset: -4, Rule: "printers",
	}
	accepted, asked := login, login
	accepted.Verdict, asked.Verdict = "accepted", "next_code"
	nasty := console.EventView{ID: "17-4", At: at, Kind: "login", User: "a\x1b[2Jb", NAS: "ras", Station: "x\ny", Method: "chap", Verdict: "bad_user_name"}
	act := console.EventView{ID: "17-5", At: at, Kind: "act", Actor: "root@socket", Verb: "token.unlock", Object: "A1"}
	old := console.EventView{ID: "17-6", At: at, Kind: "accounting", NAS: "ras", Source: "192.0.2.1"}
	for want, test := range map[string]struct {
		event  console.EventView
		colour bool
	}{
		"12:00:00.007  wrong_code          alice  at ras  from 192.0.2.7  pap  token A1  offset -4, rule printers  17-3":                {login, false},
		"12:00:00.007  \x1b[31mwrong_code        \x1b[0m  alice  at ras  from 192.0.2.7  pap  token A1  offset -4, rule printers  17-3": {login, true},
		"12:00:00.007  \x1b[32maccepted          \x1b[0m  alice  at ras  from 192.0.2.7  pap  token A1  offset -4, rule printers  17-3": {accepted, true},
		"12:00:00.007  \x1b[33mnext_code         \x1b[0m  alice  at ras  from 192.0.2.7  pap  token A1  offset -4, rule printers  17-3": {asked, true},
		`12:00:00.007  bad_user_name       "a\x1b[2Jb"  at ras  from "x\ny"  chap  17-4`:                                                {nasty, false},
		"12:00:00.007  token.unlock        A1  by root@socket  17-5":                                                                    {act, false},
		"12:00:00.007  accounting          at ras  from 192.0.2.1  17-6":                                                                {old, false},
	} {
		if got := watchLine(&test.event, test.colour); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
}

// Every verdict has a colour, and green is what was let in.
func TestColours(t *testing.T) {
	for _, v := range otp.Verdicts() {
		if line := watchLine(&console.EventView{Verdict: v.String(), User: "alice"}, false); strings.Index(line, "alice") != 34 {
			t.Errorf("%q is shifted", line)
		}
		if got := colourOf(&console.EventView{Kind: "login", Verdict: v.String()}); (got == green) != v.Accepts() {
			t.Errorf("%v: %q", v, got)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if coloured(os.Stdout) {
		t.Error("colours against NO_COLOR")
	}
}

// events is a journal of some events.
type events struct {
	journal
	all []tms.Event
}

func (e events) EventsAfter(_ context.Context, after otp.EventID, most int, each func(*tms.Event) error) error {
	for i := range e.all {
		if e.all[i].ID.Batch <= after.Batch || i >= most {
			continue
		}
		if err := each(&e.all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e events) LastEvent(context.Context) (otp.EventID, error) { return e.all[len(e.all)-1].ID, nil }

func TestMessagesForSyslog(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	feed := syslogFeed{events{all: []tms.Event{
		{ID: otp.EventID{Batch: 1}, At: at, Kind: tms.LoginEvent, Login: tms.Login{User: "alice", NAS: "ras", Station: "s\x00", Decision: otp.Decision{Verdict: otp.Accepted, Serial: "A1", Offset: -1, Repeated: true}}},
		{ID: otp.EventID{Batch: 2, Index: 3}, At: at, Kind: tms.ActEvent, Act: tms.Act{Actor: "root@cli", Verb: "user.add", Object: "bob", Detail: "d"}},
		{ID: otp.EventID{Batch: 3}, At: at, Kind: tms.LoginEvent, Login: tms.Login{User: "bob", NAS: "ras", Decision: otp.Decision{Verdict: otp.WrongCode, Serial: "B1", LockedNow: true}}},
	}}}
	var got []audit.Message
	err := feed.After(context.Background(), audit.Place{}, 10, func(m *audit.Message) error {
		got = append(got, *m)
		return nil
	})
	want := []audit.Message{
		{Place: audit.Place{Batch: 1}, At: at, Severity: audit.SeverityInformational, ID: "login", Text: `accepted: alice, at ras, from "s\x00", pap, token A1, offset -1, repeated`, Params: []audit.Param{
			{Name: "event", Value: "1-0"}, {Name: "verdict", Value: "accepted"}, {Name: "user", Value: "alice"}, {Name: "nas", Value: "ras"}, {Name: "station", Value: "s\x00"},
			{Name: "method", Value: "pap"}, {Name: "serial", Value: "A1"}, {Name: "offset", Value: "-1"}, {Name: "repeated", Value: "true"},
		}},
		{Place: audit.Place{Batch: 2, Index: 3}, At: at, Severity: audit.SeverityNotice, ID: "act", Text: "user.add: bob, by root@cli, d", Params: []audit.Param{
			{Name: "event", Value: "2-3"}, {Name: "actor", Value: "root@cli"}, {Name: "verb", Value: "user.add"}, {Name: "object", Value: "bob"}, {Name: "detail", Value: "d"},
		}},
		{Place: audit.Place{Batch: 3}, At: at, Severity: audit.SeverityWarning, ID: "login", Text: "wrong_code: bob, at ras, pap, token B1, token locked", Params: []audit.Param{
			{Name: "event", Value: "3-0"}, {Name: "verdict", Value: "wrong_code"}, {Name: "user", Value: "bob"}, {Name: "nas", Value: "ras"},
			{Name: "method", Value: "pap"}, {Name: "serial", Value: "B1"}, {Name: "locked_now", Value: "true"},
		}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v\n%v", got, want, err)
	}
	if last, err := feed.Last(context.Background()); err != nil || last != (audit.Place{Batch: 3}) {
		t.Errorf("%v, %v", last, err)
	}
}

func TestSeverities(t *testing.T) {
	severity := func(d otp.Decision) audit.Severity {
		return severityOf(&tms.Event{Kind: tms.LoginEvent, Login: tms.Login{Decision: d}})
	}
	for _, v := range otp.Verdicts() {
		got := severity(otp.Decision{Verdict: v})
		if got == 0 || (got == audit.SeverityInformational) != (v.Accepts() || onTheWay[v.String()] && v != otp.NextCode) {
			t.Errorf("%v: %d", v, got)
		}
	}
	for want, d := range map[audit.Severity]otp.Decision{
		audit.SeverityError: {Verdict: otp.TMSDown}, audit.SeverityNotice: {Verdict: otp.WrongCode}, audit.SeverityWarning: {Verdict: otp.WrongCode, LockedNow: true},
	} {
		if got := severity(d); got != want {
			t.Errorf("%+v: %d, want %d", d, got, want)
		}
	}
}

// A watch tells of logins as they happen, and ends with the server. Where none runs there
// is nothing to watch.
func TestWatch(t *testing.T) {
	in := install(t, "")
	if out, status := in.try("", "watch"); status != 1 || !strings.Contains(out, "nothing to watch") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	in.alice("--type", "hotp")
	in.start()
	w := in.converse(program(t), "--config", in.config, "watch", "--acts")
	n := in.nas(in.auth)
	// It tells of what happens once it watches, which is when it tells of something.
	heard := false
	in.await("the watch to begin", func() bool {
		in.run("", "audit", "checkpoint")
		heard = heard || strings.Contains(w.said.String(), "audit.checkpoint")
		return heard
	})
	in.login(n, "alice", eventPasscode(0), radius.CodeAccessAccept)
	w.hears("accepted            alice  at loopback")
	in.login(n, "alice", "4711000000", radius.CodeAccessReject)
	if news := w.hears("wrong_code"); strings.Contains(news, "\x1b") {
		t.Errorf("colours, and no terminal: %q", news)
	}
	in.stop()
	w.hears("the server has stopped")
}

// Commands that advice names are there, with their flags.
func TestCommandsOfAdviceExist(t *testing.T) {
	source, err := os.ReadFile("../../tms/advice.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile("`countersign ([^`]+)`").FindAllStringSubmatch(string(source), -1) {
		words := strings.Fields(m[1])
		a := &app{out: new(strings.Builder), err: new(strings.Builder)}
		command, rest, err := a.root().Find(words)
		if err != nil || !command.Runnable() || command.HasSubCommands() && len(rest) > 0 {
			t.Errorf("%s: %v", m[0], err)
			continue
		}
		found++
		for _, word := range words {
			if name, ok := strings.CutPrefix(word, "--"); ok && command.Flags().Lookup(name) == nil {
				t.Errorf("%s: %s has no flag --%s", m[0], command.CommandPath(), name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands", found)
	}
}
