package main

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"layeh.com/radius"

	"countersign/radiusd/radiustest"
)

// volley is a gateway that shows every passcode to several nodes in the same instant, each
// in a request of its own. It uses no identifier of a socket twice, so that it knows of
// every answer, however late, whose it is to what.
type volley struct {
	*cluster
	nodes    []*node
	nas      *radiustest.NAS // writes the requests
	shots    []*shot
	before   int           // answers of the nodes to others
	free     chan struct{} // has an element for each passcode that is on its way
	received atomic.Int64  // answers
	foreign  atomic.Int64  // answers that are not authentic
	repeated int           // passcodes that were sent once more, after a second
}

// shot is a passcode that was shown, with what came back from each node.
type shot struct {
	shown
	from     *net.UDPConn
	requests [][]byte        // by node
	codes    []atomic.Uint32 // the same; 0 while there is no answer
	answered chan struct{}   // closed by the first
	once     sync.Once
}

const (
	identifiers = 256 // of a socket
	mostOpen    = 256 // passcodes at once
)

func (c *cluster) volley(nodes []*node) *volley {
	c.Helper()
	v := &volley{cluster: c, nodes: nodes, nas: nodes[0].from(c.gateway), free: make(chan struct{}, mostOpen)}
	v.before = v.replied()
	return v
}

// fire shows passcodes, and waits until each has an answer and all nodes have judged it.
func (v *volley) fire(all []shown) {
	v.Helper()
	judged := v.judged()
	var shots []*shot
	for i, s := range all {
		shots = append(shots, v.prepare(s, i))
	}
	for some := range slices.Chunk(shots, identifiers) {
		v.listen(some)
	}
	for i, s := range shots {
		v.free <- struct{}{}
		for k := range v.nodes {
			v.send(s, (i+k)%len(v.nodes)) // nobody is always the first
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, s := range shots {
		v.awaitAnswer(s, deadline)
	}
	v.nodes[0].await("all nodes to have judged all", func() bool {
		return v.judged() >= judged+len(all)*len(v.nodes)
	})
	v.shots = append(v.shots, shots...)
}

// prepare writes the requests of a passcode, the ith to be fired.
func (v *volley) prepare(what shown, i int) *shot {
	s := &shot{shown: what, codes: make([]atomic.Uint32, len(v.nodes)), answered: make(chan struct{})}
	for k := range v.nodes {
		request, err := loginFrom(v.nas, s.name(), s.passcode(), s.station())
		if err != nil {
			v.Fatal(err)
		}
		request.Identifier = identifierOf(i, k)
		datagram, err := v.nas.Encode(request)
		if err != nil {
			v.Fatal(err)
		}
		s.requests = append(s.requests, datagram)
	}
	return s
}

// identifierOf is the identifier by which a node knows a passcode; each node another.
func identifierOf(i, node int) byte { return byte(i + 85*node) }

func (v *volley) send(s *shot, node int) {
	if _, err := s.from.WriteToUDPAddrPort(s.requests[node], v.nodes[node].auth); err != nil {
		v.Error(err)
	}
}

// awaitAnswer waits until a passcode has an answer, and shows it once more every second,
// as gateways do.
func (v *volley) awaitAnswer(s *shot, deadline time.Time) {
	v.Helper()
	for {
		select {
		case <-s.answered:
			return
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			v.Fatalf("%s has no answer after half a minute", s.station())
		}
		v.repeated++
		for k := range v.nodes {
			v.send(s, k)
		}
	}
}

// judged is how many logins the nodes have judged, or could not because the database was
// slow.
func (v *volley) judged() int {
	v.Helper()
	return v.sum("countersign_radius_logins_total{") + v.sum("countersign_radius_dropped_total{")
}

// replied is how many logins they have answered.
func (v *volley) replied() int {
	v.Helper()
	return v.sum(`countersign_radius_replies_total{code="Access-`)
}

func (v *volley) sum(metrics string) int {
	v.Helper()
	n := 0
	for _, node := range v.nodes {
		n += node.count(metrics)
	}
	return n
}

// awaitAnswers waits for what the nodes have sent.
func (v *volley) awaitAnswers() {
	v.Helper()
	sent := v.replied() - v.before
	v.nodes[0].await("the last answers", func() bool { return int(v.received.Load()) >= sent })
}

// listen opens the socket of some passcodes and reads what comes to it.
func (v *volley) listen(shots []*shot) {
	v.Helper()
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(v.gateway))
	if err != nil {
		v.Fatal(err)
	}
	_ = socket.SetReadBuffer(1 << 20)
	for _, s := range shots {
		s.from = socket
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed
			}
			v.take(shots, b[:n], from)
		}
	}()
	v.Cleanup(func() { _ = socket.Close(); <-read })
}

// take notes an answer to one of the passcodes of a socket.
func (v *volley) take(shots []*shot, answer []byte, from netip.AddrPort) {
	k := slices.IndexFunc(v.nodes, func(n *node) bool { return n.auth == from })
	i := len(shots)
	if k >= 0 && len(answer) >= 20 {
		i = int(answer[1] - identifierOf(0, k))
	}
	if i >= len(shots) || !radius.IsAuthenticResponse(answer, shots[i].requests[k], []byte(sharedSecret)) {
		v.foreign.Add(1)
		return
	}
	s, code := shots[i], uint32(answer[0])
	if before := s.codes[k].Swap(code); before == 0 {
		v.received.Add(1)
	} else if before != code {
		v.Errorf("%s: node %s said %v, and then %v", s.station(), v.nodes[k].name, radius.Code(before), radius.Code(code))
	}
	s.once.Do(func() { close(s.answered); <-v.free })
}

// onceEach demands that each passcode was accepted by exactly one node, and refused by
// none.
func (v *volley) onceEach() {
	v.Helper()
	v.awaitAnswers()
	faults, all := 0, map[radius.Code]int{}
	for _, s := range v.shots {
		said := map[radius.Code]int{}
		for k := range s.codes {
			code := radius.Code(s.codes[k].Load())
			said[code]++
			all[code]++
		}
		if said[radius.CodeAccessAccept] == 1 && said[0] == len(v.nodes)-1 {
			continue
		}
		if faults++; faults <= 5 {
			v.Errorf("%s: %v (0 is silence), want one Access-Accept and silence", s.station(), said)
		}
	}
	if faults > 0 || v.foreign.Load() > 0 {
		v.Errorf("%d of %d codes were not accepted exactly once and refused by nobody; %d answers are not authentic",
			faults, len(v.shots), v.foreign.Load())
	}
	v.Logf("%d codes at %d nodes: %v (0 is silence), %d repeated", len(v.shots), len(v.nodes), all, v.repeated)
}
