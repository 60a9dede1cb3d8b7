package tms

import (
	"net/netip"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// Who verifies the code follows from the order, what the user holds and what was said of
// the user. Where there is a TMS it is always told.
func TestExplainWhoVerifies(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice"}
	m.token["T1"] = Token{Exists: true, Token: otp.Token{Serial: "T1", Learned: true}, User: "alice"}
	const from = `([[order]] "pilot")`
	for _, test := range []struct {
		is     Assignment
		home   otp.Home
		agreed uint16
		want   string
	}{
		{is: Assignment{Order: otp.LocalOnly}, home: otp.HomeTMS, want: "the tokens here: the order is local " + from},
		{is: Assignment{Order: otp.LocalOnly, Outside: "alice does not belong to the TMS"}, want: "the tokens here: alice does not belong to the TMS"},
		{is: Assignment{Order: otp.LocalThenTMS}, want: "the TMS: the order is local-then-tms " + from + ", and alice holds no active token here"},
		{is: Assignment{Order: otp.LocalThenTMS}, agreed: 2, want: "the tokens here: the order is local-then-tms " + from + ", and alice holds an active one"},
		{is: Assignment{Order: otp.LocalThenTMS, Shadow: true}, agreed: 2, want: "the TMS, and the tokens here are compared with it: shadow = true, and the order is local-then-tms " + from},
		{is: Assignment{Order: otp.LocalThenTMS, Shadow: true}, want: "the TMS: the order is local-then-tms " + from + ", and alice holds no active token here"},
		{is: Assignment{Order: otp.LocalThenTMS, Shadow: true}, home: otp.HomeLocal, want: "the tokens here: alice was cut over, or enrolled here"},
		{is: Assignment{Order: otp.LocalThenTMS}, agreed: 2, home: otp.HomeTMS, want: "the TMS: alice was rolled back"},
		{is: Assignment{Order: otp.TMSOnly}, home: otp.HomeLocal, want: "the tokens here: alice was cut over, or enrolled here"},
		{is: Assignment{Order: otp.TMSOnly, Shadow: true}, agreed: 2, want: "the TMS: the order is tms " + from},
		{is: Assignment{Order: otp.TMSThenLocal}, agreed: 2, want: "the TMS first: the order is tms-then-local " + from + ", so that the tokens here count where it refuses or does not answer"},
		{is: Assignment{Doubt: true}, want: "the tokens here, as long as the directory does not say whether alice belongs to the TMS, and only an accept counts"},
		{is: Assignment{Doubt: true}, home: otp.HomeTMS, want: "nobody, as long as the directory does not say whether alice belongs to the TMS: our own tokens are not asked about who was rolled back"},
	} {
		user, token := m.users["alice"], m.token["T1"]
		user.Home, token.State.Agreed = test.home, test.agreed
		m.users["alice"], m.token["T1"] = user, token
		k := unmet(t)
		test.is.From = `[[order]] "pilot"`
		k.TMS = &test.is
		s.Explainer = &oracle{k: k}
		x, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "ras"})
		if err != nil || x.VerifiedBy != test.want {
			t.Errorf("%+v: %v\n%s\nwant %s", test, err, x.VerifiedBy, test.want)
		}
	}
}

// unmet is a Case of which no rule is met.
func unmet(t *testing.T) Case {
	k := compiled(t)
	k.ClientMACs, k.ClientIP = nil, netip.Addr{}
	return k
}

// A user of the TMS needs a code in every mode; nobody else's way changes because there
// is a TMS.
func TestExplainWithATMS(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice"}
	there, outside := Assignment{Order: otp.LocalThenTMS, From: "[tms]"}, Assignment{From: "[tms]", Outside: "she is outside"}
	disabled := Token{Exists: true, Token: otp.Token{Serial: "T1", Disabled: true}, User: "alice"}
	list := Token{Exists: true, Token: otp.Token{Serial: "L1", Type: otp.CodeList, Codes: 1}, User: "alice"}
	for _, test := range []struct {
		name                 string
		is                   *Assignment
		change               func(k *Case)
		tokens               []Token
		decision, verifiedBy string // begin so
	}{
		{name: "no TMS", decision: "no eToken needed: alice holds no token"},
		{name: "there", is: &there, decision: "eToken needed: no rule is met, and alice belongs to the TMS", verifiedBy: "the TMS: the order is local-then-tms ([tms])"},
		{name: "outside", is: &outside, decision: "no eToken needed: alice holds no token", verifiedBy: "not the TMS: she is outside"},
		{name: "a disabled token", is: &there, tokens: []Token{disabled}, decision: "eToken needed: no rule is met, and alice belongs to the TMS",
			verifiedBy: "the TMS: the order is local-then-tms ([tms]), and alice holds no active token here; but what a token here shows that may not be used now is refused"},
		{name: "a list", is: &there, tokens: []Token{list}, decision: "eToken needed",
			verifiedBy: "the TMS: the order is local-then-tms ([tms]), and alice holds no active token here; but what is on a list of codes here is verified here"},
		{name: "a rule", is: &there, change: func(k *Case) { k.ClientMACs = []exclusions.MAC{0x0010A42319C0} },
			decision: "no eToken needed: rule", verifiedBy: "nobody: no eToken is needed"},
		{name: "a rule and the password", is: &there, change: func(k *Case) {
			k.ClientMACs, k.Pass = []exclusions.MAC{0x0010A42319C0}, exclusions.PassDirectoryPassword
		}, decision: "the directory password will do", verifiedBy: "the directory, or the tokens here"},
		{name: "a rule and a stranger", is: &outside, change: func(k *Case) {
			k.ClientMACs, k.Pass, k.Stranger = []exclusions.MAC{0x0010A42319C0}, exclusions.PassDirectoryPassword, true
		}, decision: "eToken needed: no rule counts for whom no directory has", verifiedBy: "not the TMS: she is outside"},
		{name: "disabled in the directory", is: &there, change: func(k *Case) { k.DirectoryDisabled = true },
			decision: "refused", verifiedBy: "nobody: the login is refused"},
		{name: "unknown reply", is: &there, change: func(k *Case) { k.ReplyDoubt = true }, decision: "not answered", verifiedBy: "nobody: the login is not answered"},
	} {
		m.token = map[otp.Serial]Token{}
		for _, token := range test.tokens {
			m.token[token.Serial] = token
		}
		k := unmet(t)
		k.Mode, k.TMS = exclusions.TokenHolders, test.is
		if test.change != nil {
			test.change(&k)
		}
		s.Explainer = &oracle{k: k}
		x, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "ras"})
		if err != nil || !strings.HasPrefix(x.Decision, test.decision) || !strings.HasPrefix(x.VerifiedBy, test.verifiedBy) || (test.is == nil) != (x.VerifiedBy == "") {
			t.Errorf("%s: %v\n%s\n%s", test.name, err, x.Decision, x.VerifiedBy)
		}
	}
}

// Of a login that did happen its record tells who verified the code.
func TestExplainWhoVerified(t *testing.T) {
	type d = otp.Decision
	service, servers := &Assignment{OTPService: true}, &Assignment{}
	const hid = "refused: the gateway hid the password"
	for _, test := range []struct {
		is         situation
		tms        *Assignment
		method     otp.Method
		decision   d
		verifiedBy string
		outcome    string // begins so, where the verdict is not all there is to tell
	}{
		{decision: d{Verdict: otp.AcceptedByTMS}, tms: servers, verifiedBy: "the TMS"},
		{decision: d{Verdict: otp.AcceptedByTMS, Own: otp.WrongPIN}, tms: servers, verifiedBy: "the TMS; the tokens here said wrong_pin"},
		{decision: d{Verdict: otp.RefusedByTMS, Own: otp.Accepted, Serial: "T1"}, verifiedBy: "the TMS; the tokens here said accepted"},
		{decision: d{Verdict: otp.RefusedByTMS, Repeated: true}, tms: servers, verifiedBy: "not asked again: the same passcode within repeat_time"},
		{decision: d{Verdict: otp.AskedByTMS}, tms: servers, verifiedBy: "the TMS, which asked for more"},
		{decision: d{Verdict: otp.CannotAsk}, tms: servers, verifiedBy: "the TMS, which asked for more"},
		{decision: d{Verdict: otp.TMSDown}, tms: servers, verifiedBy: "the TMS, which did not answer", outcome: "the TMS did not answer: refused, or not answered, as when_down says"},
		{decision: d{Verdict: otp.Replayed}, tms: servers, verifiedBy: "not asked again: the TMS accepted this very passcode a short time ago (accepted_once), or it is being decided",
			outcome: "refused: the TMS accepted this very passcode a short time ago (accepted_once)"},
		{decision: d{Verdict: otp.Replayed, Serial: "T1"}, tms: servers, verifiedBy: "the tokens here"},
		{decision: d{Verdict: otp.Replayed, Serial: "T1", Own: otp.Replayed}, tms: servers, verifiedBy: "the TMS; the tokens here said replayed"},
		{decision: d{Verdict: otp.WrongCode, Serial: "T1"}, tms: servers, verifiedBy: "the tokens here"},
		{decision: d{Verdict: otp.WrongCode, Serial: "T1"}},
		{decision: d{Verdict: otp.Throttled}, tms: servers},
		{decision: d{Verdict: otp.NoToken}, tms: servers, verifiedBy: "the tokens here"},
		{decision: d{Verdict: otp.NoToken, Serial: "T1"}, tms: servers, verifiedBy: "the tokens here: the code is that of T1, which may not be used, and so not for the TMS to decide"},
		{decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.CHAP, verifiedBy: "not asked: the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway",
			outcome: "refused: the OTP service of the TMS verifies PAP and MS-CHAPv2 only"},
		{is: situation{mode: exclusions.CreateToken}, decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.CHAP,
			verifiedBy: "not asked: the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway", outcome: "refused: the OTP service"},
		{is: situation{mode: exclusions.TokenHolders, pass: exclusions.PassAccept, source: exclusions.Fresh}, decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.MSCHAP,
			verifiedBy: "not asked: the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway", outcome: "refused: the OTP service"},
		{is: situation{mode: exclusions.TokenHolders, pass: exclusions.PassAccept}, decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.MSCHAPv2, outcome: hid + ", so that the directory"},
		{is: situation{mode: exclusions.CreateToken, source: exclusions.Fresh}, decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.CHAP, outcome: hid + ", which neither the directory nor"},
		{is: situation{mode: exclusions.CreateToken, source: exclusions.Fresh}, decision: d{Verdict: otp.NeedsPAP}, tms: servers, method: otp.CHAP, outcome: hid + ", so that the directory"},
		{is: situation{rule: true}, decision: d{Verdict: otp.NeedsPAP}, tms: service, method: otp.CHAP, outcome: hid + ", so that the directory"},
	} {
		k, x := test.is.build()
		k.TMS = test.tms
		e := &Event{ID: otp.EventID{Batch: 17}, Login: Login{Method: test.method, Decision: test.decision}}
		x.setEvent(e)
		x.setVerified(k, e)
		if x.VerifiedBy != test.verifiedBy || !strings.HasPrefix(x.Outcome, test.outcome) || x.Outcome == "" {
			t.Errorf("%+v: %s\nwant %s\n%s", test, x.VerifiedBy, test.verifiedBy, x.Outcome)
		}
	}
}
