package radiusd

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// guide is an Enroller that asks for a PIN, for the same again, and for the first
// passcode. What it has to know it keeps in the dialog. The token of everybody is the
// one of newAccount.
type guide struct {
	mu      sync.Mutex
	store   *ledger
	invited map[string]bool
	fail    error
	says    *Prompt // in place of what it would say
	asked   []Enrolment
	tries   int // of Activate
	trying  func()
	checks  int // of Invited
}

const (
	askPIN   = "Choose any four digits as OTP PIN."
	askAgain = "The same again."
	askFirst = "Enter OTP PIN and eToken."
	mailOnly = "Read your mail."
	tooMany  = "This went wrong. Ask the help desk."
)

func (g *guide) Invited(user []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks++
	return g.invited[string(user)]
}

func (g *guide) Activate(_ context.Context, user otp.UserName, _ string, passcode otp.Passcode) (otp.FirstCode, error) {
	if g.trying != nil {
		g.trying()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries++
	if g.fail != nil {
		return otp.NotShown, g.fail
	}
	return g.activate(string(user), passcode), nil
}

func (g *guide) activate(user string, passcode otp.Passcode) otp.FirstCode {
	if !g.invited[user] {
		return otp.NotShown
	}
	account := newAccount()
	found, _ := otp.VerifyFirst(&account.Tokens[0], account.PIN, passcode, epoch, otp.DefaultPolicy())
	if found == otp.Shown {
		delete(g.invited, user)
		g.store.set(func(s *ledger) {
			account := newAccount()
			if before := s.accounts[user]; before != nil {
				account.Tokens = append(account.Tokens, before.Tokens...)
			}
			s.accounts[user] = account
		})
	}
	return found
}

func (g *guide) Begin(_ context.Context, e Enrolment) (Prompt, error) {
	return g.answer(e, func() Prompt {
		g.invited[e.Identity.Name] = true
		if !e.Challenge {
			return Prompt{Verdict: otp.Invited, Message: mailOnly}
		}
		return Prompt{Verdict: otp.Enrolling, Message: askPIN, Dialog: []byte("pin")}
	})
}

func (g *guide) Answer(_ context.Context, e Enrolment) (Prompt, error) {
	return g.answer(e, func() Prompt {
		step, pin, _ := strings.Cut(string(e.Dialog), " ")
		switch {
		case !e.Challenge && step != "first":
			return Prompt{Verdict: otp.Invited, Message: mailOnly}
		case step == "pin":
			return Prompt{Verdict: otp.Enrolling, Message: askAgain, Dialog: fmt.Append(nil, "again ", string(e.Typed))}
		case step == "again" && pin == string(e.Typed):
			return Prompt{Verdict: otp.Enrolling, Message: askFirst, Echo: true, Dialog: []byte("first")}
		case step == "first":
			g.activate(e.Identity.Name, otp.NewPasscode(e.Typed))
			return Prompt{}
		}
		return Prompt{Verdict: otp.EnrolmentRefused, Message: tooMany}
	})
}

// answer notes what was asked.
func (g *guide) answer(e Enrolment, otherwise func() Prompt) (Prompt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return Prompt{}, g.fail
	}
	note := e
	note.Dialog, note.Typed = bytes.Clone(e.Dialog), bytes.Clone(e.Typed)
	g.asked = append(g.asked, note)
	if g.says != nil {
		return *g.says, nil
	}
	return otherwise(), nil
}

// enrolling is a server that gives tokens to who holds none, with a NAS that can ask.
// Eve and bob hold none.
func enrolling(t *testing.T, change func(*Options, *NASConfig)) (*bench, *directory, *guide) {
	people, g := newDirectory(person("alice"), person("bob"), person("eve")), &guide{invited: map[string]bool{}}
	b := newTalkingBench(t, func(o *Options, c *NASConfig) {
		c.Mode, c.Excluded = exclusions.CreateToken, exclusions.NoPass
		o.Users, o.Enroller, o.EnrolmentOverMessage = people, g, "That took too long."
		if change != nil {
			change(o, c)
		}
	})
	g.store = b.store
	b.without("eve", "bob")
	return b, people, g
}

// led sends a login that is asked something on the way to a token.
func (b *bench) led(o order, message string) (state string) {
	b.Helper()
	before := b.metric("logins_total", "enrolling")
	reply := b.want(o, challenge)
	b.wantMetric(before+1, "logins_total", "enrolling")
	b.wantMessage(reply, message)
	return valuesOf(reply, packet.State)[0]
}

func (b *bench) wantMessage(reply *packet.Request, message string) {
	b.Helper()
	if got := strings.Join(valuesOf(reply, packet.ReplyMessage), ""); got != message {
		b.Errorf("Reply-Message %q, want %q", got, message)
	}
}
