package radiusd

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// How FuzzDatagram treats the octets it is given.
const (
	fuzzAcct     = 1 << iota // hand them to the accounting port
	fuzzSigned               // make the authenticators right before
	fuzzStranger             // let them come from an unknown source
	fuzzRuled                // hand them to a server with rules, a directory, enrolment and open dialogs
)

// fuzzStates are States of dialogs that are never over, of alice, of frank, who enrols, and
// of tina, whom the TMS asks. There is no chance in them.
func fuzzStates(b *bench) (alice, frank, tina string) {
	state := func(user string, d *dialog) string {
		r := b.auth.pool.make()
		r.nas = &nas{NASConfig: testNAS(nil)}
		r.packet.UserName = []byte(user)
		d.begun, d.expires, d.station = epoch.Unix(), 1<<39, []byte("198.51.100.7")
		if err := r.seal(d); err != nil {
			b.Fatal(err)
		}
		return string(r.state)
	}
	return state("alice", &dialog{kind: nextCodeDialog}), state("frank", &dialog{kind: enrolmentDialog, kept: []byte("pin")}),
		state("tina", &dialog{kind: tmsDialog, kept: []byte("sms")})
}

// newFuzzBenches are a server on which nothing but the code counts, and one on
// which everything else does too. On the second the directory does not answer
// for users whose name begins with u, tina and tom are users of a TMS, and heidi has too
// many sessions.
func newFuzzBenches(tb testing.TB) (plain, ruled *bench) {
	plain = newBench(tb, func(o *Options) { o.Logger = quiet() })
	ruled = newRuledBench(tb, exclusions.PassDirectoryPassword, func(o *Options, c *NASConfig) {
		people := newDirectory(person("alice"), person("eve", "staff"), person("frank"), person("grace"), person("tina", "tms"), person("tom", "tms"))
		people.away = func(name string) bool { return strings.HasPrefix(name, "u") }
		c.Mode, c.Challenge, c.TrustNASIPAddress = exclusions.TokenHolders, true, true
		c.ClientIPFrom = append(c.ClientIPFrom, exclusions.FramedIPAddress)
		o.Logger, o.Rand, o.Users, o.States, o.Enroller = quiet(), zeros{}, people, box(tb, zeros{}), &guide{}
		o.Rules = rulesOf(tb, staff, rule("lan", criterion(exclusions.ClientIPs, "10.0.0.0/8")),
			rule("pc", criterion(exclusions.ClientMACs, "00-10-a4-*"))).replying(tb, office, staff)
		o.Backend, o.BackendRepeatTime, o.AcceptedOnce = &oracle{}, time.Second, time.Second
		o.Rules.Orders = compile(tb, []exclusions.Rule{rule("tms", criterion(exclusions.Groups, "tms"))})
		o.Rules.Order = []otp.Order{otp.TMSThenLocal}
		classed(o, c)
		o.Sessions, o.Rules.MaxSessions = &floor{users: map[string]int{"heidi": 3}, pools: map[string]int{"staff": 2}}, 3
		o.Rules.Limits, o.Rules.Limit = compile(tb, []exclusions.Rule{staff}), []SessionLimit{{Name: "staff", Total: 3}}
	})
	ruled.server.options.Enroller.(*guide).store = ruled.store
	return plain, ruled
}

// prepare makes a bench forget what was before.
func (b *bench) prepare() {
	b.wait(time.Minute) // nothing is left in the reply cache
	clear(b.store.accounts)
	b.without("frank", "grace")
	b.store.traces, b.journal.records = nil, nil
	if o, asks := b.server.options.Backend.(*oracle); asks {
		o.asked = nil
	}
	if g, enrols := b.server.options.Enroller.(*guide); enrols {
		g.invited, g.asked = map[string]bool{"grace": true}, nil
	}
}

// passed is how many logins were accepted, and asked how many were challenged.
func (b *bench) passed() float64 {
	return b.metric("logins_total", "accepted") + b.metric("logins_total", "excluded") + b.metric("logins_total", "accepted_by_tms")
}

func (b *bench) asked() float64 { return b.metric("replies_total", "Access-Challenge") }

// FuzzDatagram takes whole datagrams through the server, without sockets. The
// server must not panic; every reply must verify and answer the request; the
// same datagram again must get the same reply or none; an unknown source must
// get nothing; and only a right code, or who needs none, may be accepted.
func FuzzDatagram(f *testing.F) {
	plain, ruled := newFuzzBenches(f)
	f.Fuzz(func(t *testing.T, datagram []byte, how byte) {
		if len(datagram) > 2*packet.MaxLength {
			return
		}
		b := plain
		if how&fuzzRuled != 0 {
			b = ruled
		}
		b.TB = t
		l, from := b.auth, gateway
		if how&fuzzAcct != 0 {
			l = b.acct
		}
		if how&fuzzStranger != 0 {
			from = "203.0.113.1:1"
		}
		datagram = bytes.Clone(datagram)
		if how&fuzzSigned != 0 {
			sign(datagram)
		}
		b.prepare()
		passed, asked := b.passed(), b.asked()
		replies := b.hand(l, from, datagram)
		for _, reply := range replies {
			b.checkReply(datagram, reply.reply, b.passed() > passed, b.asked() > asked)
		}
		if len(replies) > 1 || how&fuzzStranger != 0 && len(replies) > 0 {
			t.Fatalf("%d replies", len(replies))
		}
		again := b.hand(l, from, datagram)
		if len(replies) != len(again) || len(replies) == 1 && !bytes.Equal(replies[0].reply, again[0].reply) {
			t.Fatalf("first reply %v, then %v", replies, again)
		}
		if b.auth.pool.len()+b.acct.pool.len() != 0 {
			t.Fatal("a request is left in flight")
		}
		for _, trace := range b.store.traces {
			if _, err := exclusions.ParseTrace(trace); err != nil && len(trace) > 0 {
				t.Fatal(err)
			}
		}
	})
}

// sign makes the Message-Authenticator and, of an Accounting-Request, the
// Request Authenticator right, where there are any. It shares no code with the
// server.
func sign(datagram []byte) {
	if len(datagram) < packet.HeaderLength {
		return
	}
	length := int(datagram[2])<<8 | int(datagram[3])
	if length < packet.HeaderLength || length > len(datagram) {
		return
	}
	datagram = datagram[:length]
	accounting := packet.Code(datagram[0]) == packet.AccountingRequest
	if accounting {
		clear(datagram[4:packet.HeaderLength])
	}
	for rest := datagram[packet.HeaderLength:]; len(rest) >= 2 && rest[1] >= 2 && int(rest[1]) <= len(rest); rest = rest[rest[1]:] {
		if packet.Type(rest[0]) == packet.MessageAuthenticator && rest[1] == 18 {
			clear(rest[2:18])
			mac := hmac.New(md5.New, []byte(testSecret))
			mac.Write(datagram)
			mac.Sum(rest[2:2])
			break
		}
	}
	if accounting {
		sum := md5.Sum(append(bytes.Clone(datagram), testSecret...))
		copy(datagram[4:], sum[:])
	}
}

// checkReply checks what must be true of every reply.
func (b *bench) checkReply(datagram, octets []byte, passed, asked bool) {
	b.Helper()
	request, err := packet.ParseHeader(datagram)
	if err != nil {
		b.Fatalf("a malformed header got a reply: %v", err)
	}
	var reply packet.Request
	if err := reply.Parse(octets); err != nil {
		b.Fatalf("reply: %v", err)
	}
	if reply.Identifier != request.Identifier {
		b.Fatalf("reply %d to request %d", reply.Identifier, request.Identifier)
	}
	if err := b.scratch.VerifyReply(secret, &reply, &request.Authenticator); err != nil {
		b.Fatal(err)
	}
	want := map[packet.Code]packet.Code{packet.AccessRequest: reject, packet.AccountingRequest: response}[request.Code]
	switch {
	case request.Code == packet.StatusServer && (reply.Code == accept || reply.Code == response):
	case request.Code == packet.AccessRequest && reply.Code == accept && passed:
	case request.Code == packet.AccessRequest && reply.Code == challenge && asked && !passed:
	case reply.Code != want || passed || asked:
		b.Fatalf("reply %s to %s, accepted %v, challenged %v", reply.Code, request.Code, passed, asked)
	}
}

var writeCorpus = flag.Bool("write-corpus", false, "write the seeds of FuzzDatagram anew")

// TestFuzzCorpus keeps the committed seeds: what real NASes send, of every kind.
func TestFuzzCorpus(t *testing.T) {
	b := newBench(t, nil)
	_, ruled := newFuzzBenches(t)
	alice, frank, tina := fuzzStates(ruled)
	status := order{code: packet.StatusServer, identifier: 9, serial: 9}
	device := cisco("mdm-tlv=device-mac=00-10-a4-23-19-c0")
	chap := order{code: packet.AccessRequest, identifier: 2, serial: 2}.
		with(func(o *order, s *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, "alice")
			s.AddCHAPPassword(p, 7, []byte(passcodeAt(0)), o.authenticator()[:])
		})
	mschap := order{code: packet.AccessRequest, identifier: 3, serial: 3}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) {
			p.AddString(packet.UserName, `DOMAIN\alice`)
			p.AddMSCHAP2Response(3, []byte("alice"), []byte(passcodeAt(0)), [16]byte{1}, [16]byte{2})
		})
	eap := order{code: packet.AccessRequest, identifier: 4, serial: 4}.
		with(func(_ *order, _ *packet.Scratch, p *packet.Builder) { p.Add(packet.EAPMessage, []byte{2, 0, 0, 4}) })
	for name, seed := range map[string]struct {
		order order
		how   byte
	}{
		"pap":              {pap(1, "alice", passcodeAt(0)), 0},
		"pap-signed":       {pap(1, "alice", passcodeAt(0)).signed().with(proxyStates("1", "22")), fuzzSigned},
		"pap-stranger":     {pap(1, "alice", passcodeAt(0)), fuzzStranger},
		"chap":             {chap, fuzzSigned},
		"mschapv2":         {mschap, fuzzSigned},
		"eap":              {eap, fuzzSigned},
		"status":           {status, fuzzSigned},
		"status-acct":      {status, fuzzSigned | fuzzAcct},
		"accounting":       {record(5, "s1"), fuzzAcct},
		"accounting-login": {record(6, "s2").signed().with(proxyStates("x")), fuzzSigned | fuzzAcct},
		"no-token":         {pap(7, "frank", "x").station("203.0.113.1"), fuzzRuled},
		"excluded-group":   {pap(7, "eve", "secret of eve"), fuzzRuled},
		"excluded-address": {pap(8, "alice", "secret of alice").station("").adding(packet.FramedIPAddress, "\x0a\x01\x02\x03"), fuzzRuled},
		"excluded-mac":     {pap(9, "alice", "secret of alice").station("0010.a423.19c0").adding(packet.NASIPAddress, "\x0a\x00\x00\x01"), fuzzRuled},
		"cisco":            {pap(10, "bob", "x").station("").adding(device.kind, device.value).adding(packet.NASIdentifier, "asa"), fuzzRuled},
		"directory-away":   {pap(11, "ursula", passcodeAt(0)), fuzzRuled},
		"challenge":        {pap(12, "alice", passcodeAt(50)), fuzzRuled},
		"dialog":           {pap(13, "alice", passcodeAt(0)).station("").state(alice), fuzzRuled},
		"enrolment":        {pap(14, "frank", "4711").station("").state(frank), fuzzRuled},
		"tms":              {pap(16, "tina", "right").station("203.0.113.1"), fuzzRuled},
		"tms-question":     {pap(17, "tom", "ask").station("203.0.113.1"), fuzzRuled},
		"tms-dialog":       {pap(18, "tina", "answer").station("").state(tina), fuzzRuled},
		"too-many":         {pap(19, "heidi", passcodeAt(0)).station("203.0.113.1"), fuzzRuled},
		"state-cut":        {pap(20, "alice", passcodeAt(0)).station("").state(alice[:60]), fuzzRuled},
		"accounting-odd":   {order{code: packet.AccountingRequest, identifier: 21, placement: packet.Off}.adding(packet.AcctStatusType, "\x00\x00\x00\x00"), fuzzAcct},
		"first-code":       {pap(15, "grace", passcodeAt(0)).station("203.0.113.1"), fuzzRuled},
	} {
		file := filepath.Join("testdata", "fuzz", "FuzzDatagram", name)
		text := "go test fuzz v1\n[]byte(" + strconv.Quote(string(b.build(seed.order))) + ")\n" + fmt.Sprintf("byte('\\x%02x')\n", seed.how)
		if *writeCorpus {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s is not what -write-corpus writes (%v)", file, err)
		}
	}
}
