package radiustest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"strings"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

var testSecret = NewSecret("shared-by-both")

// The library reads what the codec writes.
func TestAccessRequestIsRead(t *testing.T) {
	for _, sign := range []bool{true, false} {
		for _, passcode := range []string{"", "1234567890", "exactly 16 bytes", strings.Repeat("x", maxPasscode)} {
			for _, name := range []string{"u", strings.Repeat("n", maxUserName)} {
				c := newCodec(testSecret, sign)
				b := make([]byte, maxRequest)
				copy(b[4:], "a request's auth")
				b = b[:c.accessRequest(b, 77, name, []byte(passcode))]
				p, err := radius.Parse(b, testSecret.Reveal())
				if err != nil {
					t.Fatal(err)
				}
				if p.Code != radius.CodeAccessRequest || p.Identifier != 77 {
					t.Errorf("code %v, identifier %d", p.Code, p.Identifier)
				}
				if got := rfc2865.UserName_GetString(p); got != name {
					t.Errorf("User-Name %q, want %q", got, name)
				}
				if got := rfc2865.UserPassword_GetString(p); got != passcode {
					t.Errorf("User-Password %q, want %q", got, passcode)
				}
				value, signed := p.Lookup(attrMessageAuthenticator)
				if signed != sign || signed && !rightMessageAuthenticator(b, value) {
					t.Errorf("Message-Authenticator there: %v, want %v and right", signed, sign)
				}
			}
		}
	}
}

// rightMessageAuthenticator is RFC 3579 section 3.2 by crypto/hmac, for a
// request.
func rightMessageAuthenticator(packet []byte, value []byte) bool {
	zeroed := bytes.Replace(packet, value, make([]byte, md5.Size), 1)
	mac := hmac.New(md5.New, testSecret.Reveal())
	mac.Write(zeroed)
	return hmac.Equal(mac.Sum(nil), value)
}

// reply returns the library's encoding of a reply to the request.
func reply(t testing.TB, request *authenticator, secret string, add func(*radius.Packet)) []byte {
	p := &radius.Packet{Code: radius.CodeAccessAccept, Identifier: 5, Authenticator: *request, Secret: []byte(secret)}
	if err := rfc2865.ReplyMessage_SetString(p, "welcome"); err != nil {
		t.Fatal(err)
	}
	if add != nil {
		add(p)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signed adds a right Message-Authenticator to a reply that is yet to encode.
func signed(p *radius.Packet) {
	p.Add(attrMessageAuthenticator, make(radius.Attribute, md5.Size))
	b, err := p.MarshalBinary()
	if err != nil {
		panic(err)
	}
	mac := hmac.New(md5.New, p.Secret)
	mac.Write(b)
	p.Set(attrMessageAuthenticator, mac.Sum(nil))
}

func TestVerifyReply(t *testing.T) {
	request := authenticator([]byte("a request's auth"))
	good := string(testSecret.Reveal())
	forged := func(p *radius.Packet) { signed(p); p.Get(attrMessageAuthenticator)[0] ^= 1 }
	twice := func(p *radius.Packet) {
		signed(p)
		p.Add(attrMessageAuthenticator, make(radius.Attribute, md5.Size))
	}
	short := func(p *radius.Packet) { _ = rfc2869.MessageAuthenticator_Add(p, []byte("short")) }
	for name, test := range map[string]struct {
		reply []byte
		want  flaw
	}{
		"plain":                   {reply(t, &request, good, nil), noFlaw},
		"signed":                  {reply(t, &request, good, signed), noFlaw},
		"padded":                  {append(reply(t, &request, good, signed), 1, 2, 3), noFlaw},
		"other secret":            {reply(t, &request, "other", signed), badAuthenticator},
		"other request":           {reply(t, new(authenticator), good, signed), badAuthenticator},
		"forged signature":        {reply(t, &request, good, forged), badMessageAuthenticator},
		"two signatures":          {reply(t, &request, good, twice), malformed},
		"signature of five bytes": {reply(t, &request, good, short), malformed},
		"cut off":                 {reply(t, &request, good, nil)[:25], malformed},
		"header cut off":          {reply(t, &request, good, nil)[:19], malformed},
		"nothing":                 {nil, malformed},
	} {
		if got := newCodec(testSecret, true).verify(test.reply, &request); got != test.want {
			t.Errorf("%s: flaw %d, want %d", name, got, test.want)
		}
	}
}

// FuzzVerifyReply: any bytes are survived, and a reply without flaw is one
// that the library takes too.
func FuzzVerifyReply(f *testing.F) {
	request := authenticator([]byte("a request's auth"))
	f.Add(reply(f, &request, string(testSecret.Reveal()), nil))
	f.Add(reply(f, &request, string(testSecret.Reveal()), signed))
	c := newCodec(testSecret, true)
	f.Fuzz(func(t *testing.T, b []byte) {
		original := bytes.Clone(b)
		if len(b) >= 2 && len(b) <= maxPacket {
			// As the fuzzer cannot find MD5 sums, try its bytes with one too.
			if p, err := radius.Parse(b, testSecret.Reveal()); err == nil {
				p.Code, p.Authenticator = radius.CodeAccessAccept, request
				if b, err = p.Encode(); err != nil {
					t.Fatal(err)
				}
				original = bytes.Clone(b)
			}
		}
		if len(b) > maxPacket || c.verify(b, &request) != noFlaw {
			return
		}
		p, err := radius.Parse(original, testSecret.Reveal())
		if err != nil {
			t.Fatalf("no flaw found, but: %v", err)
		}
		length := headerLen
		for _, avp := range p.Attributes {
			length += 2 + len(avp.Attribute)
		}
		asked := append(make([]byte, 4), request[:]...)
		if !radius.IsAuthenticResponse(original[:length], asked, testSecret.Reveal()) {
			t.Fatal("no flaw found, but the Response Authenticator is wrong")
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	request := authenticator([]byte("a request's auth"))
	answer := reply(t, &request, string(testSecret.Reveal()), signed)
	c := newCodec(testSecret, true)
	out, in := make([]byte, maxRequest), make([]byte, len(answer))
	user := User{Name: "alice", PIN: NewSecret("1234"), Seed: NewSecret("12345678901234567890"), Digits: 6}
	crowd, err := newCrowd(func(yield func(User) bool) { yield(user) }, Steps{})
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(100, func() {
		index, passcode, ok := crowd.next(0)
		if !ok {
			t.Fatal("no fresh code")
		}
		c.accessRequest(out, 1, user.Name, passcode)
		copy(in, answer)
		if c.verify(in, &request) != noFlaw {
			t.Fatal("a good reply was refused")
		}
		crowd.back(index)
	})
	if allocations != 0 {
		t.Errorf("%g allocations a login, want none", allocations)
	}
}

// BenchmarkLogin is what the generator computes for a login: the code, the
// request, and the check of the reply. System calls come on top.
func BenchmarkLogin(b *testing.B) {
	request := authenticator([]byte("a request's auth"))
	answer := reply(b, &request, string(testSecret.Reveal()), signed)
	c := newCodec(testSecret, true)
	out, in := make([]byte, maxRequest), make([]byte, len(answer))
	user := User{Name: "alice", PIN: NewSecret("1234"), Seed: NewSecret("12345678901234567890"), Digits: 6}
	crowd, err := newCrowd(func(yield func(User) bool) { yield(user) }, Steps{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		index, passcode, _ := crowd.next(0)
		c.accessRequest(out, 1, user.Name, passcode)
		copy(in, answer)
		if c.verify(in, &request) != noFlaw {
			b.Fatal("a good reply was refused")
		}
		crowd.back(index)
	}
}
