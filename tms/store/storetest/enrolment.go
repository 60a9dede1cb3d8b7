package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// changeHolder changes a user with everything that belongs to them.
func (w *world) changeHolder(name string, change func(*tms.Holder)) {
	w.Helper()
	w.must(w.store.ChangeHolder(w.Context(), otp.UserName(name), act("holder.set", name), func(h *tms.Holder) error {
		change(h)
		return nil
	}))
}

// refuseHolder expects a change of a user to fail with an error that wraps want, and
// nothing to be written.
func (w *world) refuseHolder(name string, want error, change func(*tms.Holder)) {
	w.Helper()
	before := w.everything()
	err := w.store.ChangeHolder(w.Context(), otp.UserName(name), act("holder.set", name), func(h *tms.Holder) error {
		change(h)
		return nil
	})
	if !errors.Is(err, want) {
		w.Errorf("error %v, want %v", err, want)
	}
	if after := w.everything(); after != before {
		w.Errorf("of\n%s\nhas become\n%s", before, after)
	}
}

// everything is what the store has, as text to compare.
func (w *world) everything() string {
	w.Helper()
	var text strings.Builder
	w.must(w.store.Users(w.Context(), tms.Filter{}, func(u *tms.User) error {
		fmt.Fprintln(&text, u.Name, u.Disabled, u.Tokens, !u.PIN.IsZero())
		return nil
	}))
	w.must(w.store.Tokens(w.Context(), tms.Filter{}, func(t *tms.Token) error {
		fmt.Fprintln(&text, t.Serial, t.User, t.State)
		return nil
	}))
	for _, i := range w.invitations(tms.Filter{}) {
		fmt.Fprintln(&text, i.User, i.ID, len(i.Links), i.Opened)
	}
	for _, m := range w.mails(tms.Filter{}) {
		fmt.Fprintln(&text, m.ID, m.User, m.Kind, m.Due)
	}
	fmt.Fprint(&text, len(w.events(tms.Filter{})))
	return text.String()
}

// invitation is one with everything that an invitation can have.
func invitation(name string) tms.Invitation {
	token := hotp("NEW-" + name)
	token.State.Counter, token.ValidUntil = 3, noon.Unix()+1000
	i := tms.Invitation{
		Exists: true, Token: token, PIN: otp.NewPIN([]byte(pin)), Key: key(name), Links: []tms.Hash{link(name).Hash(), link("2 " + name).Hash()},
		Mail: name + "@example.com", Local: true, By: "root@test", Created: noon, Expires: noon.Add(time.Hour), Opened: noon.Add(time.Minute), Reminded: true,
		Failures: 7, Mailed: true,
	}
	copy(i.ID[:], "id "+name)
	return i
}

func link(name string) tms.Link { return tms.NewLink("link of " + name) }

func key(name string) tms.ActivationKey { return tms.NewActivationKey("key of " + name) }

func (w *world) invite(name string) {
	w.Helper()
	w.changeHolder(name, func(h *tms.Holder) {
		h.Invitation = invitation(name)
		h.Mails = append(h.Mails, tms.Mail{Kind: tms.InvitationMail, Invitation: h.Invitation.ID, To: h.Invitation.Mail, Link: link(name)})
	})
}

// activate makes the invited token the user's.
func activate(name string, h *tms.Holder) {
	i := h.Invitation
	h.User = tms.User{Exists: true, Name: otp.UserName(name), PIN: i.PIN, Created: noon}
	h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: i.Token, Enrolled: true, Local: i.Local})
	h.Invitation = tms.Invitation{}
	h.Mails = append(h.Mails, tms.Mail{Kind: tms.ActivatedMail, Serial: i.Token.Serial, To: i.Mail})
}

func (w *world) invitations(f tms.Filter) (all []tms.Invitation) {
	w.Helper()
	w.must(w.store.Invitations(w.Context(), f, func(i *tms.Invitation) error { all = append(all, *i); return nil }))
	return all
}

func (w *world) mails(f tms.Filter) (all []tms.Mail) {
	w.Helper()
	w.must(w.store.Mails(w.Context(), f, func(m *tms.Mail) error { all = append(all, *m); return nil }))
	return all
}

// opens expects that something opens the invitation of a user, of nobody if the name
// is empty.
func (w *world) opens(h tms.Hash, name string) {
	w.Helper()
	i, err := w.store.FindInvitation(w.Context(), h)
	if name == "" && !errors.Is(err, tms.ErrNotFound) || name != "" && err != nil || string(i.User) != name {
		w.Errorf("it opens the invitation of %q, error %v; want that of %q", i.User, err, name)
	}
}

// isInvited expects whether a user has an invitation, wherever one looks.
func (w *world) isInvited(name string, want bool) {
	w.Helper()
	listed := w.invitations(tms.Filter{User: otp.UserName(name)})
	if got := w.store.Invited([]byte(name)); got != want || len(listed) > 0 != want {
		w.Errorf("invited %q: %v, %d are listed, want %v", name, got, len(listed), want)
	}
}

func invitationIsKept(w *world) {
	w.invite("alice")
	w.invite("bob")
	want := invitation("alice")
	want.User = "alice"
	for range 2 {
		w.isInvited("alice", true)
		w.isInvited("carol", false)
		if w.user("alice").Exists {
			w.Error("there is a user already")
		}
		got := w.invitations(tms.Filter{User: "alice"})[0]
		if !sameInvitation(&got, &want) {
			w.Errorf("got %+v\nwant %+v", got, want)
		}
		for _, h := range []tms.Hash{link("alice").Hash(), link("2 alice").Hash(), key("alice").Hash()} {
			w.opens(h, "alice")
		}
		w.opens(link("bob").Hash(), "bob")
		w.opens(link("carol").Hash(), "")
		w.opens(tms.NewActivationKey("").Hash(), "")
		w.reopen()
	}
	w.changeHolder("alice", func(h *tms.Holder) {
		if !sameInvitation(&h.Invitation, &want) {
			w.Errorf("a change sees %+v", h.Invitation)
		}
		h.Invitation.Links = nil
	})
	w.opens(link("alice").Hash(), "")
	w.opens(key("alice").Hash(), "alice")
	w.changeHolder("alice", func(h *tms.Holder) {
		h.Invitation = invitation("alice2")
		h.Invitation.Token.Type, h.Invitation.Token.Seed = otp.MobilePASS, hotp("").Seed
	})
	w.opens(key("alice").Hash(), "")
	w.opens(key("alice2").Hash(), "alice")
	w.changeHolder("alice", func(h *tms.Holder) { h.Invitation = tms.Invitation{} })
	w.isInvited("alice", false)
	w.opens(key("alice2").Hash(), "")
	w.isInvited("bob", true)
}

func sameInvitation(a, b *tms.Invitation) bool {
	x, y := *a, *b
	if !x.Token.Seed.Equal(y.Token.Seed) || !x.PIN.Equal(y.PIN) || x.Key.Reveal() != y.Key.Reveal() || !slices.Equal(x.Links, y.Links) {
		return false
	}
	for _, i := range []*tms.Invitation{&x, &y} {
		i.Token.Seed, i.PIN, i.Key, i.Links = hotp("").Seed, otp.PIN{}, tms.ActivationKey{}, nil
	}
	x.Token.Seed = y.Token.Seed
	return x.Token == y.Token && x.ID == y.ID && x.User == y.User && x.Mail == y.Mail && x.By == y.By && x.Exists == y.Exists &&
		x.Created.Equal(y.Created) && x.Expires.Equal(y.Expires) && x.Opened.Equal(y.Opened) && x.Reminded == y.Reminded &&
		x.Local == y.Local && x.Failures == y.Failures && x.Mailed == y.Mailed
}

func invitationIsTakenUp(w *world) {
	w.invite("alice")
	token := invitation("alice").Token
	w.expect(otp.UnknownUser, "alice", pin+code(token, 3))
	w.changeHolder("alice", func(h *tms.Holder) { activate("alice", h) })
	for range 2 {
		w.isInvited("alice", false)
		w.opens(link("alice").Hash(), "")
		w.opens(key("alice").Hash(), "")
		counter := w.token(token.Serial).State.Counter
		w.expect(otp.Replayed, "alice", pin+code(token, counter-1))
		w.expect(otp.Accepted, "alice", pin+code(token, counter))
		if t := w.token(token.Serial); !t.Enrolled || !t.Local || t.User != "alice" || t.ValidUntil != token.ValidUntil || !t.Created.Equal(noon) {
			w.Errorf("token %+v", t)
		}
		w.reopen()
	}
	if acts := w.events(tms.Filter{User: "alice"}); len(acts) != 2+1+4 || acts[len(acts)-1].Verb != "holder.set" {
		w.Errorf("%d events", len(acts))
	}
}

// holderIsChanged changes everything of a user at once, and again.
func holderIsChanged(w *world) {
	stays, goes, spare := hotp("STAYS"), hotp("GOES"), hotp("SPARE")
	w.addUser("alice", stays, goes, spare)
	w.expect(otp.Accepted, "alice", pin+code(stays, 4))
	since := noon.Add(-time.Hour)
	w.changeHolder("alice", func(h *tms.Holder) {
		if len(h.Tokens) != 3 || h.Tokens[0].State.Counter != 5 || !h.User.PIN.Equal(otp.NewPIN([]byte(pin))) || h.User.Tokens != nil {
			w.Errorf("the change sees %+v", h)
		}
		h.User.PIN, h.User.Unentitled = otp.NewPIN([]byte("new PIN")), since
		h.Tokens[0].State.Counter = 20
		h.Tokens[1].Exists = false
		h.Tokens[2].User, h.Tokens[2].Disabled = "", true
		h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: hotp("NEW")}, tms.Token{Token: hotp("NEVER")})
	})
	w.reopen()
	w.changeUser("alice", func(u *tms.User) { *u = tms.User{Exists: true, PIN: u.PIN} })
	w.changeHolder("alice", func(h *tms.Holder) {
		if len(h.Tokens) != 2 || !h.User.Unentitled.Equal(since) {
			w.Errorf("the next change sees %+v", h)
		}
		h.User.Unentitled = time.Time{}
	})
	w.changeHolder("alice", func(h *tms.Holder) {
		if !h.User.Unentitled.IsZero() {
			w.Errorf("the last change sees %+v", h)
		}
	})
	w.expect(otp.Replayed, "alice", "new PIN"+code(stays, 19))
	w.expect(otp.Accepted, "alice", "new PIN"+code(stays, 20))
	w.expect(otp.Accepted, "alice", "new PIN"+code(hotp("NEW"), 0))
	w.expect(otp.WrongCode, "alice", "new PIN"+code(goes, 0))
	if t := w.token("SPARE"); t.User != "" || !t.Disabled || w.token("GOES").Exists || w.token("NEVER").Exists {
		w.Errorf("the spare token is %+v", t)
	}
	w.changeHolder("alice", func(h *tms.Holder) { h.User.Exists = false; h.Tokens[1].Exists = false })
	if w.token("STAYS").User != "" || w.token("NEW").Exists || w.user("alice").Exists {
		w.Error("the user was not removed, or too much was")
	}
	w.expect(otp.UnknownUser, "alice", "new PIN"+code(stays, 21))
}

func refusedHolders(w *world) {
	w.addUser("alice", hotp("T1"))
	w.addUser("bob", hotp("T2"))
	w.invite("alice")
	add := func(serial string) func(*tms.Holder) {
		return func(h *tms.Holder) {
			h.User.PIN, h.Invitation = otp.PIN{}, tms.Invitation{}
			h.Mails = append(h.Mails, tms.Mail{To: "alice@example.com"})
			h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: hotp(serial)})
		}
	}
	w.refuseHolder("alice", tms.ErrExists, add("T2"))
	w.refuseHolder("alice", tms.ErrExists, add("T1"))
	w.refuseHolder("nobody", tms.ErrNotFound, add("T3"))
	w.refuseHolder("alice", tms.ErrInvalid, add(""))
	w.refuseHolder("", tms.ErrInvalid, add("T3"))
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens = nil })
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens[0].Serial = "T3" })
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens[0].User = "bob" })
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens[0].Codes = 1 })
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Invitation.ID = tms.InvitationID{} })
	w.refuseHolder("alice", tms.ErrInvalid, func(h *tms.Holder) { h.Invitation.Token.Serial = "" })
	w.refuseHolder("nobody", nil, func(h *tms.Holder) { h.User.Disabled = true })
	no := errors.New("no")
	before := w.everything()
	err := w.store.ChangeHolder(w.Context(), "alice", act("holder.set", "alice"), func(h *tms.Holder) error { add("T3")(h); return no })
	if err != no || w.everything() != before {
		w.Errorf("error %v, want the one of the change", err)
	}
	w.isInvited("alice", true)
	w.isInvited("nobody", false)
	w.changeHolder("bob", func(h *tms.Holder) { // as many as one may have, when one goes at the same time
		h.Tokens[0].Exists = false
		for i := range otp.MaxTokens {
			h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: hotp(fmt.Sprint("B", i))})
		}
	})
	w.refuseHolder("bob", tms.ErrTooMany, add("T3"))
	w.expect(otp.Accepted, "bob", pin+code(hotp("B31"), 0))
}

// quietActs changes without a record.
func quietActs(w *world) {
	w.addUser("alice", hotp("T1"))
	before := len(w.events(tms.Filter{}))
	w.must(w.store.ChangeHolder(w.Context(), "alice", tms.Act{At: noon}, func(h *tms.Holder) error {
		h.Invitation = invitation("alice")
		h.Tokens[0].State.Counter = 9
		h.Mails = append(h.Mails, tms.Mail{To: "alice@example.com"})
		return nil
	}))
	id := w.mails(tms.Filter{})[0].ID
	w.must(w.store.ChangeMail(w.Context(), id, tms.Act{At: noon}, func(m *tms.Mail) error { m.Tries = 7; return nil }))
	w.reopen()
	w.isInvited("alice", true)
	if m := w.mails(tms.Filter{})[0]; m.Tries != 7 || !m.Due.Equal(noon) || m.User != "alice" {
		w.Errorf("mail %+v", m)
	}
	if after := len(w.events(tms.Filter{})); after != before {
		w.Errorf("%d events have become %d", before, after)
	}
	w.expect(otp.Replayed, "alice", pin+code(hotp("T1"), 8))
	w.expect(otp.Accepted, "alice", pin+code(hotp("T1"), 9))
}

func removedUserIsNotInvited(w *world) {
	for name, remove := range map[string]func(){
		"alice": func() { w.changeUser("alice", func(u *tms.User) { u.Exists = false }) },
		"bob":   func() { w.changeHolder("bob", func(h *tms.Holder) { h.User.Exists = false }) },
	} {
		w.addUser(name)
		w.invite(name)
		remove()
		for range 2 {
			w.isInvited(name, false)
			w.opens(link(name).Hash(), "")
			w.opens(key(name).Hash(), "")
			w.reopen()
		}
	}
}

func invitationsAreListed(w *world) {
	const users = 600
	var names []string
	for n := range users {
		names = append(names, fmt.Sprintf("user%04d", n*7919%users))
		w.must(w.store.ChangeHolder(w.Context(), otp.UserName(names[n]), tms.Act{}, func(h *tms.Holder) error {
			h.Invitation = invitation(names[n])
			return nil
		}))
	}
	slices.Sort(names)
	for _, test := range []struct {
		filter tms.Filter
		want   []string
	}{
		{tms.Filter{}, names},
		{tms.Filter{Limit: 300}, names[:300]},
		{tms.Filter{User: "user0599"}, names[599:]},
		{tms.Filter{User: "user"}, nil},
		{tms.Filter{Serial: "NEW-user0598"}, names[598:599]},
	} {
		var got []string
		for _, i := range w.invitations(test.filter) {
			got = append(got, string(i.User))
		}
		if !slices.Equal(got, test.want) {
			w.Errorf("%+v: %d invitations, want %d", test.filter, len(got), len(test.want))
		}
	}
	stop := errors.New("stop")
	if err := w.store.Invitations(w.Context(), tms.Filter{}, func(*tms.Invitation) error { return stop }); err != stop {
		w.Errorf("error %v, want that of the callback", err)
	}
}

// lostTokensStay has tokens that were lost hold their place, until their user is gone.
func lostTokensStay(w *world) {
	const all, two = 8, 4 // of the combinations of Enrolled, Local and Revoked; the users
	mark := func(n int, t *tms.Token) {
		t.Enrolled, t.Local, t.Revoked = n&1 != 0, n&2 != 0, n&4 != 0
		t.Lost, t.Disabled = true, true
	}
	for n := range all {
		user := fmt.Sprint("user", n%two)
		if n < two {
			w.addUser(user)
		}
		w.addToken(user, hotp(fmt.Sprint("T", n)))
		w.changeToken(otp.Serial(fmt.Sprint("T", n)), func(t *tms.Token) { mark(n, t) })
	}
	w.reopen()
	for n := range all {
		got := w.token(otp.Serial(fmt.Sprint("T", n)))
		want := got
		if mark(n, &want); got != want || got.User == "" {
			w.Errorf("token %+v", got)
		}
	}
	open := attempt("user0", pin+code(hotp("T0"), 0)) // a gateway that asks only who holds a token for a code
	open.WithoutToken = otp.Excluded
	if verdict, err := w.verifier.Verify(w.Context(), open); verdict != otp.NoToken || err != nil {
		w.Errorf("%v, %v", verdict, err)
	}
	w.changeHolder("user0", func(h *tms.Holder) { h.Tokens[0].User, h.Tokens[0].Lost = "", false })
	w.changeUser("user1", func(u *tms.User) { u.Exists = false })
	w.changeHolder("user2", func(h *tms.Holder) { h.User.Exists = false })
	w.changeToken("T3", func(t *tms.Token) { t.Lost, t.Disabled = false, false })
	w.reopen()
	for n := range all {
		lost := n == 4 || n == 7
		if t := w.token(otp.Serial(fmt.Sprint("T", n))); t.Lost != lost || t.Revoked != lost || (t.User == "") != (n%4 == 1 || n%4 == 2 || n == 0) || t.Disabled != (n != 3) {
			w.Errorf("token %+v", t)
		}
	}
	w.expect(otp.Accepted, "user3", pin+code(hotp("T3"), 0))
	w.refuseHolder("user3", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens[0].Lost = true })
	w.refuseHolder("user3", tms.ErrInvalid, func(h *tms.Holder) { h.Tokens[1].Lost = false })
}

// listsOfCodes logs in by codes from lists, and by tokens of which the time is over.
func listsOfCodes(w *world) {
	list, over := hotp("LIST"), hotp("OVER")
	list.Type, list.Codes, list.ValidFrom, list.ValidUntil = otp.CodeList, 3, noon.Unix()-1, noon.Unix()+1
	over.ValidUntil = noon.Unix()
	w.addUser("alice", list)
	w.addUser("bob", over)
	w.must(errors.Join(w.importOne("carol", list), w.importOne("dave", over)))
	for range 2 {
		for name, serial := range map[string]otp.Serial{"alice": "LIST", "carol": "carol"} {
			counter := w.token(serial).State.Counter
			w.expect(otp.Accepted, name, pin+code(list, counter))
			w.expect(otp.Replayed, name, pin+code(list, counter))
			w.expect(otp.WrongCode, name, pin+code(list, 3))
			if t := w.token(serial); t.Type != list.Type || t.Codes != 3 || t.ValidFrom != list.ValidFrom || t.ValidUntil != list.ValidUntil {
				w.Errorf("token %+v", t)
			}
		}
		w.expect(otp.TokenExpired, "bob", pin+code(over, 0))
		w.expect(otp.TokenExpired, "dave", pin+code(over, 0))
		w.reopen()
	}
}

// importOne imports a user with a copy of a token, which gets the user's name as its
// serial.
func (w *world) importOne(name string, token otp.Token) error {
	token.Serial = otp.Serial(name)
	more := true
	_, err := w.store.Import(w.Context(), act("user.import", ""), func() (tms.User, tms.Token, bool, error) {
		defer func() { more = false }()
		return tms.User{Exists: true, Name: otp.UserName(name), PIN: otp.NewPIN([]byte(pin))}, tms.Token{Exists: true, Token: token}, more, nil
	})
	return err
}
