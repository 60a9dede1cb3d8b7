package radiusd

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

func TestTheTMSVerifies(t *testing.T) {
	b, o := behind(t, nil)
	reply := b.wantVerdict(pap(1, "Eve", "right"), otp.AcceptedByTMS)
	b.wantClasses(reply, "tms")
	if got, want := o.last(), (question{"eve", "right", "gateway", "", "Eve", otp.PAP, false, true}); got != want {
		t.Errorf("asked %+v, want %+v", got, want)
	}
	reply = b.wantVerdict(pap(2, "eve", "wrong"), otp.RefusedByTMS)
	b.wantMessage(reply, rejection)
	b.wantVerdict(pap(3, "nobody", "wrong"), otp.RefusedByTMS) // whoever that is
	b.wantAsked(o, 3)
	b.wantMetric(1, "countersign_tms_requests_total", "accepted")
	b.wantMetric(2, "countersign_tms_requests_total", "refused")
	b.wantMetric(0, "countersign_tms_in_flight")
	b.wantMetric(0, "countersign_tms_queue")
	b.wantMetric(0, "in_flight", "auth")
	b.wantLog(0, " tms=")
	b.wantLog(0, " own=")
	if len(b.store.traces) != 3 || len(b.store.traces[0]) != 0 {
		t.Errorf("%d records, the first with a trace of %d octets: there is nothing to tell", len(b.store.traces), len(b.store.traces[0]))
	}
	for _, o := range []order{pap(10, "eve", "\x01"), bare(11, "eve"), pap(12, " eve", "right")} {
		b.want(o, reject)
	}
	b.wantAsked(o, 3)
}

func TestOwnTokensBesideTheTMS(t *testing.T) {
	b, o := behind(t, func(_ *Options, c *NASConfig) { c.Order = otp.TMSThenLocal })
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantLog(1, "verdict=accepted nas=gateway station=198.51.100.7 method=pap serial=ET1 offset=0 event=1-3 took_us=0 tms=refused")
	b.wantVerdict(pap(2, "alice", testPIN+"000000"), otp.WrongCode)
	b.wantVerdict(pap(3, "eve", "wrong"), otp.RefusedByTMS)
	b.wantAsked(o, 3)
	reply := b.wantVerdict(mschap2(4, "alice", passcodeAt(1)), otp.Accepted) // with the keys of our own
	if microsoft(reply, 16) == "" || microsoft(reply, 26) == "" {
		t.Error("no session keys")
	}
	b.wantClasses(reply)
	state := b.challenged(pap(5, "alice", passcodeAt(50)))
	b.wantAsked(o, 5)
	b.wantVerdict(pap(6, "alice", passcodeAt(51)).state(state), otp.Accepted) // what we asked is ours
	b.wantAsked(o, 5)
	b.store.accounts["alice"].Disabled = true
	b.wantVerdict(pap(7, "alice", passcodeAt(52)), otp.UserDisabled)
	b.wantAsked(o, 5)
}

// TestDifferences between the TMS and our own tokens are counted and told.
func TestDifferences(t *testing.T) {
	b, o := behind(t, func(o *Options, c *NASConfig) {
		c.Order, o.Rules = otp.LocalThenTMS, &Rules{Shadow: true}
	})
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.RefusedByTMS)
	b.wantLog(1, "verdict=refused_by_tms nas=gateway station=198.51.100.7 method=pap serial=ET1 offset=0 event=1-3 took_us=0 own=accepted")
	b.wantMetric(1, "countersign_tms_differences_total", "own_only")
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.RefusedByTMS) // again
	b.wantMetric(1, "countersign_tms_differences_total", "own_only")
	b.wantAsked(o, 1)
	o.replies(BackendReply{Verdict: otp.AcceptedByTMS})
	b.wantVerdict(pap(3, "alice", passcodeAt(1)), otp.AcceptedByTMS)
	b.wantMetric(0, "countersign_tms_differences_total", "tms_only")
	b.wantVerdict(pap(4, "alice", "0815"+codeAt(2)), otp.AcceptedByTMS)
	b.wantMetric(1, "countersign_tms_differences_total", "tms_only")
	b.wantLog(1, "own=wrong_pin")
	b.wantVerdict(pap(5, "eve", "x"), otp.AcceptedByTMS) // nothing to compare with
	b.wantMetric(1, "countersign_tms_differences_total", "tms_only")
}

// TestNoAnswer is silence, also to the retransmissions, because the code may be burned.
func TestNoAnswer(t *testing.T) {
	b, o := behind(t, nil)
	o.fail = errAsleep
	b.wantSilence(pap(1, "eve", "right"), "tms_unavailable")
	b.wantLog(1, errAsleep.Error())
	o.fail = nil
	b.want(pap(1, "eve", "right"), silence)
	b.wantMetric(1, "dropped_total", "duplicate_unanswered")
	b.wantSilence(pap(2, "eve", "right"), "tms_unavailable") // under another Identifier
	b.wantAsked(o, 1)
	b.wantVerdict(pap(3, "eve", "wrong"), otp.RefusedByTMS)
	b.wait(time.Minute)
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
	b.wantMetric(1, "countersign_tms_requests_total", "error")

	o.fail = fmt.Errorf("server 1 of 2: %w", ErrLost)
	b.wantSilence(pap(4, "bob", "right"), "tms_unavailable")
	b.wantMetric(1, "countersign_tms_requests_total", "lost")
}

func TestRejectWhenDown(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.RejectWhenDown = true })
	o.fail = errAsleep
	b.wantVerdict(pap(1, "eve", "right"), otp.TMSDown)
	b.wantVerdict(pap(2, "eve", "right"), otp.TMSDown)
	b.wantAsked(o, 1)
	o.fail = nil
	state := b.inquired(pap(3, "eve", "ask"))
	o.fail = errAsleep
	b.wantVerdict(pap(4, "eve", "answer").state(state), otp.TMSDown)
	b.wantMetric(0, "dropped_total", "tms_unavailable")
}

// TestOwnTokensWhileTheTMSIsDown let their holders in, and nobody is counted against.
func TestOwnTokensWhileTheTMSIsDown(t *testing.T) {
	b, o := behind(t, func(_ *Options, c *NASConfig) { c.Order = otp.TMSThenLocal })
	o.fail = errAsleep
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantLog(1, "tms=unavailable")
	b.wantSilence(pap(2, "alice", testPIN+"000000"), "tms_unavailable")
	if n := b.store.accounts["alice"].Tokens[0].State.Failures; n != 0 {
		t.Errorf("%d failures counted", n)
	}
}

func TestAnswersThatCannotBeUnderstood(t *testing.T) {
	for name, reply := range map[string]BackendReply{
		"no verdict":            {},
		"a verdict of another":  {Verdict: otp.Accepted},
		"accepted unseen":       {Verdict: otp.AcceptedByTMS, Unasked: true},
		"asked unseen":          {Verdict: otp.AskedByTMS, Unasked: true},
		"a dialog that is long": {Verdict: otp.AskedByTMS, Dialog: make([]byte, maxKept+1)},
	} {
		b, o := behind(t, nil)
		o.replies(reply)
		b.wantSilence(pap(1, "eve", "right"), "tms_unavailable")
		b.wantMetric(1, "countersign_tms_requests_total", "error")
		if b.metric("logins_total", "accepted")+b.metric("logins_total", "accepted_by_tms") != 0 {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeysOfTheTMS(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Rules = new(Rules).replying(t, office) })
	send, recv, keys := []byte("send key 16 byte"), []byte("recv key 16 byte"), []byte("24 octets for MS-CHAP v1")
	reply := BackendReply{Verdict: otp.AcceptedByTMS, Attributes: encoded(packet.Class, "tms"), SendKey: send, RecvKey: recv, MSCHAPKeys: keys}
	again := func() {
		o.replies(BackendReply{
			Verdict: reply.Verdict, Attributes: reply.Attributes,
			SendKey: bytes.Clone(send), RecvKey: bytes.Clone(recv), MSCHAPKeys: bytes.Clone(keys),
		})
	}
	again()
	got := b.wantVerdict(mschap2(1, "eve", "x"), otp.AcceptedByTMS)
	b.wantClasses(got, "office", "tms")
	authenticator := mschapAuthenticator(b, mschap2(1, "eve", "x"))
	if one, two := unsalted(microsoft(got, 16), authenticator), unsalted(microsoft(got, 17), authenticator); !bytes.Equal(one, send) || !bytes.Equal(two, recv) {
		t.Errorf("keys %q and %q", one, two)
	}
	if microsoft(got, 26) != "" || microsoft(got, 12) != "" {
		t.Error("a proof of ours, or keys of MS-CHAP")
	}
	again()
	got = b.wantVerdict(mschap1(2, "eve"), otp.AcceptedByTMS)
	if microsoft(got, 12) == "" || microsoft(got, 16) != "" {
		t.Error("no keys of MS-CHAP, or others")
	}
	again()
	got = b.wantVerdict(pap(3, "eve", "x"), otp.AcceptedByTMS)
	if len(valuesOf(got, packet.VendorSpecific)) != 0 {
		t.Error("keys for PAP")
	}
	o.replies(BackendReply{Verdict: otp.AcceptedByTMS, SendKey: send[:3]})
	got = b.wantVerdict(mschap2(4, "bob", "x"), otp.AcceptedByTMS)
	if len(valuesOf(got, packet.VendorSpecific)) != 0 {
		t.Error("keys of nothing")
	}
}

func mschapAuthenticator(b *bench, o order) *[16]byte {
	var request packet.Request
	if err := request.Parse(b.build(o)); err != nil {
		b.Fatal(err)
	}
	return &request.Authenticator
}

func TestWhatTheTMSGivesHasToFit(t *testing.T) {
	b, o := behind(t, nil)
	for i, c := range []struct {
		verdict otp.Verdict
		octets  int
		proxy   int
		fits    bool
	}{
		{otp.AcceptedByTMS, maxReplyAttributes, 0, true},
		{otp.AcceptedByTMS, maxReplyAttributes + 5, 0, false},
		{otp.AcceptedByTMS, maxReplyAttributes, 253, false},
		{otp.AskedByTMS, maxReplyAttributes - maxAsked, 0, true},
		{otp.AskedByTMS, maxReplyAttributes, 0, false},
	} {
		o.replies(BackendReply{Verdict: c.verdict, Attributes: bytes.Repeat(encoded(packet.Class, "tms"), c.octets/5)})
		login := pap(uint64(i), "eve", fmt.Sprint("x", i))
		if c.proxy > 0 {
			login = login.with(proxyStates(strings.Repeat("p", c.proxy)))
		}
		switch {
		case !c.fits:
			b.wantSilence(login, "reply_too_long")
		case c.verdict == otp.AskedByTMS:
			b.want(login, challenge)
		default:
			b.wantVerdict(login, c.verdict)
		}
	}
	b, o = behind(t, nil)
	o.replies(BackendReply{Verdict: otp.AcceptedByTMS, Attributes: []byte{1, 200}})
	b.wantSilence(pap(10, "eve", "garbled"), "reply_too_long")
	b.wantLog(1, "overrun their lengths")
}

func TestTheQueueOfTheTMSIsBounded(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.BackendLogins = 1 })
	b.asleep = true
	for i := range uint64(errandQueue) {
		b.want(pap(i, "eve", fmt.Sprint("x", i)), silence)
	}
	b.wantMetric(errandQueue, "countersign_tms_queue")
	b.wantSilenceInFlight(pap(50, "bob", "right"), "tms_busy", errandQueue)
	b.wantSilenceInFlight(pap(50, "bob", "right"), "tms_busy", errandQueue) // it was not shown, so it may come again
	b.asleep = false
	if n := len(b.collect()); n != errandQueue {
		t.Errorf("%d replies, want %d", n, errandQueue)
	}
	b.wantVerdict(pap(50, "bob", "right"), otp.AcceptedByTMS)
	b.wantAsked(o, errandQueue+1)
}

// TestNobodyWaitsAnyMore for a login whose turn comes too late, so it is not shown.
func TestNobodyWaitsAnyMore(t *testing.T) {
	b, o := behind(t, nil)
	b.asleep = true
	b.want(pap(1, "eve", "right"), silence)
	b.wait(10 * time.Second)
	b.asleep = false
	if len(b.collect()) != 0 {
		t.Error("answered after the NAS has given up")
	}
	b.wantMetric(1, "dropped_total", "tms_busy")
	b.asleep = true
	b.want(pap(2, "eve", "right"), silence)
	b.want(pap(2+256, "bob", "right"), silence) // the Identifier again
	b.asleep = false
	b.wantCode(b.verified(pap(2+256, "bob", "right"), b.collect()), accept)
	b.wantMetric(1, "dropped_total", "superseded")
	b.wantAsked(o, 1)
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
}

// TestTheTMSHasLimitedTime, counted from the packet on.
func TestTheTMSHasLimitedTime(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.BackendTime = 5 * time.Second })
	limited := false
	o.says = func(ctx context.Context, _ *BackendLogin) (BackendReply, error) {
		end, ok := ctx.Deadline()
		limited = ok && time.Until(end) <= 2*time.Second
		return BackendReply{Verdict: otp.RefusedByTMS}, nil
	}
	b.asleep = true
	b.want(pap(1, "eve", "right"), silence)
	b.wait(3 * time.Second)
	b.asleep = false
	b.wantCode(b.verified(pap(1, "eve", "right"), b.collect()), reject)
	if !limited {
		t.Error("the TMS had more than the rest of the time")
	}
}

// TestAStoreThatFailsAfterTheTMS: the code is burned there, so nobody is told anything, and
// no retransmission is shown.
func TestAStoreThatFailsAfterTheTMS(t *testing.T) {
	b, o := behind(t, nil)
	o.says = func(context.Context, *BackendLogin) (BackendReply, error) {
		b.store.set(func(s *ledger) { s.busy = true })
		return BackendReply{Verdict: otp.AcceptedByTMS}, nil
	}
	b.wantSilence(pap(1, "eve", "right"), "store_busy")
	b.store.busy = false
	b.want(pap(1, "eve", "right"), silence)
	b.wantAsked(o, 1)
	b.wait(31 * time.Second)
	o.says = nil
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
}

// TestUsersDisabledMeanwhile are not let in by the TMS.
func TestUsersDisabledMeanwhile(t *testing.T) {
	b, o := behind(t, nil)
	state := b.inquired(pap(1, "eve", "ask"))
	disable := func(disabled bool) { b.store.set(func(s *ledger) { s.accounts["eve"].Disabled = disabled }) }
	disable(true)
	b.wantVerdict(pap(2, "eve", "answer").state(state), otp.UserDisabled)
	b.wantAsked(o, 1)
	disable(false)
	o.says = func(context.Context, *BackendLogin) (BackendReply, error) {
		disable(true)
		return BackendReply{Verdict: otp.AcceptedByTMS}, nil
	}
	b.wantVerdict(pap(3, "eve", "right"), otp.UserDisabled)
	b.wantLog(1, "tms=accepted")
	asked := len(o.asked)
	b.wantVerdict(pap(4, "eve", "another"), otp.UserDisabled)
	b.wantAsked(o, asked)
}

// TestNothingOfTheTMSIsPrinted, and keys are wiped.
func TestNothingOfTheTMSIsPrinted(t *testing.T) {
	const planted = "PLANTED PLANTED!"
	b, o := behind(t, nil)
	reply := BackendReply{Verdict: otp.AcceptedByTMS, SendKey: []byte(planted), RecvKey: []byte(planted), MSCHAPKeys: []byte(planted), Dialog: []byte(planted)}
	var login *BackendLogin
	r := b.auth.spare
	var printed strings.Builder
	write := func(values ...any) {
		for _, value := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&printed, verb+"\n", value)
			}
			if text, err := json.Marshal(value); err == nil {
				printed.Write(text)
			}
		}
	}
	write(reply, &reply, []any{reply})
	o.says = func(_ context.Context, l *BackendLogin) (BackendReply, error) {
		login = l
		write(*l, l, struct{ L BackendLogin }{*l})
		return reply, nil
	}
	b.wantVerdict(mschap2(1, "eve", planted), otp.AcceptedByTMS)
	b.wantVerdict(pap(2, "eve", planted), otp.AcceptedByTMS)
	write(r, login)
	o.says, o.fail = nil, errAsleep
	b.wantSilence(pap(3, "eve", planted+"2"), "tms_unavailable")
	printed.Write(b.log.Bytes())
	for _, form := range []string{planted, hex.EncodeToString([]byte(planted)), strings.Trim(fmt.Sprint([]byte(planted)), "[]")} {
		if strings.Contains(printed.String(), form) {
			t.Errorf("%q is printed", form)
		}
	}
	if r.reply != nil || len(bytes.Trim(slices.Concat(reply.SendKey, reply.RecvKey, reply.MSCHAPKeys, reply.Dialog), "\x00")) != 0 {
		t.Error("keys are kept after the reply")
	}
}

// TestWhatTheBreakerIsTold of an error.
func TestWhatTheBreakerIsTold(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late := fmt.Errorf("dialling: %w", context.DeadlineExceeded)
	for i, c := range []struct {
		ctx     context.Context
		err     error
		enough  bool
		counted bool
	}{
		{t.Context(), nil, false, false},
		{t.Context(), errAsleep, false, true},
		{t.Context(), late, true, true},
		{t.Context(), late, false, false},
		{over, errAsleep, true, false},
	} {
		err := counted(c.ctx, &BackendReply{Verdict: otp.AcceptedByTMS}, c.err, c.enough)
		if got := err != nil && !errors.Is(err, errNotCounted); got != c.counted || (c.err == nil) != (err == nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for _, unasked := range []BackendReply{{Verdict: otp.NeedsPAP}, {Verdict: otp.RefusedByTMS, Unasked: true}} {
		if err := counted(t.Context(), &unasked, nil, true); err != errNotCounted {
			t.Errorf("%v: %v", unasked.Verdict, err)
		}
	}
}
