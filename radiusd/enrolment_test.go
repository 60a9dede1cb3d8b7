package radiusd

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// TestTheWayToAToken, from the directory password to the first code that is right.
func TestTheWayToAToken(t *testing.T) {
	b, people, g := enrolling(t, nil)
	b.wantVerdict(pap(1, "Eve", "wrong"), otp.WrongPassword)
	b.wantVerdict(chap(2, "eve", "secret of eve"), otp.NeedsPAP)
	first := pap(3, "Eve", "secret of eve").adding(packet.ProxyState, "proxy")
	reply := b.want(first, challenge)
	var kinds []packet.Type
	for _, a := range attributesOf(reply) {
		kinds = append(kinds, a.kind)
	}
	if want := []packet.Type{packet.MessageAuthenticator, packet.State, packet.ReplyMessage, packet.Prompt, packet.ProxyState}; !slices.Equal(kinds, want) {
		t.Errorf("attributes %v, want %v", kinds, want)
	}
	b.wantMessage(reply, askPIN)
	if echo := valuesOf(reply, packet.Prompt)[0]; echo != "\x00\x00\x00\x00" {
		t.Errorf("Prompt %x of what is to be hidden", echo)
	}
	state := valuesOf(reply, packet.State)[0]
	if again := b.want(first, challenge); valuesOf(again, packet.State)[0] != state {
		t.Error("a retransmission got another State")
	}
	b.wantMetric(1, "logins_total", "enrolling")
	state = b.led(pap(4, "Eve", testPIN).station("").state(state), askAgain)
	reply = b.want(pap(5, "Eve", testPIN).station("").state(state), challenge)
	b.wantMessage(reply, askFirst)
	if echo := valuesOf(reply, packet.Prompt)[0]; echo != "\x00\x00\x00\x01" {
		t.Errorf("Prompt %x of what may be seen", echo)
	}
	state = valuesOf(reply, packet.State)[0]
	last := pap(6, "Eve", passcodeAt(0)).station("").state(state)
	b.wantVerdict(last, otp.Accepted)
	b.wantVerdict(pap(7, "Eve", passcodeAt(0)).station("").state(state), otp.Replayed)
	b.wantVerdict(pap(8, "Eve", passcodeAt(1)), otp.Accepted)
	b.wantBinds(people, 2)
	b.wantLog(8, "user=eve")
	b.wantLog(0, `station=""`)
	for i, e := range g.asked {
		if e.NAS != "gateway" || !e.Challenge || e.Identity != people.people["eve"] || i == 0 && (e.Dialog != nil || e.Typed != nil) {
			t.Errorf("%d: asked at %q, challenge %t", i, e.NAS, e.Challenge)
		}
	}
	trace, err := exclusions.ParseTrace(b.store.traces[4]) // of the second answer
	if err != nil || trace.ClientIP.String() != "198.51.100.7" || string(trace.Typed) != "Eve" || trace.Directory != "corp" {
		t.Errorf("trace %+v, %v", trace, err)
	}
}

// TestTheWayGoesOnElsewhere: each step at another server, and each done twice.
func TestTheWayGoesOnElsewhere(t *testing.T) {
	one, people, g := enrolling(t, nil)
	two := newTalkingBench(t, func(o *Options, c *NASConfig) {
		c.Mode, c.Excluded = exclusions.CreateToken, exclusions.NoPass
		o.Users, o.Enroller, o.Verifier = people, g, otp.NewVerifier(one.store, otp.DefaultPolicy())
	})
	state := one.led(pap(1, "eve", "secret of eve"), askPIN)
	one.led(pap(2, "eve", testPIN).station("").state(state), askAgain) // its answer was lost
	state = two.led(pap(2, "eve", testPIN).station("").state(state), askAgain)
	state = one.led(pap(3, "eve", testPIN).station("").state(state), askFirst)
	two.wantVerdict(pap(4, "eve", passcodeAt(0)).station("").state(state), otp.Accepted)
	one.wantVerdict(pap(4, "eve", passcodeAt(0)).station("").state(state), otp.Replayed)
	one.wantBinds(people, 1)
}

func TestANASThatCannotAsk(t *testing.T) {
	for name, change := range map[string]func(*Options, *NASConfig){
		"by its setting":   func(_ *Options, c *NASConfig) { c.Challenge = false },
		"without a Sealer": func(o *Options, _ *NASConfig) { o.States = nil },
	} {
		t.Run(name, func(t *testing.T) {
			b, _, g := enrolling(t, change)
			b.wantMessage(b.wantVerdict(pap(1, "eve", "secret of eve"), otp.Invited), mailOnly)
			b.wantVerdict(pap(2, "eve", testPIN+"000000"), otp.WrongPassword)
			b.wantVerdict(pap(3, "eve", passcodeAt(0)), otp.Accepted)
			g.says = &Prompt{Verdict: otp.Enrolling, Message: askPIN}
			b.wantSilence(pap(4, "bob", "secret of bob"), "undecided")
			b.wantLog(1, "a prompt where the NAS cannot ask")
		})
	}
}

// TestANASThatCannotAskAnyMore: what was typed is still no password.
func TestANASThatCannotAskAnyMore(t *testing.T) {
	b, people, _ := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	b.server.SetNASes(table(t, nil, testNAS(func(c *NASConfig) { c.Mode, c.MessageAuthenticator = exclusions.CreateToken, RequireNever })))
	b.wantMessage(b.wantVerdict(pap(2, "eve", testPIN).state(state), otp.Invited), mailOnly)
	b.wantBinds(people, 1)
}

func TestWhatAnEnrollerSays(t *testing.T) {
	b, people, g := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	answer := func(serial uint64) order { return pap(serial, "eve", testPIN).state(state) }
	b.wantMessage(b.wantVerdict(pap(2, "eve", "8").state(b.led(answer(3), askAgain)), otp.EnrolmentRefused), tooMany)

	g.says = &Prompt{Verdict: otp.Invited}
	b.wantMessage(b.wantVerdict(answer(4), otp.Invited), rejection)
	g.says = &Prompt{Verdict: otp.Undecided}
	b.wantVerdict(answer(5), otp.NoToken) // a passcode of who holds no token
	b.wantVerdict(pap(6, "bob", "secret of bob"), otp.NoToken)

	g.says = &Prompt{Verdict: otp.TokenCreated}
	b.wantVerdict(pap(7, "bob", "secret of bob"), otp.TokenCreated)

	for i, c := range []struct {
		says Prompt
		log  string
	}{
		{Prompt{Verdict: otp.Accepted}, "a verdict that says nothing of an enrolment"},
		{Prompt{Verdict: otp.Excluded}, "a verdict that says nothing of an enrolment"},
		{Prompt{Verdict: otp.Enrolling, Dialog: make([]byte, 65)}, "a dialog of more than 64 octets"},
	} {
		g.says = &c.says
		b.wait(time.Minute) // then it is logged again
		b.wantSilence(answer(10+uint64(i)), "undecided")
		b.wantLog(1+i%2, c.log)
	}
	g.says = nil

	// What cannot be done now.
	g.fail = errDisk
	b.wait(time.Minute)
	b.wantSilence(answer(20), "undecided")
	b.wantLog(1, `enrolling user \"eve\": disk on fire`)
	b.wantSilence(pap(21, "bob", "secret of bob"), "undecided")
	g.invited["bob"] = true
	b.wantSilence(pap(22, "bob", "secret of bob"), "undecided") // by Activate
	g.fail = nil
	people.source = exclusions.Unavailable
	b.wantSilence(answer(23), "directory_unavailable")
	people.source = exclusions.Fresh
	b.led(answer(24), askAgain)

	// Who is in the directory no more, or may not any more.
	people.people["eve"].Disabled = true
	b.wantVerdict(answer(25), otp.DirectoryDisabled)
	delete(people.people, "eve")
	b.wantMessage(b.wantVerdict(answer(26), otp.EnrolmentRefused), rejection)
	b.wantBinds(people, 4)
}

// TestAStateThatCannotBeSealed: the login comes again.
func TestAStateThatCannotBeSealed(t *testing.T) {
	b, _, _ := enrolling(t, func(o *Options, _ *NASConfig) { o.States = box(t, silent{}) })
	b.wantSilence(pap(1, "eve", "secret of eve"), "undecided")
	b.wantLog(1, "no entropy")
	b.wantMetric(0, "logins_total", "enrolling")
}

// TestAnAnswerThatIsNoPAP, or none at all, is shown to nobody.
func TestAnAnswerThatIsNoPAP(t *testing.T) {
	b, people, g := enrolling(t, func(o *Options, c *NASConfig) {
		c.Excluded, o.Rules = exclusions.PassAccept, rulesOf(t, rule("far", criterion(exclusions.ClientIPs, "203.0.113.0/24")))
	})
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	b.wantVerdict(chap(2, "eve", testPIN).adding(packet.State, state), otp.NeedsPAP)
	b.wantVerdict(mschap2(3, "eve", testPIN).adding(packet.State, state), otp.NeedsPAP)
	b.server.SetRules(rulesOf(t, office)) // which is not asked any more
	b.wantVerdict(bare(4, "eve").adding(packet.State, state), otp.NoCredentials)
	b.wantVerdict(pap(5, "eve", "p\xe4ssword").state(state), otp.Unreadable)
	b.led(pap(6, "eve", testPIN).state(state), askAgain)
	b.wantBinds(people, 1)
	if len(g.asked) != 2 {
		t.Errorf("asked %d times", len(g.asked))
	}
}

// TestAnEnrolmentThatIsOver: the answer is refused, and not taken for a password.
func TestAnEnrolmentThatIsOver(t *testing.T) {
	b, people, g := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	b.wait(9 * time.Minute)
	state = b.led(pap(2, "eve", testPIN).state(state), askAgain)
	b.wait(time.Minute) // ten since the first prompt
	b.wantMessage(b.wantVerdict(pap(3, "eve", testPIN).state(state), otp.EnrolmentRefused), "That took too long.")
	b.wantVerdict(chap(4, "eve", testPIN).adding(packet.State, state), otp.EnrolmentRefused)
	for i := range uint64(10) {
		b.wantVerdict(pap(5+i, "eve", fmt.Sprint(testPIN, i)).state(state), otp.EnrolmentRefused)
	}
	b.wantBinds(people, 1)
	b.wantVerdict(pap(20, "eve", passcodeAt(0)), otp.Accepted) // the invitation is open
	if len(g.asked) != 2 {
		t.Errorf("asked %d times", len(g.asked))
	}

	// Nor where nobody enrols any more.
	b, people, _ = enrolling(t, nil)
	state = b.led(pap(1, "eve", "secret of eve"), askPIN)
	b.server.options.Enroller, b.server.options.EnrolmentOverMessage = nil, ""
	b.wantMessage(b.wantVerdict(pap(2, "eve", testPIN).state(state), otp.EnrolmentRefused), rejection)
	b.wantBinds(people, 1)
}

// TestAnEnrolmentOfOthers: a State opens for its user and NAS only. For others what
// comes with it is a login.
func TestAnEnrolmentOfOthers(t *testing.T) {
	b, people, g := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	b.wantVerdict(pap(2, "bob", "4712").state(state), otp.WrongPassword)
	b.wantVerdict(pap(3, "EVE", "4713").state(state), otp.WrongPassword)
	b.wantVerdict(pap(4, "alice", passcodeAt(0)).state(state), otp.Accepted)
	b.wantBinds(people, 3)
	if len(g.asked) != 1 {
		t.Errorf("asked %d times", len(g.asked))
	}
}

// TestAnEnrolmentHasAnEnd: the last time the Enroller is told that it cannot ask.
func TestAnEnrolmentHasAnEnd(t *testing.T) {
	b, _, g := enrolling(t, nil)
	g.says = &Prompt{Verdict: otp.Enrolling, Message: askPIN}
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	for i := range uint64(maxDepth[enrolmentDialog]) {
		state = b.led(pap(2+i, "eve", testPIN).state(state), askPIN)
	}
	g.says = nil
	b.wantMessage(b.wantVerdict(pap(50, "eve", testPIN).state(state), otp.Invited), mailOnly)
}

// TestANewTokenThatIsOutOfStep: the last answer of an enrolment leads to a dialog of
// the other kind, and that to its end.
func TestANewTokenThatIsOutOfStep(t *testing.T) {
	b, _, g := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve"), askPIN)
	g.says = &Prompt{}
	delete(g.invited, "eve")
	b.store.accounts["eve"] = newAccount()
	state = b.challenged(pap(2, "eve", passcodeAt(50)).station("").state(state))
	b.wantVerdict(pap(3, "eve", passcodeAt(51)).station("").state(state), otp.Accepted)
	b.wantLog(0, `station=""`)
}

// TestAnswersAreWiped once the Enroller has them, as passcodes are, and so is what
// the dialog kept.
func TestAnswersAreWiped(t *testing.T) {
	b, _, g := enrolling(t, nil)
	state := b.led(pap(1, "eve", "secret of eve").fresh(b), askPIN)
	state = b.led(pap(2, "eve", "48150").state(state).fresh(b), askAgain)
	keeper := &keeping{guide: g}
	b.server.options.Enroller = keeper
	b.led(pap(3, "eve", "48150").state(state).fresh(b), askFirst)
	if string(keeper.note) != "again 48150 48150" {
		t.Fatalf("the Enroller got %q", keeper.note)
	}
	if bytes.ContainsAny(keeper.typed, "48150") || bytes.ContainsAny(keeper.dialog, "48150") {
		t.Errorf("left in memory: %q, %q", keeper.typed, keeper.dialog)
	}
	b.wantLog(0, "48150")
	for _, trace := range b.store.traces {
		if bytes.Contains(trace, []byte("48150")) {
			t.Error("a trace tells what was typed")
		}
	}
}

// fresh has a server serve the order with a request of its own.
func (o order) fresh(b *bench) order {
	b.auth.spare = b.auth.pool.make()
	return o
}

// keeping is a guide that keeps what is not its own.
type keeping struct {
	*guide
	typed, dialog, note []byte
}

func (k *keeping) Answer(ctx context.Context, e Enrolment) (Prompt, error) {
	k.typed, k.dialog, k.note = e.Typed, e.Dialog, fmt.Appendf(nil, "%s %s", e.Dialog, e.Typed)
	return k.guide.Answer(ctx, e)
}

// TestEnrolmentsPrintAsRedacted plants a PIN and an Activation Key.
func TestEnrolmentsPrintAsRedacted(t *testing.T) {
	const planted = "PLANTED"
	e := Enrolment{NAS: planted, Dialog: []byte(planted), Typed: []byte(planted)}
	p := Prompt{Message: planted, Dialog: []byte(planted)}
	d := &dialog{kept: []byte(planted)}
	var printed strings.Builder
	for _, value := range []any{e, &e, p, &p, []any{e, p}, struct{ E Enrolment }{e}, &request{message: planted, dialog: d}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
	}
	for _, value := range []any{e, p, &e, &p} {
		text, err := json.Marshal(value)
		if err != nil || string(text) != `"[redacted]"` {
			t.Errorf("as JSON %s, %v", text, err)
		}
	}
	decimal := strings.Trim(fmt.Sprint([]byte(planted)), "[]")
	for _, form := range []string{planted, hex.EncodeToString([]byte(planted)), decimal} {
		if strings.Contains(printed.String(), form) {
			t.Errorf("%q is printed", form)
		}
	}
}

// TestLongMessages take several Reply-Messages, cut between characters.
func TestLongMessages(t *testing.T) {
	b, _, g := enrolling(t, nil)
	for i, c := range []struct {
		message string
		lengths []int
	}{
		{"", nil},
		{strings.Repeat("x", 253), []int{253}},
		{strings.Repeat("x", 254), []int{253, 1}},
		{strings.Repeat("x", 252) + strings.Repeat("ü", 200), []int{252, 252, 148}},
		{strings.Repeat("€", 260), []int{252, 252, 252}}, // more than there is room for
		{strings.Repeat("\x80", 254), []int{253, 1}},     // no text at all
	} {
		g.says = &Prompt{Verdict: otp.Enrolling, Message: c.message}
		reply := b.want(pap(uint64(i), "eve", "secret of eve"), challenge)
		var lengths []int
		for _, text := range valuesOf(reply, packet.ReplyMessage) {
			lengths = append(lengths, len(text))
			if c.message[0] < 0x80 && strings.ToValidUTF8(text, "") != text {
				t.Errorf("%d: %q is cut within a character", i, text)
			}
		}
		if !slices.Equal(lengths, c.lengths) {
			t.Errorf("%d: Reply-Messages of %d bytes, want %d", i, lengths, c.lengths)
		}
	}
}
