package enrol

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// The directory says nothing of the user: then nobody knows their address either.
func TestDirectoryAwayDuringTheDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.begin("alice")
		k.people.answer(exclusions.Unavailable)
		a := k.asked("alice")
		a.Dialog, a.Typed = p.Dialog, []byte("4711")
		if _, err := k.Answer(k.Context(), a); err == nil {
			t.Error("the dialog went on")
		}
	})
}

func TestStoreAwayDuringTheDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.answer("alice", k.begin("alice"), "4711")
		k.store.setBroken(true)
		a := k.asked("alice")
		a.Dialog, a.Typed = p.Dialog, []byte("4711")
		if _, err := k.Answer(k.Context(), a); err == nil || strings.Contains(err.Error(), "4711") {
			t.Errorf("the error is %v", err)
		}
		if _, err := k.Begin(k.Context(), k.asked("alice")); err == nil {
			t.Error("a dialog began")
		}
		k.store.setBroken(false)
		k.want(k.answer("alice", p, "4711"), otp.Enrolling, "e-mail")
	})
}

// An invitation that came to nothing is none of those of the day.
func TestStoreAwayWhileInviting(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 1
		p := k.answer("alice", k.begin("alice"), "4711")
		k.store.noWrites.Store(true)
		a := k.asked("alice")
		a.Dialog, a.Typed = p.Dialog, []byte("4711")
		if _, err := k.Answer(k.Context(), a); err == nil || strings.Contains(err.Error(), "4711") {
			t.Errorf("the error is %v", err)
		}
		k.store.noWrites.Store(false)
		k.after(sameDialog)
		k.invite("alice", "4711")
		k.wantMails(tms.InvitationMail)
	})
}

func TestTooManyMails(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 2
		p := k.invite("alice", "4711")
		p = k.answer("alice", p, "new")
		p = k.answer("alice", k.answer("alice", p, "4711"), "4711")
		k.want(k.answer("alice", p, "new"), otp.EnrolmentRefused, "several e-mails today")
		// The last one may still be taken up, now and later.
		k.want(k.answer("alice", p, "x"), otp.Enrolling)
		p = k.begin("alice")
		k.want(p, otp.Enrolling, "An e-mail was sent")
		k.after(24 * time.Hour)
		p = k.answer("alice", k.begin("alice"), "new")
		k.want(p, otp.Enrolling, "Choose")
	})
}

// An invitation in the place of another is another mail, whatever its ID, and however
// many dialogs ask for it.
func TestTooManyMailsByManyDialogs(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 3
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("9876"))})
		k.must(err)
		defer k.run(k.Enrolment)()
		var dialogs []Prompt
		for range 20 {
			dialogs = append(dialogs, k.begin("alice"))
		}
		for round := range 2 {
			var group sync.WaitGroup
			for i, p := range dialogs {
				if p.Dialog == nil {
					continue
				}
				group.Go(func() {
					a := k.asked("alice")
					a.Dialog, a.Typed = p.Dialog, []byte("new")
					var err error
					if dialogs[i], err = k.Answer(k.Context(), a); err != nil {
						t.Error(round, err)
					}
				})
			}
			group.Wait()
			k.after(time.Second)
		}
		if n := len(k.post.letters()); n == 0 || n > k.settings.MaxMails {
			t.Errorf("%d letters, of %d at most", n, k.settings.MaxMails)
		}
		if len(k.Enrolment.mails.users["alice"]) != k.settings.MaxMails {
			t.Errorf("%d mails are counted", len(k.Enrolment.mails.users["alice"]))
		}
	})
}

// Dialogs lead to IDs that were there before: what they make is another mail.
func TestTooManyMailsByTwoDialogs(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 5
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("9876"))})
		k.must(err)
		defer k.run(k.Enrolment)()
		first := k.begin("alice")
		second := k.answer("alice", first, "new")
		for range 10 {
			for _, p := range []Prompt{second, first} {
				k.answer("alice", p, "new")
				k.after(time.Second)
			}
		}
		if n := len(k.post.letters()); n > k.settings.MaxMails || n < k.settings.MaxMails-1 { // one may be replaced before it is sent
			t.Errorf("%d letters, of %d at most", n, k.settings.MaxMails)
		}
	})
}

// Steps that are repeated at once are one mail, also when it is the last of the day.
func TestTheLastMailOfTheDay(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 1
		p := k.answer("alice", k.begin("alice"), "4711")
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				a := k.asked("alice")
				a.Dialog, a.Typed = p.Dialog, []byte("4711")
				next, err := k.Answer(k.Context(), a)
				if err != nil || next.Verdict != otp.Enrolling {
					t.Error(next.Verdict, err)
				}
			})
		}
		group.Wait()
		k.wantMails(tms.InvitationMail)
		// Of two nodes at once, one sends it, and for the other it is none.
		k.people.add("carol", "carol@example.com")
		p = k.answer("carol", k.begin("carol"), "4711")
		other := k.node()
		k.store.changing = func() { k.want(k.answer("carol", p, "4711"), otp.Enrolling) }
		a := k.asked("carol")
		a.Dialog, a.Typed = p.Dialog, []byte("4711")
		if next, err := other.Answer(k.Context(), a); err != nil || next.Verdict != otp.Enrolling || len(other.mails.users) != 0 {
			t.Error(next.Verdict, err, other.mails.users)
		}
		k.wantMails(tms.InvitationMail, tms.InvitationMail)
	})
}

// Wrong first codes are counted over all dialogs, and at last the right one is not
// looked at either.
func TestTooManyCodes(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		for i := range codeTries {
			p := k.begin("alice")
			wrong := "4711" + strings.Repeat(string(rune('0'+i)), 6)
			k.want(k.answer("alice", p, wrong), otp.Enrolling)
			k.want(k.answer("alice", p, wrong), otp.Enrolling) // is not another
		}
		right := "4711" + k.code("alice", 0)
		k.want(k.answer("alice", k.begin("alice"), right), otp.EnrolmentRefused, "a quarter of an hour")
		k.after(codeTime)
		k.want(k.answer("alice", k.begin("alice"), "471"+k.code("alice", 0)), otp.Enrolling)
		k.want(k.answer("alice", k.begin("alice"), "4711"+k.code("alice", 0)), otp.Undecided)
		if k.codes.users["alice"] != nil || k.logins.users["alice"] != nil {
			t.Error("what was wrong before counts still")
		}
	})
}

// activate shows a passcode at a gateway, as a login and not in a dialog.
func (k *kit) activate(user otp.UserName, passcode string) otp.FirstCode {
	k.Helper()
	found, err := k.Activate(k.Context(), user, "vpn", otp.NewPasscode([]byte(passcode)))
	k.must(err)
	return found
}

// Who knows no password can neither keep users from the end of their dialogs, nor from
// the first code of a login by what cannot be one.
func TestStrangersGuess(t *testing.T) {
	inKit(t, func(k *kit) {
		k.people.add("carol", "carol@example.com")
		last := k.invite("alice", "4711")
		k.invite("carol", "4711")
		for i := range 3 * codeTries {
			for _, user := range []otp.UserName{"alice", "carol"} {
				for _, junk := range []string{"guess%d", "secret", "12345", "4711%06dx", ""} {
					if strings.Contains(junk, "%") {
						junk = fmt.Sprintf(junk, i)
					}
					k.activate(user, junk)
				}
			}
		}
		if k.activate("carol", "4711"+k.code("carol", 0)) != otp.Shown {
			t.Error("what cannot be a code was counted")
		}
		for i := range 3 * codeTries {
			k.activate("alice", fmt.Sprintf("4711%06d", i))
		}
		right := "4711" + k.code("alice", 0)
		if k.activate("alice", right) != otp.NotShown {
			t.Error("guesses have no end")
		}
		k.want(k.answer("alice", last, right), otp.Undecided)
	})
}

// Who has the token and guesses at the PIN ends the invitation. What was typed then
// is still no password.
func TestWhoHasTheTokenGuesses(t *testing.T) {
	inKit(t, func(k *kit) {
		k.people.add("carol", "carol@example.com")
		p := k.invite("alice", "4711")
		k.invite("carol", "4711")
		last := otp.DefaultPolicy().MaxFailures - 1
		for i := range last {
			if i == codeTries-1 {
				k.after(codeTime)
				p = k.begin("alice")
			}
			for _, user := range []otp.UserName{"alice", "carol"} {
				if found := k.activate(user, fmt.Sprintf("99%02d%s", i, k.code(user, 0))); found != otp.WrongFirstPIN {
					t.Fatalf("%d: %d", i, found)
				}
			}
		}
		if !k.Invited([]byte("alice")) || !k.Invited([]byte("carol")) {
			t.Fatal("the invitation ended early")
		}
		k.want(k.answer("alice", p, "9999"+k.code("alice", 0)), otp.EnrolmentRefused, "Too many wrong answers")
		k.after(codeTime)
		if found := k.activate("carol", "9999"+k.code("carol", 0)); found != otp.WrongFirstPIN {
			t.Errorf("the last one: %d", found)
		}
		if k.Invited([]byte("alice")) || k.Invited([]byte("carol")) {
			t.Error("the invitation did not end")
		}
	})
}

// The first code of the token in the place of one that was lost, of a user who has
// codes on paper too.
func TestFirstCodeAfterALoss(t *testing.T) {
	inKit(t, func(k *kit) {
		k.holder("alice")
		_, err := k.service.CreateRecoveryCodes(k.Context(), administrator, "alice")
		k.must(err)
		for _, token := range k.tokens("alice") {
			if token.Type != otp.CodeList {
				_, err = k.service.LoseToken(k.Context(), administrator, string(token.Serial))
				k.must(err)
			}
		}
		right := "4711" + k.code("alice", 0)
		if found := k.activate("alice", right); found != otp.Shown {
			t.Errorf("the first code: %d", found)
		}
		if got := k.login("alice", right); got != otp.Accepted {
			t.Errorf("the login is %v", got)
		}
		if n := k.usable("alice"); n != 2 {
			t.Errorf("%d tokens", n)
		}
	})
}

// A guess that comes again within a minute is not another. Later it may be right, so
// it is one.
func TestTheSameGuessAgain(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		looks := 0
		for range 2 * codeTries {
			_, tooMany, err := k.tryCode(k.Context(), callerAt("vpn"), k.codes, "alice", otp.NewPasscode([]byte("4711000000")))
			k.must(err)
			if !tooMany {
				looks++
			}
			k.after(40 * time.Second)
		}
		if looks != 2*codeTries {
			t.Errorf("%d looks", looks)
		}
		if _, tooMany, err := k.tryCode(k.Context(), callerAt("vpn"), k.codes, "alice", otp.NewPasscode([]byte("4711000001"))); err != nil || !tooMany {
			t.Error("a guess at new codes was not counted", err)
		}
		k.after(codeTime)
		for range codeTries + 1 {
			if k.activate("alice", "4711000000"); len(k.logins.users["alice"]) != 1 {
				t.Fatal("a retransmission is another guess")
			}
		}
	})
}

func TestActivateWithoutDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		activate := func(user otp.UserName, passcode string) bool {
			return k.activate(user, passcode) == otp.Shown
		}
		if activate("alice", "4711000000") {
			t.Error("nobody is invited")
		}
		k.invite("alice", "4711")
		if activate("alice", "4711000000") || activate("alice", "Passw0rd") {
			t.Error("that was not right")
		}
		if found := k.activate("alice", "4711"+k.code("alice", 5)); found != otp.OutOfStep {
			t.Errorf("a code that is out of step: %d", found)
		}
		if found := k.activate("alice", "4712"+k.code("alice", 0)); found != otp.WrongFirstPIN {
			t.Errorf("a right code with a wrong PIN: %d", found)
		}
		right := "4711" + k.code("alice", 0)
		k.store.setBroken(true)
		if _, err := k.Activate(k.Context(), "alice", "vpn", otp.NewPasscode([]byte(right))); err == nil || strings.Contains(err.Error(), right) {
			t.Errorf("the error is %v", err)
		}
		k.store.setBroken(false)
		if !activate("alice", right) || activate("alice", right) {
			t.Error("it was right, once")
		}
		if got := k.login("alice", right); got != otp.Accepted {
			t.Errorf("the login is %v", got)
		}
	})
}

func TestDialogOver(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.begin("alice")
		k.after(k.settings.DialogTime - time.Second)
		k.want(k.answer("alice", p, "4711"), otp.Enrolling)
		k.after(time.Second)
		k.want(k.answer("alice", p, "4711"), otp.EnrolmentRefused, "too long")
	})
}

func TestInvitationOverDuringTheDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		k.policy.Valid = 5 * time.Minute
		p := k.invite("alice", "4711")
		k.after(5 * time.Minute)
		k.want(k.answer("alice", p, "4711000000"), otp.EnrolmentRefused, "log in again")
	})
}

func TestJunkDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.begin("alice")
		for _, junk := range []string{"", "x", string(p.Dialog[1:]), string(p.Dialog) + "4711", "\x09" + string(p.Dialog[1:])} {
			k.want(k.answer("alice", Prompt{Dialog: []byte(junk)}, "4711"), otp.EnrolmentRefused)
		}
	})
}

func TestClockOfTheDevice(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.invite("alice", "4711")
		p = k.answer("alice", p, "4711"+k.code("alice", 10))
		k.want(p, otp.Enrolling, "clock of your device")
		k.want(k.answer("alice", p, "4711"+k.code("alice", 0)), otp.Undecided)
	})
}

// The token was activated at the page while the dialog waited.
func TestActivatedElsewhere(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.invite("alice", "4711")
		i := k.invitation("alice")
		_, err := k.service.Activate(k.Context(), administrator, tms.Activation{User: "alice", ID: i.ID, Code: k.code("alice", 0)})
		k.must(err)
		k.want(k.answer("alice", p, "4711000000"), otp.Undecided)
		if p, err := k.Answer(context.Background(), Asked{
			Identity: k.asked("alice").Identity, NAS: "vpn", Challenge: true, Dialog: p.Dialog, Typed: []byte("new"),
		}); err != nil || p.Verdict != otp.Undecided {
			t.Errorf("who holds a token gets no other here: %v %v", p.Verdict, err)
		}
	})
}

// A list of codes that is over is no token, one that is not is for the verifier.
func TestCodesFromTheHelpdesk(t *testing.T) {
	inKit(t, func(k *kit) {
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("9876"))})
		k.must(err)
		p := k.begin("alice")
		codes, err := k.service.CreateTemporaryCodes(k.Context(), administrator, "alice", 1, time.Minute)
		k.must(err)
		k.want(k.answer("alice", p, "9876"+codes.List[0]), otp.Undecided)
		k.after(2 * time.Minute)
		k.want(k.answer("alice", p, "9876"+codes.List[0]), otp.Enrolling, "not right")
	})
}

func TestRestartDuringTheDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.begin("alice")
		for _, typed := range []string{"4711", "4711", "wrong", ""} {
			k.Enrolment = k.node()
			if typed == "" {
				typed = "4711" + k.code("alice", 0)
			}
			p = k.answer("alice", p, typed)
		}
		k.want(p, otp.Undecided)
		k.wantMails(tms.ActivatedMail, tms.InvitationMail)
	})
}

func TestSeedFileDialog(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Style = SeedFileStyle
		p := k.invite("alice", "4711")
		i := k.invitation("alice")
		keys := "Activation Key: " + i.Key.Reveal() + " Token Serial: " + string(i.Token.Serial)
		k.want(p, otp.Enrolling, "a...e@example.com", keys, "OTP PIN and the eToken", `"new"`)
		k.want(k.answer("alice", p, "x"), otp.Enrolling, "not right", keys)
		k.want(k.begin("alice"), otp.Enrolling, keys)
		if p := k.beginPlain("alice"); strings.Contains(p.Message, i.Key.Reveal()) {
			t.Error("the key is in a Reject")
		}
	})
}

func TestMobilePASS(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Style = SeedFileStyle
		k.policy.Token.Type = "mobilepass"
		p := k.invite("alice", "4711")
		if strings.Contains(p.Message, "Activation Key") {
			t.Errorf("there is no seed yet: %q", p.Message)
		}
		k.want(k.answer("alice", p, "4711000000"), otp.Enrolling, "not right")
	})
}

func TestGerman(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Language = "de"
		p := k.begin("alice")
		k.want(p, otp.Enrolling, "Wählen Sie vier beliebige Ziffern als OTP-PIN.")
		p = k.answer("alice", k.answer("alice", p, "4711"), "4711")
		k.want(p, otp.Enrolling, "Am 01.01.2000 ging eine E-Mail an a...e@example.com. Folgen Sie ihr, und geben Sie dann OTP-PIN und eToken ein.", `"neu"`)
		k.want(k.answer("alice", p, "Neu"), otp.Enrolling, "Wählen")
		k.want(k.beginPlain("alice"), otp.Invited, "melden Sie sich dann mit OTP-PIN und eToken an.")
	})
}
