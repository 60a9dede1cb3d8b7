package radiustest

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
)

// The codes and attribute types of RFC 2865 and RFC 3579 that logins need.
const (
	codeAccessRequest   = 1
	codeAccessAccept    = 2
	codeAccessReject    = 3
	codeAccessChallenge = 11

	attrUserName             = 1
	attrUserPassword         = 2
	attrNASIPAddress         = 4
	attrNASPort              = 5
	attrMessageAuthenticator = 80

	headerLen   = 20
	maxPacket   = 4096
	maxUserName = 253
	maxPasscode = 128 // of User-Password, RFC 2865 section 5.2
	maxRequest  = headerLen + (2 + 16) + (2 + maxUserName) + (2 + maxPasscode) + 6 + 6
)

// authenticator is a Request or Response Authenticator, or the value of a
// Message-Authenticator.
type authenticator [md5.Size]byte

// flaw is what is wrong with a reply.
type flaw int

const (
	noFlaw                  flaw = iota
	malformed                    // not a RADIUS packet
	badAuthenticator             // the Response Authenticator is not that of a reply to this request
	badMessageAuthenticator      // the Message-Authenticator is not (RFC 3579 section 3.2)
)

// codec writes Access-Requests and verifies replies under one shared secret.
// It keeps space for both and so serves one goroutine; no method allocates.
type codec struct {
	secret  []byte
	sign    bool // requests carry a Message-Authenticator, as their first attribute
	mac     *savedMAC
	saved   []byte // of the shared secret
	scratch []byte
	digest  authenticator
}

func newCodec(secret Secret, sign bool) *codec {
	mac := newSavedMAC(md5.New())
	return &codec{
		secret:  secret.Reveal(),
		sign:    sign,
		mac:     mac,
		saved:   mac.key(secret.Reveal()),
		scratch: make([]byte, 0, maxPacket+len(secret.Reveal())),
	}
}

// accessRequest writes a request for a login to b, which has room for
// maxRequest bytes, and returns its length. The authenticator is in b already,
// where it belongs.
func (c *codec) accessRequest(b []byte, identifier byte, name string, passcode []byte) int {
	b[0], b[1] = codeAccessRequest, identifier
	n := headerLen
	if c.sign {
		b[n], b[n+1] = attrMessageAuthenticator, 18
		clear(b[n+2 : n+18])
		n += 18
	}
	b[n], b[n+1] = attrUserName, byte(2+len(name))
	n += 2 + copy(b[n+2:], name)
	n += c.userPassword(b[n:], b[4:headerLen], passcode)
	n += copy(b[n:], []byte{attrNASIPAddress, 6, 127, 0, 0, 1})
	n += copy(b[n:], []byte{attrNASPort, 6, 0, 0, 0, identifier})
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	if c.sign {
		c.mac.sum(b[headerLen+2:headerLen+2], c.saved, b[:n])
	}
	return n
}

// userPassword writes a User-Password attribute (RFC 2865 section 5.2) to b
// and returns its length.
func (c *codec) userPassword(b, request, passcode []byte) int {
	length := max((len(passcode)+15)&^15, 16)
	b[0], b[1] = attrUserPassword, byte(2+length)
	hidden := b[2 : 2+length]
	clear(hidden[copy(hidden, passcode):])
	for previous := request; len(hidden) > 0; hidden = hidden[16:] {
		mask := md5.Sum(append(append(c.scratch, c.secret...), previous...))
		subtle.XORBytes(hidden[:16], hidden[:16], mask[:])
		previous = hidden[:16]
	}
	return 2 + length
}

// verify checks a reply to the request with the given authenticator: its
// form, its Response Authenticator (RFC 2865 section 3) and, when it has one,
// its Message-Authenticator. It overwrites both in b.
func (c *codec) verify(b []byte, request *authenticator) flaw {
	if len(b) < headerLen {
		return malformed
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < headerLen || length > len(b) {
		return malformed
	}
	b = b[:length]
	response := authenticator(b[4:headerLen])
	copy(b[4:], request[:])
	if md5.Sum(append(append(c.scratch, b...), c.secret...)) != response {
		return badAuthenticator
	}
	at, ok := findMessageAuthenticator(b)
	if !ok {
		return malformed
	}
	if at == 0 {
		return noFlaw
	}
	value := authenticator(b[at:])
	clear(b[at : at+len(value)])
	c.mac.sum(c.digest[:0], c.saved, b)
	if value != c.digest {
		return badMessageAuthenticator
	}
	return noFlaw
}

// findMessageAuthenticator returns where the value of a packet's
// Message-Authenticator begins, 0 without one, and whether the attributes are
// well formed.
func findMessageAuthenticator(packet []byte) (at int, ok bool) {
	for i := headerLen; i < len(packet); i += int(packet[i+1]) {
		rest := packet[i:]
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return 0, false
		}
		if rest[0] != attrMessageAuthenticator {
			continue
		}
		if rest[1] != 18 || at != 0 {
			return 0, false
		}
		at = i + 2
	}
	return at, true
}
