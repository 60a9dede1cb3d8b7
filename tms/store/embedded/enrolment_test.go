package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store/tables"
)

func linkOf(name string) tms.Link { return tms.NewLink("PLANTED-LINK-" + name) }

func keyOf(name string) tms.ActivationKey { return tms.NewActivationKey("PLANTED-KEY-" + name) }

// invite invites a user, by mail.
func (k *kit) invite(name string) {
	k.Helper()
	k.must(k.ChangeHolder(context.Background(), otp.UserName(name), tms.Act{At: noon, Verb: "invite"}, func(h *tms.Holder) error {
		h.Invitation = tms.Invitation{
			Exists: true, ID: tms.InvitationID{1}, Key: keyOf(name), Links: []tms.Hash{linkOf(name).Hash()}, PIN: otp.NewPIN([]byte("PLANTED-PIN")),
			Mail: "PLANTED-ADDRESS", Created: noon, Expires: noon.Add(time.Hour), Reminded: true,
			Token: otp.Token{Serial: otp.Serial("NEW-" + name), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed([]byte("PLANTED-SEED"))},
		}
		h.Mails = append(h.Mails, tms.Mail{Kind: tms.InvitationMail, To: "PLANTED-ADDRESS", Link: linkOf(name), Invitation: h.Invitation.ID})
		return nil
	}))
}

// enrolment invites so many users, and returns the box key.
func (k *kit) enrolment(users int) []byte {
	k.Helper()
	for n := range users {
		k.invite(fmt.Sprint("invited", n))
	}
	return k.boxKey()
}

func (k *kit) boxKey() []byte {
	k.Helper()
	key, err := k.BoxKey(context.Background())
	k.must(err)
	return key
}

// opens expects that something opens the invitation of a user, of nobody if the name
// is empty.
func (k *kit) opens(h tms.Hash, name string) {
	k.Helper()
	i, err := k.FindInvitation(context.Background(), h)
	if name == "" && !errors.Is(err, tms.ErrNotFound) || name != "" && err != nil || string(i.User) != name {
		k.Errorf("it opens the invitation of %q, error %v; want that of %q", i.User, err, name)
	}
}

func (k *kit) mails() (mails []tms.Mail) {
	k.Helper()
	k.must(k.Mails(context.Background(), tms.Filter{}, func(m *tms.Mail) error { mails = append(mails, *m); return nil }))
	return mails
}

func (k *kit) invitation(name string) (i tms.Invitation) {
	k.Helper()
	k.must(k.Invitations(context.Background(), tms.Filter{User: otp.UserName(name)}, func(found *tms.Invitation) error { i = *found; return nil }))
	return i
}

// TestEnrolmentIsSealed looks for what was planted in all that is on the disk.
func TestEnrolmentIsSealed(t *testing.T) {
	k := newKit(t)
	box := k.enrolment(3)
	k.must(k.ChangeMail(context.Background(), 1, tms.Act{}, func(m *tms.Mail) error { m.LastError = "PLANTED-ERROR"; return nil }))
	files, err := filepath.Glob(k.options.Path + "*")
	k.must(err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		k.must(err)
		if bytes.Contains(b, []byte("PLANTED")) || bytes.Contains(b, box) {
			t.Errorf("%s has a secret in clear", file)
		}
	}
	for _, v := range []any{k.invitation("invited0"), k.mails()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			printed := fmt.Sprintf(verb, v)
			for _, secret := range []string{"PLANTED-LINK", "PLANTED-KEY", "PLANTED-PIN", "PLANTED-SEED", fmt.Sprintf("%x", "PLANTED-KEY")} {
				if bytes.Contains([]byte(printed), []byte(secret)) {
					t.Errorf("%s prints %s", verb, secret)
				}
			}
		}
	}
}

// TestNoLinkIsMadeInTheFile has somebody who can write the file lead a link of their
// own to the invitation of another, and move sealed values about.
func TestNoLinkIsMadeInTheFile(t *testing.T) {
	k := newKit(t)
	k.enrolment(2)
	own := linkOf("own").Hash()
	k.must(k.do(context.Background(), func() error {
		return k.db.writer.Exec("INSERT INTO opener (hash, invitation_id) VALUES (?, 1)", own[:])
	}))
	k.opens(own, "")
	k.opens(linkOf("invited0").Hash(), "invited0")
	for name, sql := range map[string]string{
		"an invitation moved to another user": "UPDATE invitation SET sealed = (SELECT sealed FROM invitation WHERE id = 1) WHERE id = 2",
		"a mail put in another's place":       "UPDATE mail SET sealed = (SELECT sealed FROM mail WHERE id = 1) WHERE id = 2",
		"another box key":                     "UPDATE meta SET value = x'00' WHERE name = 'box'",
	} {
		k := newKit(t)
		k.enrolment(2)
		k.must(k.Check(context.Background()))
		k.must(k.do(context.Background(), func() error { return k.db.writer.script(sql) }))
		if err := k.Check(context.Background()); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestInvitedAfterFailure has the disk refuse an invitation and the taking back of
// another.
func TestInvitedAfterFailure(t *testing.T) {
	k := newKit(t)
	k.invite("stays")
	k.invite("late")
	for _, change := range []func(h *tms.Holder){
		func(h *tms.Holder) { h.Invitation = tms.Invitation{} },
		func(h *tms.Holder) { h.Invitation.By = "another" },
	} {
		k.must(k.do(context.Background(), k.refuseWrites))
		err := k.ChangeHolder(context.Background(), "stays", tms.Act{At: noon}, func(h *tms.Holder) error { change(h); return nil })
		if err == nil {
			t.Error("the change was written")
		}
		k.awaitReady()
		if !k.Invited([]byte("stays")) || !k.Invited([]byte("late")) || k.invitation("stays").By != "" {
			t.Error("the invitation is gone, or changed")
		}
	}
	k.invite("new")
	c := openKit(t, k.crash())
	for _, name := range []string{"stays", "late", "new"} {
		if !c.Invited([]byte(name)) {
			t.Errorf("%q is not invited after a crash", name)
		}
		c.opens(linkOf(name).Hash(), name)
	}
}

// TestADamagedMailIsLeftOut damages mails, so that the others are listed all the same.
func TestADamagedMailIsLeftOut(t *testing.T) {
	k := newKit(t)
	var said bytes.Buffer
	registry := prometheus.NewPedanticRegistry()
	k.options.Logger, k.options.Registerer = slog.New(slog.NewTextHandler(&said, nil)), registry
	k = k.reopen()
	const users = tables.ListPage + 50
	k.enrolment(users)
	k.must(k.do(context.Background(), func() error { // the last, and a page of them
		return k.db.writer.Exec("UPDATE mail SET sealed = x'00' WHERE id = ? OR id > 20 AND id <= ?", int64(users), int64(20+tables.ListPage))
	}))
	for range 2 {
		mails := k.mails()
		if len(mails) != users-tables.ListPage-1 || mails[19].ID != 20 || mails[20].ID != 20+tables.ListPage+1 {
			t.Errorf("%d mails", len(mails))
		}
	}
	if n := strings.Count(said.String(), "a mail cannot be opened"); n != tables.ListPage+1 || !strings.Contains(said.String(), "mail 21: ") {
		t.Errorf("%d times it is logged: %.300s", n, said.String())
	}
	if got := gather(t, registry)["countersign_store_damaged_mails_total"]; got != tables.ListPage+1 {
		t.Errorf("%v are counted", got)
	}
	if err := k.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "mail 21") {
		t.Errorf("check: %v", err)
	}
}

// vary makes the invitations of so many users, but for some, such to clock tokens, and
// three of them such as there may be: 1 was reminded of, 2 was not yet, 3 was opened.
func (k *kit) vary(users int, events []int) {
	k.Helper()
	for n := range users {
		k.must(k.ChangeHolder(context.Background(), otp.UserName(fmt.Sprint("invited", n)), tms.Act{}, func(h *tms.Holder) error {
			i := &h.Invitation
			switch {
			case n == 7:
				i.Token.Type, i.Token.Algorithm, i.Token.Seed = otp.MobilePASS, oath.SHA256, oath.Seed{}
			case !slices.Contains(events, n):
				i.Token.Type, i.Token.Period = otp.TOTP, 30
			}
			switch n {
			case 1:
				i.Links = append(i.Links, tms.NewLink("the reminder's").Hash())
			case 2:
				i.Reminded = false
			case 3:
				i.Links, i.Opened = nil, noon
			}
			return nil
		}))
	}
}

// TestRestoreVoidsLinks restores a backup in which links are open that were used
// since, and mails wait that were sent.
func TestRestoreVoidsLinks(t *testing.T) {
	k := newKit(t)
	const users = tables.ResealChunk + 1
	box := k.enrolment(users)
	events := []int{0, 7, users - 1}
	k.vary(users, events)
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(context.Background(), backup, nil))
	last := k.mails()[users-1].ID
	k.must(k.Close())
	o := k.options
	o.Clock = func() time.Time { return noon.Add(time.Minute) }
	k.must(Restore(context.Background(), backup, o.Path, o, otp.DefaultPolicy()))
	k = openKit(t, o)
	k.must(k.Check(context.Background()))
	for n := range users {
		name := fmt.Sprint("invited", n)
		k.opens(linkOf(name).Hash(), "")
		if slices.Contains(events, n) { // of which one code would be enough
			k.opens(keyOf(name).Hash(), "")
			if k.invitation(name).Exists || k.Invited([]byte(name)) {
				t.Errorf("%s is still invited to an event token", name)
			}
			continue
		}
		k.opens(keyOf(name).Hash(), name)
		i := k.invitation(name)
		if i.Links != nil || i.Reminded != (n > 2) || !k.Invited([]byte(name)) || !i.Expires.Equal(noon.Add(time.Hour)) {
			t.Errorf("invitation %+v", i)
		}
		if next := i.Token.State.Counter; next <= step(noon.Add(time.Minute)) {
			t.Errorf("a clock token's codes from step %d on are accepted", next)
		}
	}
	if mails := k.mails(); len(mails) > 0 {
		t.Errorf("%d mails wait", len(mails))
	}
	if bytes.Equal(k.boxKey(), box) {
		t.Error("the box has the same key")
	}
	k.invite("another")
	if id := k.mails()[0].ID; id <= last+1000 {
		t.Errorf("mail %d, after %d in the backup and some that were sent since", id, last)
	}
	details := k.restoreDetails()
	if want := []string{"201 mails that waited are dropped", "the links of 0 invitations are void, 1 invitations to event tokens have ended",
		"the links of 198 invitations are void, 2 invitations to event tokens have ended"}; !slices.Equal(details, want) {
		t.Errorf("the journal says %q", details)
	}
}

// restoreDetails is what the journal says of a restore, the newest first.
func (k *kit) restoreDetails() (details []string) {
	k.Helper()
	k.must(k.Events(context.Background(), tms.Filter{}, func(e *tms.Event) error {
		if e.Verb == "store.restore" {
			details = append(details, e.Act.Detail)
		}
		return nil
	}))
	return details
}

// TestInvitedDoesNotAllocate asks as a login does.
func TestInvitedDoesNotAllocate(t *testing.T) {
	k := newKit(t)
	k.invite("alice")
	for name, want := range map[string]bool{"alice": true, "bob": false} {
		user := []byte(name)
		allocations := testing.AllocsPerRun(1000, func() {
			if k.Invited(user) != want {
				t.Errorf("invited %q: %v", name, !want)
			}
		})
		if allocations > strayAllocations {
			t.Errorf("%v allocations", allocations)
		}
	}
}

// BenchmarkEnrolment measures an invitation, the finding of one among a hundred
// thousand, and what a login pays to ask.
func BenchmarkEnrolment(b *testing.B) {
	k := newKit(b)
	const users = 100_000
	for n := range users {
		name := otp.UserName(fmt.Sprint("invited", n))
		link := tms.Hash(sha256.Sum256([]byte(name)))
		k.must(k.ChangeHolder(context.Background(), name, tms.Act{}, func(h *tms.Holder) error {
			token := otp.Token{Serial: otp.Serial(name), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(seed(n))}
			h.Invitation = tms.Invitation{Exists: true, ID: tms.InvitationID{1}, Token: token, Links: []tms.Hash{link}, Mail: "somebody@example.com"}
			return nil
		}))
	}
	b.Run("find", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			if _, err := k.FindInvitation(context.Background(), sha256.Sum256(fmt.Append(nil, "invited", n%users))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			k.must(k.ChangeHolder(context.Background(), otp.UserName(fmt.Sprint("invited", n%users)), tms.Act{At: noon, Verb: "test"}, func(h *tms.Holder) error {
				h.Invitation.Opened = noon.Add(time.Duration(n) * time.Second)
				return nil
			}))
		}
	})
	b.Run("invited", func(b *testing.B) {
		name := []byte("invited50000")
		for b.Loop() {
			k.Invited(name)
		}
	})
}
