package storetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"countersign/radiusd/accounting"
)

// sessionsByFilter compares listings by random filters with a plain look at all sessions.
func sessionsByFilter(w *world) {
	random := rand.New(rand.NewPCG(6, 1))
	all := randomSessions(random)
	w.save(all...)
	slices.SortFunc(all, func(a, b accounting.Session) int {
		if c := b.Started.Compare(a.Started); c != 0 {
			return c
		}
		return int(b.ID.Batch) - int(a.ID.Batch)
	})
	for range 400 {
		f := randomSessionFilter(random, all)
		want := choose(all, func(s *accounting.Session) bool { return sessionMeets(s, &f) })
		if f.Limit > 0 && len(want) > f.Limit {
			want = want[:f.Limit]
		}
		got := w.sessions(f)
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			w.Fatalf("%+v: %d sessions, want %d", f, len(got), len(want))
		}
	}
}

// randomSessions are of some users over thirty days, most of them short.
func randomSessions(random *rand.Rand) (all []accounting.Session) {
	for n := range uint64(1500) {
		s := session(n+1, fmt.Sprint("user", random.IntN(30)))
		s.NAS = fmt.Sprint("ras", random.IntN(3))
		s.Started = noon.Add(time.Duration(random.IntN(30*24*60)) * time.Minute)
		s.Heard = s.Started.Add(time.Duration(random.IntN(10*60)) * time.Minute)
		switch random.IntN(20) {
		case 0:
		case 1:
			s.State = accounting.Stale
		default:
			s.State, s.Ended = accounting.Closed, s.Heard
		}
		if random.IntN(40) == 0 {
			s.Heard = s.Started.Add(time.Duration(random.IntN(20*24)) * time.Hour)
			if s.State == accounting.Closed {
				s.Ended = s.Heard
			}
		}
		if random.IntN(2) == 0 {
			s.Login.User, s.Login.Serial = fmt.Sprint("user", random.IntN(30)), fmt.Sprint("T", random.IntN(30))
		} else if random.IntN(2) == 0 {
			s.Login.Rule = fmt.Sprint("rule", random.IntN(4))
		}
		if random.IntN(2) == 0 {
			s.Station, s.Address = fmt.Sprint("station", random.IntN(30)), netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(30))})
		}
		all = append(all, s)
	}
	return all
}

func randomSessionFilter(random *rand.Rand, all []accounting.Session) (f accounting.Filter) {
	one := all[random.IntN(len(all))]
	or := func(n int) bool { return random.IntN(n) == 0 }
	if or(20) {
		f.ID = one.ID
	}
	if or(5) {
		f.User = fmt.Sprint("user", random.IntN(31))
	}
	if or(4) {
		f.NAS = fmt.Sprint("ras", random.IntN(4))
	}
	if or(8) {
		f.Serial = one.Login.Serial
	}
	if or(8) {
		f.Rule = one.Login.Rule
	}
	if or(8) {
		f.Station = one.Station
	}
	if or(8) {
		f.Address = one.Address
	}
	if or(4) {
		f.States = [][]accounting.State{{accounting.Open}, {accounting.Stale, accounting.Open}, {accounting.Closed}, {accounting.Closed, accounting.Open, accounting.Closed}}[random.IntN(4)]
	}
	if or(2) {
		f.From = one.Heard
	}
	if or(3) {
		f.To = one.Heard.Add(time.Duration(random.IntN(600)) * time.Minute)
	}
	if or(3) {
		f.Limit = 1 + random.IntN(300)
	}
	return f
}

// sessionMeets reports whether a session is what a filter wants. Of one that is stale it
// is certain that it was there until it was last heard of.
func sessionMeets(s *accounting.Session, f *accounting.Filter) bool {
	user := s.User
	if s.Login.User != "" {
		user = s.Login.User
	}
	there := f.From.IsZero()
	switch s.State {
	case accounting.Open:
		there = true
	case accounting.Stale:
		there = there || !s.Heard.Before(f.From)
	default:
		there = there || !s.Ended.Before(f.From)
	}
	return there && (f.To.IsZero() || s.Started.Before(f.To)) &&
		(f.ID == accounting.Position{} || s.ID == f.ID) && (f.User == "" || user == f.User) && (f.NAS == "" || s.NAS == f.NAS) &&
		(f.Serial == "" || s.Login.Serial == f.Serial) && (f.Rule == "" || s.Login.Rule == f.Rule) && (f.Station == "" || s.Station == f.Station) &&
		(!f.Address.IsValid() || s.Address == f.Address) && (len(f.States) == 0 || slices.Contains(f.States, s.State))
}
