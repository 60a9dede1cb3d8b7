package radiusd

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/otp"
)

// lookout is a Sightings in memory. It can fail, and hold back what it has to tell.
type lookout struct {
	mu      sync.Mutex
	clock   func() time.Time
	entries map[[16]byte]seenLogin
	fail    error
	hold    bool
	held    []func()
}

type seenLogin struct {
	login     [16]byte
	state     uint8
	at, until time.Time
}

func (l *lookout) Claim(c Claim, done func(Sighting, error)) {
	l.mu.Lock()
	known, err := l.claim(c), l.fail
	tell := func() { done(known, err) }
	if l.hold {
		l.held = append(l.held, tell)
		tell = func() {}
	}
	l.mu.Unlock()
	tell()
}

func (l *lookout) claim(c Claim) Sighting {
	now := l.clock()
	e, known := l.entries[c.Key]
	if known && e.until.After(now) && (c.Over == 0 || e.state != c.Over) {
		return Sighting{State: e.state, Same: e.login == c.Login, Age: now.Sub(e.at)}
	}
	if l.fail == nil {
		l.entries[c.Key] = seenLogin{c.Login, uint8(showing), now, now.Add(c.Keep)}
	}
	return Sighting{}
}

func (l *lookout) Settle(key [16]byte, state uint8, keep time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	if state == uint8(unseen) {
		delete(l.entries, key)
		return
	}
	l.entries[key] = seenLogin{l.entries[key].login, state, now, now.Add(keep)}
}

// watching makes two servers with one TMS behind them that tell each other what they have
// shown to it. They have one clock.
func watching(t *testing.T, change func(*Options, *NASConfig)) (one, two *bench, o *oracle, l *lookout) {
	o, l = &oracle{}, &lookout{entries: map[[16]byte]seenLogin{}}
	var clock func() time.Time
	one, two = pair(t, otp.DefaultPolicy(), func(options *Options, c *NASConfig) {
		if clock == nil {
			clock, l.clock = options.Clock, options.Clock
		}
		c.Order, options.Backend, options.Sightings, options.AcceptedOnce = otp.TMSOnly, o, l, 2*time.Minute
		options.Clock = clock
		if change != nil {
			change(options, c)
		}
	})
	one.without("bob", "eve")
	return one, two, o, l
}

func TestALoginIsShownByOneServer(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	one.asleep = true
	one.want(pap(1, "eve", "right"), silence)
	two.wantSilence(pap(2, "eve", "right"), "tms_in_flight")
	two.wantSilence(pap(3, "eve", "right").station("203.0.113.1"), "tms_in_flight")
	one.asleep = false
	if replies := one.collect(); len(replies) != 1 {
		t.Fatalf("%d replies", len(replies))
	}
	two.wantElsewhere(pap(4, "eve", "right"))
	two.wantVerdict(pap(5, "eve", "right").station("203.0.113.1"), otp.Replayed)
	one.wait(5*time.Second + 1)
	two.wantVerdict(pap(6, "eve", "right"), otp.Replayed)
	one.wait(2 * time.Minute)
	two.wantAsked(o, 1)
	two.wantVerdict(pap(7, "eve", "right"), otp.AcceptedByTMS)
	two.wantAsked(o, 2)

	one.wantVerdict(pap(8, "eve", "wrong"), otp.RefusedByTMS)
	two.wantVerdict(pap(9, "eve", "wrong"), otp.RefusedByTMS)
	two.wantAsked(o, 3)
	one.wait(time.Minute)
	two.wantVerdict(pap(10, "eve", "wrong"), otp.RefusedByTMS)
	two.wantAsked(o, 4)
}

// TestPasscodesThatMayComeAgain are told from the same login under another Identifier.
func TestPasscodesThatMayComeAgain(t *testing.T) {
	one, two, o, _ := watching(t, func(o *Options, _ *NASConfig) { o.AcceptedOnce = 0 })
	one.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
	two.wantElsewhere(pap(2, "eve", "right"))
	one.wait(time.Second)
	two.wantVerdict(pap(3, "eve", "right").station("203.0.113.1"), otp.AcceptedByTMS)
	one.wait(6 * time.Second)
	two.wantVerdict(pap(4, "eve", "right").station("203.0.113.1"), otp.AcceptedByTMS)
	two.wantAsked(o, 3)
}

// TestOneQuestionOfTheTMS, one SMS, though the gateway asks both servers.
func TestOneQuestionOfTheTMS(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	one.inquired(pap(1, "eve", "ask"))
	two.wantElsewhere(pap(2, "eve", "ask"))
	two.wantAsked(o, 1)
	two.inquired(pap(3, "eve", "ask").station("203.0.113.1"))
	one.wait(6 * time.Second)
	one.inquired(pap(4, "eve", "ask"))
	two.wantAsked(o, 3)
}

func TestAQuestionThatOneServerCannotPut(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	one.server.SetNASes(table(t, nil, testNAS(func(c *NASConfig) { c.Order, c.MessageAuthenticator = otp.TMSOnly, RequireNever })))
	one.wantVerdict(pap(1, "eve", "ask"), otp.CannotAsk)
	one.wantVerdict(pap(2, "eve", "ask"), otp.CannotAsk)
	two.wantAsked(o, 1)
	two.inquired(pap(3, "eve", "ask"))
	two.wantAsked(o, 2)
}

// TestWhoCannotClaimIsSilent.
func TestWhoCannotClaimIsSilent(t *testing.T) {
	one, _, o, l := watching(t, nil)
	l.fail = errDisk
	one.wantSilence(pap(1, "eve", "right"), "undecided")
	one.wantLog(1, errDisk.Error())
	one.wantAsked(o, 0)
	l.fail = nil
	one.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS) // the retransmission
}

// TestAServerThatEndsWhileItShowsALogin leaves what nobody knows.
func TestAServerThatEndsWhileItShowsALogin(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	one.asleep = true
	one.want(pap(1, "eve", "right"), silence)
	one.wait(15 * time.Second)
	two.wantSilence(pap(2, "eve", "right"), "tms_in_flight")
	one.wait(time.Second)
	two.wantSilence(pap(3, "eve", "right"), "tms_unavailable")
	one.wait(2*time.Minute + 15*time.Second)
	two.wantVerdict(pap(4, "eve", "right"), otp.AcceptedByTMS)
	two.wantAsked(o, 1)
}

// TestWhatWasNotShownIsForgotten by all, and what got no answer is not.
func TestWhatWasNotShownIsForgotten(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	o.fail = errors.Join(ErrLost, ErrNotShown)
	one.wantSilence(pap(1, "eve", "right"), "tms_unavailable")
	o.fail = nil
	two.wantVerdict(pap(2, "eve", "right"), otp.AcceptedByTMS)
	o.fail = ErrLost
	one.wantSilence(pap(3, "bob", "right"), "tms_unavailable")
	o.fail = nil
	two.wantSilence(pap(4, "bob", "right"), "tms_unavailable")
	two.wantAsked(o, 3)
}

// TestAClaimTakesItsTime, and nobody waits for it.
func TestAClaimTakesItsTime(t *testing.T) {
	one, two, o, l := watching(t, nil)
	l.hold = true
	one.want(pap(1, "eve", "right"), silence)
	two.want(pap(2, "eve", "right"), silence)
	one.wantAsked(o, 0)
	slices.Reverse(l.held)
	l.hold = false
	for _, tell := range l.held {
		tell()
	}
	if a, b := len(one.collect()), len(two.collect()); a != 1 || b != 0 {
		t.Errorf("%d and %d replies", a, b)
	}
	two.wantMetric(1, "dropped_total", "tms_in_flight")
	two.wantAsked(o, 1)
}
