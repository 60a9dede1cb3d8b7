package tms

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// settings are those of a NAS as they come, at a server with accounting.
func settings(change func(*NASSettings)) NASSettings {
	s := NASSettings{
		Name: "ras", Addresses: []string{"192.0.2.1"}, MessageAuthenticator: "auto", ReplyMessageAuthenticator: "first", Class: "auto", Accounting: true,
	}
	if change != nil {
		change(&s)
	}
	return s
}

// seen is a NAS that does all as it should, but for what is changed.
func seenNAS(change func(*NASSeen)) NASSeen {
	n := NASSeen{
		Name: "ras", Since: now.Add(-time.Hour), Last: now, Logins: 100, PAP: 100, ASCII: 100,
		MessageAuthenticators: 100, Leading: 100, Accounting: 200, AccountingLast: now,
	}
	if change != nil {
		change(&n)
	}
	return n
}

func requiring(s *NASSettings) { s.MessageAuthenticator = "require" }

// What to set: each line is where, what, and a part of why.
func TestAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		settings func(*NASSettings)
		seen     func(*NASSeen)
		want     []NASAdvice
	}{
		"all is well": {requiring, nil, nil},
		"always a Message-Authenticator": {nil, nil, []NASAdvice{
			{InConfiguration, `message_authenticator = "require"`, "each of 100 logins"},
		}},
		"never one": {nil, func(n *NASSeen) { n.MessageAuthenticators, n.Leading = 0, 0 }, []NASAdvice{
			{InGateway, "Message-Authenticator, after an update if need be", "CVE-2024-3596"},
		}},
		"sometimes one": {nil, func(n *NASSeen) { n.MessageAuthenticators, n.Leading = 60, 0 }, []NASAdvice{
			{InConfiguration, "a [[nas]] for each gateway", "60 of 100 logins carried a Message-Authenticator, and since the first of them those without are refused"},
		}},
		"sometimes, and none is required": {
			func(s *NASSettings) { s.MessageAuthenticator = "off" },
			func(n *NASSeen) { n.MessageAuthenticators, n.Leading = 60, 0 },
			[]NASAdvice{{InConfiguration, "a [[nas]] for each gateway", "60 of 100"}},
		},
		"it was not required before": {requiring, func(n *NASSeen) { n.MessageAuthenticators, n.Leading = 60, 60 }, nil},
		"too few logins to say": {nil, func(n *NASSeen) {
			*n = NASSeen{Logins: 9, PAP: 9, ASCII: 9, Challenges: 9}
		}, nil},
		"replies without": {
			func(s *NASSettings) { requiring(s); s.ReplyMessageAuthenticator = "off" }, nil,
			[]NASAdvice{{InConfiguration, `reply_message_authenticator = "first"`, "can be forged"}},
		},
		"replies with it at the end": {
			func(s *NASSettings) { requiring(s); s.ReplyMessageAuthenticator = "last" }, nil,
			[]NASAdvice{{InConfiguration, `reply_message_authenticator = "first"`, "puts its own first"}},
		},
		"at the end, as its own": {
			func(s *NASSettings) { requiring(s); s.ReplyMessageAuthenticator = "last" },
			func(n *NASSeen) { n.Leading = 0 }, nil,
		},
		"several methods": {requiring, func(n *NASSeen) { n.PAP, n.CHAP, n.MSCHAPv2 = 40, 30, 30 }, []NASAdvice{
			{InGateway, "one authentication protocol, PAP", "it sends PAP, CHAP, MS-CHAPv2"},
		}},
		"MS-CHAPv2 alone": {requiring, func(n *NASSeen) { n.PAP, n.ASCII, n.MSCHAPv2 = 0, 0, 100 }, []NASAdvice{
			{InGateway, "PAP, where possible", "it sends MS-CHAPv2 only"},
		}},
		"CHAP alone, and the directory password is needed": {
			func(s *NASSettings) { requiring(s); s.DirectoryPassword = true },
			func(n *NASSeen) { n.PAP, n.ASCII, n.CHAP = 0, 0, 100 },
			[]NASAdvice{{InGateway, "PAP", `excluded = "directory-password"`}},
		},
		"no password": {requiring, func(n *NASSeen) { n.PAP, n.ASCII, n.NoMethod = 70, 70, 30 }, []NASAdvice{
			{InGateway, "PAP", "30 of 100 logins had no password"},
		}},
		"another shared secret": {nil, func(n *NASSeen) {
			n.MessageAuthenticators, n.Leading, n.ASCII, n.Unreadable = 0, 0, 2, 98
		}, []NASAdvice{
			{InGateway, "its shared secret, or secret in its [[nas]]", "98 of 100 passwords"},
			{InGateway, "Message-Authenticator, after an update if need be", ""},
		}},
		"another charset": {requiring, func(n *NASSeen) { n.ASCII, n.Unreadable = 90, 10 }, []NASAdvice{
			{InGateway, "UTF-8 for passwords", "10 of 100 passwords"},
		}},
		"another charset, and the secret is proven": {requiring, func(n *NASSeen) { n.ASCII, n.Unreadable = 0, 100 }, []NASAdvice{
			{InGateway, "UTF-8 for passwords", "100 of 100 passwords"},
		}},
		"it does not wait": {
			func(s *NASSettings) { requiring(s); s.Slowest = 8 * time.Second },
			func(n *NASSeen) {
				n.Retransmissions, n.Repeated, n.Interval, n.IntervalUsual = 4, 2, 2*time.Second, 3010*time.Millisecond
			},
			[]NASAdvice{{InGateway, "a timeout of at least 9s", "repeats a request after 3s"}},
		},
		"it waits": {
			func(s *NASSettings) { requiring(s); s.Slowest = 8 * time.Second },
			func(n *NASSeen) {
				n.Retransmissions, n.Repeated, n.Interval, n.IntervalUsual = 4, 2, 9*time.Second, 10*time.Second
			}, nil,
		},
		"packets get lost": {requiring, func(n *NASSeen) { n.Retransmissions, n.Repeated, n.Interval = 20, 6, 5*time.Second }, []NASAdvice{
			{InGateway, "the network between it and this server", "6 of 100 logins were repeated, after 5s"},
		}},
		"State is cut": {
			func(s *NASSettings) { requiring(s); s.Challenge = true },
			func(n *NASSeen) { n.Challenges, n.Cut = 5, 3 },
			[]NASAdvice{{InConfiguration, "challenge = false", "of 5 challenges it gave 3 back with the beginning"}},
		},
		"challenges nobody sees": {
			func(s *NASSettings) { requiring(s); s.Challenge = true },
			func(n *NASSeen) { n.Challenges = 10 },
			[]NASAdvice{{InConfiguration, "challenge = false", "none of 10 challenges"}},
		},
		"challenges that were answered": {
			func(s *NASSettings) { requiring(s); s.Challenge = true },
			func(n *NASSeen) { n.Challenges, n.Answered = 10, 1 }, nil,
		},
		"challenges of before": {requiring, func(n *NASSeen) { n.Challenges = 10 }, nil},
		"no accounting": {requiring, func(n *NASSeen) { n.Accounting, n.AccountingLast = 0, time.Time{} }, []NASAdvice{
			{InGateway, "accounting to this server, UDP port 1813, with the same shared secret", "100 logins and no accounting"},
		}},
		"no accounting, and sessions are limited": {
			func(s *NASSettings) { requiring(s); s.SessionLimits = true },
			func(n *NASSeen) { n.Accounting, n.AccountingLast = 0, time.Time{} },
			[]NASAdvice{{InGateway, "accounting to this server, UDP port 1813, with the same shared secret", "max_sessions"}},
		},
		"accounting has ended": {requiring, func(n *NASSeen) { n.AccountingLast = now.Add(-49 * time.Hour) }, []NASAdvice{
			{InGateway, "accounting to this server, UDP port 1813, with the same shared secret", "no accounting since 2026-05-02T11:00:00Z"},
		}},
		"no accounting is wanted": {func(s *NASSettings) { requiring(s); s.Accounting = false }, func(n *NASSeen) { n.Accounting = 0 }, nil},
		"no Class": {func(s *NASSettings) { requiring(s); s.Class = "off" }, nil, []NASAdvice{
			{InConfiguration, `class = "auto"`, "not joined to logins"},
		}},
		"never seen": {nil, func(n *NASSeen) { *n = NASSeen{Name: "ras"} }, []NASAdvice{
			{InConfiguration, "addresses: it has 192.0.2.1", "no login has come from there"},
		}},
		"accounting alone": {nil, func(n *NASSeen) { *n = NASSeen{Last: now, Accounting: 9, AccountingLast: now} }, []NASAdvice{
			{InGateway, "logins to this server, UDP port 1812", "its accounting comes here"},
		}},
		"never seen, and strict": {requiring, func(n *NASSeen) { *n = NASSeen{Name: "ras"} }, []NASAdvice{
			{InConfiguration, "addresses: it has 192.0.2.1", "without a Message-Authenticator is refused"},
		}},
	} {
		s, n := settings(test.settings), seenNAS(test.seen)
		got := AdviseNAS(&s, &n)
		if len(got) != len(test.want) {
			t.Errorf("%s: %d lines of advice, want %d: %q", name, len(got), len(test.want), got)
			continue
		}
		for i, want := range test.want {
			if got[i].Where != want.Where || got[i].Set != want.Set || !strings.Contains(got[i].Why, want.Why) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
}

func TestTheNASReport(t *testing.T) {
	s, _ := serving()
	nothing := func(NASReport) error { return nil }
	wantError(t, s.NASReports(ctx, root, "", nothing), ErrNotFound, "no server runs")
	s.NASes = func() []NASSeen { return []NASSeen{seenNAS(nil), {Name: "of before"}} }
	s.NASSettings = func() []NASSettings {
		return []NASSettings{settings(func(s *NASSettings) { s.Name = "vpn" }), settings(nil)}
	}
	for _, test := range []struct{ name, want string }{
		{"", "vpn 0 1, ras 100 1"}, {"ras", "ras 100 1"}, {"vpn", "vpn 0 1"},
	} {
		var got []string
		err := s.NASReports(ctx, root, test.name, func(r NASReport) error {
			if r.Settings.Name != r.Name {
				t.Errorf("%+v", r)
			}
			got = append(got, fmt.Sprint(r.Name, " ", r.Logins, " ", len(r.Advice)))
			return nil
		})
		if err != nil || strings.Join(got, ", ") != test.want {
			t.Errorf("%q: %v, %v", test.name, got, err)
		}
	}
	wantError(t, s.NASReports(ctx, root, "of before", nothing), ErrNotFound, `NAS "of before"`)
}
