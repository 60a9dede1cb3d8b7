package main

import (
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
)

// Whoever is on call is told how far off the code was, what else happened, and what to do.
func TestExplainTellsWhatToDo(t *testing.T) {
	in := install(t, "[login]\nmax_failures = 2\n")
	in.alice()
	in.start()
	n := in.nas(in.auth)
	told := func(wants ...string) {
		t.Helper()
		contains(t, in.run("", "explain", "--user", "alice", "--last"), wants...)
	}
	used := passcode(0)
	in.login(n, "alice", used, radius.CodeAccessAccept)
	told("right code, ", "tokens A1, totp: usable", "(this login is about it)", "next nothing is to be done")
	accepted := in.lastEvent()
	in.login(n, "alice", used, radius.CodeAccessReject)
	told("(replayed, token A1", "used code", "see "+accepted, "this very eToken was used", "wait for the next eToken", "sent it again by itself")
	in.login(n, "alice", passcode(14), radius.CodeAccessReject)
	told("(next_code, token A1", "right code, 14 steps early: the token's clock is fast by about 7 minutes", "`countersign token resync A1 CODE NEXT-CODE`")
	in.login(n, "alice", "4711"+strings.Repeat("0", 6), radius.CodeAccessReject)
	told("wrong code, not within 20 steps of A1", "1 of 2 towards its lock")
	in.login(n, "alice", "4711"+strings.Repeat("1", 6), radius.CodeAccessReject)
	told("locked the token", "tokens A1, totp: locked, until ", "`countersign token unlock A1`")
	in.login(n, "alice", "4711"+strings.Repeat("2", 6), radius.CodeAccessReject)
	told("(locked, token A1)", "this one locked A1", "`countersign token unlock A1`")
	in.login(n, "bob", "x", radius.CodeAccessReject)
	contains(t, in.run("", "explain", in.lastEvent()), "`countersign user add bob`")
}

func TestTimeRanges(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local)
	day := time.Date(2026, 5, 3, 0, 0, 0, 0, time.Local)
	for _, test := range []struct {
		from, to   string
		begin, end time.Time
	}{
		{},
		{"2h", "15m", now.Add(-2 * time.Hour), now.Add(-15 * time.Minute)},
		{"7d", "", now.AddDate(0, 0, -7), time.Time{}},
		{"2026-05-03", "2026-05-03", day, day.AddDate(0, 0, 1)},
		{"2026-05-03T18:00", "", day.Add(18 * time.Hour), time.Time{}},
	} {
		begin, end, err := timeRange(test.from, test.to, now)
		if err != nil || !begin.Equal(test.begin) || !end.Equal(test.end) {
			t.Errorf("%+v: %v, %v, %v", test, begin, end, err)
		}
	}
	for want, bounds := range map[string][2]string{
		"--from: time": {"noon", ""}, "--to: time": {"", "noon"}, "--from 1h is not before --to 2h": {"1h", "2h"},
	} {
		if _, _, err := timeRange(bounds[0], bounds[1], now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", bounds, err)
		}
	}
}
