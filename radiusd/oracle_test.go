package radiusd

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

var errAsleep = errors.New("no answer from 192.0.2.77")

// oracle is a Backend. It accepts "right", and "answer" to what it asked; it asks who
// types "ask", and refuses all else.
type oracle struct {
	mu     sync.Mutex
	asked  []question
	probes int
	says   func(ctx context.Context, l *BackendLogin) (BackendReply, error) // in place of what it would say
	fail   error                                                            // of all
}

// question is what it was asked.
type question struct {
	user, passcode, nas, dialog, name string
	method                            otp.Method
	known, mayAsk                     bool
}

const askSMS = "Enter the code of the SMS."

func (o *oracle) Verify(ctx context.Context, l *BackendLogin) (BackendReply, error) {
	o.mu.Lock()
	says, fail := o.says, o.fail
	o.asked = append(o.asked, question{
		string(l.User), string(bytes.Clone(l.Passcode.Bytes())), l.NAS, string(l.Dialog), string(l.Packet.UserName),
		l.Method, l.Identity != nil, l.MayAsk,
	})
	o.mu.Unlock()
	switch {
	case fail != nil:
		return BackendReply{}, fail
	case says != nil:
		return says(ctx, l)
	}
	switch passcode := string(l.Passcode.Bytes()); {
	case passcode == "right" && l.Dialog == nil, passcode == "answer" && string(l.Dialog) == "sms":
		return BackendReply{Verdict: otp.AcceptedByTMS, Attributes: encoded(packet.Class, "tms")}, nil
	case passcode == "ask":
		return BackendReply{Verdict: otp.AskedByTMS, Attributes: encoded(packet.ReplyMessage, askSMS), Dialog: []byte("sms")}, nil
	}
	return BackendReply{Verdict: otp.RefusedByTMS}, nil
}

func (o *oracle) Probe(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.probes++
	return o.fail
}

func (o *oracle) set(change func(*oracle)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

// replies has it give one answer to all.
func (o *oracle) replies(reply BackendReply) {
	o.set(func(o *oracle) {
		o.says = func(context.Context, *BackendLogin) (BackendReply, error) { return reply, nil }
	})
}

func encoded(kind packet.Type, text string) []byte {
	return append([]byte{byte(kind), byte(2 + len(text))}, text...)
}

// wantAsked checks how often the Backend was asked.
func (b *bench) wantAsked(o *oracle, n int) {
	b.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.asked) != n {
		b.Errorf("the TMS was asked %d times, want %d: %+v", len(o.asked), n, o.asked)
	}
}

func (o *oracle) last() question {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[len(o.asked)-1]
}

// behind is a server with a TMS behind it, whose NAS can ask and has every code verified
// there. Bob and eve hold no token of ours.
func behind(tb testing.TB, change func(*Options, *NASConfig)) (*bench, *oracle) {
	o := &oracle{}
	b := newRuledBench(tb, exclusions.PassAccept, func(options *Options, c *NASConfig) {
		c.Challenge, c.Order = true, otp.TMSOnly
		options.ChallengeMessage, options.States, options.Backend = prompt, box(tb, strings.NewReader(strings.Repeat("n", 1<<16))), o
		if change != nil {
			change(options, c)
		}
	})
	b.without("bob", "eve")
	return b, o
}

// inquired sends a login that the TMS answers by a question, and returns the State.
func (b *bench) inquired(o order) (state string) {
	b.Helper()
	before := b.metric("logins_total", "asked_by_tms")
	reply := b.want(o, challenge)
	b.wantMetric(before+1, "logins_total", "asked_by_tms")
	b.wantMessage(reply, askSMS)
	return valuesOf(reply, packet.State)[0]
}

// classes are those of a reply.
func (b *bench) wantClasses(reply *packet.Request, want ...string) {
	b.Helper()
	if got := valuesOf(reply, packet.Class); !slices.Equal(got, want) {
		b.Errorf("Class is %q, want %q", got, want)
	}
}
