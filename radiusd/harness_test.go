package radiusd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/packet"
)

const (
	testSecret = "testing123"
	testPIN    = "4711"
	gateway    = "192.0.2.10:40000"
	rejection  = "Access denied."
)

var (
	secret   = packet.NewSecret([]byte(testSecret))
	testSeed = oath.NewSeed([]byte("12345678901234567890"))
	epoch    = time.Unix(1_700_000_000, 0)
)

// codeAt is the code of every test user's event token at a counter.
func codeAt(counter uint64) string { return oath.HOTP(oath.SHA1, testSeed, counter, 6) }

// passcodeAt is PIN and code.
func passcodeAt(counter uint64) string { return testPIN + codeAt(counter) }

// ledger is an otp.TokenStore in memory, in which any user name that was asked
// for once has an event token. It can hold attempts back, fail them and refuse
// them.
type ledger struct {
	mu       sync.Mutex
	accounts map[string]*otp.Account
	batch    uint64
	hold     bool
	held     []*otp.Attempt
	fail     error
	busy     bool
	decided  int
	traces   [][]byte // of what was decided
	last     map[string]time.Time
	records  []otp.Attempt // of what was let in already
}

func (s *ledger) Submit(a *otp.Attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return false
	}
	if s.hold {
		s.held = append(s.held, a)
		return true
	}
	s.decide(a)
	return true
}

func (s *ledger) decide(a *otp.Attempt) {
	s.decided++
	if s.fail != nil {
		a.Waiter.Decided(a, s.fail)
		return
	}
	account := s.accounts[string(a.User)]
	if account == nil {
		account = &otp.Account{}
		if name := string(a.User); name != "" && !strings.Contains(name, "nobody") {
			account = newAccount()
		}
		s.accounts[string(a.User)] = account
	}
	account.Last.Age = a.At.Sub(s.last[string(a.User)])
	a.Decide(account)
	if a.Decision.Renews && len(account.Tokens) > 0 { // it is kept with a token
		if s.last == nil {
			s.last = map[string]time.Time{}
		}
		s.last[string(a.User)] = a.At
		account.Last = otp.LastLogin{Key: a.Login, Verdict: a.Decision.Verdict}
	}
	if a.LetIn {
		s.records = append(s.records, *a)
	}
	if a.Decision.Outstanding { // which may come back at once
		s.mu.Unlock()
		defer s.mu.Lock()
		a.Waiter.Decided(a, nil)
		return
	}
	s.traces = append(s.traces, bytes.Clone(a.Trace))
	s.batch++
	a.Event = otp.EventID{Batch: s.batch, Index: 3}
	a.Waiter.Decided(a, nil)
}

func newAccount() *otp.Account {
	return &otp.Account{Exists: true, PIN: otp.NewPIN([]byte(testPIN)), Tokens: []otp.Token{{
		Serial: "ET1", Type: otp.HOTP, Algorithm: oath.SHA1, Digits: 6, Seed: testSeed,
	}}}
}

// release decides what was held back.
func (s *ledger) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.held {
		s.decide(a)
	}
	s.hold, s.held = false, nil
}

func (s *ledger) set(change func(*ledger)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// journal is an Accounting in memory.
type journal struct {
	mu      sync.Mutex
	records []string
	fail    error
	busy    bool
	hold    bool
	held    []func(error)
}

func (j *journal) AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.busy:
		return false
	case j.hold:
		j.held = append(j.held, done)
		return true
	case j.fail == nil:
		j.records = append(j.records, nas+" "+source+" "+string(attributes))
	}
	done(j.fail)
	return true
}

// memo is a Memory.
type memo struct {
	mu    sync.Mutex
	names []string
	fail  error
}

func (m *memo) RememberMessageAuthenticator(_ context.Context, nas string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, nas)
	return m.fail
}

// tray is a wire that keeps copies of the replies.
type tray struct {
	replies []outgoing
}

func (t *tray) send(replies []outgoing) {
	for _, r := range replies {
		t.replies = append(t.replies, outgoing{r.to, bytes.Clone(r.reply)})
	}
}

// bench is a server without a network: datagrams are handed to its loops, and
// its replies are kept.
type bench struct {
	testing.TB
	server   *Server
	auth     *loop
	acct     *loop
	tray     tray
	store    *ledger
	journal  *journal
	memo     *memo
	registry *prometheus.Registry
	log      *bytes.Buffer
	scratch  packet.Scratch

	away   bool // the workers are: errands stay in the queue
	asleep bool // those of the Backend are

	clock sync.Mutex
	now   time.Time
}

// runErrands does what workers do.
func (b *bench) runErrands() {
	for tms := b.server.tms; ; {
		switch {
		case !b.away && b.server.errands.len() > 0:
			b.server.runErrand(b.Context(), <-b.server.errands.queue)
		case tms != nil && !b.asleep && tms.len() > 0:
			(<-tms.queue).consultation(b.Context())
		default:
			return
		}
	}
}

func (b *bench) time() time.Time {
	b.clock.Lock()
	defer b.clock.Unlock()
	return b.now
}

// wait lets time pass.
func (b *bench) wait(d time.Duration) {
	b.clock.Lock()
	defer b.clock.Unlock()
	b.now = b.now.Add(d)
}

// testNAS is the gateway of the tests.
func testNAS(change func(*NASConfig)) NASConfig {
	c := NASConfig{Name: "gateway", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Secret: secret}
	if change != nil {
		change(&c)
	}
	return c
}

func table(tb testing.TB, senders []string, configs ...NASConfig) *NASTable {
	tb.Helper()
	t, err := NewNASTable(configs, senders)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// newBench makes a server with one NAS; change may change the options.
func newBench(tb testing.TB, change func(*Options)) *bench {
	tb.Helper()
	b := &bench{
		TB: tb, store: &ledger{accounts: map[string]*otp.Account{}}, journal: &journal{}, memo: &memo{},
		registry: prometheus.NewRegistry(), log: &bytes.Buffer{}, now: epoch,
	}
	o := Options{
		Auth:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Acct:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		NASes: table(tb, nil, testNAS(nil)), Verifier: otp.NewVerifier(b.store, otp.DefaultPolicy()),
		Accounting: b.journal, Memory: b.memo, Clock: b.time, Registerer: b.registry,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)), RejectMessage: rejection,
	}
	if change != nil {
		change(&o)
	}
	var err error
	if b.server, err = New(o); err != nil {
		tb.Fatal(err)
	}
	b.auth = newLoop(b.server, authPort, nil, &b.tray, &b.tray)
	b.acct = newLoop(b.server, acctPort, nil, &b.tray, &b.tray)
	b.server.loops = []*loop{b.auth, b.acct}
	return b
}

// hand gives a datagram to a loop, lets it answer what it can, and returns the
// replies.
func (b *bench) hand(l *loop, from string, datagram []byte) []outgoing {
	p := newPeer(netip.MustParseAddrPort(from))
	l.tick()
	l.serve(&p, datagram)
	l.direct.out.flush()
	return b.collect()
}

// collect runs the errands, has the loops answer what is decided and returns the
// replies.
func (b *bench) collect() []outgoing {
	b.runErrands()
	b.auth.answerDecided(&b.auth.later)
	b.acct.answerDecided(&b.acct.later)
	replies := b.tray.replies
	b.tray.replies = nil
	return replies
}

// order is a request that a test sends.
type order struct {
	code       packet.Code
	identifier uint8
	serial     uint64 // makes the Request Authenticator
	placement  packet.Placement
	attributes func(o *order, s *packet.Scratch, b *packet.Builder)
	secret     packet.Secret

	user, passcode string // of pap
}

func (o *order) authenticator() *[packet.AuthenticatorLength]byte {
	var a [packet.AuthenticatorLength]byte
	for i := range 8 {
		a[i] = byte(o.serial >> (8 * i))
	}
	return &a
}

// build is the datagram.
func (b *bench) build(o order) []byte {
	b.Helper()
	datagram, err := buildOrder(&b.scratch, o)
	if err != nil {
		b.Fatal(err)
	}
	return datagram
}

func buildOrder(s *packet.Scratch, o order) ([]byte, error) {
	if o.secret.IsZero() {
		o.secret = secret
	}
	var builder packet.Builder
	builder.Begin(o.code, o.identifier, nil, o.placement)
	if o.attributes != nil {
		o.attributes(&o, s, &builder)
	}
	return s.SignRequest(o.secret, &builder, o.authenticator())
}

// pap is an Access-Request of a user with a passcode and without
// Message-Authenticator.
func pap(serial uint64, user, passcode string) order {
	return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial, placement: packet.Off,
		user: user, passcode: passcode, attributes: func(o *order, s *packet.Scratch, b *packet.Builder) {
			b.AddString(packet.UserName, user)
			s.AddUserPassword(b, o.secret, o.authenticator(), []byte(passcode))
			b.AddString(packet.CallingStationID, "198.51.100.7")
		}}
}

// with adds attributes to an order.
func (o order) with(more func(o *order, s *packet.Scratch, b *packet.Builder)) order {
	before := o.attributes
	o.attributes = func(o *order, s *packet.Scratch, b *packet.Builder) {
		if before != nil {
			before(o, s, b)
		}
		more(o, s, b)
	}
	return o
}

// signed gives an order a Message-Authenticator.
func (o order) signed() order {
	o.placement = packet.First
	return o
}

// ask sends an order to the authentication port and returns the one reply,
// verified; nil when there is none.
func (b *bench) ask(o order) *packet.Request {
	b.Helper()
	return b.verified(o, b.hand(b.auth, gateway, b.build(o)))
}

// verified checks that there is at most one reply and that it answers the order.
func (b *bench) verified(o order, replies []outgoing) *packet.Request {
	b.Helper()
	switch len(replies) {
	case 0:
		return nil
	case 1:
		return b.verify(o, replies[0].reply)
	}
	b.Fatalf("%d replies to one request", len(replies))
	return nil
}

func (b *bench) verify(o order, datagram []byte) *packet.Request {
	b.Helper()
	if o.secret.IsZero() {
		o.secret = secret
	}
	var request, reply packet.Request
	if err := request.Parse(b.build(o)); err != nil {
		b.Fatal(err)
	}
	if err := reply.Parse(datagram); err != nil {
		b.Fatal(err)
	}
	if reply.Identifier != request.Identifier {
		b.Fatalf("reply with Identifier %d to request %d", reply.Identifier, request.Identifier)
	}
	if err := b.scratch.VerifyReply(o.secret, &reply, &request.Authenticator); err != nil {
		b.Fatal(err)
	}
	return &reply
}

// want checks the code of the reply to an order, 0 for none.
func (b *bench) want(o order, code packet.Code) *packet.Request {
	b.Helper()
	reply := b.ask(o)
	b.wantCode(reply, code)
	return reply
}

func (b *bench) wantCode(reply *packet.Request, code packet.Code) {
	b.Helper()
	switch {
	case reply == nil && code != 0:
		b.Fatalf("no reply, want %s", code)
	case reply != nil && reply.Code != code:
		b.Fatalf("reply is %s, want %s", reply.Code, code)
	}
}

// metric is the value of a series, such as
// countersign_radius_dropped_total{reason="unknown_nas"}, 0 when there is none. The name
// is without countersign_radius_, or whole.
func (b *bench) metric(name string, labels ...string) float64 {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != metricName(name) && family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, pair := range m.GetLabel() {
				values = append(values, pair.GetValue())
			}
			if slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return 0
	}
	b.Fatalf("no metric %s", metricName(name))
	return 0
}

// wantMetric checks the value of a series.
func (b *bench) wantMetric(value float64, name string, labels ...string) {
	b.Helper()
	if got := b.metric(name, labels...); got != value {
		b.Errorf("%s%v is %v, want %v", metricName(name), labels, got, value)
	}
}

// wantLog checks that the log has the text a number of times.
func (b *bench) wantLog(times int, text string) {
	b.Helper()
	if got := bytes.Count(b.log.Bytes(), []byte(text)); got != times {
		b.Errorf("log has %q %d times, want %d:\n%s", text, got, times, b.log)
	}
}

var errDisk = errors.New("disk on fire")

// zeros is a Rand.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
