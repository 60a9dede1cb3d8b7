package enrol

import (
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

var administrator = tms.Caller{Name: "root@cli", Administrator: true}

func TestDialogToTheFirstCode(t *testing.T) {
	inKit(t, func(k *kit) {
		k.secrets = append(k.secrets, "pin-83x")
		p := k.begin("alice")
		k.want(p, otp.Enrolling, "Choose any four digits as OTP PIN")
		p = k.answer("alice", p, "pin-83x")
		k.want(p, otp.Enrolling, "once more")
		p = k.answer("alice", p, "pin-83x")
		k.want(p, otp.Enrolling, "a...e@example.com", "1 January 2000", "then enter your OTP PIN and the eToken", `"new"`)
		k.wantMails(tms.InvitationMail)
		if !k.Invited([]byte("alice")) || strings.Contains(p.Message, "Activation Key") {
			t.Errorf("not invited, or the key is shown: %q", p.Message)
		}
		passcode := "pin-83x" + k.code("alice", 0)
		k.want(k.answer("alice", p, passcode), otp.Undecided)
		if got := k.login("alice", passcode); got != otp.Accepted {
			t.Errorf("the login is %v", got)
		}
		if k.Invited([]byte("alice")) {
			t.Error("alice is still invited")
		}
		k.want(k.answer("alice", p, "anything"), otp.Undecided)
		if k.metric("dialogs_total", "invited") != 1 || k.metric("dialogs_total", "activated") != 1 {
			t.Error("the dialog was not counted")
		}
	})
}

// login has the real verifier decide a login.
func (k *kit) login(user, passcode string) otp.Verdict {
	a := &otp.Attempt{User: []byte(user), Passcode: otp.NewPasscode([]byte(passcode)), Method: otp.PAP, NAS: "vpn", At: time.Now()}
	verdict, err := otp.NewVerifier(k.store.Store, otp.DefaultPolicy()).Verify(k.Context(), a)
	k.must(err)
	return verdict
}

func TestPINsThatWillNotDo(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.begin("alice")
		p = k.answer("alice", p, "1234")
		k.want(p, otp.Enrolling, "easily guessed", "Choose any four digits")
		p = k.answer("alice", p, "12")
		k.want(p, otp.Enrolling, "4 to 32 characters", "Choose")
		p = k.answer("alice", p, strings.Repeat("x1", 17))
		k.want(p, otp.Enrolling, "4 to 32 characters")
		p = k.answer("alice", p, "4711")
		p = k.answer("alice", p, "4712")
		k.want(p, otp.Enrolling, "not alike", "Choose")
		p = k.answer("alice", p, "0000")
		k.want(p, otp.EnrolmentRefused, "Too many")
		k.wantMails()
		// Umlauts: 32 characters may have more bytes than a dialog takes.
		p = k.answer("alice", k.begin("alice"), strings.Repeat("ä", 7)+strings.Repeat("ö", 10))
		k.want(p, otp.Enrolling, "4 to 32")
	})
}

func TestUserWithPINIsNotAsked(t *testing.T) {
	inKit(t, func(k *kit) {
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("9876"))})
		k.must(err)
		p := k.begin("alice")
		k.want(p, otp.Enrolling, "a...e@example.com")
		k.want(k.answer("alice", p, "9876"+k.code("alice", 0)), otp.Undecided)
		if got := k.login("alice", "9876000000"); got != otp.WrongCode {
			t.Errorf("the old PIN: %v", got)
		}
	})
}

// The helpdesk gave the user a PIN while the dialog asked for one: that stays.
func TestPINOfTheHelpdesk(t *testing.T) {
	inKit(t, func(k *kit) {
		p := k.answer("alice", k.begin("alice"), "4711")
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("9876"))})
		k.must(err)
		p = k.answer("alice", p, "4711")
		k.want(p, otp.Enrolling, "a...e@example.com")
		k.want(k.answer("alice", p, "9876"+k.code("alice", 0)), otp.Undecided)
	})
}

func TestNoPINAtAll(t *testing.T) {
	inKit(t, func(k *kit) {
		k.policy.NoPIN = true
		p := k.begin("alice")
		k.want(p, otp.Enrolling, "then enter the eToken.")
		k.want(k.answer("alice", p, k.code("alice", 0)), otp.Undecided)
	})
}

func TestAddressThatNobodyKnows(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Domains = []string{"example.com", "Example.ORG"}
		p := k.begin("bob")
		p = k.answer("bob", k.answer("bob", p, "4711"), "4711")
		k.want(p, otp.Enrolling, "Enter your e-mail address")
		if !p.Echo {
			t.Error("an address may be seen when it is typed")
		}
		p = k.answer("bob", p, "bob")
		k.want(p, otp.Enrolling, "no e-mail address")
		p = k.answer("bob", p, "bob@evil.test")
		k.want(p, otp.Enrolling, "@example.com, @Example.ORG")
		k.wantMails()
		p = k.answer("bob", p, " bob@example.org ")
		k.want(p, otp.Enrolling, "b...b@example.org")
		if p.Echo {
			t.Error("a passcode must not be seen")
		}
		k.wantMails(tms.InvitationMail)
		if to := k.mails()[0].To; to != "bob@example.org" {
			t.Errorf("to %s", to)
		}
		// Another address, because that one was a mistake.
		p = k.answer("bob", p, "NEW")
		p = k.answer("bob", k.answer("bob", p, "4711"), "4711")
		k.want(p, otp.Enrolling, "Enter your e-mail address")
		p = k.answer("bob", p, "robert@example.com")
		k.want(p, otp.Enrolling, "r...t@example.com")
	})
}

// Where no domain is named, users say no address, and mails go nowhere else than to
// where the directory or an administrator says.
func TestNoAddressIsAskedFor(t *testing.T) {
	inKit(t, func(k *kit) {
		asked := k.answer("bob", k.answer("bob", k.begin("bob"), "4711"), "4711")
		k.want(asked, otp.Enrolling, "Enter your e-mail address")
		k.settings.Domains = nil
		k.want(k.answer("bob", asked, "bob@example.com"), otp.EnrolmentRefused, "address is not known", "helpdesk")
		// Not only after a PIN was chosen.
		k.want(k.begin("bob"), otp.EnrolmentRefused, "address is not known", "helpdesk")
		// Who was given a link without any address goes on with that.
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "bob", NoMail: true})
		k.must(err)
		k.want(k.begin("bob"), otp.Enrolling, "Choose")
		k.wantMails()
		k.invite("alice", "4711")
		k.wantMails(tms.InvitationMail)
		if k.metric("dialogs_total", "no_address") != 2 {
			t.Error("it was not counted")
		}
	})
}

func TestAddressOfTheAdministratorStays(t *testing.T) {
	inKit(t, func(k *kit) {
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "bob", Mail: "bob@home.test"})
		k.must(err)
		p := k.answer("bob", k.begin("bob"), "4711")
		p = k.answer("bob", p, "4711")
		k.want(p, otp.Enrolling, "b...b@home.test")
		k.wantMails(tms.InvitationMail)
		p = k.answer("bob", p, "new")
		p = k.answer("bob", k.answer("bob", p, "4711"), "4711")
		k.want(p, otp.Enrolling, "b...b@home.test")
		if to := k.mails()[1].To; to != "bob@home.test" {
			t.Errorf("to %s", to)
		}
	})
}

func TestOpenInvitation(t *testing.T) {
	inKit(t, func(k *kit) {
		k.invite("alice", "4711")
		id := k.invitation("alice").ID
		k.after(time.Hour)
		k.want(k.begin("alice"), otp.Enrolling, "An e-mail was sent to a...e@example.com", `"new"`)
		k.want(k.beginPlain("alice"), otp.Invited, "a...e@example.com", "then log in with your OTP PIN and the eToken")
		k.wantMails(tms.InvitationMail)
		if k.invitation("alice").ID != id {
			t.Error("it is another invitation")
		}
	})
}

// Who was invited without a PIN chooses it in the dialog, and nothing else changes.
func TestOpenInvitationWithoutPIN(t *testing.T) {
	inKit(t, func(k *kit) {
		issued, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "alice", NoMail: true, Mail: ""})
		k.must(err)
		before := k.invitation("alice")
		k.want(k.beginPlain("alice"), otp.Invited)
		p := k.begin("alice")
		k.want(p, otp.Enrolling, "Choose")
		p = k.answer("alice", p, "4711")
		twice := p
		p = k.answer("alice", p, "4711")
		k.want(p, otp.Enrolling, "then enter your OTP PIN")
		after := k.invitation("alice")
		if after.ID != before.ID || after.Token.Serial != issued.Serial || string(after.PIN.Bytes()) != "4711" {
			t.Error("more than the PIN has changed, or not that")
		}
		if n := k.count("alice", "invitation.pin"); n != 1 {
			t.Errorf("the PIN was recorded %d times", n)
		}
		k.want(k.answer("alice", twice, "4711"), otp.Enrolling, "then enter")
		if n := k.count("alice", "invitation.pin"); n != 1 {
			t.Errorf("the PIN was recorded %d times", n)
		}
		k.want(k.answer("alice", p, "4711"+k.code("alice", 0)), otp.Undecided)
	})
}

// Who was given the link another way is not told of a mail.
func TestInvitedWithoutMail(t *testing.T) {
	inKit(t, func(k *kit) {
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "alice", NoMail: true})
		k.must(err)
		last := k.answer("alice", k.answer("alice", k.begin("alice"), "4711"), "4711")
		k.want(k.answer("alice", last, "x"), otp.Enrolling, `"new" to get an e-mail`)
		for _, p := range []Prompt{last, k.beginPlain("alice")} {
			if strings.Contains(p.Message, "sent") || !strings.Contains(p.Message, "Use the link that you were given, then") {
				t.Errorf("%q", p.Message)
			}
		}
		k.wantMails()
		p := k.answer("alice", last, "new")
		k.want(k.answer("alice", k.answer("alice", p, "4711"), "4711"), otp.Enrolling, "An e-mail was sent", `"new" for a new e-mail`)
		k.wantMails(tms.InvitationMail)
	})
}

// Who has opened the link and left the page gets another mail where the gateway cannot
// ask, but not at once, and not any number.
func TestLinkOpenedAndLeft(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.MaxMails = 2
		open := func() {
			mails := k.mails()
			_, err := k.service.OpenInvitation(k.Context(), administrator, mails[len(mails)-1].Link)
			k.must(err)
		}
		k.want(k.beginPlain("alice"), otp.Invited, "a...e@example.com")
		first := k.invitation("alice")
		k.after(2 * time.Hour)
		k.want(k.beginPlain("alice"), otp.Invited) // not opened
		open()
		k.after(pageTime)
		k.want(k.beginPlain("alice"), otp.Invited)
		k.wantMails(tms.InvitationMail)
		k.after(time.Second)
		k.begin("alice") // can ask for another
		k.wantMails(tms.InvitationMail)
		var group sync.WaitGroup
		for range 8 {
			a := k.asked("alice")
			a.Challenge = false
			e := k.node()
			group.Go(func() {
				if p, err := e.Begin(k.Context(), a); err != nil || p.Verdict != otp.Invited {
					t.Error(p.Verdict, err)
				}
			})
		}
		group.Wait()
		k.want(k.beginPlain("alice"), otp.Invited, "a...e@example.com")
		k.wantMails(tms.InvitationMail, tms.InvitationMail)
		if second := k.invitation("alice"); second.ID == first.ID || len(second.Links) != 1 {
			t.Error("the link that was used is all there is")
		}
		open()
		k.after(pageTime + time.Second)
		k.want(k.beginPlain("alice"), otp.Invited) // one was made by another node, whose count is its own
		open()
		k.after(pageTime + time.Second)
		k.want(k.beginPlain("alice"), otp.EnrolmentRefused, "several e-mails today")
		k.wantMails(tms.InvitationMail, tms.InvitationMail, tms.InvitationMail)
	})
}

// The verdict is one for all reasons: the log tells them apart.
func TestReasonIsLogged(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Groups = []string{"vpn-users"}
		k.begin("alice")
		k.settings.Groups, k.settings.Domains = nil, nil
		k.begin("bob")
		for _, want := range []string{"user=alice nas=vpn reason=not_entitled", "user=bob nas=vpn reason=no_address"} {
			if strings.Count(k.log.String(), want) != 1 {
				t.Errorf("the log does not say %q once:\n%s", want, k.log.String())
			}
		}
	})
}

func TestNewMail(t *testing.T) {
	inKit(t, func(k *kit) {
		last := k.invite("alice", "4711")
		first := k.invitation("alice")
		p := k.answer("alice", last, " New\n")
		k.want(p, otp.Enrolling, "Choose")
		repeat := k.answer("alice", last, "new")
		for _, p := range []Prompt{p, repeat} {
			p = k.answer("alice", k.answer("alice", p, "5823"), "5823")
			k.want(p, otp.Enrolling, "a...e@example.com")
		}
		k.want(k.answer("alice", last, "new"), otp.Enrolling, "a...e@example.com") // is done
		second := k.invitation("alice")
		if second.ID == first.ID || second.Token.Serial == first.Token.Serial {
			t.Error("it is the old invitation")
		}
		k.wantMails(tms.InvitationMail, tms.InvitationMail)
		stop := k.run(k.Enrolment)
		k.after(time.Second)
		stop()
		k.wantLetters(tms.InvitationMail)
		if k.count("alice", "mail.dropped") != 1 || k.post.letters()[0].Serial != second.Token.Serial {
			t.Errorf("the mail of the void invitation was sent: %q", k.acts("alice"))
		}
	})
}

// Whatever is repeated, one dialog is one mail, also when the repeats come at once
// and at several nodes.
func TestEveryStepRepeated(t *testing.T) {
	inKit(t, func(k *kit) {
		nodes := []*Enrolment{k.Enrolment, k.node(), k.node()}
		repeat := func(do func(e *Enrolment) (Prompt, error)) (p Prompt) {
			var group sync.WaitGroup
			prompts := make([]Prompt, 9)
			for i := range prompts {
				group.Go(func() {
					var err error
					if prompts[i], err = do(nodes[i%3]); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			for _, other := range prompts {
				if other.Verdict != prompts[0].Verdict || other.Message != prompts[0].Message {
					t.Errorf("%v %q and %v %q", prompts[0].Verdict, prompts[0].Message, other.Verdict, other.Message)
				}
			}
			return prompts[0]
		}
		answer := func(p Prompt, typed string) Prompt {
			return repeat(func(e *Enrolment) (Prompt, error) {
				a := k.asked("bob")
				a.Dialog, a.Typed = p.Dialog, []byte(typed)
				return e.Answer(k.Context(), a)
			})
		}
		p := repeat(func(e *Enrolment) (Prompt, error) { return e.Begin(k.Context(), k.asked("bob")) })
		p = answer(answer(answer(p, "4711"), "4711"), "bob@example.com")
		k.want(p, otp.Enrolling, "b...b@example.com")
		k.wantMails(tms.InvitationMail)
		k.want(answer(p, "4711000000"), otp.Enrolling, "not right")
		k.want(answer(p, "4711"+k.code("bob", 0)), otp.Undecided)
		k.wantMails(tms.ActivatedMail, tms.InvitationMail)
		if len(k.tokens("bob")) != 1 {
			t.Error("one token was to be had")
		}
	})
}

func TestGatewayThatCannotAsk(t *testing.T) {
	inKit(t, func(k *kit) {
		var group sync.WaitGroup
		for range 8 {
			e := k.node()
			a := k.asked("alice")
			a.Challenge = false
			group.Go(func() {
				p, err := e.Begin(k.Context(), a)
				if err != nil || p.Verdict != otp.Invited {
					t.Error(p.Verdict, err)
				}
			})
		}
		group.Wait()
		k.wantMails(tms.InvitationMail)
		if i := k.invitation("alice"); !i.PIN.IsZero() {
			t.Error("there is a PIN")
		}
		k.want(k.beginPlain("bob"), otp.EnrolmentRefused, "helpdesk")
		k.people.add("carol", "n/a", "staff")
		k.want(k.beginPlain("carol"), otp.EnrolmentRefused, "address")
	})
}

func TestWhoMayNotEnrol(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Groups = []string{"vpn-users", "cn=vpn,dc=example"}
		k.want(k.begin("alice"), otp.EnrolmentRefused, "group")
		k.people.add("alice", "alice@example.com", "staff", "vpn-users")
		k.want(k.begin("alice"), otp.Enrolling)
		k.want(k.begin("nobody"), otp.EnrolmentRefused)
		k.settings.Groups = nil
		k.want(k.begin("nobody"), otp.EnrolmentRefused)

		// Nor go on with it, once that is so.
		last := k.invite("alice", "4711")
		k.settings.Groups = []string{"others"}
		for _, typed := range []string{"new", "x", "4711" + k.code("alice", 0)} {
			k.want(k.answer("alice", last, typed), otp.EnrolmentRefused, "group")
		}
		if len(k.tokens("alice")) != 0 {
			t.Error("alice holds a token")
		}
		k.settings.Groups = nil
		k.must(k.service.Withdraw(k.Context(), administrator, "alice"))

		disabled := true
		_, err := k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "bob", NoPIN: true})
		k.must(err)
		p := k.begin("bob")
		_, err = k.service.SetUser(k.Context(), administrator, tms.UserChange{Name: "bob", Disabled: &disabled})
		k.must(err)
		k.want(k.answer("bob", p, "4711"), otp.EnrolmentRefused, "helpdesk")
		k.want(k.begin("bob"), otp.EnrolmentRefused, "helpdesk")
		k.wantMails(tms.InvitationMail)
		if k.metric("dialogs_total", "not_entitled") != 6 || k.metric("dialogs_total", "impossible") != 2 {
			t.Error("it was not counted")
		}
	})
}
