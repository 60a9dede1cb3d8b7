package radiusd

import "testing"

// woken reports whether the replying goroutine was woken.
func (d *decisions) woken() bool {
	select {
	case <-d.wake:
		return true
	default:
		return false
	}
}

func TestWhoIsWokenForADecision(t *testing.T) {
	d := decisions{wake: make(chan struct{}, 1)}
	var r [4]request
	d.push(&r[0])
	d.push(&r[1])
	if !d.woken() || d.woken() {
		t.Error("nobody attends: want one wake for two decisions")
	}
	if first := d.take(); first != &r[0] || first.next != &r[1] || r[1].next != nil {
		t.Error("the list is not in order")
	}
	d.attend()
	d.push(&r[2])
	if d.woken() {
		t.Error("woken although the list is attended")
	}
	d.leave()
	if !d.woken() {
		t.Error("not woken for what was left")
	}
	d.push(&r[3])
	if first := d.take(); first != &r[2] || first.next != &r[3] {
		t.Error("the list is not in order")
	}
	d.leave()
	if d.woken() {
		t.Error("woken for nothing")
	}
}

func TestDrained(t *testing.T) {
	b := newBench(t, nil)
	p := &b.auth.pool
	<-p.drained() // nothing is in flight
	one, two := p.exchange(), p.exchange()
	idle := p.drained()
	p.put(one)
	select {
	case <-idle:
		t.Fatal("drained with one in flight")
	default:
	}
	p.put(two)
	<-idle
	if p.len() != 0 {
		t.Errorf("%d in flight", p.len())
	}
}
