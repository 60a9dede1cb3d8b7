package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"countersign/otp"
	"countersign/tms"
)

// enroller is a victim that invites one user after the other and makes them holders,
// several at once. It says "invited N" and "activated N".
func enroller(s Store) {
	var mu sync.Mutex
	say := func(word string, n int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			word = fmt.Sprint("failed: ", err)
		}
		fmt.Println(word, n)
	}
	first := 0
	_ = s.Mails(context.Background(), tms.Filter{}, func(m *tms.Mail) error {
		var n int
		_, _ = fmt.Sscanf(string(m.User), "user%d", &n)
		first = max(first, n+1)
		return nil
	})
	for i := range enrollers {
		go func() {
			for n := first + i; ; n += enrollers {
				name := fmt.Sprint("user", n)
				say("invited", n, enrolStep(s, name, func(h *tms.Holder) {
					h.Invitation = invitation(name)
					h.Mails = append(h.Mails, tms.Mail{Kind: tms.InvitationMail, Invitation: h.Invitation.ID, To: h.Invitation.Mail, Link: link(name)})
				}))
				say("activated", n, enrolStep(s, name, func(h *tms.Holder) { activate(name, h) }))
			}
		}()
	}
	select {}
}

const enrollers = 8

func enrolStep(s Store, name string, change func(*tms.Holder)) error {
	return s.ChangeHolder(context.Background(), otp.UserName(name), act("enrol", name), func(h *tms.Holder) error {
		change(h)
		return nil
	})
}

// killKeepsHoldersWhole kills a process that enrols. Every change that was answered
// is there, and every other is there whole or not at all.
func killKeepsHoldersWhole(w *world) {
	said := map[string]int{} // by user: 1 invited, 2 activated
	for range 5 {
		w.close()
		w.kill(enrolVictim, 50+rand.IntN(400), func(line string) {
			word, n, _ := strings.Cut(line, " ")
			step := map[string]int{"invited": 1, "activated": 2}[word]
			if step == 0 {
				w.Errorf("the victim said %q", line)
			}
			said["user"+n] = step
		})
		w.open()
		found := w.enrolled()
		for name, step := range said {
			if found[name] < step {
				w.Errorf("%s: step %d was answered, %d is found", name, step, found[name])
			}
		}
	}
	if len(said) < 20 {
		w.Errorf("%d users only", len(said))
	}
}

// enrolled returns how far every user is, and expects that nobody is in between.
func (w *world) enrolled() map[string]int {
	w.Helper()
	acts, mails, found := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range w.events(tms.Filter{}) {
		acts[e.Object]++
	}
	for _, m := range w.mails(tms.Filter{}) {
		mails[string(m.User)]++
	}
	for _, i := range w.invitations(tms.Filter{}) {
		found[string(i.User)] = 1
	}
	w.must(w.store.Users(w.Context(), tms.Filter{}, func(u *tms.User) error {
		name := string(u.Name)
		if found[name] != 0 || len(u.Tokens) != 1 || !u.PIN.Equal(otp.NewPIN([]byte(pin))) {
			w.Errorf("user %+v, invited too: %v", u, found[name] != 0)
		}
		found[name] = 2
		return nil
	}))
	for name, step := range found {
		if acts[name] != step || mails[name] != step {
			w.Errorf("%s: %d acts and %d mails at step %d", name, acts[name], mails[name], step)
		}
		w.isInvited(name, step == 1)
		w.opens(link(name).Hash(), map[bool]string{true: name}[step == 1])
	}
	if len(acts) != len(found) || len(mails) != len(found) {
		w.Errorf("%d users, acts of %d, mails to %d", len(found), len(acts), len(mails))
	}
	return found
}
