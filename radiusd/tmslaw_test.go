package radiusd

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// TestACodeAnsweredIsBurned here too, and one that was burned here is no answer.
func TestACodeAnsweredIsBurned(t *testing.T) {
	b, o := behind(t, func(_ *Options, c *NASConfig) { c.Order = otp.TMSThenLocal })
	state := b.inquired(pap(1, "alice", "ask"))
	accepts := func() { o.replies(BackendReply{Verdict: otp.AcceptedByTMS}) }
	accepts()
	b.wantVerdict(pap(2, "alice", passcodeAt(0)).state(state), otp.AcceptedByTMS)
	o.says = nil
	b.wantVerdict(pap(3, "alice", passcodeAt(0)), otp.Replayed)
	b.wantVerdict(pap(4, "alice", passcodeAt(1)), otp.Accepted)
	state = b.inquired(pap(5, "alice", "ask"))
	accepts()
	b.wantVerdict(pap(6, "alice", codeAt(1)).state(state), otp.Replayed)
	b.wantVerdict(pap(7, "alice", "0815"+codeAt(2)).state(state), otp.AcceptedByTMS)
	o.says = nil
	b.wantVerdict(pap(8, "alice", passcodeAt(2)), otp.Replayed)
	b.wantMetric(0, "countersign_tms_differences_total", "tms_only")
}

// TestACodeThatTheTMSAsksAboutIsBurned here too.
func TestACodeThatTheTMSAsksAboutIsBurned(t *testing.T) {
	b, o := behind(t, func(_ *Options, c *NASConfig) { c.Order = otp.TMSThenLocal })
	asks := BackendReply{Verdict: otp.AskedByTMS, Attributes: encoded(18, askSMS), Dialog: []byte("sms")}
	o.replies(asks)
	b.inquired(pap(1, "alice", passcodeAt(0)))
	o.says = nil
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Replayed)
	b.wantLog(1, "tms=refused")
	b.wait(time.Minute)
	o.replies(asks)
	b.wantVerdict(pap(3, "alice", passcodeAt(0)), otp.Replayed)
	b.wantLog(1, "tms=asked")
}

// TestAnswersAreGuessesToo: a source that is often refused waits, and the TMS is not asked.
func TestAnswersAreGuessesToo(t *testing.T) {
	b, o := behind(t, nil)
	state := b.inquired(pap(1, "eve", "ask"))
	for i := range uint64(4) {
		b.wantVerdict(pap(2+i, "eve", fmt.Sprint("wrong", i)).state(state), otp.RefusedByTMS)
	}
	b.wantAsked(o, 5)
	b.wantVerdict(pap(10, "eve", "answer").state(state), otp.Throttled)
	b.wantAsked(o, 5)
	b.wait(time.Minute)
	b.wantVerdict(pap(11, "eve", "answer").state(state), otp.AcceptedByTMS)
}

// TestInDoubtNobodyOfTheTMSIsLetIn by tokens of ours.
func TestInDoubtNobodyOfTheTMSIsLetIn(t *testing.T) {
	people := newDirectory(person("alice"), person("bob"), person("carol"))
	people.source = exclusions.Unavailable
	b, o := behind(t, func(o *Options, _ *NASConfig) {
		o.Users, o.RejectWhenDown = people, true
		o.Rules = &Rules{OfTMS: compile(t, []exclusions.Rule{rule("of", criterion(exclusions.Groups, "tms"))})}
	})
	for name, home := range map[string]otp.Home{"alice": otp.HomeUnsaid, "bob": otp.HomeTMS, "carol": otp.HomeLocal} {
		b.store.accounts[name] = newAccount()
		b.store.accounts[name].Home = home
	}
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantSilence(pap(2, "bob", passcodeAt(0)), "directory_unavailable")
	b.wantVerdict(pap(3, "carol", passcodeAt(0)), otp.Accepted)
	b.wantSilence(pap(4, "alice", testPIN+"000000"), "directory_unavailable")
	if n := b.store.accounts["alice"].Tokens[0].State.Failures; n != 0 {
		t.Errorf("%d failures counted in doubt", n)
	}
	b.wantAsked(o, 0)
	b.wantLog(0, "tms=") // it has nothing to do with it
	people.source = exclusions.Fresh
	b.wantVerdict(pap(5, "bob", passcodeAt(0)), otp.Accepted) // who is not of the TMS
}

// TestTheTMSDoesNotTakeAllRoom: of what may be in flight half is for others.
func TestTheTMSDoesNotTakeAllRoom(t *testing.T) {
	b, o := behind(t, func(o *Options, c *NASConfig) { o.MaxInFlight, c.Order = 5, otp.LocalThenTMS })
	for round := range uint64(3) {
		b.asleep = true
		at := 100 * round
		b.want(pap(at, "eve", fmt.Sprint("x", at)), silence)
		b.want(pap(at+1, "bob", fmt.Sprint("x", at)), silence)
		b.wantSilenceInFlight(pap(at+2, "eve", "right"), "tms_busy", 2)
		b.wantVerdict(pap(at+3, "alice", passcodeAt(round)), otp.Accepted)
		b.asleep = false
		if n := len(b.collect()); n != 2 {
			t.Errorf("%d replies, want 2", n)
		}
	}
	b.wantVerdict(pap(2, "eve", "right"), otp.AcceptedByTMS) // it was not shown
	b.wantAsked(o, 7)
	b, _ = behind(t, func(o *Options, _ *NASConfig) { o.MaxInFlight = 1 })
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
}

// TestWhatWasNotShownSaysNothing: neither to the breaker, nor to the guard.
func TestWhatWasNotShownSaysNothing(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.BackendFailures = 3 })
	unasked := BackendReply{Verdict: otp.RefusedByTMS, Unasked: true}
	for i := range uint64(3) {
		serial := 10 * i
		o.replies(unasked)
		b.wantVerdict(pap(serial, fmt.Sprint("mallory", i), "x"), otp.RefusedByTMS)
		o.replies(BackendReply{Verdict: otp.NeedsPAP})
		b.wantVerdict(chap(serial+1, "bob", "x"), otp.NeedsPAP)
		o.fail = errAsleep
		b.wantSilence(pap(serial+2, "eve", fmt.Sprint("x", i)), "tms_unavailable")
		o.fail = nil
	}
	if state, _, _ := b.server.BackendState(); state != "open" {
		t.Errorf("the breaker is %s", state)
	}
	b.wantMetric(0, "countersign_tms_requests_total", "refused")
	b.wantMetric(3, "countersign_tms_requests_total", "error")

	b, o = behind(t, nil)
	o.replies(unasked)
	b.wantVerdict(pap(1, "eve", "x"), otp.RefusedByTMS)
	b.wantVerdict(pap(2, "eve", "x"), otp.RefusedByTMS)
	b.wantAsked(o, 2)
	o.says = func(context.Context, *BackendLogin) (BackendReply, error) {
		b.store.set(func(s *ledger) { s.busy = true })
		return unasked, nil
	}
	b.wantSilence(pap(3, "eve", "x"), "store_busy")
	b.store.busy = false
	o.says = nil
	b.wantVerdict(pap(3, "eve", "x"), otp.RefusedByTMS) // the retransmission is tried anew
	b.wantAsked(o, 4)
}

// TestASecondLoginThatWaitsForTheFirst is served when the first is not shown after all.
func TestASecondLoginThatWaitsForTheFirst(t *testing.T) {
	b, o := behind(t, nil)
	b.asleep = true
	b.want(pap(1, "eve", "right"), silence)
	second := pap(1+256, "eve", "right") // the Identifier again
	b.wantSilenceInFlight(second, "tms_in_flight", 1)
	b.asleep = false
	if len(b.collect()) != 0 {
		t.Error("the first is answered")
	}
	b.wantMetric(1, "dropped_total", "superseded")
	b.wantVerdict(second, otp.AcceptedByTMS)
	b.wantAsked(o, 1)
}

// TestTooManyLost: each says nothing, but all together that nobody answers.
func TestTooManyLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := behind(t, func(o *Options, _ *NASConfig) { o.Clock, o.BackendFailures = time.Now, 2 })
		serial := uint64(0)
		lose := func(n int, state string) {
			t.Helper()
			o.fail = fmt.Errorf("server 1: %w", ErrLost)
			for range n {
				serial++
				b.wantSilence(pap(serial, "eve", fmt.Sprint("x", serial)), "tms_unavailable")
			}
			if got, _, _ := b.server.BackendState(); got != state {
				t.Errorf("the breaker is %s after %d lost logins, want %s", got, n, state)
			}
			o.fail = nil
		}
		lose(5, "closed") // 2 x 2 that do not count, and 1 that does
		serial++
		b.wantVerdict(pap(serial, "bob", "right"), otp.AcceptedByTMS)
		lose(5, "closed")
		o.fail = errAsleep // no answer either
		serial++
		b.wantSilence(pap(serial, "eve", "asleep"), "tms_unavailable")
		if got, _, _ := b.server.BackendState(); got != "open" {
			t.Errorf("the breaker is %s", got)
		}
	})
}
