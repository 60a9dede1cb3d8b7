package tms

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// ExplainRequest tells of a login that did not happen. What is left out the login
// does not tell.
type ExplainRequest struct {
	At            time.Time `json:"at,omitzero"` // now when zero
	User          string    `json:"user"`        // as it would be typed
	NAS           string    `json:"nas"`         // the name of a NAS
	NASAddress    string    `json:"nas_address"` // the source of its packets
	MAC           string    `json:"mac"`         // of the client
	ClientIP      string    `json:"client_ip"`   // of the client
	NASIPAddress  string    `json:"nas_ip_address"`
	NASIdentifier string    `json:"nas_identifier"`
}

// Case is a login with all that decides whether it needs a code.
type Case struct {
	// Trace has the facts: those that were recorded of a login that did happen,
	// and those that would be of one that did not, with At and NAS. Which rule
	// decided it need not say.
	exclusions.Trace
	// Rules are the rules that were in force, and Exclusions is made of them, in
	// that order; nil when there are none.
	Rules      []Rule
	Exclusions *exclusions.List
	// DirectoryDisabled: the account is disabled in its directory. Of a login that
	// did happen the verdict says that.
	DirectoryDisabled bool
	// TMS is who verifies the code where one is needed; nil where there is no TMS.
	TMS *Assignment
	// Reply are the attributes that rules give an Access-Accept, each as
	// "Fortinet-Group-Name = admins"; ReplyDoubt: there may be more, which depends
	// on groups that are unknown.
	Reply      []string
	ReplyDoubt bool
}

// Explainer knows what the configuration and the directories say about a login.
type Explainer interface {
	// Imagine makes a Case of a login that did not happen. An error about what
	// was asked for wraps ErrInvalid, and ErrNotFound when there is no such NAS.
	Imagine(ctx context.Context, r ExplainRequest) (Case, error)
	// Recall makes a Case of one that did: of the trace of its record and the
	// rules of that revision. Of a login without a trace nothing was to be told:
	// there was no rule, and every user needed a code.
	Recall(ctx context.Context, login *Event) (Case, error)
}

// Explanation tells why a login needs a code or does not. Nothing in it is
// secret: it may be read to the user.
type Explanation struct {
	// Of a login that did happen: its record and what came of it.
	Event   string `json:"event,omitempty"`
	Verdict string `json:"verdict,omitempty"`
	Outcome string `json:"outcome,omitempty"` // the verdict in plain words
	Serial  string `json:"serial,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Code    string `json:"code,omitempty"` // how far off the code was, in words, where its record tells
	Method  string `json:"method,omitempty"`
	Station string `json:"station,omitempty"` // Calling-Station-Id as it came
	Node    string `json:"node,omitempty"`    // the server that decided, where there are several
	// Late: it was let in while the store was away, and recorded afterwards.
	Late bool `json:"recorded_late,omitempty"`
	// Related are other logins that this one follows from, or that came after it.
	Related []RelatedEvent `json:"related,omitempty"`
	// Sessions are those that are open, where there were too many.
	Sessions []OpenSession `json:"sessions,omitempty"`
	together bool          // those of several users count
	// Missing says why Related or Sessions lack what they should have.
	Missing string `json:"missing,omitempty"`

	At            time.Time `json:"at"`
	NAS           string    `json:"nas"`
	Mode          string    `json:"mode"`
	Excluded      string    `json:"excluded,omitempty"` // what a login gets that needs no code
	NASAddress    string    `json:"nas_address,omitempty"`
	NASIPAddress  string    `json:"nas_ip_address,omitempty"`
	NASIdentifier string    `json:"nas_identifier,omitempty"`

	Typed     string   `json:"typed"` // the user name as it came
	User      string   `json:"user"`  // who that is
	Realm     string   `json:"realm,omitempty"`
	Directory string   `json:"directory,omitempty"`
	Source    string   `json:"source"`           // how the directories answered
	Groups    []string `json:"groups,omitempty"` // those that rules name
	// GroupsLeft is how many more of them there were, and MACsLeft how many more MACs, too
	// many to be looked at.
	GroupsLeft uint64 `json:"groups_left,omitempty"`

	ClientIP       string   `json:"client_ip,omitempty"`
	ClientIPFrom   string   `json:"client_ip_from,omitempty"` // the attribute that told it
	ClientMACs     []string `json:"client_macs,omitempty"`
	ClientMACsFrom string   `json:"client_macs_from,omitempty"`
	MACsLeft       uint64   `json:"macs_left,omitempty"`

	// The user here, as it is at present.
	Known          bool `json:"known"` // there is such a user
	Disabled       bool `json:"disabled"`
	PIN            bool `json:"pin"` // an OTP PIN is to be typed before the code
	home           otp.Home
	active         bool // one of the tokens is, for local-then-tms
	lists          bool // one of the tokens is a list of codes that may be used
	Tokens         int  `json:"tokens"`
	TokensDisabled int  `json:"tokens_disabled"` // so many of them
	TokensExpired  int  `json:"tokens_expired"`  // not disabled, but before or after the time in which they are valid
	// Tried are these tokens one by one, by serial, and the one that the record of the login
	// names, whoever has it by now.
	Tried []TokenEvidence `json:"tried,omitempty"`

	// VerifiedBy says who verifies the code or that nobody does, where there is a TMS; of a
	// login that did happen, who did, as far as its record tells.
	VerifiedBy string `json:"verified_by,omitempty"`
	atTMS      bool   // the TMS does

	Decision string        `json:"decision"`       // whether a code is needed and why, in a sentence
	Rule     *RuleStanding `json:"rule,omitempty"` // the rule that decides
	// Rules tells of every rule, in their order, how the login stands to it.
	Rules []RuleStanding `json:"rules"`
	Reply []string       `json:"reply,omitempty"` // attributes of an Access-Accept

	// Advice is what to do next, a sentence each; there always is one, and be it that
	// nothing is to be done.
	Advice []string `json:"advice"`
}

// RuleStanding is how a login stands to a rule.
type RuleStanding struct {
	Name     string `json:"name"`
	Source   string `json:"source"`
	Owner    string `json:"owner,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Standing string `json:"standing"`
	Text     string `json:"text"` // what met the criteria, or what missed
}

// Explain tells what would become of a login.
func (s *Service) Explain(ctx context.Context, c Caller, r ExplainRequest) (Explanation, error) {
	if _, err := s.gate(c, "login.explain", r.User, ""); err != nil {
		return Explanation{}, err
	}
	if r.User == "" || r.NAS == "" {
		return Explanation{}, invalid("a login needs a user and a NAS")
	}
	if r.At.IsZero() {
		r.At = s.Clock()
	}
	if s.Explainer == nil {
		return Explanation{}, errNoExplainer
	}
	k, err := s.Explainer.Imagine(ctx, r)
	if err != nil {
		return Explanation{}, err
	}
	x := k.explanation()
	if err := s.addAccount(ctx, &x); err != nil {
		return x, err
	}
	rule, doubt := -1, false
	if k.Exclusions != nil && k.canPass() {
		rule, doubt = k.Exclusions.Decide(&k.Login)
	}
	x.setRule(rule)
	x.setVerifier(&k)
	x.Decision = k.prediction(&x, doubt)
	x.Advice = x.foresight()
	return x, nil
}

// ExplainEvent explains a login that did happen by the name of its record,
// such as 17-3.
func (s *Service) ExplainEvent(ctx context.Context, c Caller, event string) (Explanation, error) {
	if _, err := s.gate(c, "login.explain", event, ""); err != nil {
		return Explanation{}, err
	}
	e, err := s.loginOf(ctx, event)
	if err != nil {
		return Explanation{}, err
	}
	if s.Explainer == nil {
		return Explanation{}, errNoExplainer
	}
	k, err := s.Explainer.Recall(ctx, &e)
	if err != nil {
		return Explanation{}, err
	}
	k.At, k.NAS, k.User = e.At, e.NAS, []byte(e.User)
	x := k.explanation()
	x.setEvent(&e)
	if err := s.addAccount(ctx, &x); err != nil {
		return x, err
	}
	x.setRule(k.ruleOf(&e))
	if x.Rule == nil && undecidable(e.Decision.Verdict) {
		x.Rules = x.Rules[:0] // nobody looked at them, or asked who the user is
	}
	x.setVerified(&k, &e)
	x.setLimit(&k, &e)
	x.Decision = k.recollection(&x, &e)
	if err := s.addEvidence(ctx, &x, &e); err != nil {
		return x, err
	}
	return x, nil
}

// loginOf finds a login by the name of its record.
func (s *Service) loginOf(ctx context.Context, event string) (Event, error) {
	id, err := otp.ParseEventID(event)
	if err != nil {
		return Event{}, invalid("%w", err)
	}
	e, err := s.Store.Event(ctx, id)
	if err == nil && e.Kind != LoginEvent {
		err = invalid("event %s is no login: only a login can be explained", id)
	}
	e.ID = id
	return e, err
}

// canPass reports whether any rule can let the login pass: not where nobody could
// verify the password.
func (k *Case) canPass() bool {
	return k.Pass == exclusions.PassAccept || k.Pass == exclusions.PassDirectoryPassword && !k.Stranger
}

// errNoExplainer is a mistake of the program.
var errNoExplainer = fmt.Errorf("logins cannot be explained here: no Explainer")

// explanation is what the facts and the rules say.
func (k *Case) explanation() Explanation {
	x := Explanation{
		At: k.At, NAS: k.NAS, Mode: k.Mode.String(), Excluded: k.Pass.String(),
		NASAddress: address(k.NASAddress), NASIPAddress: address(k.NASIPAddress), NASIdentifier: string(k.NASIdentifier),
		Typed: string(k.Typed), User: string(k.User), Realm: k.Realm, Directory: k.Directory, Source: k.Source.String(), Groups: k.Groups,
		ClientIP: address(k.ClientIP), ClientIPFrom: k.ClientIPFrom.String(), ClientMACsFrom: k.MACFrom.String(),
		GroupsLeft: k.GroupsLeft, MACsLeft: k.MACsLeft, Node: k.Node, Late: k.Late,
		Rules: make([]RuleStanding, 0, len(k.Rules)), Reply: k.Reply,
	}
	if x.Typed == "" {
		x.Typed = x.User
	}
	for _, mac := range k.ClientMACs {
		x.ClientMACs = append(x.ClientMACs, mac.String())
	}
	if k.Exclusions == nil {
		return x
	}
	for _, f := range k.Exclusions.Explain(&k.Login) {
		r := &k.Rules[f.Rule]
		x.Rules = append(x.Rules, RuleStanding{
			Name: r.Name, Source: sourceOf(r), Owner: r.Owner, Reason: r.Reason, Standing: f.Standing.String(), Text: f.Text,
		})
	}
	return x
}

// address is "" for the zero Addr.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// setEvent adds what became of the login.
func (x *Explanation) setEvent(e *Event) {
	d := &e.Decision
	x.Event, x.Verdict, x.Outcome = e.ID.String(), d.Verdict.String(), outcomes[d.Verdict]
	x.Serial, x.Offset = string(d.Serial), d.Offset
	x.Method, x.Station = e.Method.String(), e.Station
}

// addAccount adds what is known of the user here.
func (s *Service) addAccount(ctx context.Context, x *Explanation) error {
	name, err := otp.ParseUserName(x.User)
	if err != nil {
		return nil // such a user there cannot be
	}
	if err := s.Store.Users(ctx, Filter{User: name}, func(u *User) error {
		x.Known, x.Disabled, x.PIN, x.home = true, u.Disabled, !u.PIN.IsZero(), u.Home
		return nil
	}); err != nil {
		return err
	}
	at, policy := s.Clock(), s.Policy()
	return s.Store.Tokens(ctx, Filter{User: name}, func(t *Token) error {
		valid := t.Valid(at)
		if t.Type == otp.CodeList && !valid {
			return nil // with a list that is over nobody holds a token
		}
		x.Tokens++
		x.Tried = append(x.Tried, standing(t, at, &policy))
		x.active = x.active || t.Active(at, &policy)
		x.lists = x.lists || t.Type == otp.CodeList && !t.Disabled
		switch {
		case t.Disabled:
			x.TokensDisabled++
		case !valid:
			x.TokensExpired++
		}
		return nil
	})
}

// setRule sets the rule that decides, by its index in x.Rules; -1 is none.
func (x *Explanation) setRule(rule int) {
	if rule >= 0 {
		x.Rule = &x.Rules[rule]
	}
}

// ruleOf finds the rule by which no code was needed: -1 when there was none.
func (k *Case) ruleOf(e *Event) int {
	for i := range k.Rules {
		if k.Rules[i].ID == e.Rule && e.Rule != 0 {
			return i
		}
	}
	return -1
}
