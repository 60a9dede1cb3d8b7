package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"
)

// sameLoginWindow is that of the nodes that gateways ask in turn.
const sameLoginWindow = 3 * time.Second

// turns are the turns in which a gateway asks two nodes.
type turns struct {
	*cluster
	first, second *node
	user          int // the next one
}

// TestTwoNodesBehindOneGateway acts out a gateway's ways to use two nodes: it asks both at
// once and takes the first answer, or it asks the second when the first is silent. To a
// login that the other node has let in, node a says nothing, and node b says the same again.
func TestTwoNodesBehindOneGateway(t *testing.T) {
	t.Parallel()
	c := installCluster(t, layout{nodes: 2, cluster: fmt.Sprintf("same_login_window = %q\n", sameLoginWindow)})
	a, b := c.nodes[0], c.nodes[1]
	b.change("[cluster]\n", "[cluster]\non_same_login = \"repeat\"\n")
	c.users(120, "hotp")
	c.start()
	g := &turns{cluster: c, first: a, second: b}
	g.bothAtOnce()
	g.wrongAtBoth()
	for range 2 {
		g.firstHangs()
		g.answerIsLost()
		g.first, g.second = g.second, g.first
	}
}

// again is what a node says to a login that was let in just before.
func again(n *node) radius.Code {
	if n.name == "b" {
		return radius.CodeAccessAccept
	}
	return 0
}

// next is the first code of the next user.
func (g *turns) next() shown {
	g.user++
	return shown{g.user - 1, 0}
}

// wants shows a code to a node and demands the answer, or silence.
func (g *turns) wants(n *node, s shown, want radius.Code) {
	g.Helper()
	patience := 10 * time.Second
	if want == 0 {
		patience = 300 * time.Millisecond
	}
	if code, err := n.show(g.gateway, s, s.station(), patience); code != want {
		g.Errorf("%s at node %s: %v (%v), want %v (0 is silence)", s.station(), n.name, code, err, want)
	}
}

// burnedOnce demands that a code was used by one login, and that strangers are refused.
func (g *turns) burnedOnce(all ...shown) {
	g.Helper()
	g.strangers([]*node{g.first, g.second}, all)
	g.strangers([]*node{g.second, g.first}, all)
	g.first.hasAll(all)
}

// bothAtOnce: the gateway takes the first answer. Whoever comes second says what it says
// again.
func (g *turns) bothAtOnce() {
	g.Helper()
	var all []shown
	for range 100 {
		all = append(all, g.next())
	}
	v := g.volley(g.nodes)
	v.fire(all)
	v.awaitAnswers()
	for _, s := range v.shots {
		a, b := radius.Code(s.codes[0].Load()), radius.Code(s.codes[1].Load())
		if a != radius.CodeAccessAccept && a != 0 || b != radius.CodeAccessAccept {
			g.Errorf("%s at two nodes at once: %v and %v, want Access-Accept, or nothing from a (0 is silence)", s.station(), a, b)
		}
	}
	g.burnedOnce(all[:10]...)
}

// wrongAtBoth: a wrong code at two nodes at once is refused by both and is one mistake.
func (g *turns) wrongAtBoth() {
	g.Helper()
	s := g.next()
	wrong := make(chan radius.Code, 2)
	for _, n := range []*node{g.first, g.second} {
		go func() {
			code, _ := n.dialAndShow(g.gateway, s.name(), "4711000000", "wrong", 10*time.Second)
			wrong <- code
		}()
	}
	if a, b := <-wrong, <-wrong; a != radius.CodeAccessReject || b != a {
		g.Errorf("a wrong code at two nodes at once: %v and %v, want Access-Reject twice", a, b)
	}
	for _, n := range []*node{g.first, g.second} {
		if failures := n.token(fmt.Sprintf("S%d", s.user)).Failures; failures != 1 {
			g.Errorf("a wrong code at two nodes at once: node %s counts %d, want 1", n.name, failures)
		}
	}
}

// firstHangs: the first node gets a login and does nothing, so that the gateway asks the
// second. Then the first one goes on.
func (g *turns) firstHangs() {
	g.Helper()
	s := g.next()
	nas := g.first.from(g.gateway)
	request, err := loginFrom(nas, s.name(), s.passcode(), s.station())
	if err != nil {
		g.Fatal(err)
	}
	judged := g.first.count("countersign_radius_logins_total{")
	g.freeze(g.first)
	if err := nas.Send(request); err != nil {
		g.Error(err)
	}
	g.wants(g.second, s, radius.CodeAccessAccept)
	g.signal(g.first, syscall.SIGCONT)
	g.first.await("the late verdict", func() bool { return g.first.count("countersign_radius_logins_total{") > judged })
	ctx, cancel := context.WithTimeout(g.Context(), 300*time.Millisecond)
	defer cancel()
	late := radius.Code(0)
	if answer, err := nas.Receive(ctx); err == nil {
		late = radius.Code(answer[0])
	}
	if late != again(g.first) {
		g.Errorf("node %s comes late, and says %v, want %v (0 is silence)", g.first.name, late, again(g.first))
	}
	g.burnedOnce(s)
}

// freeze stops a node, and waits until no thread of it runs.
func (g *turns) freeze(n *node) {
	g.Helper()
	g.signal(n, syscall.SIGSTOP)
	g.second.await("node "+n.name+" to stand still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.process.Process.Pid))
		return !slices.ContainsFunc(threads, func(thread string) bool {
			stat, err := os.ReadFile(thread)
			return err == nil && !bytes.Contains(stat, []byte(") T "))
		})
	})
}

func (g *turns) signal(n *node, s syscall.Signal) {
	g.Helper()
	if err := n.process.Process.Signal(s); err != nil {
		g.Fatal(err)
	}
}

// answerIsLost: the answer of the first does not reach the gateway, which asks the second.
// Only within a short time is that the same login, and only of the same gateway and
// station.
func (g *turns) answerIsLost() {
	g.Helper()
	s, late := g.next(), g.next()
	g.wants(g.first, late, radius.CodeAccessAccept)
	over := time.Now().Add(sameLoginWindow)
	g.wants(g.first, s, radius.CodeAccessAccept)
	g.wants(g.second, s, again(g.second))
	g.wants(g.first, s, again(g.first)) // a new request to the same node is no other case
	g.burnedOnce(s)
	g.first.await("the end of the window", func() bool { return time.Now().After(over) })
	g.wants(g.second, late, radius.CodeAccessReject)
}
