package enrol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/seedfile"
)

func TestMailIsSentAtOnce(t *testing.T) {
	inKit(t, func(k *kit) {
		defer k.run(k.Enrolment)()
		k.after(3 * time.Minute)
		began := time.Now()
		k.invite("alice", "4711")
		i := k.invitation("alice")
		k.after(time.Second)
		k.wantLetters(tms.InvitationMail)
		k.wantMails()
		l := k.post.letters()[0]
		if !k.post.at[0].Equal(began) {
			t.Errorf("sent after %v", k.post.at[0].Sub(began))
		}
		link, found := strings.CutPrefix(l.Link, "https://otp.example.com/activate/")
		if _, err := k.service.OpenInvitation(k.Context(), administrator, tms.NewLink(link)); !found || err != nil {
			t.Error("the link does not open the invitation")
		}
		l.Link = ""
		want := Letter{
			Kind: tms.InvitationMail, ID: "1-" + i.ID.String(), To: "alice@example.com", User: "alice", Serial: i.Token.Serial, Type: "totp",
			SelfServiceURL: "https://otp.example.com/self", Expires: i.Expires, Date: i.Created, PIN: true,
		}
		if fmt.Sprintf("%+v", l) != fmt.Sprintf("%+v", want) {
			t.Errorf("letter %+v\nwant %+v", l, want)
		}
		if acts := k.acts("alice"); !strings.HasPrefix(acts[1], "mail.sent mail=1 kind=invitation to=alice@example.com tries=1 invitation=") {
			t.Errorf("recorded: %q", acts)
		}
		if k.metric("mails_sent_total", "invitation") != 1 {
			t.Error("it was not counted")
		}
	})
}

func TestSeedFileLetter(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Style, k.settings.ClientURL = SeedFileStyle, "https://otp.example.com/TMSService/ClientDownload/"
		for _, inMail := range []bool{false, true} {
			k.settings.KeyInMail = inMail
			_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "alice"})
			k.must(err)
			i := k.invitation("alice")
			stop := k.run(k.Enrolment)
			k.after(time.Second)
			stop()
			letters := k.post.letters()
			l := letters[len(letters)-1]
			if l.ActivationKey.IsZero() == inMail || l.PIN || l.Link == "" || l.ClientURL != k.settings.ClientURL {
				t.Errorf("letter %+v", l)
			}
			if l.SeedFileName != string(i.Token.Serial)+".pskcxml" {
				t.Errorf("seed file %q", l.SeedFileName)
			}
			file, err := seedfile.Open(bytes.NewReader(l.SeedFile), seedfile.Options{Password: seedfile.NewSecret([]byte(i.Key.Reveal()))})
			k.must(err)
			token, err := file.Next()
			k.must(err)
			if token.Serial != i.Token.Serial || !token.Seed.Equal(i.Token.Seed) || token.User != "alice" {
				t.Errorf("token %q in the seed file", token.Serial)
			}
		}
	})
}

// Who was shown the Activation Key at the login is sent no way to it beside the seed
// file. Others need the link.
func TestLinkBesideSeedFile(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Style = SeedFileStyle
		defer k.run(k.Enrolment)()
		k.want(k.invite("alice", "4711"), otp.Enrolling, "Activation Key: "+k.invitation("alice").Key.Reveal())
		k.people.add("carol", "carol@example.com")
		k.want(k.beginPlain("carol"), otp.Invited)
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "bob", Mail: "bob@example.com"})
		k.must(err)
		k.Wake()
		k.after(time.Second)
		links := map[string]bool{}
		for _, l := range k.post.letters() {
			links[string(l.User)] = l.Link != ""
			if len(l.SeedFile) == 0 {
				t.Errorf("%s got no seed file", l.User)
			}
		}
		if fmt.Sprint(links) != "map[alice:false bob:true carol:true]" {
			t.Errorf("links: %v", links)
		}
	})
}

// The mail server is down for ten minutes: the users come on, and each gets one mail.
func TestMailServerDown(t *testing.T) {
	inKit(t, func(k *kit) {
		k.post.set(errors.New("connection refused"), 0)
		stop := k.run(k.Enrolment)
		for i := range 8 {
			user := fmt.Sprintf("user%d", i)
			k.people.add(user, user+"@example.com")
			k.invite(user, "4711")
			k.after(20 * time.Second)
		}
		m := k.mails()[0]
		if m.LastError != "connection refused" || m.Tries < 2 || !m.Due.After(time.Now()) {
			t.Errorf("%+v", m)
		}
		// It was killed, and comes back.
		stop()
		k.after(2 * time.Minute)
		defer k.run(k.node())()
		k.after(10*time.Minute - 160*time.Second - 2*time.Minute)
		k.wantLetters()
		k.post.set(nil, 0)
		k.after(15 * time.Minute)
		letters := map[string]int{}
		for _, l := range k.post.letters() {
			letters[l.To]++
		}
		if len(letters) != 8 || len(k.post.letters()) != 8 {
			t.Errorf("letters %v", letters)
		}
		k.wantMails()
	})
}

// The server is killed between the commit that queued the mail and the sending, and
// while it sends.
func TestKilledBeforeAndWhileSending(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		stop := k.run(k.node())
		k.after(time.Second)
		k.wantLetters(tms.InvitationMail)
		stop()

		k.people.add("carol", "carol@example.com")
		k.invite("carol", "4711")
		o := &outbox{Enrolment: k.node(), sending: k.Context()}
		m, err := o.claim(k.Context(), k.mails()[0].ID)
		k.must(err)
		if letter, err := o.letter(k.Context(), &m); err != nil || k.post.Send(k.Context(), letter) != nil {
			t.Fatal(err)
		}
		defer k.run(k.node())()
		k.after(claimTime - 2*time.Second)
		k.wantLetters(tms.InvitationMail, tms.InvitationMail)
		k.after(5 * time.Second)
		// What was delivered may be delivered twice, and can be told by its ID.
		k.wantLetters(tms.InvitationMail, tms.InvitationMail, tms.InvitationMail)
		if letters := k.post.letters(); letters[1].ID != letters[2].ID || letters[0].ID == letters[1].ID {
			t.Errorf("IDs %s, %s and %s", letters[0].ID, letters[1].ID, letters[2].ID)
		}
		k.wantMails()
	})
}

func TestRefusedMail(t *testing.T) {
	inKit(t, func(k *kit) {
		k.policy.Valid, k.settings.Remind = 3*time.Hour, 0
		k.post.set(fmt.Errorf("550 no such user: %w", ErrRefused), 0)
		defer k.run(k.Enrolment)()
		k.invite("alice", "4711")
		k.after(2 * time.Hour)
		if len(k.post.tries) != 1 {
			t.Errorf("%d tries", len(k.post.tries))
		}
		if m := k.mails()[0]; !strings.HasPrefix(m.LastError, "550 no such user") {
			t.Errorf("%+v", m)
		}
		if !k.Invited([]byte("alice")) || k.count("alice", "mail.refused") != 1 {
			t.Error("the invitation went with the mail")
		}
		k.after(61 * time.Minute)
		k.wantMails()
		if k.count("alice", "mail.dropped") != 1 || k.Invited([]byte("alice")) {
			t.Errorf("%q", k.acts("alice"))
		}
	})
}

// A mail that waits is dropped when what it is about is no more.
func TestMootMails(t *testing.T) {
	inKit(t, func(k *kit) {
		k.people.add("carol", "carol@example.com")
		k.people.add("dave", "dave@example.com")
		k.people.add("eve", "eve@example.com")
		for _, user := range []string{"alice", "carol", "dave", "eve"} {
			if user == "eve" {
				k.policy.Valid = time.Hour
			}
			k.invite(user, "4711")
		}
		k.must(k.service.Withdraw(k.Context(), administrator, "alice")) // gone
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "carol", NoMail: true})
		k.must(err) // another
		for _, m := range k.mails() {
			if m.User == "dave" { // used
				_, err := k.service.OpenInvitation(k.Context(), administrator, m.Link)
				k.must(err)
			}
		}
		k.after(2 * time.Hour) // eve's is over
		defer k.run(k.Enrolment)()
		k.after(time.Minute)
		k.wantLetters()
		k.wantMails()
		for _, user := range []string{"alice", "carol", "dave", "eve"} {
			if k.count(user, "mail.dropped") != 1 {
				t.Errorf("%s: %q", user, k.acts(user))
			}
		}
	})
}

// Who is invited again in the same dialog has another token, and the old mail is about
// that which is no more.
func TestMailOfTheSameDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Style = SeedFileStyle
		k.invite("alice", "4711")
		first := k.invitation("alice")
		k.must(k.service.Withdraw(k.Context(), administrator, "alice"))
		k.invite("alice", "4711")
		second := k.invitation("alice")
		if first.ID != second.ID || first.Token.Serial == second.Token.Serial {
			t.Fatalf("tokens %s and %s of %s and %s", first.Token.Serial, second.Token.Serial, first.ID, second.ID)
		}
		for _, m := range k.mails() {
			serial := second.Token.Serial
			if m.Link.Hash() == first.Links[0] {
				serial = first.Token.Serial
			}
			if m.Serial != serial {
				t.Errorf("mail %d is of %q, want %q", m.ID, m.Serial, serial)
			}
		}
		defer k.run(k.Enrolment)()
		k.after(time.Minute)
		k.wantLetters(tms.InvitationMail)
		if l := k.post.letters()[0]; l.Serial != second.Token.Serial {
			t.Errorf("letter about %s", l.Serial)
		}
		if k.count("alice", "mail.dropped") != 1 {
			t.Errorf("%q", k.acts("alice"))
		}
	})
}

// Nodes that share a store do not send a mail twice.
func TestSeveralNodes(t *testing.T) {
	inKit(t, func(k *kit) {
		const users = 150 // more than are read at a time
		for i := range users {
			user := fmt.Sprintf("user%03d", i)
			_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: user, Mail: user + "@example.com"})
			if errors.Is(err, tms.ErrNotFound) {
				k.people.add(user, "")
				_, err = k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: user, Mail: user + "@example.com"})
			}
			k.must(err)
		}
		k.post.set(nil, 100*time.Millisecond)
		for range 3 {
			defer k.run(k.node())()
		}
		k.after(2 * time.Minute)
		sent := map[string]bool{}
		for _, l := range k.post.letters() {
			sent[l.To] = true
		}
		if len(sent) != users || len(k.post.letters()) != users {
			t.Errorf("%d letters to %d users", len(k.post.letters()), len(sent))
		}
	})
}

// A mail server that hangs blocks no dialog, and a mail that takes long is not sent
// a second time meanwhile.
func TestMailServerHangs(t *testing.T) {
	inKit(t, func(k *kit) {
		k.post.set(nil, -1)
		defer k.run(k.Enrolment)()
		defer k.run(k.node())()
		for i := range senders + 1 {
			user := fmt.Sprintf("user%d", i)
			k.people.add(user, user+"@example.com")
			k.invite(user, "4711")
		}
		began := time.Now()
		k.invite("alice", "4711")
		if d := time.Since(began); d > 0 {
			t.Errorf("the dialog waited %v", d)
		}
		k.after(sendTime - 2*time.Second)
		if len(k.post.tries) != senders+2 {
			t.Errorf("letters were tried: %q", k.post.tries)
		}
		k.after(4 * time.Second)
		if n := k.metric("mails_failed_total", "timeout"); n != senders {
			t.Errorf("%d mails timed out", n)
		}
		k.post.set(nil, 0)
		k.after(2 * time.Hour)
		if n := len(k.post.letters()); n != senders+2 {
			t.Errorf("%d letters", n)
		}
	})
}

func TestEndWhileSending(t *testing.T) {
	inKit(t, func(k *kit) {
		k.people.add("carol", "carol@example.com")
		for user, takes := range map[string]time.Duration{"alice": 2 * time.Second, "carol": -1} {
			k.post.set(nil, takes)
			stop := k.run(k.Enrolment)
			k.invite(user, "4711")
			k.after(time.Second)
			began := time.Now()
			stop()
			if d := time.Since(began); d > endTime {
				t.Errorf("the end took %v", d)
			}
		}
		k.wantLetters(tms.InvitationMail)
		if mails := k.mails(); len(mails) != 1 || mails[0].User != "carol" {
			t.Errorf("%v wait", mails)
		}
		k.post.set(nil, 0)
		defer k.run(k.node())()
		k.after(time.Minute)
		k.wantLetters(tms.InvitationMail, tms.InvitationMail)
	})
}

func TestStoreFailsBehindTheMail(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		k.post.during = func(Letter) { k.store.setBroken(true) }
		defer k.run(k.Enrolment)()
		k.after(2500 * time.Millisecond)
		k.wantLetters(tms.InvitationMail)
		k.wantMails(tms.InvitationMail)
		k.store.setBroken(false)
		k.after(time.Hour)
		k.wantLetters(tms.InvitationMail)
		k.wantMails()
	})
}

func TestStoreFailsBeforeTheMail(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		k.store.setBroken(true)
		defer k.run(k.Enrolment)()
		k.after(time.Minute)
		k.wantLetters()
		k.store.setBroken(false)
		k.after(retryTime)
		k.wantLetters(tms.InvitationMail)
	})
}

// Mail servers tell in their answers what they do not like.
func TestSecretsInAnswersOfTheMailServer(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		link := k.mails()[0].Link.Reveal()
		k.secrets = append(k.secrets, link)
		k.post.set(fmt.Errorf("554 spam:\r\n https://otp.example.com/activate/%s %s", link, strings.Repeat("ä", 400)), 0)
		stop := k.run(k.Enrolment)
		k.after(time.Second)
		stop()
		m := k.mails()[0]
		if strings.Contains(m.LastError, link) || !strings.HasPrefix(m.LastError, "554 spam: https://otp.example.com/activate/[redacted] ä") || len(m.LastError) > maxReason+3 {
			t.Errorf("the reason is %q", m.LastError)
		}
	})
}

// A mail about no invitation is tried for some days.
func TestMailsAboutTokens(t *testing.T) {
	inKit(t, func(k *kit) {
		k.holder("alice")
		serial := k.tokens("alice")[0].Serial
		k.post.set(errors.New("connection refused"), 0)
		for range 2 {
			stop := k.run(k.node())
			k.after(time.Minute)
			k.wantMails(tms.ActivatedMail)
			stop()
			k.after(mailLife / 2)
		}
		defer k.run(k.Enrolment)()
		k.after(time.Minute)
		k.wantMails()
		if k.count("alice", "mail.dropped") != 2 {
			t.Errorf("%q", k.acts("alice"))
		}
		k.post.set(nil, 0)
		_, err := k.service.LoseToken(k.Context(), administrator, string(serial))
		k.must(err)
		k.after(time.Minute)
		letters := k.post.letters()
		if len(letters) != 2 {
			t.Fatalf("%d letters", len(letters))
		}
		for _, l := range letters { // in any order
			lost := l.Kind == tms.LostMail
			if id := fmt.Sprintf("-%d", l.Date.Unix()); lost && !strings.HasSuffix(l.ID, id) {
				t.Errorf("ID %s is that of another store's mail", l.ID)
			}
			if !lost && l.Kind != tms.InvitationMail || (l.Serial == serial) != lost || (l.Link == "") != lost || l.To != "alice@example.com" {
				t.Errorf("%+v", l)
			}
		}
	})
}

func TestRetryTimes(t *testing.T) {
	o := &outbox{Enrolment: &Enrolment{Options: Options{Rand: &ramp{}}}}
	for tries, nominal := range map[int]time.Duration{0: 10 * time.Second, 1: 10 * time.Second, 3: time.Minute, 8: time.Hour, 1000: time.Hour} {
		seen := map[time.Duration]bool{}
		for range 256 {
			d := o.retryAfter(tries)
			seen[d] = true
			if d < nominal*3/4 || d > nominal*5/4 {
				t.Fatalf("try %d: %v", tries, d)
			}
		}
		if len(seen) < 200 {
			t.Errorf("try %d: %d different times", tries, len(seen))
		}
	}
	o.Rand = bytes.NewReader(nil)
	if d := o.retryAfter(1); d != 10*time.Second {
		t.Errorf("without chance %v", d)
	}
}

// ramp is chance that goes through all there is.
type ramp struct {
	mu   sync.Mutex
	next byte
}

func (r *ramp) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b {
		b[i] = r.next
		r.next++
	}
	return len(b), nil
}

func TestWithoutMail(t *testing.T) {
	inKit(t, func(k *kit) {
		e := k.node()
		e.Sender = nil
		k.invite("alice", "4711")
		ctx, cancel := context.WithTimeout(k.Context(), time.Hour)
		defer cancel()
		e.Run(ctx)
		k.wantMails(tms.InvitationMail)
		k.want(k.begin("alice"), otp.Enrolling)
	})
}
