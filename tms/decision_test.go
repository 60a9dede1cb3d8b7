package tms

import (
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

func TestEveryVerdictHasAnOutcome(t *testing.T) {
	for _, v := range otp.Verdicts() {
		word, rest, _ := strings.Cut(outcomes[v], " ")
		if accepted := strings.TrimSuffix(word, ":") == "accepted"; rest == "" || accepted != v.Accepts() {
			t.Errorf("%v: %q", v, outcomes[v])
		}
	}
}

// situation is a Case and an Explanation with what the decision depends on.
type situation struct {
	mode             exclusions.Mode
	pass             exclusions.Pass
	source           exclusions.Source
	rule             bool // is met
	rules            bool // are there
	directoryRefuses bool
	stranger         bool
	disabled         bool
	tms              bool // there is an OTP service
	tokens           int
	tokensDisabled   int
	tokensExpired    int
}

func (s situation) build() (*Case, *Explanation) {
	k := &Case{Trace: exclusions.Trace{Mode: s.mode, Pass: s.pass, Source: s.source}, DirectoryDisabled: s.directoryRefuses}
	x := &Explanation{User: "alice", Known: !s.stranger, Disabled: s.disabled, Tokens: s.tokens, TokensDisabled: s.tokensDisabled, TokensExpired: s.tokensExpired}
	if s.tms {
		k.TMS = &Assignment{OTPService: true}
	}
	if s.rule || s.rules {
		x.Rules = []RuleStanding{{Name: "printers", Source: FromFile, Text: "client MAC is in it"}}
	}
	if s.rule {
		x.setRule(0)
	}
	return k, x
}

func TestPredictions(t *testing.T) {
	const accept, password = exclusions.PassAccept, exclusions.PassDirectoryPassword
	for _, test := range []struct {
		is   situation
		want string
	}{
		{situation{rule: true, pass: accept}, `no eToken needed: rule "printers" (configuration): client MAC is in it`},
		{situation{rule: true, pass: password}, `the directory password will do instead of an eToken: rule "printers"`},
		{situation{rules: true, tokens: 1}, `eToken needed: no rule counts where it is not said what an excluded login gets, and mode mandatory`},
		{situation{mode: exclusions.TokenHolders}, `refused, because what an excluded login gets is not said for this NAS: alice holds no token`},
		{situation{rule: true, pass: accept, disabled: true}, `refused: the user alice is disabled here`},
		{situation{rules: true, source: exclusions.Unavailable}, `at most a right eToken is answered`},
		{situation{directoryRefuses: true, rule: true, pass: accept}, `refused: the account of alice is disabled in the directory`},
		{situation{tokens: 2}, `eToken needed: there are no rules, and mode mandatory wants one of every user`},
		{situation{rules: true, pass: accept, tokens: 2, tokensDisabled: 2}, `eToken needed: no rule is met, and mode mandatory wants one of every user; but alice holds 2 tokens, all disabled`},
		{situation{rules: true}, `; but alice holds no token`},
		{situation{rules: true, stranger: true}, `; but there is no user alice here`},
		{situation{mode: exclusions.TokenHolders, pass: accept, tokens: 1}, `eToken needed: there are no rules, and alice holds a token`},
		{situation{mode: exclusions.TokenHolders, pass: accept, tokens: 1, tokensDisabled: 1}, `alice holds a token that is disabled`},
		{situation{mode: exclusions.TokenHolders, pass: accept, tokens: 3, tokensDisabled: 1}, `alice holds 3 tokens, 1 of them disabled`},
		{situation{tokens: 1, tokensExpired: 1}, `; but alice holds a token that is not valid now`},
		{situation{tokens: 3, tokensDisabled: 1, tokensExpired: 2}, `; but alice holds 3 tokens, 1 of them disabled, 2 of them not valid now`},
		{situation{tokens: 2, tokensExpired: 2}, `; but alice holds 2 tokens, all not valid now`},
		{situation{mode: exclusions.TokenHolders, pass: accept, stranger: true}, `no eToken needed: alice holds no token, and the mode is token-holders`},
		{situation{mode: exclusions.TokenHolders, pass: password}, `the directory password will do instead of an eToken: alice holds no token`},
		{situation{mode: exclusions.CreateToken}, `no login, but a token for the right directory password: alice holds none, and the mode is create-token`},
		{situation{mode: exclusions.CreateToken, tokens: 2}, `eToken needed: there are no rules, and alice holds 2 tokens`},
	} {
		k, x := test.is.build()
		if got := k.prediction(x, false); !strings.Contains(got, test.want) {
			t.Errorf("%+v: %s\nwant %s", test.is, got, test.want)
		}
	}
	k, x := situation{tokens: 1}.build()
	if got := k.prediction(x, true); got != doubtful {
		t.Errorf("in doubt: %s", got)
	}
}

func TestRecollections(t *testing.T) {
	holders := situation{mode: exclusions.TokenHolders, pass: exclusions.PassAccept, rules: true, stranger: true}
	for _, test := range []struct {
		is      situation
		verdict otp.Verdict
		want    string
	}{
		{situation{rule: true, pass: exclusions.PassDirectoryPassword}, otp.WrongPassword, `the directory password will do instead of an eToken: rule "printers"`},
		{situation{source: exclusions.Unavailable}, otp.WrongCode, "at most a right eToken"},
		{situation{source: exclusions.Unavailable, rules: true, pass: exclusions.PassAccept}, otp.Accepted, "eToken needed: no rule is met"},
		{situation{}, otp.WrongCode, "eToken needed: there are no rules, and mode mandatory"},
		{situation{}, otp.Unreadable, "nothing to decide"},
		{situation{rule: true, pass: exclusions.PassAccept}, otp.UserDisabled, "disabled here"},
		{situation{}, otp.DirectoryDisabled, "disabled in the directory"},
		{holders, otp.Accepted, "eToken needed: no rule is met, and alice held a token"},
		{holders, otp.NoToken, "eToken needed: no rule is met, and alice held a token"},
		{holders, otp.UnknownUser, "eToken needed: no rule is met, and there was no user alice"},
		{holders, otp.Excluded, "no eToken needed: alice held no token, and the mode was token-holders"},
		{situation{mode: exclusions.CreateToken, tokens: 1}, otp.TokenCreated, "alice held none"},
		{situation{mode: exclusions.CreateToken}, otp.Enrolling, "no login, but the way to a token: alice held none"},
		{situation{}, otp.Invited, "the way to a token"},
		{holders, otp.EnrolmentRefused, "the way to a token"},
		{situation{}, otp.TokenExpired, "eToken needed"},
		{situation{}, otp.RefusedByTMS, "eToken needed: there are no rules, and mode mandatory"},
		{holders, otp.AcceptedByTMS, "eToken needed: no rule is met, and alice belonged to the TMS"},
		{situation{mode: exclusions.CreateToken}, otp.TMSDown, "and alice belonged to the TMS"},
		{situation{mode: exclusions.CreateToken, source: exclusions.Unavailable, tms: true}, otp.AcceptedByTMS, "and alice belonged to the TMS"},
		{situation{mode: exclusions.CreateToken, source: exclusions.Fresh, tms: true}, otp.NeedsPAP, "alice held no token, or belonged to the TMS, and the mode was create-token"},
		{situation{mode: exclusions.CreateToken, tms: true}, otp.NeedsPAP, "eToken needed: there are no rules, and alice belonged to the TMS"},
		{situation{mode: exclusions.TokenHolders, tms: true}, otp.Throttled, "alice held a token, or belonged to the TMS"},
		{situation{mode: exclusions.TokenHolders, tms: true}, otp.WrongCode, "and alice held a token"},
	} {
		k, x := test.is.build()
		e := &Event{Login: Login{Method: otp.CHAP, Decision: otp.Decision{Verdict: test.verdict}}}
		if got := k.recollection(x, e); !strings.Contains(got, test.want) {
			t.Errorf("%+v, %v: %s\nwant %s", test.is, test.verdict, got, test.want)
		}
	}
}
