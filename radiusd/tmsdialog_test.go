package radiusd

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// TestTheTMSAsks the user, and gets the answer.
func TestTheTMSAsks(t *testing.T) {
	b, o := behind(t, nil)
	first := pap(1, "Eve", "ask").adding(packet.ProxyState, "proxy")
	reply := b.want(first, challenge)
	var kinds []packet.Type
	for _, a := range attributesOf(reply) {
		kinds = append(kinds, a.kind)
	}
	if want := []packet.Type{packet.MessageAuthenticator, packet.State, packet.ReplyMessage, packet.ProxyState}; !slices.Equal(kinds, want) {
		t.Errorf("attributes %v, want %v", kinds, want)
	}
	b.wantMessage(reply, askSMS)
	state := valuesOf(reply, packet.State)[0]
	if again := b.want(first, challenge); valuesOf(again, packet.State)[0] != state {
		t.Error("a retransmission got another State")
	}
	b.wantAsked(o, 1)
	got := b.wantVerdict(pap(2, "Eve", "answer").station("").state(state), otp.AcceptedByTMS)
	b.wantClasses(got, "tms")
	if got, want := o.last(), (question{"eve", "answer", "gateway", "sms", "Eve", otp.PAP, false, true}); got != want {
		t.Errorf("asked %+v, want %+v", got, want)
	}
	b.wantLog(2, "station=198.51.100.7")
	b.wantMetric(1, "countersign_tms_requests_total", "asked")

	// The first passcode may be the same again, and the answer, if it was to another question.
	state = b.inquired(pap(3, "Eve", "ask"))
	b.wantVerdict(pap(4, "Eve", "wrong").state(state), otp.RefusedByTMS)
	state = b.inquired(pap(5, "Eve", "ask"))
	b.wantAsked(o, 5)
	state = b.inquired(pap(6, "Eve", "ask").state(state)) // it asks once more
	b.wantVerdict(pap(7, "Eve", "answer").state(state), otp.AcceptedByTMS)
}

// TestAnAnswerIsForTheTMSAlone: neither our own tokens, nor a directory, nor the Enroller
// see it, and no rule excludes it.
func TestAnAnswerIsForTheTMSAlone(t *testing.T) {
	people, g := newDirectory(person("alice"), person("eve")), &guide{invited: map[string]bool{}}
	b, o := behind(t, func(o *Options, c *NASConfig) {
		c.Order, c.Mode, o.Users, o.Enroller = otp.TMSThenLocal, exclusions.CreateToken, people, g
	})
	state := b.inquired(pap(1, "alice", "ask"))
	g.invited["alice"] = true
	b.server.SetRules(rulesOf(t, office))
	b.wantVerdict(pap(2, "alice", passcodeAt(0)).state(state), otp.RefusedByTMS)
	b.wantVerdict(pap(3, "alice", "answer").station("").state(state), otp.AcceptedByTMS)
	account := b.store.accounts["alice"]
	if s := account.Tokens[0].State; s != (otp.State{}) {
		t.Errorf("the token has seen an answer: %+v", s)
	}
	b.wantBinds(people, 0)
	if g.tries != 0 {
		t.Error("the Enroller has seen an answer")
	}
	people.people["alice"].Disabled = true
	b.wantVerdict(pap(4, "alice", "answer").state(state), otp.DirectoryDisabled)
	b.wantAsked(o, 3)
}

func TestAnAnswerThatComesTooLate(t *testing.T) {
	b, o := behind(t, nil)
	state := b.inquired(pap(1, "eve", "ask"))
	b.wait(2 * time.Minute)
	b.wantVerdict(pap(2, "eve", "answer").state(state), otp.RefusedByTMS)
	b.wantAsked(o, 1)
	b.wantVerdict(pap(3, "eve", "right").state("other"), otp.AcceptedByTMS) // as good as none
	state = b.inquired(pap(4, "eve", "ask"))
	b.wait(time.Minute)
	state = b.inquired(pap(5, "eve", "ask").state(state)) // for each step anew
	b.wait(2*time.Minute - 1)
	b.wantVerdict(pap(6, "eve", "answer").state(state), otp.AcceptedByTMS)
	asked := len(o.asked)
	b.wantVerdict(chap(7, "eve", "answer").state(state), otp.NeedsPAP)
	b.wantVerdict(pap(8, "eve", "\x01").state(state), otp.Unreadable)
	b.wantAsked(o, asked)

	// Of a server that has no TMS any more.
	lonely := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.States = b.server.options.States })
	lonely.wait(time.Hour)
	lonely.now = b.now
	lonely.wantVerdict(pap(1, "eve", passcodeAt(0)).state(state), otp.RefusedByTMS)
}

// TestTheDialogIsBound to the NAS and the User-Name.
func TestTheTMSDialogIsBound(t *testing.T) {
	b, o := behind(t, nil)
	state := b.inquired(pap(1, "eve", "ask"))
	b.wantVerdict(pap(2, "bob", "answer").state(state), otp.RefusedByTMS)
	if o.last().dialog != "" {
		t.Error("a dialog of somebody else")
	}
	other := testNAS(func(c *NASConfig) {
		c.Name, c.Prefixes, c.Order, c.MessageAuthenticator = "other", prefixes("198.51.100.1/32"), otp.TMSOnly, RequireNever
	})
	b.server.SetNASes(table(t, nil, other))
	late := pap(3, "eve", "answer").state(state)
	b.wantCode(b.verified(late, b.hand(b.auth, "198.51.100.1:1", b.build(late))), reject)
	if got := o.last(); got.dialog != "" || got.mayAsk {
		t.Errorf("asked %+v", got)
	}
}

// TestTheTMSCannotAsk where the NAS takes no challenges.
func TestTheTMSCannotAsk(t *testing.T) {
	for name, change := range map[string]func(*Options, *NASConfig){
		"by its setting":   func(_ *Options, c *NASConfig) { c.Challenge = false },
		"without a Sealer": func(o *Options, _ *NASConfig) { o.States = nil },
	} {
		b, o := behind(t, change)
		reply := b.wantVerdict(pap(1, "eve", "ask"), otp.CannotAsk)
		b.wantMessage(reply, rejection)
		b.wantVerdict(pap(2, "eve", "ask"), otp.CannotAsk)
		b.wantAsked(o, 1) // one SMS
		b.wantLog(1, "set challenge = true")
		if o.last().mayAsk {
			t.Errorf("%s: the TMS is told that it may ask", name)
		}
		b.wait(time.Minute)
		b.wantVerdict(pap(3, "eve", "ask"), otp.CannotAsk)
		b.wantAsked(o, 2)
		b.wantLog(2, "set challenge = true")
	}
	b, o := behind(t, nil)
	o.replies(BackendReply{Verdict: otp.AskedByTMS, Dialog: []byte("sms")})
	b.wantVerdict(mschap2(1, "eve", "x"), otp.CannotAsk)
	b, _ = behind(t, func(o *Options, _ *NASConfig) { o.States = box(t, silent{}) })
	b.wantSilence(pap(1, "eve", "ask"), "undecided")
}

// TestAnotherNASMayAsk what the first could not.
func TestAnotherNASMayAsk(t *testing.T) {
	b, o := behind(t, func(_ *Options, c *NASConfig) { c.Challenge = false })
	b.wantVerdict(pap(1, "eve", "ask"), otp.CannotAsk)
	b.server.SetNASes(table(t, nil, testNAS(func(c *NASConfig) { c.Challenge, c.Order, c.MessageAuthenticator = true, otp.TMSOnly, RequireNever })))
	b.inquired(pap(2, "eve", "ask"))
	b.wantAsked(o, 2)
}

func TestTheTMSDoesNotAskForEver(t *testing.T) {
	b, o := behind(t, nil)
	state := b.inquired(pap(1, "eve", "ask"))
	for i := range uint64(maxDepth[tmsDialog]) {
		b.wait(time.Minute)
		state = b.inquired(pap(2+i, "eve", "ask").state(state))
	}
	b.wantVerdict(pap(100, "eve", "ask").state(state), otp.CannotAsk)
	if o.last().mayAsk {
		t.Error("the TMS is told that it may ask")
	}
}

// TestAQuestionWithoutWords has ours.
func TestAQuestionWithoutWords(t *testing.T) {
	b, o := behind(t, nil)
	prompts := slices.Concat(encoded(packet.Prompt, "\x00\x00\x00\x01"), encoded(packet.SessionTimeout, "\x00\x00\x00\x3c"))
	o.replies(BackendReply{Verdict: otp.AskedByTMS, Attributes: prompts, Dialog: []byte("sms")})
	reply := b.want(pap(1, "eve", "x"), challenge)
	b.wantMessage(reply, prompt)
	if got := valuesOf(reply, packet.Prompt); len(got) != 1 || got[0] != "\x00\x00\x00\x01" {
		t.Errorf("Prompt %q", got)
	}
	if got := valuesOf(reply, packet.SessionTimeout); len(got) != 1 {
		t.Errorf("Session-Timeout %q", got)
	}
	if says([]byte{18, 1, 18, 2}, packet.ReplyMessage) || says([]byte{1, 9, 18}, packet.ReplyMessage) {
		t.Error("a message in what are no attributes")
	}
}

// TestAnAnswerIsShownOnce, and may be given again in another dialog.
func TestAnAnswerIsShownOnce(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.AcceptedOnce = time.Hour })
	state := b.inquired(pap(1, "eve", "ask"))
	b.wantVerdict(pap(2, "eve", "wrong").state(state), otp.RefusedByTMS)
	b.wantVerdict(pap(3, "eve", "wrong").state(state), otp.RefusedByTMS)
	b.wantAsked(o, 2)
	b.wantVerdict(pap(4, "eve", "answer").state(state), otp.AcceptedByTMS)
	b.wantVerdict(pap(5, "eve", "answer").state(state), otp.Replayed)
	b.wantAsked(o, 3)
	b.wantVerdict(pap(6, "eve", "wrong"), otp.RefusedByTMS) // in no dialog
	b.wantAsked(o, 4)
	o.fail = errAsleep
	b.wantSilence(pap(7, "eve", "again").state(state), "tms_unavailable")
	o.fail = nil
	b.wantSilence(pap(8, "eve", "again").state(state), "tms_unavailable")
	b.wantAsked(o, 5)
}

// TestTheStateOfTheTMSIsSealed, and what it keeps is wiped.
func TestTheStateOfTheTMSIsSealed(t *testing.T) {
	b, o := behind(t, nil)
	kept := strings.Repeat("k", maxKept)
	o.replies(BackendReply{Verdict: otp.AskedByTMS, Dialog: []byte(kept)})
	state := valuesOf(b.want(pap(1, "eve", "ask"), challenge), packet.State)[0]
	text, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || bytes.Contains(text, []byte("kkkk")) {
		t.Errorf("State %q, %v", text, err)
	}
	b.auth.spare = b.auth.pool.make()
	r := b.auth.spare
	var d *dialog
	o.says = func(context.Context, *BackendLogin) (BackendReply, error) {
		d = r.dialog
		return BackendReply{Verdict: otp.RefusedByTMS}, nil
	}
	b.wantVerdict(pap(2, "eve", "y").state(state), otp.RefusedByTMS)
	if o.last().dialog != kept {
		t.Errorf("the dialog is %q", o.last().dialog)
	}
	if r.dialog != nil || len(bytes.Trim(d.kept, "\x00")) != 0 {
		t.Error("a dialog is kept")
	}
}
