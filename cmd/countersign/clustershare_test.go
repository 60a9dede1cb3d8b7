package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/radiusd/accounting"
)

// TestWhatNodesShare: what is done at one node is so at the other.
func TestWhatNodesShare(t *testing.T) {
	t.Parallel()
	c := installCluster(t, layout{nodes: 2, nasKeys: "excluded = \"accept\"\n"})
	a, b := c.nodes[0], c.nodes[1]
	c.users(20, "hotp")
	c.start()
	c.shareRules(a, b)
	c.shareLocks(a, b)
	c.shareThrottles(a, b)
	c.shareSenders(a, b)
	c.shareSessions(a, b)
}

// code logs in at a node, and returns the code of the answer, 0 for none.
func (n *node) code(from netip.AddrPort, user, passcode, station string) radius.Code {
	code, _ := n.dialAndShow(from, user, passcode, station, 5*time.Second)
	return code
}

// ruleWithin is how soon a rule of one node is in force on the others: on a machine that
// has nothing else to do within a second.
const ruleWithin = 3 * time.Second

// shareRules: an exclusion that is added at one node is in force at the other soon, and
// so is its end.
func (c *cluster) shareRules(a, b *node) {
	c.Helper()
	const station = "192.0.2.7"
	a.run("", "exclude", "add", "visitors", "--reason", "r", "--no-expiry", "--client-ip", station)
	if code := a.code(c.gateway, "visitor", "x", station); code != radius.CodeAccessAccept {
		c.Errorf("who needs no code at node a, there: %v", code)
	}
	for _, step := range []struct {
		what string
		want radius.Code
		then func()
	}{
		{"a new rule", radius.CodeAccessAccept, func() { a.run("", "exclude", "remove", "visitors") }},
		{"a rule that was removed", radius.CodeAccessReject, func() {}},
	} {
		began, visitor := time.Now(), 0
		b.await(step.what, func() bool {
			visitor++ // another each time, so that nobody has to wait
			return b.code(c.gateway, fmt.Sprintf("visitor%d", visitor), "x", station) == step.want
		})
		took := time.Since(began)
		c.Logf("%s of node a is in force at node b after %v", step.what, took)
		if took > ruleWithin {
			c.Errorf("%s of node a is in force at node b after %v, want %v", step.what, took, ruleWithin)
		}
		step.then()
	}
}

// shareLocks: a token that wrong codes at one node have locked is locked at the other at
// once, and so is its unlocking.
func (c *cluster) shareLocks(a, b *node) {
	c.Helper()
	s := shown{1, 0}
	if code := b.code(c.gateway, s.name(), s.passcode(), "1"); code != radius.CodeAccessAccept { // so that b knows the user
		c.Fatalf("%v", code)
	}
	for i := range 10 {
		a.code(c.gateway, s.name(), fmt.Sprintf("4711%06d", i), "1")
	}
	s.counter = 1
	if code := b.code(c.gateway, s.name(), s.passcode(), "1"); code != radius.CodeAccessReject {
		c.Errorf("locked at node a, and node b says %v", code)
	}
	if v := a.events("login"); v[len(v)-1].Verdict != "locked" {
		c.Errorf("the last login was %+v, want one with a locked token", v[len(v)-1])
	}
	a.run("", "token", "unlock", "S1")
	if code := b.code(c.gateway, s.name(), s.passcode(), "2"); code != radius.CodeAccessAccept {
		c.Errorf("unlocked at node a, and node b says %v", code)
	}
	b.run("", "user", "set", s.name(), "--disable")
	s.counter = 2
	if code := a.code(c.gateway, s.name(), s.passcode(), "2"); code != radius.CodeAccessReject {
		c.Errorf("disabled at node b, and node a says %v", code)
	}
}

// shareThrottles: who guesses PINs at one node has to wait at the other too.
func (c *cluster) shareThrottles(a, b *node) {
	c.Helper()
	const station = "198.51.100.3"
	for i := range 6 {
		a.code(c.gateway, "user2", fmt.Sprintf("99%02d000000", i), station)
	}
	began := time.Now()
	b.await("node b to have the guesser wait", func() bool {
		b.code(c.gateway, "user2", fmt.Sprintf("88%02d000000", time.Since(began).Milliseconds()%100), station)
		return b.count(`countersign_radius_logins_total{verdict="throttled"}`) > 0
	})
	c.Logf("throttled at node b after %v", time.Since(began))
}

// shareSenders: a NAS that has sent one node a Message-Authenticator has to send it to
// the other too.
func (c *cluster) shareSenders(a, b *node) {
	c.Helper()
	s := shown{3, 0}
	if code := a.code(c.stranger, s.name(), s.passcode(), "3"); code != radius.CodeAccessAccept {
		c.Fatalf("%v", code)
	}
	nas := b.from(c.stranger)
	bare := func() bool {
		s.counter++
		request, err := loginFrom(nas, s.name(), s.passcode(), "3")
		if err != nil {
			c.Fatal(err)
		}
		request.Del(80) // Message-Authenticator
		code, _ := exchangeWithin(nas, request, 500*time.Millisecond)
		return code != 0
	}
	began := time.Now()
	b.await("node b to want a Message-Authenticator", func() bool { return !bare() })
	if took := time.Since(began); took > 3*time.Second || bare() {
		c.Errorf("the NAS has shown node a that it can do Message-Authenticator, and node b wants it after %v, or not at all", took)
	}
}

// shareSessions: a session that begins at one node and ends at the other is one.
func (c *cluster) shareSessions(a, b *node) {
	c.Helper()
	c.report(a, record(7, 0, 2))
	c.report(b, record(7, 1, 2))
	c.report(b, record(7, 2, 2))
	sessions := b.awaitSessions(1, accounting.Closed)
	if got := strings.Join(a.statuses(&sessions[0]), " "); got != "Start Interim-Update Stop" || sessions[0].Records != 3 {
		c.Errorf("%d records, %s, want one session with Start, Interim-Update and Stop", sessions[0].Records, got)
	}
}

// report sends a record to a node.
func (c *cluster) report(n *node, record *radius.Packet) {
	c.Helper()
	nas, err := dialFrom(n.acct, c.gateway)
	if err != nil {
		c.Fatal(err)
	}
	defer nas.Close()
	nas.Retry = 200 * time.Millisecond
	if _, err := exchangeWithin(nas, record, 10*time.Second); err != nil {
		c.Fatalf("a record to node %s: %v\n%s", n.name, err, n.log)
	}
}
