package migration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// shelf is a store in memory: what learning and logins need of one.
type shelf struct {
	tms.Store          // the rest
	tms.EnrolmentStore // the rest
	mu                 sync.Mutex
	users              map[otp.UserName]tms.User
	tokens             map[otp.Serial]tms.Token
	acts               []tms.Act
	seen               []tms.Seen
	broken             error
	notes              int
	reading            func() // called by the next listing, after it was made
	loads              int
	slow               time.Duration // that a load takes
}

func (s *shelf) ChangeHolder(_ context.Context, name otp.UserName, act tms.Act, change func(*tms.Holder) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := tms.Holder{User: s.users[name], Tokens: s.of(name)}
	if err := change(&h); err != nil {
		return err
	}
	if s.broken != nil {
		return s.broken
	}
	s.users[name] = h.User
	s.acts = append(s.acts, act)
	return nil
}

// of are the tokens of a user.
func (s *shelf) of(name otp.UserName) (tokens []tms.Token) {
	for _, t := range s.tokens {
		if t.User == name {
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, func(a, b tms.Token) int { return strings.Compare(string(a.Serial), string(b.Serial)) })
	return tokens
}

func (s *shelf) ChangeToken(_ context.Context, serial otp.Serial, act tms.Act, change func(*tms.Token) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[serial]
	t.Serial = serial
	if err := change(&t); err != nil {
		return err
	}
	if t.User != "" && !s.users[t.User].Exists {
		return fmt.Errorf("user %q: %w", t.User, tms.ErrNotFound)
	}
	s.tokens[serial] = t
	s.acts = append(s.acts, act)
	return nil
}

func (s *shelf) Tokens(_ context.Context, f tms.Filter, each func(*tms.Token) error) error {
	s.mu.Lock()
	var tokens []tms.Token
	switch {
	case s.broken != nil:
		s.mu.Unlock()
		return s.broken
	case f.Serial != "":
		if t := s.tokens[f.Serial]; t.Exists {
			tokens = append(tokens, t)
		}
	case f.User != "":
		tokens = s.of(f.User)
	default:
		for _, serial := range slices.Sorted(maps.Keys(s.tokens)) {
			if t := s.tokens[serial]; !f.Learnable || t.User == "" || t.Learned {
				tokens = append(tokens, t)
			}
		}
	}
	reading, slow := s.reading, time.Duration(0)
	s.reading = nil
	if f.Learnable {
		s.loads++
		slow = s.slow
	}
	s.mu.Unlock()
	time.Sleep(slow)
	if reading != nil {
		reading()
	}
	for i := range tokens {
		if err := each(&tokens[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Users(_ context.Context, f tms.Filter, each func(*tms.User) error) error {
	s.mu.Lock()
	u := s.users[f.User]
	s.mu.Unlock()
	if !u.Exists {
		return nil
	}
	return each(&u)
}

func (s *shelf) NoteSeen(_ context.Context, seen []tms.Seen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes++
	if s.broken == nil {
		s.seen = append(s.seen, seen...)
	}
	return s.broken
}

// Submit implements otp.TokenStore.
func (s *shelf) Submit(a *otp.Attempt) bool {
	s.mu.Lock()
	u := s.users[otp.UserName(a.User)]
	account := otp.Account{Exists: u.Exists, Disabled: u.Disabled, PIN: u.PIN, Home: u.Home}
	tokens := s.of(otp.UserName(a.User))
	for _, t := range tokens {
		account.Tokens = append(account.Tokens, t.Token)
	}
	a.Decide(&account)
	for i, t := range tokens {
		t.State = account.Tokens[i].State
		s.tokens[t.Serial] = t
	}
	s.mu.Unlock()
	a.Waiter.Decided(a, nil)
	return true
}

// logbook is where the log goes.
type logbook struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

// noon is when tests begin.
var noon = time.Date(2026, 5, 4, 12, 0, 10, 0, time.UTC)

// kit is a Learner with users and their tokens.
type kit struct {
	testing.TB
	*Learner
	shelf    *shelf
	service  *tms.Service
	verifier *otp.Verifier
	policy   otp.Policy
	mu       sync.Mutex // for the Learner's own look at what follows
	passes   int
	now      time.Time
	off      bool
	log      *logbook
	devices  map[otp.Serial]*device
}

// device is what a user has in hand.
type device struct {
	tms.Token
	drift time.Duration // its clock is ahead
}

func newKit(t testing.TB) *kit {
	k := &kit{
		TB: t, policy: otp.DefaultPolicy(), now: noon, log: &logbook{}, devices: map[otp.Serial]*device{},
		shelf: &shelf{users: map[otp.UserName]tms.User{}, tokens: map[otp.Serial]tms.Token{}},
	}
	k.service = tms.NewService(tms.Options{
		Store: k.shelf, Enrolment: k.shelf, Clock: func() time.Time { return k.now }, Policy: func() otp.Policy { return k.policy },
	})
	k.verifier = otp.NewVerifier(k.shelf, k.policy)
	k.Learner = k.learner()
	return k
}

// learner is a Learner over the store.
func (k *kit) learner() *Learner {
	l, err := New(Options{
		Store: k.shelf, Service: k.service, Settings: k.settings, Policy: func() otp.Policy { return k.policy }, Clock: k.clock,
		Logger: slog.New(slog.NewTextHandler(k.log, nil)), Registerer: prometheus.NewRegistry(),
	})
	k.must(err)
	return l
}

func (k *kit) settings() Settings {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Settings{Learn: !k.off}
}

func (k *kit) clock() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// seedOf is the nth seed there is.
func seedOf(n uint64) oath.Seed {
	return oath.NewSeed(binary.BigEndian.AppendUint64([]byte("the seed no."), n))
}

// device makes a token that is not imported: of six digits and thirty seconds, but for
// what change makes of it.
func (k *kit) device(serial string, seed uint64, change ...func(*device)) *device {
	d := &device{Token: tms.Token{Exists: true, Token: otp.Token{Serial: otp.Serial(serial), Digits: 6, Period: 30, Seed: seedOf(seed)}}}
	for _, c := range change {
		c(d)
	}
	k.devices[d.Serial] = d
	return d
}

// stock makes a token and imports it.
func (k *kit) stock(serial string, seed uint64, change ...func(*device)) *device {
	d := k.device(serial, seed, change...)
	k.shelf.tokens[d.Serial] = d.Token
	return d
}

// load loads the index.
func (k *kit) load() {
	k.Helper()
	k.must(k.Learner.load(k.Context()))
}

// code is what a device shows now. An event token shows its next code.
func (k *kit) code(serial string) string {
	d := k.devices[otp.Serial(serial)]
	if d.Type.Clock() {
		return oath.TOTP(d.Algorithm, d.Seed, k.now.Add(d.drift), d.T0, d.Period, int(d.Digits))
	}
	d.State.Counter++
	return oath.HOTP(d.Algorithm, d.Seed, d.State.Counter-1, int(d.Digits))
}

// accepted is a login that the TMS has accepted: the Learner is told, and then the
// Verifier.
func (k *kit) accepted(user, passcode string) Outcome {
	typed := []byte(passcode)
	outcome := k.Learner.Accepted(k.Context(), otp.UserName(user), otp.NewPasscode(typed), k.now)
	a := &otp.Attempt{At: k.now, User: []byte(user), Passcode: otp.NewPasscode([]byte(passcode)), Order: otp.LocalThenTMS, TMS: otp.TMSAccepted}
	verdict, err := k.verifier.Verify(k.Context(), a)
	k.must(err)
	if verdict != otp.AcceptedByTMS {
		k.Errorf("%s is %v after the TMS has accepted", user, verdict)
	}
	clear(typed) // it is not kept
	return outcome
}

// login is accepted with the code that a device shows now.
func (k *kit) login(user, pin, serial string) Outcome { return k.accepted(user, pin+k.code(serial)) }

// wantLogin is a login of which this comes.
func (k *kit) wantLogin(want Outcome, user, pin, serial string) {
	k.Helper()
	if got := k.login(user, pin, serial); got != want {
		k.Errorf("the login of %s with %s: %v, want %v", user, serial, got, want)
	}
}

// later lets minutes go by.
func (k *kit) later() { k.now = k.now.Add(5 * time.Minute) }

// holds checks whose a token is, how often it agreed, and what the user's PIN is.
func (k *kit) holds(serial, user, pin string, agreed uint16) {
	k.Helper()
	t := k.shelf.tokens[otp.Serial(serial)]
	u := k.shelf.users[otp.UserName(user)]
	if string(t.User) != user || t.Learned != (user != "") || t.State.Agreed != agreed || string(u.PIN.Bytes()) != pin {
		k.Errorf("%s: it is %q's, learned %v, agreed %d, PIN as expected %v; want %q, %d", serial, t.User, t.Learned, t.State.Agreed, string(u.PIN.Bytes()) == pin, user, agreed)
	}
}

// inStock checks that a token is nobody's.
func (k *kit) inStock(serials ...string) {
	k.Helper()
	for _, serial := range serials {
		k.holds(serial, "", "", 0)
	}
}

// open checks what is open.
func (k *kit) open(want string) {
	k.Helper()
	var got []string
	for _, a := range k.Ambiguities() {
		got = append(got, fmt.Sprint(a.User, " ", a.Outcome, " ", a.Serials))
	}
	if text := strings.Join(got, ", "); text != want {
		k.Errorf("open is %q, want %q", text, want)
	}
}

// collision finds two seeds of which the tokens show the same code at an instant, and
// others at the times before and after.
func collision(at time.Time, from uint64) (a, b uint64) {
	codes := map[string]uint64{}
	for n := from; ; n++ {
		code := oath.TOTP(oath.SHA1, seedOf(n), at, 0, 30, 6)
		if a, found := codes[code]; found {
			return a, n
		}
		codes[code] = n
	}
}

// random is randomness that is always the same.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

var errAway = errors.New("the store is away")
