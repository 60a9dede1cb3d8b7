package radiusd

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

const (
	accept   = packet.AccessAccept
	reject   = packet.AccessReject
	response = packet.AccountingResponse
	silence  = packet.Code(0)
)

func TestPAPLogin(t *testing.T) {
	b := newBench(t, nil)
	reply := b.want(pap(1, "Alice", passcodeAt(0)), accept)
	if first := attributesOf(reply)[0]; first.kind != packet.MessageAuthenticator {
		t.Errorf("first attribute of the reply is of type %d, want the Message-Authenticator", first.kind)
	}
	reply = b.want(pap(2, "alice", passcodeAt(0)), reject)
	if text := valuesOf(reply, packet.ReplyMessage); len(text) != 1 || text[0] != rejection {
		t.Errorf("Reply-Message of the reject is %q", text)
	}
	b.wantMetric(1, "logins_total", "accepted")
	b.wantMetric(1, "logins_total", "replayed")
	b.wantMetric(2, "requests_total", "Access-Request", "auth")
	b.wantMetric(1, "replies_total", "Access-Accept")
	b.wantMetric(1, "replies_total", "Access-Reject")
	b.wantMetric(0, "in_flight", "auth")
	b.wantMetric(2, "reply_cache_entries", "auth")
}

func TestRefusalsLookAlike(t *testing.T) {
	b := newBench(t, nil)
	b.want(pap(1, "alice", passcodeAt(0)), accept)
	orders := []order{
		pap(2, "alice", passcodeAt(0)),    // replayed
		pap(3, "alice", testPIN+"000000"), // wrong code
		pap(4, "alice", "9999"+codeAt(1)), // wrong PIN
		pap(5, "nobody", passcodeAt(1)),   // unknown user
		pap(6, " alice", passcodeAt(1)),   // no user name
		pap(7, "alice", "\x01\x02\x03"),   // unreadable
		{code: packet.AccessRequest, identifier: 8, serial: 8},
	}
	for i := range uint64(9) { // locks the token
		orders = append(orders, pap(10+i, "alice", testPIN+fmt.Sprint("00001", i)).signed())
	}
	orders = append(orders, pap(20, "alice", passcodeAt(1)).signed()) // locked
	var first *packet.Request
	for _, o := range orders {
		reply := b.want(o, reject)
		if first == nil {
			first = reply
		} else if !slices.Equal(visible(first), visible(reply)) {
			t.Errorf("refusal %d shows %v, another %v", o.serial, visible(reply), visible(first))
		}
	}
}

type attribute struct {
	kind  packet.Type
	value string
}

func attributesOf(r *packet.Request) []attribute {
	var all []attribute
	for kind, value := range r.Attributes() {
		all = append(all, attribute{kind, string(value)})
	}
	return all
}

func valuesOf(r *packet.Request, kind packet.Type) []string {
	var values []string
	for _, a := range attributesOf(r) {
		if a.kind == kind {
			values = append(values, a.value)
		}
	}
	return values
}

// visible is what of a reply does not depend on authenticators.
func visible(r *packet.Request) []attribute {
	all := attributesOf(r)
	for i := range all {
		if all[i].kind == packet.MessageAuthenticator {
			all[i].value = ""
		}
	}
	return all
}

func TestVerdictsOfWhatIsNoLogin(t *testing.T) {
	b := newBench(t, nil)
	nothing := order{code: packet.AccessRequest, identifier: 1, serial: 1}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) { p.AddString(packet.UserName, "alice") })
	eap := order{code: packet.AccessRequest, identifier: 2, serial: 2, placement: packet.First}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, "alice")
			p.Add(packet.EAPMessage, []byte{2, 0, 0, 10, 1, 'a', 'l', 'i', 'c', 'e'})
		})
	b.want(nothing, reject)
	b.want(eap, reject)
	b.want(pap(3, "\xff\xfe", passcodeAt(0)).signed(), reject)
	b.want(pap(4, "", passcodeAt(0)).signed(), reject)
	b.wantMetric(2, "logins_total", "no_credentials")
	b.wantMetric(2, "logins_total", "bad_user_name")
	b.wantLog(2, "method=none")
	b.wantLog(1, `user="\xff\xfe"`)
	if n := len(b.store.accounts); n != 2 { // alice, and the empty name of the other two
		t.Errorf("%d accounts were asked for, want 2", n)
	}
}

func TestAnUnreadablePasscodeHintsAtTheSecret(t *testing.T) {
	b := newBench(t, nil)
	wrong := pap(1, "alice", passcodeAt(0))
	wrong.secret = packet.NewSecret([]byte("another secret"))
	if replies := b.hand(b.auth, gateway, b.build(wrong)); len(replies) != 1 {
		t.Fatalf("%d replies, want 1", len(replies))
	}
	b.wantMetric(1, "logins_total", "unreadable")
	b.wantLog(1, "different shared secrets")

	b = newBench(t, nil)
	b.want(pap(2, "bob", "\x7f").signed(), reject) // the secret is right
	b.wantMetric(1, "logins_total", "unreadable")
	b.wantLog(0, "different shared secrets")
}

func TestWhatWasTypedIsWiped(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	b.want(pap(1, "alice", passcodeAt(0)), silence)
	r := b.store.held[0].Waiter.(*request)
	r.proof.length = copy(r.proof.found[:], "4711")
	b.store.release()
	b.collect()
	if r.passcode != [packet.MaxPasscode]byte{} || r.proof.found != [packet.MaxPasscode]byte{} || len(r.proof.passcode()) != 0 {
		t.Error("a passcode is kept after the reply")
	}
}

func TestALongPasscode(t *testing.T) {
	b := newBench(t, nil)
	pin := strings.Repeat("x", packet.MaxPasscode-6)
	account := newAccount()
	account.PIN = otp.NewPIN([]byte(pin))
	b.store.accounts["alice"] = account
	b.want(pap(1, "alice", pin+codeAt(0)), accept)
}

func TestCHAP(t *testing.T) {
	for _, explicit := range []bool{false, true} {
		b := newBench(t, nil)
		order := order{code: packet.AccessRequest, identifier: 1, serial: 1}.
			with(func(o *order, s *packet.Scratch, p *packet.Builder) {
				p.AddString(packet.UserName, "alice")
				challenge := o.authenticator()[:]
				if explicit {
					challenge = []byte("a challenge of some length")
					p.Add(packet.CHAPChallenge, challenge)
				}
				s.AddCHAPPassword(p, 7, []byte(passcodeAt(4)), challenge)
			})
		b.want(order, accept)
		b.wantLog(1, "method=chap")
		order.identifier, order.serial = 2, 2
		b.want(order, reject)
	}
}

func TestMSCHAPv2(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Rand = zeros{} })
	login := func(id byte, user string, passcode string) order {
		return order{code: packet.AccessRequest, identifier: id, serial: uint64(id)}.
			with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
				p.AddString(packet.UserName, user)
				p.AddMSCHAP2Response(id, []byte(user), []byte(passcode), [16]byte{1, 2, 3}, [16]byte{4, 5, 6})
			})
	}
	o := login(9, "Alice", passcodeAt(2))
	reply := b.want(o, accept)
	var request packet.Request
	if err := request.Parse(b.build(o)); err != nil {
		t.Fatal(err)
	}
	proof := packet.AuthenticatorResponse([]byte("Alice"), []byte(passcodeAt(2)), request.MSCHAPChallenge, request.MSCHAP2Response)
	if got, want := microsoft(reply, 26), fmt.Sprintf("\x09S=%X", proof); got != want {
		t.Errorf("MS-CHAP2-Success is %q, want %q", got, want)
	}
	send, recv := packet.MPPEKeys([]byte(passcodeAt(2)), request.MSCHAP2Response)
	if got := unsalted(microsoft(reply, 16), &request.Authenticator); !bytes.Equal(got, send[:]) {
		t.Errorf("MS-MPPE-Send-Key is %x, want %x", got, send)
	}
	if got := unsalted(microsoft(reply, 17), &request.Authenticator); !bytes.Equal(got, recv[:]) {
		t.Errorf("MS-MPPE-Recv-Key is %x, want %x", got, recv)
	}
	reply = b.want(login(10, "Alice", passcodeAt(2)), reject)
	if got := microsoft(reply, 2); !strings.HasPrefix(got, "\x0aE=691 R=0") {
		t.Errorf("MS-CHAP-Error is %q", got)
	}
	b.wantMetric(1, "logins_total", "accepted")
	b.wantMetric(1, "logins_total", "replayed")
}

// microsoft is the value of one of Microsoft's attributes, "" when there is none.
func microsoft(r *packet.Request, kind byte) string {
	for _, value := range valuesOf(r, packet.VendorSpecific) {
		if strings.HasPrefix(value, "\x00\x00\x01\x37"+string(rune(kind))) {
			return value[6:]
		}
	}
	return ""
}

// unsalted decrypts an MPPE key by RFC 2548 section 2.4.2, written out here
// because the server only encrypts.
func unsalted(value string, authenticator *[16]byte) []byte {
	salt, hidden := value[:2], []byte(value[2:])
	plain := make([]byte, len(hidden))
	block := append(bytes.Clone(authenticator[:]), salt...)
	for i := 0; i < len(hidden); i += 16 {
		sum := md5.Sum(append([]byte(testSecret), block...))
		for j := range sum {
			plain[i+j] = hidden[i+j] ^ sum[j]
		}
		block = hidden[i : i+16]
	}
	return plain[1 : 1+plain[0]]
}

func TestMSCHAPv1Refused(t *testing.T) {
	// A right response is radclient's to make: see TestRadclient.
	b := newBench(t, nil)
	o := order{code: packet.AccessRequest, identifier: 3, serial: 3}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, "alice")
			p.AddVendor(packet.VendorMicrosoft, 11, []byte("12345678"))
			p.AddVendor(packet.VendorMicrosoft, 1, append([]byte{5, 1}, make([]byte, 48)...))
		})
	reply := b.want(o, reject)
	if got := microsoft(reply, 2); !strings.HasPrefix(got, "\x05E=691 R=0") {
		t.Errorf("MS-CHAP-Error is %q", got)
	}
	b.wantMetric(1, "logins_total", "wrong_passcode")
}

func TestReplyMessageAuthenticator(t *testing.T) {
	for placement, where := range map[packet.Placement]func(n int) int{
		packet.First: func(int) int { return 0 },
		packet.Last:  func(n int) int { return n - 1 },
		packet.Off:   func(int) int { return -1 },
	} {
		b := newBench(t, func(o *Options) {
			o.NASes = table(t, nil, testNAS(func(c *NASConfig) { c.ReplyMessageAuthenticator = placement }))
		})
		o := pap(1, "alice", "wrong").signed().with(proxyStates("a", "b"))
		all := attributesOf(b.want(o, reject))
		at := slices.IndexFunc(all, func(a attribute) bool { return a.kind == packet.MessageAuthenticator })
		if at != where(len(all)) {
			t.Errorf("placement %d: Message-Authenticator is attribute %d of %v", placement, at, all)
		}
	}
}

func proxyStates(states ...string) func(*order, *packet.Scratch, *packet.Builder) {
	return func(_ *order, _ *packet.Scratch, b *packet.Builder) {
		for _, state := range states {
			b.AddString(packet.ProxyState, state)
		}
	}
}

func TestProxyStatesComeBackInOrder(t *testing.T) {
	b := newBench(t, nil)
	states := []string{"one", "", "two", strings.Repeat("3", packet.MaxValue), "one"}
	for i, code := range []packet.Code{accept, reject} {
		reply := b.want(pap(uint64(i), "alice", passcodeAt(0)).signed().with(proxyStates(states...)), code)
		if got := valuesOf(reply, packet.ProxyState); !slices.Equal(got, states) {
			t.Errorf("%s has Proxy-States %q, want %q", code, got, states)
		}
	}
}

func TestAReplyThatDoesNotFit(t *testing.T) {
	b := newBench(t, nil)
	fill := make([]string, 0, 16)
	for range 15 {
		fill = append(fill, strings.Repeat("x", packet.MaxValue))
	}
	fill = append(fill, strings.Repeat("x", 230))
	bare := order{code: packet.AccessRequest, identifier: 1, serial: 1, placement: packet.First}
	b.want(bare.with(proxyStates(fill...)), silence)
	b.wantMetric(1, "dropped_total", "reply_too_long")
	b.wantMetric(0, "in_flight", "auth")
}

func TestMessageAuthenticatorPolicies(t *testing.T) {
	plain := func(serial uint64) order { return pap(serial, "alice", "wrong") }
	forged := func(serial uint64) order {
		o := plain(serial).signed()
		o.secret = packet.NewSecret([]byte("another secret"))
		return o
	}
	proxied := func(serial uint64) order { return plain(serial).with(proxyStates("x")) }
	eap := func(serial uint64) order {
		return order{code: packet.AccessRequest, identifier: byte(serial), serial: serial, placement: packet.Off}.
			with(func(_ *order, _ *packet.Scratch, b *packet.Builder) { b.Add(packet.EAPMessage, []byte{1}) })
	}
	for _, c := range []struct {
		policy Requirement
		sender bool
		name   string
		order  order
		reason string // "" when it is answered
	}{
		{RequireAuto, false, "auto, never seen, without", plain(1), ""},
		{RequireAuto, false, "auto, never seen, proxied without", proxied(1), "proxy_state_without_message_authenticator"},
		{RequireAuto, false, "auto, never seen, wrong", forged(1), "bad_message_authenticator"},
		{RequireAuto, true, "auto, seen, without", plain(1), "message_authenticator_missing"},
		{RequireAuto, true, "auto, seen, with", plain(1).signed(), ""},
		{RequireAlways, false, "require, without", plain(1), "message_authenticator_missing"},
		{RequireAlways, false, "require, proxied without", proxied(1), "message_authenticator_missing"},
		{RequireAlways, false, "require, with", proxied(1).signed(), ""},
		{RequireAlways, false, "require, wrong", forged(1), "bad_message_authenticator"},
		{RequireNever, true, "off, without", plain(1), ""},
		{RequireNever, true, "off, proxied without", proxied(1), ""},
		{RequireNever, true, "off, wrong", forged(1), "bad_message_authenticator"},
		{RequireNever, false, "off, EAP without", eap(1), "message_authenticator_missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var senders []string
			if c.sender {
				senders = []string{"gateway"}
			}
			b := newBench(t, func(o *Options) {
				o.NASes = table(t, senders, testNAS(func(n *NASConfig) { n.MessageAuthenticator = c.policy }))
			})
			replies := b.hand(b.auth, gateway, b.build(c.order))
			if answered := len(replies) == 1; answered != (c.reason == "") {
				t.Fatalf("%d replies", len(replies))
			}
			if c.reason != "" {
				b.wantMetric(1, "dropped_total", c.reason)
				b.wantLog(1, "reason="+c.reason)
			}
		})
	}
}

func TestAutoRequiresOnceSeen(t *testing.T) {
	b := newBench(t, nil)
	status := order{code: packet.StatusServer, identifier: 1, serial: 1}
	b.want(status, accept) // must carry one, so it shows nothing; as must this
	b.want(order{code: packet.AccessRequest, identifier: 6, serial: 6}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) { p.Add(packet.EAPMessage, []byte{1}) }), reject)
	b.want(pap(2, "alice", "wrong"), reject)
	b.wantMetric(0, "nas_message_authenticator", "gateway")
	b.want(pap(3, "alice", "wrong").signed(), reject)
	b.wantMetric(1, "nas_message_authenticator", "gateway")
	b.want(pap(4, "alice", "wrong"), silence)
	b.wantMetric(1, "dropped_total", "message_authenticator_missing")

	b.server.SetNASes(table(t, nil, testNAS(nil))) // a reload keeps it
	b.want(pap(5, "alice", "wrong"), silence)
	b.wantMetric(1, "nas_message_authenticator", "gateway")
}

func TestComplaintsOnceAMinute(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.NASes = table(t, nil, testNAS(func(n *NASConfig) { n.MessageAuthenticator = RequireAlways }))
	})
	for i := range uint64(10) {
		b.want(pap(i, "alice", "wrong"), silence)
	}
	b.wantLog(1, "message_authenticator_missing")
	b.wait(time.Minute)
	b.want(pap(20, "alice", "wrong"), silence)
	b.wantLog(2, "message_authenticator_missing")
	b.wantMetric(11, "dropped_total", "message_authenticator_missing")
}

func TestUnknownSourcesGetSilence(t *testing.T) {
	b := newBench(t, nil)
	for range 3 {
		if replies := b.hand(b.auth, "203.0.113.1:1000", b.build(pap(1, "alice", passcodeAt(0)))); len(replies) != 0 {
			t.Fatal("an unknown source got a reply")
		}
	}
	b.wantMetric(3, "dropped_total", "unknown_nas")
	b.wantLog(1, "source=203.0.113.1:1000")
	if b.store.decided != 0 {
		t.Error("an unknown source had a passcode tried")
	}
}

func TestSourcesOfBothFamilies(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.NASes = table(t, nil, testNAS(func(n *NASConfig) {
			n.Prefixes = append(n.Prefixes, netip.MustParsePrefix("2001:db8::/64"))
		}))
	})
	for i, from := range []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[2001:db8::5]:65535"} {
		o := pap(uint64(i), "alice", passcodeAt(uint64(i)))
		replies := b.hand(b.auth, from, b.build(o))
		b.wantCode(b.verified(o, replies), accept)
		if to := newPeer(netip.MustParseAddrPort(from)); replies[0].to != to {
			t.Errorf("reply to %s goes to %s", from, replies[0].to.addrPort())
		}
	}
}

func TestUnexpectedCodes(t *testing.T) {
	b := newBench(t, nil)
	for _, code := range []packet.Code{packet.AccountingRequest, packet.AccessAccept, packet.AccessChallenge, 0, 13, 40, 255} {
		b.want(order{code: code, identifier: 1, serial: 1}, silence)
	}
	b.wantMetric(7, "dropped_total", "unexpected_code")
	if replies := b.hand(b.acct, gateway, b.build(pap(1, "alice", "x"))); len(replies) != 0 {
		t.Error("the accounting port answered an Access-Request")
	}
	b.wantMetric(8, "dropped_total", "unexpected_code")
}

func TestMalformedPackets(t *testing.T) {
	b := newBench(t, nil)
	good := b.build(pap(1, "alice", passcodeAt(0)))
	short := bytes.Clone(good)
	short[2], short[3] = 0, 10
	overrun := bytes.Clone(good)
	overrun[len(overrun)-14+1] = 99
	for reason, datagram := range map[string][]byte{
		"too_short":        good[:19],
		"length_field":     short,
		"attribute_length": overrun,
	} {
		if replies := b.hand(b.auth, gateway, datagram); len(replies) != 0 {
			t.Errorf("%s: answered", reason)
		}
		b.wantMetric(1, "dropped_total", reason)
		b.wantLog(1, "reason="+reason)
	}
	padded := append(bytes.Clone(good), "padding"...)
	b.wantCode(b.verified(pap(1, "alice", passcodeAt(0)), b.hand(b.auth, gateway, padded)), accept)
}
