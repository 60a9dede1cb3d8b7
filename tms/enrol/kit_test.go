package enrol

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store/embedded"
)

// kit is an Enrolment over a real store, in a bubble of time.
type kit struct {
	*testing.T
	*Enrolment
	store    *faultyStore
	service  *tms.Service
	people   *people
	post     *post
	settings Settings
	policy   tms.EnrolmentPolicy
	log      *logbook
	secrets  []string // that nothing may show
}

// inKit runs a test over a new store.
func inKit(t *testing.T, test func(k *kit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &kit{
			T: t, people: newPeople(), post: &post{}, log: &logbook{},
			settings: Settings{
				URL: "https://otp.example.com", DialogTime: 10 * time.Minute, MaxMails: 5,
				Domains: []string{"*"}, Remind: 24 * time.Hour, Grace: 7 * 24 * time.Hour, CheckEvery: time.Hour,
			},
			policy: tms.EnrolmentPolicy{Valid: 72 * time.Hour, PIN: otp.PINPolicy{MinLength: 4}, RecoveryCodes: 10, TemporaryTime: 24 * time.Hour},
		}
		k.open()
		defer func() { k.must(k.store.Close()) }()
		k.Enrolment = k.node()
		test(k)
		k.findSecrets()
	})
}

func (k *kit) open() {
	kek, err := seal.NewKEK(rand.Reader)
	k.must(err)
	store, err := embedded.Open(k.Context(), embedded.Options{
		Path: filepath.Join(k.TempDir(), "countersign.db"), KEKs: []seal.KEK{kek}, Rand: rand.Reader, Clock: time.Now,
		Logger: slog.New(slog.NewTextHandler(k.log, nil)),
	})
	k.must(err)
	k.store = &faultyStore{Store: store}
	k.service = tms.NewService(tms.Options{
		Store: k.store, Enrolment: k.store, Directory: k.people, Clock: time.Now, Rand: rand.Reader, Policy: otp.DefaultPolicy,
		MinPINLength: func() int { return 4 }, EnrolmentPolicy: func() tms.EnrolmentPolicy { return k.policy },
	})
}

// node is another Enrolment over the same store, as of another node, or of the same
// one after a restart.
func (k *kit) node() *Enrolment {
	return New(Options{
		Service: k.service, Store: k.store, Users: k.people, Sender: k.post, Settings: func() Settings { return k.settings },
		Policy: otp.DefaultPolicy, Clock: time.Now, Rand: rand.Reader, Logger: slog.New(slog.NewTextHandler(k.log, nil)),
		Registerer: prometheus.NewRegistry(),
	})
}

// run runs an Enrolment until the function that it returns is called.
func (k *kit) run(e *Enrolment) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { e.Run(ctx) })
	return func() {
		cancel()
		done.Wait()
	}
}

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// after lets time go by.
func (k *kit) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (k *kit) asked(user string) Asked {
	identity, _ := k.people.Find(context.Background(), []byte(user))
	return Asked{Identity: identity, NAS: "vpn", Challenge: true}
}

func (k *kit) begin(user string) Prompt {
	k.Helper()
	p, err := k.Begin(k.Context(), k.asked(user))
	k.must(err)
	return k.checked(p)
}

// beginPlain begins at a gateway that cannot ask.
func (k *kit) beginPlain(user string) Prompt {
	k.Helper()
	a := k.asked(user)
	a.Challenge = false
	p, err := k.Begin(k.Context(), a)
	k.must(err)
	return k.checked(p)
}

func (k *kit) answer(user string, p Prompt, typed string) Prompt {
	k.Helper()
	a := k.asked(user)
	a.Dialog, a.Typed = p.Dialog, []byte(typed)
	next, err := k.Answer(k.Context(), a)
	k.must(err)
	return k.checked(next)
}

// checked is a prompt that is within its bounds.
func (k *kit) checked(p Prompt) Prompt {
	k.Helper()
	if len(p.Message) > maxMessage || len(p.Dialog) > 64 || (p.Dialog == nil) != (p.Verdict != otp.Enrolling) {
		k.Errorf("prompt %v: message of %d bytes, dialog of %d", p.Verdict, len(p.Message), len(p.Dialog))
	}
	return p
}

// want checks a prompt.
func (k *kit) want(p Prompt, v otp.Verdict, says ...string) {
	k.Helper()
	if p.Verdict != v {
		k.Errorf("%v, want %v; %q", p.Verdict, v, p.Message)
	}
	for _, text := range says {
		if !strings.Contains(p.Message, text) {
			k.Errorf("%q does not say %q", p.Message, text)
		}
	}
}

// invite goes through a user's dialog up to the last prompt, with a PIN.
func (k *kit) invite(user, pin string) Prompt {
	k.Helper()
	p := k.begin(user)
	p = k.answer(user, p, pin)
	p = k.answer(user, p, pin)
	k.want(p, otp.Enrolling, "e-mail")
	return p
}

// invitation is a user's, which need not exist.
func (k *kit) invitation(user otp.UserName) (found tms.Invitation) {
	k.Helper()
	k.must(k.store.Invitations(k.Context(), tms.Filter{User: user}, func(i *tms.Invitation) error {
		found = *i
		return nil
	}))
	if found.Exists {
		k.secrets = append(k.secrets, found.Key.Reveal(), string(found.Token.Seed.Bytes()))
	}
	return found
}

// code is what the token of a user's invitation shows, so many steps from now.
func (k *kit) code(user otp.UserName, steps int64) string {
	k.Helper()
	t := k.invitation(user).Token
	at := time.Now().Add(time.Duration(steps) * time.Duration(t.Period) * time.Second)
	return oath.TOTP(t.Algorithm, t.Seed, at, t.T0, t.Period, int(t.Digits))
}

func (k *kit) mails() (all []tms.Mail) {
	k.Helper()
	k.must(k.store.Mails(k.Context(), tms.Filter{}, func(m *tms.Mail) error {
		all = append(all, *m)
		if !m.Link.IsZero() {
			k.secrets = append(k.secrets, m.Link.Reveal())
		}
		return nil
	}))
	return all
}

// wantMails checks the kinds of the mails that wait.
func (k *kit) wantMails(kinds ...tms.MailKind) {
	k.Helper()
	var waiting []tms.MailKind
	for _, m := range k.mails() {
		waiting = append(waiting, m.Kind)
	}
	slices.Sort(waiting)
	if !slices.Equal(waiting, kinds) {
		k.Errorf("mails %v wait, want %v", waiting, kinds)
	}
}

func (k *kit) tokens(user otp.UserName) (all []tms.Token) {
	k.Helper()
	k.must(k.store.Tokens(k.Context(), tms.Filter{User: user}, func(t *tms.Token) error {
		all = append(all, *t)
		return nil
	}))
	return all
}

// usable is how many tokens a user has whose codes may be accepted.
func (k *kit) usable(user otp.UserName) (n int) {
	k.Helper()
	for _, t := range k.tokens(user) {
		if !t.Disabled {
			n++
		}
	}
	return n
}

// holder makes a user the holder of an enrolled token.
func (k *kit) holder(user string) {
	k.Helper()
	p := k.invite(user, "4711")
	k.want(k.answer(user, p, "4711"+k.code(otp.UserName(user), 0)), otp.Undecided)
	if len(k.tokens(otp.UserName(user))) != 1 {
		k.Fatalf("%s holds no token", user)
	}
}

// acts are the verbs of the audit records about an object, the newest first, each
// with its detail.
func (k *kit) acts(object string) (all []string) {
	k.Helper()
	k.must(k.store.Events(k.Context(), tms.Filter{}, func(e *tms.Event) error {
		if e.Kind == tms.ActEvent && e.Object == object {
			all = append(all, e.Verb+" "+e.Act.Detail)
		}
		return nil
	}))
	return all
}

// count is how often a verb is among the acts about an object.
func (k *kit) count(object, verb string) int {
	k.Helper()
	n := 0
	for _, act := range k.acts(object) {
		if strings.HasPrefix(act, verb+" ") {
			n++
		}
	}
	return n
}

// metric is the value of a counter or gauge of the kit's Enrolment, by its name behind
// the prefix and its label, "" for none.
func (k *kit) metric(name, label string) int {
	k.Helper()
	families, err := k.Registerer.(*prometheus.Registry).Gather()
	k.must(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "countersign_enrolment_"+name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	k.Fatalf("there is no metric %s %s", name, label)
	return 0
}

// findSecrets searches the log and the journal for what nothing may show.
func (k *kit) findSecrets() {
	k.Helper()
	shown := k.log.String()
	k.must(k.store.Events(context.Background(), tms.Filter{}, func(e *tms.Event) error {
		shown += fmt.Sprintf("%+v %+v\n", e.Act, e.Login)
		return nil
	}))
	for _, secret := range k.secrets {
		if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
			k.Errorf("a secret is in the log or in the journal:\n%s", shown)
		}
	}
}

// people is a directory.
type people struct {
	mu     sync.Mutex
	user   map[string]*exclusions.Identity
	source exclusions.Source
	asked  int
}

func newPeople() *people {
	p := &people{user: map[string]*exclusions.Identity{}, source: exclusions.Fresh}
	p.add("alice", "alice@example.com", "staff")
	p.add("bob", "", "staff")
	return p
}

func (p *people) add(name, mail string, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(groups)
	p.user[name] = &exclusions.Identity{Name: name, Directory: "ad", DN: "cn=" + name, Mail: mail, Groups: groups}
}

func (p *people) remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.user, name)
}

func (p *people) answer(source exclusions.Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source = source
}

func (p *people) Find(_ context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if i := p.user[string(name)]; i != nil && p.source != exclusions.Unavailable {
		return i, p.source
	}
	return &exclusions.Identity{Name: string(name)}, p.source
}

func (p *people) Users(_ context.Context, each func(*exclusions.Identity) error) error {
	for _, i := range p.user {
		if err := each(i); err != nil {
			return err
		}
	}
	return nil
}

// post is a mail server.
type post struct {
	mu     sync.Mutex
	fault  error
	takes  time.Duration // to answer; for ever when negative
	sent   []Letter
	at     []time.Time
	tries  []string // IDs of letters
	during func(Letter)
}

func (p *post) set(fault error, takes time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.takes = fault, takes
}

func (p *post) Send(ctx context.Context, l Letter) error {
	p.mu.Lock()
	p.tries = append(p.tries, l.ID)
	fault, takes, during := p.fault, p.takes, p.during
	p.mu.Unlock()
	if during != nil {
		during(l)
	}
	if takes < 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	if takes > 0 && !pause(ctx, takes) {
		return ctx.Err()
	}
	if fault != nil {
		return fault
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.at = append(p.sent, l), append(p.at, time.Now())
	return nil
}

func (p *post) letters() []Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// wantLetters checks the kinds of the letters that were delivered.
func (k *kit) wantLetters(kinds ...tms.MailKind) {
	k.Helper()
	var sent []tms.MailKind
	for _, l := range k.post.letters() {
		sent = append(sent, l.Kind)
		if l.Link != "" {
			k.secrets = append(k.secrets, l.Link)
		}
	}
	if !slices.Equal(sent, kinds) {
		k.Errorf("letters %v, want %v", sent, kinds)
	}
}

// faultyStore is a store that fails when it is told to.
type faultyStore struct {
	*embedded.Store
	noReads, noWrites atomic.Bool
	changing          func() // called by the next ChangeHolder
}

var errBroken = errors.New("the disk is full")

func (s *faultyStore) setBroken(broken bool) {
	s.noReads.Store(broken)
	s.noWrites.Store(broken)
}

func (s *faultyStore) ChangeHolder(ctx context.Context, name otp.UserName, act tms.Act, change func(*tms.Holder) error) error {
	if s.noWrites.Load() {
		return errBroken
	}
	if do := s.changing; do != nil {
		s.changing = nil
		do()
	}
	return s.Store.ChangeHolder(ctx, name, act, change)
}

func (s *faultyStore) ChangeMail(ctx context.Context, id uint64, act tms.Act, change func(*tms.Mail) error) error {
	if s.noWrites.Load() {
		return errBroken
	}
	return s.Store.ChangeMail(ctx, id, act, change)
}

func (s *faultyStore) Invitations(ctx context.Context, f tms.Filter, each func(*tms.Invitation) error) error {
	if s.noReads.Load() {
		return errBroken
	}
	return s.Store.Invitations(ctx, f, each)
}

// logbook is what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
