package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/radiusd/radiustest"
)

// Of the users of a cluster, the last log in while nodes are cut off, the others while the
// database fails over.
const (
	clusterUsers = 2500
	loadUsers    = 1500
)

// TestCluster has three nodes, each in a network of its own, on one PostgreSQL with a
// synchronous standby. The parts follow each other, because each needs what was before.
func TestCluster(t *testing.T) {
	t.Parallel()
	need(t, "ip", "unshare", "promtool")
	if !ownNetwork(t) {
		return
	}
	c := installCluster(t, layout{
		nodes: 3, standby: true, apart: true,
		more: "[log]\nlevel = \"warn\"\n" + printers, nasKeys: "excluded = \"accept\"\n", cluster: "excluded_when_store_down = true\n",
	})
	c.nodes[2].change("excluded_when_store_down = true", "excluded_when_store_down = false")
	c.users(clusterUsers, "hotp")
	c.start()
	c.everyCodeOnce(c.nodes[:2], 0)
	c.everyCodeOnce(c.nodes, 4)
	c.nodes[0].metricsOfSeveral()
	accepted := c.isCutOff(c.nodes[1], c.nodes[2], 8)
	accepted = append(accepted, c.losesPrimary(9)...)
	for user := range clusterUsers {
		for counter := range 8 {
			accepted = append(accepted, shown{user, counter})
		}
	}
	c.nodes[1].hasAll(accepted)
	contains(t, c.nodes[2].run("", "audit", "verify"), "good")
}

// hasAll demands that each code which was accepted is in the journal once, and that no
// stranger was let in.
func (n *node) hasAll(accepted []shown) {
	n.Helper()
	journal, faults := n.acceptedAt(), 0
	for _, s := range accepted {
		if times := journal["loopback "+s.station()]; times != 1 {
			if faults++; faults <= 5 {
				n.Errorf("%s was accepted, and the journal has it %d times", s.station(), times)
			}
		}
	}
	if faults > 0 {
		n.Errorf("%d of %d that were accepted are not in the journal once", faults, len(accepted))
	}
	for where := range journal {
		if !strings.HasPrefix(where, "loopback ") || strings.HasPrefix(where, "loopback other-") {
			n.Errorf("the journal has a stranger who was accepted: %s", where)
		}
	}
}

// everyCodeOnce shows 10,000 codes, those of all users from a counter on, to some nodes in
// the same instant. Each is accepted by one, and no node says anything else. Then
// strangers show some of them again.
func (c *cluster) everyCodeOnce(nodes []*node, counter int) {
	c.Helper()
	v := c.volley(nodes)
	for i := range 4 {
		all := make([]shown, clusterUsers)
		for u := range all {
			all[u] = shown{u, counter + i}
		}
		v.fire(all)
	}
	v.onceEach()
	var again []shown
	for u := 0; u < clusterUsers; u += 10 {
		again = append(again, shown{u, counter + 3})
	}
	c.strangers(nodes, again)
}

// strangers show codes that were accepted: half of them are other stations, half the same
// station at another NAS. Each gets one Access-Reject.
func (c *cluster) strangers(nodes []*node, all []shown) {
	c.Helper()
	work := make(chan int, len(all))
	for i := range all {
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range work {
				from, station := c.stranger, all[i].station()
				if i%2 == 0 {
					from, station = c.gateway, "other-"+station
				}
				if code, err := nodes[i%len(nodes)].show(from, all[i], station, 10*time.Second); code != radius.CodeAccessReject {
					c.Errorf("%s was accepted, and a stranger showed it again: %v %v, want Access-Reject", all[i].station(), code, err)
				}
			}
		})
	}
	wg.Wait()
}

// show logs in with a code from a socket of its own, and waits so long for the answer. The
// code is 0 when there is none.
func (n *node) show(from netip.AddrPort, s shown, station string, patience time.Duration) (radius.Code, error) {
	return n.dialAndShow(from, s.name(), s.passcode(), station, patience)
}

func (n *node) dialAndShow(from netip.AddrPort, user, passcode, station string, patience time.Duration) (radius.Code, error) {
	nas, err := dialFrom(n.auth, from)
	if err != nil {
		return 0, err
	}
	defer nas.Close()
	request, err := loginFrom(nas, user, passcode, station)
	if err != nil {
		return 0, err
	}
	return exchangeWithin(nas, request, patience)
}

// exchangeWithin sends a request and returns the code of its answer, if that comes in time.
func exchangeWithin(nas *radiustest.NAS, request *radius.Packet, patience time.Duration) (radius.Code, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := nas.Exchange(ctx, request)
	if err != nil {
		return 0, err
	}
	return reply.Code, nil
}

// isCutOff takes two nodes off the network of the database, in the middle of logins, of
// which it returns those that were accepted. They say nothing to anybody, but one lets in
// who needs no code; the third goes on. Back in the network they serve again.
func (c *cluster) isCutOff(kind, strict *node, counter int) []shown {
	c.Helper()
	other := c.nodes[0]
	l := c.load(&load{asked: []*node{kind, other}, from: loadUsers, to: clusterUsers, counter: counter}, 16)
	l.await(100, 0)
	c.cut(kind, true)
	c.cut(strict, true)
	began := time.Now()
	const printer = "00-10-A4-23-19-C0"
	var wg sync.WaitGroup
	silent := func(n *node, user, passcode, station string) {
		wg.Go(func() {
			code, err := n.dialAndShow(c.gateway, user, passcode, station, 4*time.Second)
			if !errors.Is(err, context.DeadlineExceeded) {
				c.Errorf("node %s is cut off, and told %s at %s: %v %v, want silence", n.name, user, station, code, err)
			}
		})
	}
	for i, n := range []*node{kind, strict} {
		right := shown{i, counter}
		silent(n, right.name(), right.passcode(), right.station())
		silent(n, fmt.Sprintf("user%d", 10+i), "4711000000", "wrong")
		silent(n, "nobody", "4711000000", "unknown")
	}
	silent(strict, "printer", "x", printer)
	for i := range 20 {
		s := shown{20 + i, counter}
		if code, err := other.show(c.gateway, s, s.station(), time.Second); code != radius.CodeAccessAccept {
			c.Errorf("node %s is not cut off, and answers %v %v", other.name, code, err)
		}
	}
	wg.Wait()
	if code, err := kind.dialAndShow(c.gateway, "printer", "x", printer, 2*time.Second); code != radius.CodeAccessAccept {
		c.Errorf("who needs no code, at node %s: %v %v, want Access-Accept", kind.name, code, err)
	}
	for _, n := range []*node{kind, strict} {
		if status, text := n.readyz(); status != http.StatusServiceUnavailable {
			c.Errorf("node %s is cut off, and /readyz says %d: %s", n.name, status, text)
		} else {
			c.Logf("/readyz: %s", text)
		}
		if dropped := n.count("countersign_radius_dropped_total{"); dropped < 3 {
			c.Errorf("node %s was silent three times and has counted %d:\n%s", n.name, dropped, n.get("/metrics"))
		}
	}
	c.Logf("cut off for %v", time.Since(began))
	c.isBack(kind, counter)
	c.isBack(strict, counter)
	other.await("the login without a code in the journal", func() bool {
		return strings.Contains(other.run("", "event", "list", "--verdict", "excluded", "--json"), printer)
	})
	var used []shown
	for i := range 20 {
		used = append(used, shown{20 + i, counter})
	}
	c.strangers([]*node{kind, strict}, used)
	return append(l.stop(), used...)
}

// backAfter is the longest that a node takes until it serves again, once the database can
// be reached.
const backAfter = 5 * time.Second

// isBack puts a node back into the network of the database and demands that it soon
// accepts codes.
func (c *cluster) isBack(n *node, counter int) {
	c.Helper()
	c.cut(n, false)
	began := time.Now()
	for user := 100; ; user++ {
		s := shown{user + 100*int(n.name[0]-'a'), counter}
		code, _ := n.show(c.gateway, s, s.station(), 100*time.Millisecond)
		took := time.Since(began)
		if code == radius.CodeAccessAccept {
			c.Logf("node %s serves again after %v", n.name, took)
			if took > backAfter {
				c.Errorf("node %s served again after %v, want %v", n.name, took, backAfter)
			}
			return
		}
		if code != 0 {
			c.Errorf("node %s is back, and answers %s: %v", n.name, s.station(), code)
		}
		if took > 20*time.Second {
			c.Fatalf("node %s does not serve again", n.name)
		}
	}
}
