package radiusd

import (
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// TestWhoIsOfTheTMS: by user, group, NAS, and where nothing says so.
func TestWhoIsOfTheTMS(t *testing.T) {
	people := newDirectory(person("alice", "tms"), person("bob", "tms", "pilot"), person("carol"))
	b, o := behind(t, func(o *Options, c *NASConfig) {
		c.Order, o.Users = otp.LocalOnly, people
		o.Rules = &Rules{
			OfTMS: compile(t, []exclusions.Rule{rule("of", criterion(exclusions.Groups, "tms"))}),
			Orders: compile(t, []exclusions.Rule{
				rule("pilot", criterion(exclusions.Groups, "pilot")),
				rule("far", criterion(exclusions.ClientIPs, "198.51.100.0/24")),
			}),
			Order: []otp.Order{otp.LocalThenTMS, otp.TMSOnly},
		}
	})
	b.wantVerdict(pap(1, "Alice", passcodeAt(0)), otp.RefusedByTMS) // which knows nothing of our token
	b.wantAsked(o, 1)
	if !o.last().known {
		t.Error("the TMS is not told who the user is")
	}
	b.wantVerdict(pap(2, "alice", passcodeAt(0)).station("203.0.113.1"), otp.Accepted) // the order of the NAS
	b.store.accounts["bob"] = newAccount()
	b.wantVerdict(pap(3, "bob", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(4, "carol", passcodeAt(0)), otp.Accepted)
	b.wantAsked(o, 1)
	b.without("bob", "carol")
	b.wantVerdict(pap(5, "bob", "right"), otp.AcceptedByTMS)
	b.wantVerdict(pap(6, "carol", "right"), otp.NoToken)
	b.wantAsked(o, 2)
	people.people["bob"].Disabled = true
	b.wantVerdict(pap(7, "bob", "right"), otp.DirectoryDisabled)
	b.wantAsked(o, 2)

	// Nobody knows whose the user is, so nothing but a right code of ours counts.
	people.source = exclusions.Unavailable
	b.wantSilence(pap(8, "eve", "right"), "directory_unavailable")
	b.store.accounts["eve"] = newAccount()
	b.wantVerdict(pap(9, "eve", passcodeAt(0)), otp.Accepted)
	b.wantAsked(o, 2)
}

// TestAnEarlierOrderInDoubt: the login meets one order, and could meet the one before.
func TestAnEarlierOrderInDoubt(t *testing.T) {
	people := newDirectory(person("alice", "pilot"), person("bob"))
	b, o := behind(t, func(o *Options, _ *NASConfig) {
		o.Users = people
		o.Rules = &Rules{
			Orders: compile(t, []exclusions.Rule{rule("pilot", criterion(exclusions.Groups, "pilot")), rule("all", criterion(exclusions.NASes, "gateway"))}),
			Order:  []otp.Order{otp.LocalOnly, otp.TMSOnly},
		}
	})
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(2, "bob", "right"), otp.AcceptedByTMS)
	people.source = exclusions.Unavailable
	b.wantSilence(pap(3, "bob", "wrong"), "directory_unavailable")
	b.wantVerdict(pap(4, "alice", passcodeAt(1)), otp.Accepted)
	b.wantAsked(o, 1)
}

// TestTheTMSWhileTheDirectoryIsAway: where no groups matter the TMS is asked, and only an
// accept counts.
func TestTheTMSWhileTheDirectoryIsAway(t *testing.T) {
	people := newDirectory()
	people.source = exclusions.Unavailable
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Users, o.AcceptedOnce = people, time.Minute })
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
	b.wantSilence(pap(2, "eve", "right"), "directory_unavailable") // it would be a replay
	b.wantSilence(pap(3, "eve", "wrong"), "directory_unavailable")
	b.wantSilence(pap(4, "eve", "wrong"), "directory_unavailable")
	b.wantAsked(o, 2)
	state := b.inquired(pap(5, "eve", "ask"))
	b.wantSilence(pap(6, "eve", "wrong").state(state), "directory_unavailable")
	b.wantVerdict(pap(7, "eve", "answer").state(state), otp.AcceptedByTMS)
}

func TestExcludedLoginsAreNotForTheTMS(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, office) })
	b.wantVerdict(pap(1, "eve", "right"), otp.Excluded)
	b.wantAsked(o, 0)
	b.wantVerdict(pap(2, "eve", "right").station("203.0.113.1"), otp.AcceptedByTMS)
	trace, err := exclusions.ParseTrace(b.store.traces[1])
	if err != nil || string(trace.User) != "eve" {
		t.Errorf("trace %+v, %v", trace, err)
	}

	people := newDirectory(person("alice"), person("eve"))
	b, o = behind(t, func(o *Options, c *NASConfig) {
		c.Excluded, o.Users, o.Rules = exclusions.PassDirectoryPassword, people, rulesOf(t, office)
	})
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(2, "alice", "secret of alice"), otp.Excluded)
	b.wantAsked(o, 0)
	b.wantBinds(people, 1)
}

// TestUsersOfTheTMSHoldTokens, there if not here, so that no mode lets them pass by.
func TestUsersOfTheTMSHoldTokens(t *testing.T) {
	for mode, enroller := range map[exclusions.Mode]Enroller{exclusions.TokenHolders: nil, exclusions.CreateToken: &guide{}} {
		people := newDirectory(person("eve"))
		b, o := behind(t, func(o *Options, c *NASConfig) {
			c.Mode, c.Excluded, o.Users, o.Enroller = mode, exclusions.PassDirectoryPassword, people, enroller
		})
		b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
		b.wantVerdict(pap(2, "eve", "secret of eve"), otp.RefusedByTMS)
		b.wantVerdict(mschap2(3, "eve", "wrong"), otp.RefusedByTMS)
		b.wantBinds(people, 0)
		b.wantAsked(o, 3)
	}
}

// TestTheFirstPasscodeOfATokenIsNotForTheTMS: what a user of the TMS was invited to show.
func TestTheFirstPasscodeOfATokenIsNotForTheTMS(t *testing.T) {
	g := &guide{invited: map[string]bool{"eve": true}}
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Users, o.Enroller = newDirectory(person("eve")), g })
	g.store = b.store
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
	b.wantVerdict(pap(2, "eve", passcodeAt(0)), otp.Accepted)
	b.wantAsked(o, 1)
	if g.tries != 2 {
		t.Errorf("the Enroller was asked %d times, want 2", g.tries)
	}
}
