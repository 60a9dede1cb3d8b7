package radiusd

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

var errDown = errors.New("connection refused")

// directory is a UserRepository in memory. It finds a user by any of their names,
// the typed one in lower case; of who is not there the name is all there is. It
// knows nobody before it was asked, unless it is warm.
type directory struct {
	mu        sync.Mutex
	people    map[string]*exclusions.Identity
	passwords map[string]string      // by canonical name
	verdicts  map[string]otp.Verdict // in place of a look at the password
	source    exclusions.Source      // of every answer
	warm      bool
	down      bool                   // binds fail
	away      func(name string) bool // of whom nothing is known now
	asking    func(context.Context)  // called by Find and VerifyPassword
	finds     int
	binds     []string // the names
}

func newDirectory(people ...*exclusions.Identity) *directory {
	d := &directory{people: map[string]*exclusions.Identity{}, passwords: map[string]string{},
		verdicts: map[string]otp.Verdict{}, source: exclusions.Fresh}
	for _, p := range people {
		p.Directory = "corp"
		d.people[p.Name] = p
		d.passwords[p.Name] = "secret of " + p.Name
	}
	return d
}

func person(name string, groups ...string) *exclusions.Identity {
	return &exclusions.Identity{Name: name, Realm: "corp", Groups: groups}
}

func (d *directory) find(name []byte) *exclusions.Identity {
	if p := d.people[string(name)]; p != nil && d.source != exclusions.Unavailable {
		return p
	}
	return &exclusions.Identity{Name: string(name)}
}

func (d *directory) answer(name []byte) (*exclusions.Identity, exclusions.Source, bool) {
	if d.away != nil && d.away(string(name)) {
		return &exclusions.Identity{Name: string(name)}, exclusions.Unavailable, true
	}
	return d.find(name), d.source, true
}

func (d *directory) Peek(name []byte, _ time.Time) (*exclusions.Identity, exclusions.Source, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.warm {
		return nil, exclusions.NotAsked, false
	}
	return d.answer(name)
}

func (d *directory) Find(ctx context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finds++
	d.ask(ctx)
	identity, source, _ := d.answer(name)
	return identity, source
}

func (d *directory) VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binds = append(d.binds, identity.Name)
	d.ask(ctx)
	switch v, said := d.verdicts[identity.Name]; {
	case d.down || ctx.Err() != nil:
		return otp.Undecided, errDown
	case said:
		return v, nil
	case d.passwords[identity.Name] != string(password) || len(password) == 0:
		return otp.WrongPassword, nil
	}
	return otp.Accepted, nil
}

func (d *directory) ask(ctx context.Context) {
	if d.asking != nil {
		d.mu.Unlock()
		defer d.mu.Lock()
		d.asking(ctx)
	}
}

// wantBinds checks how often a password was verified.
func (b *bench) wantBinds(d *directory, n int) {
	b.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.binds) != n {
		b.Errorf("%d binds, want %d", len(d.binds), n)
	}
}

// mint is an Enroller that gives tokens to accounts of a ledger, to be handed over.
type mint struct {
	Enroller // nobody is invited or asked anything
	store    *ledger
	made     []string
	fail     error
}

func (m *mint) Invited([]byte) bool { return false }

func (m *mint) Begin(_ context.Context, e Enrolment) (Prompt, error) {
	if m.fail != nil {
		return Prompt{}, m.fail
	}
	user := e.Identity.Name
	m.made = append(m.made, user+" at "+e.NAS)
	m.store.set(func(s *ledger) { s.accounts[user] = newAccount() })
	return Prompt{Verdict: otp.TokenCreated}, nil
}

// criterion is one that a rule of a test has.
func criterion(kind exclusions.Kind, values ...string) exclusions.Criterion {
	return exclusions.Criterion{Kind: kind, Values: values}
}

func rule(name string, criteria ...exclusions.Criterion) exclusions.Rule {
	return exclusions.Rule{Name: name, Criteria: criteria}
}

func compile(tb testing.TB, rules []exclusions.Rule) *exclusions.List {
	tb.Helper()
	list, faults := exclusions.Compile(rules, exclusions.Options{At: epoch})
	if len(faults) > 0 {
		tb.Fatal(faults)
	}
	return list
}

// rulesOf are exclusions; the number of each is 100 and its place.
func rulesOf(tb testing.TB, list ...exclusions.Rule) *Rules {
	tb.Helper()
	r := &Rules{Revision: 7, Exclusions: compile(tb, list)}
	for i, one := range list {
		r.Names = append(r.Names, one.Name)
		r.IDs = append(r.IDs, uint64(100+i))
	}
	return r
}

// replying adds conditions for reply attributes to rules: each gives a Class with
// its name.
func (r *Rules) replying(tb testing.TB, conditions ...exclusions.Rule) *Rules {
	tb.Helper()
	r.Replies = compile(tb, conditions)
	for _, c := range conditions {
		r.Attributes = append(r.Attributes, append([]byte{byte(packet.Class), byte(2 + len(c.Name))}, c.Name...))
	}
	return r
}

// office is a rule that the client of the tests meets, and staff one that only
// members of the group meet.
var (
	office = rule("office", criterion(exclusions.ClientIPs, "198.51.100.0/24"))
	staff  = rule("staff", criterion(exclusions.Groups, "staff"))
)

// newRuledBench makes a server whose NAS reads the usual attributes and treats
// excluded logins in this way; it asks for no Message-Authenticator.
func newRuledBench(tb testing.TB, pass exclusions.Pass, change func(*Options, *NASConfig)) *bench {
	tb.Helper()
	return newBench(tb, func(o *Options) {
		nas := testNAS(func(c *NASConfig) {
			preset, _ := Preset("")
			c.ClientIPFrom, c.MACFrom, c.Excluded = preset.ClientIPFrom, preset.MACFrom, pass
			c.MessageAuthenticator = RequireNever
		})
		if change != nil {
			change(o, &nas)
		}
		o.NASes = table(tb, nil, nas)
	})
}

// without makes accounts that hold no token.
func (b *bench) without(names ...string) {
	for _, name := range names {
		b.store.accounts[name] = &otp.Account{Exists: true}
	}
}

// station replaces the Calling-Station-Id of a login by PAP, or leaves it out.
func (o order) station(text string) order {
	user, passcode := o.user, o.passcode
	o.attributes = func(o *order, s *packet.Scratch, b *packet.Builder) {
		b.AddString(packet.UserName, user)
		s.AddUserPassword(b, o.secret, o.authenticator(), []byte(passcode))
		if text != "" {
			b.AddString(packet.CallingStationID, text)
		}
	}
	return o
}

// adding adds one attribute.
func (o order) adding(kind packet.Type, value string) order {
	return o.with(func(_ *order, _ *packet.Scratch, b *packet.Builder) { b.AddString(kind, value) })
}

// chap and mschap2 are logins that hide the password.
func chap(serial uint64, user, passcode string) order {
	return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial}.
		with(func(o *order, s *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, user)
			s.AddCHAPPassword(p, 7, []byte(passcode), o.authenticator()[:])
			p.AddString(packet.CallingStationID, "198.51.100.7")
		})
}

func mschap1(serial uint64, user string) order {
	return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, user)
			p.AddVendor(packet.VendorMicrosoft, 11, []byte("12345678"))
			p.AddVendor(packet.VendorMicrosoft, 1, append([]byte{5, 1}, make([]byte, 48)...))
			p.AddString(packet.CallingStationID, "198.51.100.7")
		})
}

func mschap2(serial uint64, user, passcode string) order {
	return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, user)
			p.AddMSCHAP2Response(9, []byte(user), []byte(passcode), [16]byte{1, 2, 3}, [16]byte{4, 5, 6})
			p.AddString(packet.CallingStationID, "198.51.100.7")
		})
}

// bare is a login without any password.
func bare(serial uint64, user string) order {
	return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial, placement: packet.First}.
		adding(packet.UserName, user).adding(packet.CallingStationID, "198.51.100.7")
}

// wantVerdict checks the reply to a login and the verdict about it.
func (b *bench) wantVerdict(o order, v otp.Verdict) *packet.Request {
	b.Helper()
	before := b.metric("logins_total", v.String())
	code := reject
	if v.Accepts() {
		code = accept
	}
	reply := b.want(o, code)
	if b.metric("logins_total", v.String()) != before+1 {
		lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
		b.Fatalf("the verdict is not %s:\n%s", v, lines[len(lines)-1])
	}
	return reply
}

// wantSilence checks that a login is not answered, and why.
func (b *bench) wantSilence(o order, why string) {
	b.Helper()
	before := b.metric("dropped_total", why)
	b.want(o, silence)
	if b.metric("dropped_total", why) != before+1 {
		b.Fatalf("the reason is not %s:\n%s", why, b.log)
	}
	b.wantMetric(0, "in_flight", "auth")
}
