package radiusd

import (
	"crypto/md5"
	"slices"
	"strings"
	"testing"

	"countersign/radiusd/packet"
)

// record is an Accounting-Request.
func record(id byte, session string) order {
	return order{code: packet.AccountingRequest, identifier: id, placement: packet.Off}.
		with(func(_ *order, _ *packet.Scratch, b *packet.Builder) {
			b.Add(packet.AcctStatusType, []byte{0, 0, 0, 1})
			b.AddString(packet.AcctSessionID, session)
		})
}

// account sends an order to the accounting port and checks the reply's code.
func (b *bench) account(o order, code packet.Code) *packet.Request {
	b.Helper()
	reply := b.verified(o, b.hand(b.acct, gateway, b.build(o)))
	b.wantCode(reply, code)
	return reply
}

func TestAccountingIsAnsweredWhenDurable(t *testing.T) {
	b := newBench(t, nil)
	o := record(1, "s1").with(proxyStates("x", "y"))
	b.journal.hold = true
	b.account(o, silence)
	b.account(o, silence)
	b.wantMetric(1, "dropped_total", "duplicate_in_flight")
	b.journal.held[0](nil)
	reply := b.verified(o, b.collect())
	b.wantCode(reply, response)
	if got := attributesOf(reply); !slices.Equal(got, []attribute{{packet.ProxyState, "x"}, {packet.ProxyState, "y"}}) {
		t.Errorf("attributes %v", got)
	}
	b.account(o, response) // from the cache
	if len(b.journal.held) != 1 {
		t.Errorf("%d records, want 1", len(b.journal.held))
	}
}

func TestAccountingRecord(t *testing.T) {
	b := newBench(t, nil)
	o := record(1, "s1")
	padded := append(b.build(o), "padding"...)
	b.wantCode(b.verified(o, b.hand(b.acct, gateway, padded)), response)
	want := "gateway 192.0.2.10 \x28\x06\x00\x00\x00\x01\x2c\x04s1"
	if len(b.journal.records) != 1 || b.journal.records[0] != want {
		t.Errorf("records %q, want %q", b.journal.records, want)
	}
}

func TestAccountingWithMessageAuthenticator(t *testing.T) {
	b := newBench(t, nil)
	reply := b.account(record(1, "s1").signed(), response)
	if reply.MessageAuthenticator == 0 {
		t.Error("the response has no Message-Authenticator, the request had")
	}

	datagram := b.build(record(2, "s2").signed())
	datagram[packet.HeaderLength+2] ^= 1 // the Message-Authenticator
	clear(datagram[4:packet.HeaderLength])
	sum := md5.Sum(append(datagram, testSecret...))
	copy(datagram[4:], sum[:])
	if replies := b.hand(b.acct, gateway, datagram); len(replies) != 0 {
		t.Error("a wrong Message-Authenticator was accepted")
	}
	b.wantMetric(1, "dropped_total", "bad_message_authenticator")
}

func TestAccountingRefused(t *testing.T) {
	forged := record(1, "s1")
	forged.secret = packet.NewSecret([]byte("another secret"))
	for reason, o := range map[string]order{
		"bad_request_authenticator": forged,
		"acct_status_type_missing":  {code: packet.AccountingRequest, identifier: 2, placement: packet.Off},
	} {
		b := newBench(t, nil)
		if replies := b.hand(b.acct, gateway, b.build(o)); len(replies) != 0 {
			t.Errorf("%s: answered", reason)
		}
		b.wantMetric(1, "dropped_total", reason)
		b.wantLog(1, "reason="+reason)
	}
}

// TestEveryStatusTypeIsKept, whether anybody knows it or not.
func TestEveryStatusTypeIsKept(t *testing.T) {
	b := newBench(t, nil)
	for i, status := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x03", "\x00\x00\x00\x0f", "\xff\xff\xff\xff"} {
		b.account(order{code: packet.AccountingRequest, identifier: byte(i), placement: packet.Off}.adding(packet.AcctStatusType, status), response)
		if n := len(b.journal.records); n != i+1 || !strings.HasSuffix(b.journal.records[i], "\x28\x06"+status) {
			t.Errorf("records %q", b.journal.records)
		}
	}
}

func TestAccountingThatIsNotDurableIsSilent(t *testing.T) {
	b := newBench(t, nil)
	b.journal.fail = errDisk
	b.account(record(1, "s1"), silence)
	b.wantMetric(1, "dropped_total", "undecided")
	b.journal.fail, b.journal.busy = nil, true
	b.account(record(1, "s1"), silence)
	b.wantMetric(1, "dropped_total", "store_busy")
	b.journal.busy = false
	b.account(record(1, "s1"), response)
	b.wantMetric(0, "in_flight", "acct")
}

func TestStatusServer(t *testing.T) {
	ready := true
	b := newBench(t, func(o *Options) { o.Ready = func() bool { return ready } })
	status := order{code: packet.StatusServer, identifier: 1, serial: 1}.with(proxyStates("p"))
	unsigned, forged := status, status
	unsigned.placement = packet.Off
	forged.secret = packet.NewSecret([]byte("another secret"))
	for _, c := range []struct {
		loop *loop
		code packet.Code
	}{{b.auth, accept}, {b.acct, response}} {
		send := func(o order) []outgoing { return b.hand(c.loop, gateway, b.build(o)) }
		reply := b.verified(status, send(status))
		b.wantCode(reply, c.code)
		if reply.MessageAuthenticator == 0 || reply.ProxyStates != 1 {
			t.Errorf("%s: attributes %v", c.loop.port, attributesOf(reply))
		}
		if n := len(send(unsigned)) + len(send(forged)); n != 0 {
			t.Errorf("%s: %d bad Status-Servers answered", c.loop.port, n)
		}
		ready = false
		if len(send(status)) != 0 {
			t.Errorf("%s: Status-Server answered when not ready", c.loop.port)
		}
		ready = true
		b.wantMetric(3+1, "requests_total", "Status-Server", c.loop.port.String())
	}
	for _, reason := range []string{"message_authenticator_missing", "bad_message_authenticator", "not_ready"} {
		b.wantMetric(2, "dropped_total", reason)
	}
	long := status.with(proxyStates(strings.Repeat("x", packet.MaxValue)))
	b.want(long, accept)
	b.wantMetric(0, "reply_cache_entries", "auth")
}
