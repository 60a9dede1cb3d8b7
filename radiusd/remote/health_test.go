package remote

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const interval = 10 * time.Second

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func newHealth() *health {
	h := new(health)
	h.rise(start)
	return h
}

func expect(t *testing.T, what string, got, want bool) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v", what, got)
	}
}

func TestHealthOfOneThatSpeaks(t *testing.T) {
	h := newHealth()
	expect(t, "admits at first", h.admits(start, interval, false), true)
	expect(t, "a status that was not answered brings down one that never did", h.statusLost(start), false)
	expect(t, "the second", h.statusLost(start), false)
	expect(t, "rises though it is up", h.statusAnswered(start, false), false)
	expect(t, "one status brings it down", h.statusLost(start), false)
	expect(t, "an answer to a login is forgotten", h.loginAnswered(start), false)
	expect(t, "one more", h.statusLost(start), false)
	expect(t, "two do", h.statusLost(start.Add(time.Second)), true)
	if h.up || !h.since.Equal(start.Add(time.Second)) {
		t.Errorf("it is %+v", h)
	}
	for _, alone := range []bool{false, true} {
		expect(t, "a login tries it", h.admits(start.Add(maxPause), interval, alone), false)
	}
	expect(t, "an answer to a login brings it up", h.loginAnswered(start), false)
	expect(t, "one answer", h.statusAnswered(start, false), false)
	expect(t, "two", h.statusAnswered(start, false), false)
	expect(t, "a miss", h.statusLost(start), false)
	for range answersToRise - 1 {
		expect(t, "two after it", h.statusAnswered(start, false), false)
	}
	expect(t, "three in a row", h.statusAnswered(start, false), true)
	expect(t, "refused", h.statusRefused(start), true)
	expect(t, "refused again", h.statusRefused(start), false)
	expect(t, "one answer of the only server", h.statusAnswered(start, true), true)
}

// A server that answers no Status-Server any more is tried with a login after a while.
func TestHealthOfOneThatFallsSilent(t *testing.T) {
	h := newHealth()
	h.statusAnswered(start, false)
	h.statusLost(start)
	expect(t, "two misses bring it down", h.statusLost(start), true)
	expect(t, "a login tries it soon", h.admits(start.Add(maxPause-1), interval, true), false)
	expect(t, "a login tries it", h.admits(start.Add(maxPause), interval, true), true)
	expect(t, "an answer to it brings it up", h.loginAnswered(start.Add(maxPause)), true)
}

func TestHealthByLogins(t *testing.T) {
	h := newHealth()
	sent := h.answers
	h.loginAnswered(start)
	for range lossesToFall + 1 {
		expect(t, "a lost login, and one answered since", h.loginLost(start, sent), false)
	}
	h.brought(t, "none since", start)
	expect(t, "the next of those that were on their way", h.loginLost(start, h.answers), false)
	expect(t, "one that never speaks is up by one that was on its way", h.loginAnswered(start), true)
	h.statusAnswered(start, false)
	expect(t, "one lost login brings down one that speaks", h.loginLost(start, h.answers), true)
}

// brought loses logins until a server that never speaks must be down, and not before.
func (h *health) brought(t *testing.T, what string, at time.Time) {
	t.Helper()
	for i := range lossesToFall {
		expect(t, what, h.loginLost(at, h.answers), i == lossesToFall-1)
	}
}

// TestLossesInARow: a login that is answered in between has those before it forgotten.
func TestLossesInARow(t *testing.T) {
	h := newHealth()
	for range 3 {
		for range lossesToFall - 1 {
			expect(t, "lost", h.loginLost(start, h.answers), false)
			h.loginForgotten()
			expect(t, "a status lost", h.statusLost(start), false)
		}
		h.loginAnswered(start)
	}
	h.brought(t, "in a row", start)
	for range 2 { // after it was down it takes as many again
		expect(t, "up again", h.loginAnswered(start), true)
		h.brought(t, "again", start)
	}
	if h.statusAnswered(start, true); h.lost != 0 {
		t.Errorf("up again, %d are lost", h.lost)
	}
}

// TestPatience: almost all of the time of a server reads as all of it.
func TestPatience(t *testing.T) {
	c := &Client{timeout: 5 * time.Second}
	if limit, patient := c.patience(context.Background()); limit != c.timeout || patient {
		t.Errorf("without an end it is %v, %v", limit, patient)
	}
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: 5 * time.Second, 5*time.Second - 20*time.Millisecond: 5 * time.Second, 4 * time.Second: 4 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), left)
			defer cancel()
			if limit, patient := c.patience(ctx); limit != want || !patient {
				t.Errorf("with %v it is %v, %v", left, limit, patient)
			}
		})
	}
}

// TestHealthOfOneThatNeverSpeaks: it is tried with one login at a time, after pauses.
func TestHealthOfOneThatNeverSpeaks(t *testing.T) {
	h := newHealth()
	at := start
	h.brought(t, "the first", at)
	for _, pause := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		pause *= time.Second
		expect(t, "too early", h.admits(at.Add(pause-1), interval, false), false)
		expect(t, "due, but for Probe it is not a try", h.due(at.Add(pause), interval, false), true)
		expect(t, "after the pause", h.admits(at.Add(pause), interval, false), true)
		expect(t, "one at a time", h.admits(at.Add(pause), interval, true), false)
		at = at.Add(pause + time.Second)
		expect(t, "in vain", h.loginLost(at, h.answers), false)
	}
	expect(t, "alone, too early", h.admits(at.Add(interval-1), interval, true), false)
	expect(t, "alone", h.admits(at.Add(interval), interval, true), true)
	h.loginForgotten()
	expect(t, "of the last nothing is known", h.admits(at.Add(interval), interval, true), true)
	expect(t, "answered", h.loginAnswered(at), true)
	h.brought(t, "lost again", at)
	expect(t, "the pauses begin anew", h.admits(at.Add(interval), interval, false), true)
}
