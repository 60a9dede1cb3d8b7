package radiusd

import (
	"context"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

func TestRealmsAreTakenOff(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Realms = []string{"example", "example.com"} })
	for name, want := range map[string]string{
		"kay": "kay", "kay@example.com": "kay", `example\kay`: "kay", "kay@example": "kay",
		"kay@nowhere": "kay@nowhere", `nowhere\kay`: `nowhere\kay`, "kay@sub.example.com": "kay@sub.example.com",
		"k@y@example.com": "k@y", `example\kay@example.com`: "kay@example.com", `nowhere\kay@example.com`: `nowhere\kay@example.com`,
		"@example.com": "@example.com", `example\`: `example\`, "kay @example.com": "kay @example.com", `example\ kay`: `example\ kay`,
		`\kay`: `\kay`, "kay@": "kay@", "@": "@", "": "",
	} {
		if got := string(b.server.withoutRealm([]byte(name))); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, c := range []struct {
		login exclusions.Login
		alias bool
	}{
		{exclusions.Login{User: []byte("kay")}, false},
		{exclusions.Login{User: []byte("kay@nowhere"), Realm: "corp"}, false}, // the directory says so
		{exclusions.Login{User: []byte("kay"), Stranger: true}, true},
		{exclusions.Login{User: []byte("kay"), Realm: "corp", GroupsUnknown: true}, false},
		{exclusions.Login{User: []byte("kay@corp"), Realm: "corp", GroupsUnknown: true}, false},
		{exclusions.Login{User: []byte("kay@nowhere"), Realm: "corp", GroupsUnknown: true}, true},
		{exclusions.Login{User: []byte(`nowhere\kay`), GroupsUnknown: true}, true},
		{exclusions.Login{User: []byte("kay@nowhere@corp"), Realm: "corp", GroupsUnknown: true}, true},
		{exclusions.Login{User: []byte("kay@"), GroupsUnknown: true}, true},
	} {
		if got := alias(&c.login); got != c.alias {
			t.Errorf("%s of %q: %v", c.login.User, c.login.Realm, got)
		}
	}
}

// TestOneUserOfManyNames has one account, and no code passes once for each name.
func TestOneUserOfManyNames(t *testing.T) {
	b, o := behind(t, func(o *Options, c *NASConfig) {
		c.Order, o.Realms, o.AcceptedOnce = otp.LocalThenTMS, []string{"example", "example.com"}, time.Hour
	})
	strange := []string{"alice@nowhere", `X\alice`, `EXAMPLE\alice@example.com`}
	b.without("alice@nowhere", `x\alice`, "alice@example.com")
	o.replies(BackendReply{Verdict: otp.AcceptedByTMS}) // whoever that is
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	for i, name := range []string{"alice@example.com", `EXAMPLE\Alice`, "ALICE@EXAMPLE"} {
		b.wantVerdict(pap(2+uint64(i), name, passcodeAt(0)), otp.Replayed)
	}
	for i, name := range strange {
		b.wantVerdict(pap(10+uint64(i), name, passcodeAt(0)), otp.NoToken)
	}
	b.wantAsked(o, 0)
	b.store.accounts["alice"].Disabled = true
	b.wantVerdict(pap(20, "alice@example.com", passcodeAt(1)), otp.UserDisabled)
	b.wantVerdict(pap(21, strange[0], passcodeAt(1)), otp.NoToken)
	b.wantAsked(o, 0)

	b.wantVerdict(pap(30, "Eve@Example.com", "right"), otp.AcceptedByTMS)
	if got := o.last(); got.user != "eve" || got.name != "Eve@Example.com" {
		t.Errorf("asked %+v", got)
	}
	b.wantVerdict(pap(31, `EXAMPLE\eve`, "right"), otp.Replayed)
	b.wantVerdict(pap(32, "eve", "right"), otp.Replayed)
	b.wantAsked(o, 1)
}

// TestARealmThatWasTakenOffIsRecorded, also where nothing else is to be told.
func TestARealmThatWasTakenOffIsRecorded(t *testing.T) {
	for name, order := range map[string]otp.Order{"of the TMS": otp.TMSOnly, "of ours": otp.LocalOnly} {
		b, _ := behind(t, func(o *Options, c *NASConfig) { c.Order, o.Realms = order, []string{"example.com"} })
		b.want(pap(1, "Alice@Example.com", "wrong"), reject)
		b.want(pap(2, "Alice", "wrong"), reject)
		trace, err := exclusions.ParseTrace(b.store.traces[0])
		if err != nil || string(trace.User) != "alice" || string(trace.Typed) != "Alice@Example.com" || trace.Stranger || trace.Realm != "" {
			t.Errorf("%s: trace %+v, %v", name, trace, err)
		}
		if len(b.store.traces[1]) != 0 {
			t.Errorf("%s: a trace of a plain name", name)
		}
	}
}

// TestRealmsOfADirectory are the directory's to know.
func TestRealmsOfADirectory(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) {
		o.Users, o.Realms = newDirectory(person("eve@corp")), []string{"corp"}
	})
	b.wantVerdict(pap(1, "eve@corp", "right"), otp.AcceptedByTMS)
	if got := o.last(); got.user != "eve@corp" {
		t.Errorf("asked %+v", got)
	}
}

// TestStrangersAreNotForTheTMS: whom no directory has, and while it is away whose realm no
// directory has.
func TestStrangersAreNotForTheTMS(t *testing.T) {
	people := newDirectory(person("eve"))
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Users = people })
	b.without("eve@nowhere", `nowhere\eve`, "nobody")
	o.replies(BackendReply{Verdict: otp.AcceptedByTMS})
	strange := []string{"eve@nowhere", `nowhere\eve`}
	for i, name := range append(strange, "nobody") {
		b.wantVerdict(pap(uint64(i), name, "right"), otp.NoToken)
	}
	b.wantAsked(o, 0)
	b.wantVerdict(pap(10, "eve", "right"), otp.AcceptedByTMS)
	people.source = exclusions.Unavailable
	for i, name := range strange {
		b.wantSilence(pap(20+uint64(i), name, "right"), "directory_unavailable")
	}
	b.wantAsked(o, 1)
}

// TestAnAnswerOfAStranger goes nowhere: the directory has the user no more.
func TestAnAnswerOfAStranger(t *testing.T) {
	people := newDirectory(person("eve"))
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Users = people })
	state := b.inquired(pap(1, "eve", "ask"))
	delete(people.people, "eve")
	b.wantVerdict(pap(2, "eve", "answer").state(state), otp.RefusedByTMS)
	b.wantAsked(o, 1)
}

// TestTheTMSIsToldOfDoubt about who the user is, so that nothing is learned.
func TestTheTMSIsToldOfDoubt(t *testing.T) {
	people, doubtful := newDirectory(person("eve")), false
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Users = people })
	o.says = func(_ context.Context, l *BackendLogin) (BackendReply, error) {
		doubtful = l.Doubtful
		if l.Dialog == nil {
			return BackendReply{Verdict: otp.AskedByTMS, Attributes: encoded(18, askSMS), Dialog: []byte("sms")}, nil
		}
		return BackendReply{Verdict: otp.AcceptedByTMS}, nil
	}
	for i, source := range []exclusions.Source{exclusions.Fresh, exclusions.Stale, exclusions.Unavailable} {
		people.source = source
		serial := uint64(10 * i)
		state := b.inquired(pap(serial, "eve", "ask"))
		if want := source == exclusions.Unavailable; doubtful != want {
			t.Errorf("%v: doubtful %v", source, doubtful)
		}
		b.wantVerdict(pap(serial+1, "eve", "answer").state(state), otp.AcceptedByTMS)
		if want := source == exclusions.Unavailable; doubtful != want {
			t.Errorf("%v: an answer is doubtful: %v", source, doubtful)
		}
	}
}
