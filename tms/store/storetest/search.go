package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"countersign/otp"
	"countersign/tms"
)

const (
	searchUsers  = 12
	searchNASes  = 4
	searchEvents = 4000
)

// The verdicts of a search, the rare ones last.
var searchVerdicts = []otp.Verdict{otp.Excluded, otp.UnknownUser, otp.DirectoryRefused, otp.TMSDown, otp.TooManySessions}

// searchFindsAll fills a journal and compares searches by random filters with a plain
// look at all events.
func searchFindsAll(w *world) {
	random := rand.New(rand.NewPCG(6, 2))
	w.fill(random)
	all := w.wholeJournal()
	if len(all) < searchEvents {
		w.Fatalf("%d events, want at least %d", len(all), searchEvents)
	}
	for range 3 {
		for range 150 {
			w.compareSearch(randomFilter(random, all), all)
		}
		w.reopen()
		w.settle()
	}
}

// fill has users log in, some at once, and records acts in between.
func (w *world) fill(random *rand.Rand) {
	w.Helper()
	token := make([]otp.Token, searchUsers)
	for i := range token {
		token[i] = hotp(fmt.Sprint("T", i))
		w.addUser(fmt.Sprint("user", i), token[i])
	}
	for at := noon; at.Before(noon.Add(searchEvents * time.Second)); {
		var wg sync.WaitGroup
		for i := range 1 + random.IntN(searchUsers) {
			a := attempt(fmt.Sprint("user", i), pin+"000000")
			a.At, a.NAS = at, fmt.Sprint("nas", random.IntN(searchNASes))
			if n := random.IntN(100); n < 90 {
				a.Preset = searchVerdicts[n*n*n/730_000]
			}
			wg.Go(func() { _, _ = w.verifier.Verify(w.Context(), a) })
			at = at.Add(time.Second)
		}
		wg.Wait()
		if random.IntN(20) == 0 {
			acted := act("user.set", fmt.Sprint([]string{"user", "T"}[random.IntN(2)], random.IntN(searchUsers)))
			acted.At = at
			w.must(w.store.Record(w.Context(), acted))
		}
	}
}

// wholeJournal is all events, the newest first, listed from the other end.
func (w *world) wholeJournal() (all []tms.Event) {
	w.Helper()
	after := otp.EventID{}
	for before := -1; before < len(all); {
		before = len(all)
		w.must(w.store.EventsAfter(w.Context(), after, 1000, func(e *tms.Event) error {
			if !older(after, e.ID) {
				w.Errorf("event %v comes after %v", e.ID, after)
			}
			all, after = append(all, *e), e.ID
			return nil
		}))
	}
	if last, err := w.store.LastEvent(w.Context()); last != after || err != nil {
		w.Errorf("the last event is %v, error %v, want %v", last, err, after)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// randomFilter is a filter that some of the events may meet.
func randomFilter(random *rand.Rand, all []tms.Event) (f tms.Filter) {
	one := func() *tms.Event { return &all[random.IntN(len(all))] }
	if random.IntN(3) == 0 {
		f.User = otp.UserName(fmt.Sprint("user", random.IntN(searchUsers+2))) // two of them nobody has
	}
	if random.IntN(4) == 0 {
		f.Serial = otp.Serial(fmt.Sprint("T", random.IntN(searchUsers+1)))
	}
	if random.IntN(3) == 0 {
		f.NAS = fmt.Sprint("nas", random.IntN(searchNASes+1))
	}
	if random.IntN(3) == 0 {
		f.Verdict = []otp.Verdict{one().Decision.Verdict, otp.WrongCode, otp.TooManySessions}[random.IntN(3)]
	}
	if random.IntN(3) == 0 {
		f.From = one().At
	}
	if random.IntN(3) == 0 {
		f.To = one().At
	}
	if random.IntN(3) == 0 {
		f.Before = one().ID
	}
	if random.IntN(2) == 0 {
		f.Limit = 1 + random.IntN(60)
	}
	f.Differing = random.IntN(20) == 0
	return f
}

// compareSearch compares what a filter finds with what it has to.
func (w *world) compareSearch(f tms.Filter, all []tms.Event) {
	w.Helper()
	var want []tms.Event
	for _, e := range all {
		if meets(&e, &f) && (f.Limit == 0 || len(want) < f.Limit) {
			want = append(want, e)
		}
	}
	got := w.events(f)
	if len(got) != len(want) {
		w.Fatalf("%+v: %d events, want %d", f, len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			w.Fatalf("%+v: event %d\ngot  %+v\nwant %+v", f, i, got[i], want[i])
		}
	}
}

// meets reports whether an event is what a filter wants.
func meets(e *tms.Event, f *tms.Filter) bool {
	is := func(wanted, login string) bool {
		return wanted == "" || e.Kind == tms.LoginEvent && login == wanted || e.Kind == tms.ActEvent && e.Object == wanted
	}
	return is(string(f.User), e.User) && is(string(f.Serial), string(e.Decision.Serial)) &&
		(f.NAS == "" || e.NAS == f.NAS) && (f.Verdict == 0 || e.Decision.Verdict == f.Verdict) &&
		(f.From.IsZero() || !e.At.Before(f.From)) && (f.To.IsZero() || e.At.Before(f.To)) &&
		(f.Before == otp.EventID{} || older(e.ID, f.Before)) &&
		(!f.Differing || e.Decision.Own != 0 && e.Decision.Own.Accepts() != e.Decision.Verdict.Accepts())
}

// prunedSearch searches when the older half of the journal is gone.
func prunedSearch(w *world) {
	random := rand.New(rand.NewPCG(6, 3))
	w.fill(random)
	w.reopen() // only what is in the tables, and signed, can be removed
	w.settle()
	w.fillMore(random)
	if _, err := w.store.Prune(w.Context(), noon.Add(2*searchEvents*time.Second), math.MaxInt64, act("audit.prune", "")); err != nil {
		w.Fatal(err)
	}
	all := w.wholeJournal()
	if len(all) < searchEvents/4 || len(all) > searchEvents/2 {
		w.Fatalf("%d events are left", len(all))
	}
	for range 2 {
		for range 100 {
			w.compareSearch(randomFilter(random, all), all)
		}
		w.settle()
	}
}

// fillMore records logins after the others.
func (w *world) fillMore(random *rand.Rand) {
	w.Helper()
	for i := range searchEvents / 4 {
		a := attempt(fmt.Sprint("user", random.IntN(searchUsers)), "")
		a.At, a.NAS = noon.Add(time.Duration(2*searchEvents+i)*time.Second), fmt.Sprint("nas", random.IntN(searchNASes))
		a.Preset = searchVerdicts[random.IntN(len(searchVerdicts))]
		if _, err := w.verifier.Verify(w.Context(), a); err != nil {
			w.Fatal(err)
		}
	}
}

func eventsAfterAnother(w *world) {
	if last, err := w.store.LastEvent(w.Context()); last != (otp.EventID{}) || err != nil {
		w.Errorf("the last event of an empty journal is %v, error %v", last, err)
	}
	token := hotp("T1")
	w.addUser("alice", token)
	for n := range uint64(8) {
		w.expect(otp.Accepted, "alice", pin+code(token, n))
	}
	all := w.wholeJournal() // the newest first
	for i, e := range all {
		for _, most := range []int{0, 1, 3, 100} {
			var got []otp.EventID
			w.must(w.store.EventsAfter(w.Context(), e.ID, most, func(e *tms.Event) error { got = append(got, e.ID); return nil }))
			var want []otp.EventID
			for j := i - 1; j >= 0 && len(want) < most; j-- {
				want = append(want, all[j].ID)
			}
			if !reflect.DeepEqual(got, want) {
				w.Errorf("after %v up to %d: %v, want %v", e.ID, most, got, want)
			}
		}
	}
}
