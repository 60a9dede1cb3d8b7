package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// queue queues mails to a user that are due so many seconds after noon.
func (w *world) queue(name string, due ...int) {
	w.Helper()
	w.changeHolder(name, func(h *tms.Holder) {
		for _, seconds := range due {
			h.Mails = append(h.Mails, tms.Mail{
				Kind: tms.LostMail, To: name + "@example.com", Serial: otp.Serial(fmt.Sprint("T", seconds)), Due: noon.Add(time.Duration(seconds) * time.Second),
			})
		}
	})
}

// dues are the seconds after noon at which mails are due.
func (w *world) dues(f tms.Filter) (seconds []int) {
	w.Helper()
	for _, m := range w.mails(f) {
		seconds = append(seconds, int(m.Due.Sub(noon)/time.Second))
	}
	return seconds
}

func mailIsKept(w *world) {
	w.invite("alice")
	want := tms.Mail{
		Exists: true, ID: 1, Kind: tms.InvitationMail, User: "alice", Invitation: invitation("alice").ID, To: "alice@example.com",
		Created: noon, Due: noon,
	}
	for range 2 {
		got := w.mails(tms.Filter{})
		if len(got) != 1 || got[0].Link.Reveal() != link("alice").Reveal() {
			w.Fatalf("mails %+v", got)
		}
		if got[0].Link = (tms.Link{}); !reflect.DeepEqual(got[0], want) {
			w.Errorf("got  %+v\nwant %+v", got[0], want)
		}
		w.reopen()
	}
	w.must(w.store.ChangeMail(w.Context(), 1, act("mail.try", "alice"), func(m *tms.Mail) error {
		m.Tries, m.LastError, m.Due = 3, "no route to host", noon.Add(time.Hour)
		m.ID, m.User, m.Serial, m.To, m.Link = 9, "bob", "T1", "a@example.com", tms.NewLink("another")
		return nil
	}))
	w.reopen()
	m := w.mails(tms.Filter{})[0]
	if m.Tries != 3 || m.LastError != "no route to host" || !m.Due.Equal(noon.Add(time.Hour)) || !m.Created.Equal(noon) {
		w.Errorf("mail %+v", m)
	}
	if m.ID != 1 || m.User != "alice" || m.Serial != "T1" || m.To != "a@example.com" || m.Link.Reveal() != "another" {
		w.Errorf("mail %+v", m)
	}
	if e := w.events(tms.Filter{Limit: 1})[0]; e.Verb != "mail.try" {
		w.Errorf("event %+v", e)
	}
}

func mailsInOrder(w *world) {
	w.queue("alice", 30, 10, 20)
	w.queue("bob", 20, 15)
	if got := w.dues(tms.Filter{}); !slices.Equal(got, []int{10, 15, 20, 20, 30}) {
		w.Errorf("due at %v", got)
	}
	if m := w.mails(tms.Filter{}); m[2].User != "alice" || m[3].User != "bob" {
		w.Error("those that are due together are not in the order of their ids")
	}
	for _, test := range []struct {
		filter tms.Filter
		want   []int
	}{
		{tms.Filter{User: "alice"}, []int{10, 20, 30}},
		{tms.Filter{User: "carol"}, nil},
		{tms.Filter{Limit: 2}, []int{10, 15}},
		{tms.Filter{Serial: "T20"}, []int{20, 20}},
		{tms.Filter{Serial: "T20", User: "bob"}, []int{20}},
	} {
		if got := w.dues(test.filter); !slices.Equal(got, test.want) {
			w.Errorf("%+v: due at %v, want %v", test.filter, got, test.want)
		}
	}
	w.must(w.store.ChangeMail(w.Context(), 2, tms.Act{}, func(m *tms.Mail) error { m.Due = noon.Add(time.Minute); return nil }))
	if got := w.dues(tms.Filter{}); !slices.Equal(got, []int{15, 20, 20, 30, 60}) {
		w.Errorf("after one was put off: due at %v", got)
	}
	var many []int
	for n := range 600 {
		many = append(many, 1000+n*7919%600/3)
	}
	w.queue("carol", many...)
	if got := w.dues(tms.Filter{}); len(got) != 605 || !slices.IsSorted(got) {
		w.Errorf("%d mails, or not in order", len(got))
	}
}

// sentMailIsGone removes mails, whose ids are for nobody else.
func sentMailIsGone(w *world) {
	w.queue("alice", 1, 2)
	send := func(id uint64) error {
		return w.store.ChangeMail(w.Context(), id, tms.Act{}, func(m *tms.Mail) error { m.Exists = false; return nil })
	}
	w.must(errors.Join(send(2), send(1)))
	for _, id := range []uint64{0, 1, 3, 1 << 63} {
		if err := send(id); !errors.Is(err, tms.ErrNotFound) {
			w.Errorf("mail %d: error %v, want %v", id, err, tms.ErrNotFound)
		}
	}
	w.reopen()
	w.queue("bob", 5)
	if m := w.mails(tms.Filter{}); len(m) != 1 || m[0].ID != 3 {
		w.Errorf("mails %+v", m)
	}
	no := errors.New("no")
	err := w.store.ChangeMail(w.Context(), 3, act("mail.send", "bob"), func(m *tms.Mail) error { m.Exists = false; return no })
	if err != no || len(w.mails(tms.Filter{})) != 1 {
		w.Errorf("error %v, want the one of the change", err)
	}
}
