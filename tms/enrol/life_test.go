package enrol

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

func TestReminder(t *testing.T) {
	inKit(t, func(k *kit) {
		k.policy.Valid, k.settings.Remind = 3*time.Hour, time.Hour
		defer k.run(k.Enrolment)()
		defer k.run(k.node())()
		k.invite("alice", "4711")
		k.after(2*time.Hour - 2*time.Minute)
		k.wantLetters(tms.InvitationMail)
		k.after(4 * time.Minute)
		k.wantLetters(tms.InvitationMail, tms.ReminderMail)
		if k.metric("invitations_open", "") != 1 {
			t.Error("there is one invitation")
		}
		for _, l := range k.post.letters() {
			if l.Link == "" || l.Expires.IsZero() {
				t.Errorf("%+v", l)
			}
		}
		k.after(time.Hour)
		k.wantLetters(tms.InvitationMail, tms.ReminderMail)
		if k.Invited([]byte("alice")) || k.count("alice", "invitation.expire") != 1 {
			t.Errorf("the invitation is not over: %q", k.acts("alice"))
		}
		if k.metric("invitations_open", "") != 0 {
			t.Error("there is no invitation")
		}
		k.want(k.begin("alice"), otp.Enrolling, "Choose")
	})
}

func TestNoReminder(t *testing.T) {
	inKit(t, func(k *kit) {
		k.policy.Valid, k.settings.Remind = 3*time.Hour, 2*time.Hour
		defer k.run(k.Enrolment)()
		_, err := k.service.Invite(k.Context(), administrator, tms.NewInvitation{User: "bob", NoMail: true})
		k.must(err) // nowhere to send it to
		k.policy.Valid = time.Hour
		k.invite("alice", "4711") // shorter than the time to remind
		k.after(4 * time.Hour)
		k.wantLetters(tms.InvitationMail)
		if k.Invited([]byte("bob")) {
			t.Error("bob's is over")
		}
	})
}

func TestMailsAreCounted(t *testing.T) {
	inKit(t, func(k *kit) {
		k.post.set(ErrRefused, 0)
		defer k.run(k.Enrolment)()
		k.invite("alice", "4711")
		k.after(2 * tendEvery)
		if n := k.metric("mails_waiting", ""); n != 1 {
			t.Errorf("%d mails wait", n)
		}
		if n := k.metric("mails_failed_total", "refused"); n != 1 {
			t.Errorf("%d mails were refused", n)
		}
	})
}

func TestListsThatAreOver(t *testing.T) {
	inKit(t, func(k *kit) {
		k.Users = nil
		k.holder("alice")
		_, err := k.service.CreateTemporaryCodes(k.Context(), administrator, "alice", 3, 2*time.Hour)
		k.must(err)
		_, err = k.service.CreateRecoveryCodes(k.Context(), administrator, "alice")
		k.must(err)
		defer k.census(k.Enrolment)()
		k.after(2*time.Hour - time.Minute)
		if n := len(k.tokens("alice")); n != 3 {
			t.Errorf("%d tokens", n)
		}
		k.after(time.Hour + 2*time.Minute)
		if n := len(k.tokens("alice")); n != 2 {
			t.Errorf("%d tokens", n)
		}
	})
}

func TestEntitlement(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Groups = []string{"staff"}
		k.people.add("carol", "carol@example.com", "staff")
		k.holder("alice")
		k.holder("carol")
		k.must(noError(k.service.AddUser(k.Context(), administrator, tms.NewUser{Name: "local", NoPIN: true})))
		defer k.census(k.Enrolment)()
		k.after(3 * time.Hour)
		if k.count("alice", "user.entitled") != 0 {
			t.Errorf("what is so need not be noted: %q", k.acts("alice"))
		}

		k.people.add("alice", "alice@example.com", "others")
		k.people.remove("carol")
		k.after(2 * time.Hour)
		if k.count("alice", "user.entitled") != 1 || k.count("carol", "user.entitled") != 1 || k.metric("unentitled_users", "") != 2 {
			t.Errorf("%q %q", k.acts("alice"), k.acts("carol"))
		}
		// Back within the grace time.
		k.after(3 * 24 * time.Hour)
		k.people.add("carol", "carol@example.com", "staff")
		k.after(2 * time.Hour)
		if k.count("carol", "user.entitled") != 2 || k.metric("unentitled_users", "") != 1 {
			t.Errorf("%q", k.acts("carol"))
		}
		k.after(4*24*time.Hour - 6*time.Hour)
		if len(k.tokens("alice")) != 1 {
			t.Error("revoked within the grace time")
		}
		k.after(6 * time.Hour)
		if k.usable("alice") != 0 || k.usable("carol") != 1 {
			t.Errorf("alice has %d tokens, carol %d", k.usable("alice"), k.usable("carol"))
		}
		k.after(6 * time.Hour)
		if n := strings.Count(k.log.String(), "enrolled tokens revoked"); n != 1 {
			t.Errorf("the end was logged %d times", n)
		}
		stop := k.run(k.Enrolment)
		k.after(time.Second)
		stop()
		letters := k.post.letters()
		if last := letters[len(letters)-1]; last.Kind != tms.RevokedMail || last.User != "alice" {
			t.Errorf("%+v", last)
		}
		for _, line := range []string{"entitlement to enrolled tokens lost", "entitlement to enrolled tokens is back", "enrolled tokens revoked"} {
			if !strings.Contains(k.log.String(), line) {
				t.Errorf("%q is not in the log:\n%s", line, k.log)
			}
		}
		if n := strings.Count(k.log.String(), "entitlement to enrolled tokens lost"); n != 2 {
			t.Errorf("the loss was logged %d times", n)
		}
	})
}

func noError[T any](_ T, err error) error { return err }

// census runs nothing but that, until the function that it returns is called.
func (k *kit) census(e *Enrolment) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { e.runCensus(ctx) })
	return func() {
		cancel()
		done.Wait()
	}
}

// A user in no directory, whom an administrator has invited, has nothing to lose there.
func TestNoEntitlementOfLocalUsers(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Grace = time.Hour
		admin := tms.Caller{Name: "root@test", Administrator: true}
		k.must(noError(k.service.AddUser(k.Context(), admin, tms.NewUser{Name: "guest", PIN: otp.NewPIN([]byte("4711"))})))
		k.must(noError(k.service.Invite(k.Context(), admin, tms.NewInvitation{User: "guest", NoMail: true})))
		found, err := k.Activate(k.Context(), "guest", "gateway", otp.NewPasscode([]byte("4711"+k.code("guest", 0))))
		if found != otp.Shown || err != nil {
			t.Fatalf("%d, %v", found, err)
		}
		defer k.census(k.Enrolment)()
		k.after(2 * 24 * time.Hour)
		if len(k.tokens("guest")) != 1 || k.count("guest", "user.entitled") != 0 {
			t.Errorf("%q", k.acts("guest"))
		}
	})
}

// A directory that does not answer is never read as "not entitled", however long.
func TestEntitlementWhileTheDirectoryIsAway(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Grace = 24 * time.Hour
		k.holder("alice")
		defer k.census(k.Enrolment)()
		k.after(time.Hour)
		for _, source := range []exclusions.Source{exclusions.Unavailable, exclusions.Stale, exclusions.NotAsked} {
			k.people.answer(source)
			k.people.remove("alice")
			k.after(2 * 24 * time.Hour)
			if len(k.tokens("alice")) != 1 || k.count("alice", "user.entitled") != 0 {
				t.Errorf("%v: %q", source, k.acts("alice"))
			}
		}
		if k.people.asked == 0 {
			t.Error("nobody was asked")
		}
		// Lost, then away: what was noted stays, and nothing is revoked in the dark.
		k.people.answer(exclusions.Fresh)
		k.after(2 * time.Hour)
		k.people.answer(exclusions.Unavailable)
		k.after(2 * 24 * time.Hour)
		if len(k.tokens("alice")) != 1 || k.metric("unentitled_users", "") != 1 {
			t.Error("revoked while the directory was away")
		}
		k.people.add("alice", "alice@example.com")
		k.people.answer(exclusions.Fresh)
		k.after(2 * time.Hour)
		if k.count("alice", "user.entitled") != 2 || len(k.tokens("alice")) != 1 || k.metric("unentitled_users", "") != 0 {
			t.Errorf("%q", k.acts("alice"))
		}
	})
}

// A node that was not there when the entitlement was lost restores it.
func TestEntitlementAfterARestart(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Grace = 24 * time.Hour
		k.holder("alice")
		k.people.remove("alice")
		stop := k.census(k.Enrolment)
		k.after(2 * time.Hour)
		stop()
		k.people.add("alice", "alice@example.com")
		defer k.census(k.node())()
		k.after(2 * 24 * time.Hour)
		if len(k.tokens("alice")) != 1 || k.count("alice", "user.entitled") != 2 {
			t.Errorf("%q", k.acts("alice"))
		}
	})
}

// What could not be noted is tried again, or the next loss of the entitlement would
// count from the last one.
func TestGraceAfterAFaultOfTheStore(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Groups, k.settings.Grace = []string{"staff"}, 24*time.Hour
		k.holder("alice")
		defer k.census(k.Enrolment)()
		k.after(2 * time.Minute)
		k.people.add("alice", "alice@example.com", "others")
		k.after(time.Hour)
		k.people.add("alice", "alice@example.com", "staff")
		k.store.setBroken(true)
		k.after(time.Hour)
		if k.metric("unentitled_users", "") != 1 {
			t.Error("it could not be noted")
		}
		k.store.setBroken(false)
		k.after(2 * 24 * time.Hour)
		k.people.add("alice", "alice@example.com", "others")
		k.after(2 * time.Hour)
		if k.usable("alice") != 1 || k.count("alice", "user.entitled") != 3 {
			t.Errorf("revoked without a time of grace: %q", k.acts("alice"))
		}
	})
}

// So it is when the user held no enrolled token in between.
func TestGraceOfANewHolder(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Grace = 24 * time.Hour
		k.holder("alice")
		defer k.census(k.Enrolment)()
		k.people.remove("alice")
		k.after(2 * time.Hour)
		k.must(k.service.RemoveToken(k.Context(), administrator, string(k.tokens("alice")[0].Serial)))
		k.people.add("alice", "alice@example.com", "staff")
		k.after(2 * time.Hour)
		p := k.begin("alice")
		k.want(k.answer("alice", p, "4711"+k.code("alice", 0)), otp.Undecided)
		k.after(2 * 24 * time.Hour)
		k.people.remove("alice")
		k.after(2 * time.Hour)
		if k.usable("alice") != 1 {
			t.Errorf("revoked without a time of grace: %q", k.acts("alice"))
		}
	})
}

func TestNoGrace(t *testing.T) {
	inKit(t, func(k *kit) {
		k.settings.Grace = 0
		k.holder("alice")
		k.people.remove("alice")
		defer k.census(k.Enrolment)()
		k.after(2 * firstCensus)
		if k.usable("alice") != 0 {
			t.Error("not revoked")
		}
	})
}
