package packet

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"errors"
	"hash"
)

// Scratch is what a goroutine hashes with. The zero Scratch is ready; it is
// reused for packet after packet, so that hashing does not allocate, and is not
// safe for concurrent use.
type Scratch struct {
	md5    digest
	sum    [md5.Size]byte
	packet [MaxLength]byte // a copy of a packet whose authenticators are to be replaced
}

// digest is what crypto/md5 documents of md5.New: its state can be loaded.
type digest interface {
	hash.Hash
	encoding.BinaryUnmarshaler
}

var (
	errNoSecret              = errors.New("no shared secret")
	errResponseAuthenticator = errors.New("the Response Authenticator does not match: other shared secret, or a forged reply")
	errMessageAuthenticator  = errors.New("the Message-Authenticator does not match: other shared secret, or a forged reply")
)

func (s *Scratch) digest() digest {
	if s.md5 == nil {
		s.md5 = md5.New().(digest)
	}
	return s.md5
}

// load sets the digest to a saved state.
func (s *Scratch) load(state []byte) digest {
	d := s.digest()
	if err := d.UnmarshalBinary(state); err != nil {
		panic("packet: loading an MD5 state: " + err.Error()) // saved by stateAfter in this process
	}
	return d
}

// hash returns the MD5 of the parts, valid until the next hash.
func (s *Scratch) hash(parts ...[]byte) []byte {
	d := s.digest()
	d.Reset()
	for _, part := range parts {
		d.Write(part)
	}
	return d.Sum(s.sum[:0])
}

// hmac returns the HMAC-MD5 of message, valid until the next hash.
func (s *Scratch) hmac(secret Secret, message []byte) []byte {
	d := s.load(secret.key().inner)
	d.Write(message)
	sum := d.Sum(s.sum[:0])
	d = s.load(secret.key().outer)
	d.Write(sum)
	return d.Sum(s.sum[:0])
}

// copyPacket returns a copy of packet with the given authenticator, in memory
// that the next copy overwrites.
func (s *Scratch) copyPacket(packet []byte, authenticator *[AuthenticatorLength]byte) []byte {
	n := copy(s.packet[:], packet)
	copy(s.packet[4:HeaderLength], authenticator[:])
	return s.packet[:n]
}

// VerifyMessageAuthenticator says whether r, an Access-Request or a
// Status-Server, carries a Message-Authenticator made with this secret: the
// HMAC-MD5 of the packet with that attribute's value as zeros (RFC 3579 section
// 3.2, RFC 5997 section 3). It compares in constant time. Without a
// Message-Authenticator the answer is false; r.MessageAuthenticator tells that
// case from a wrong one.
func (s *Scratch) VerifyMessageAuthenticator(secret Secret, r *Request) bool {
	return s.messageAuthenticatorMatches(secret, r, &r.Authenticator)
}

func (s *Scratch) messageAuthenticatorMatches(secret Secret, r *Request, authenticator *[AuthenticatorLength]byte) bool {
	if r.packet == nil || r.MessageAuthenticator == 0 || secret.IsZero() {
		return false
	}
	start, end := r.MessageAuthenticator, r.MessageAuthenticator+AuthenticatorLength
	message := s.copyPacket(r.packet, authenticator)
	clear(message[start:end])
	return subtle.ConstantTimeCompare(s.hmac(secret, message), r.packet[start:end]) == 1
}

// VerifyAccountingRequest says whether the Request Authenticator of r, an
// Accounting-Request, was made with this secret: the MD5 of the packet with
// zeros as its authenticator, followed by the secret (RFC 2866 section 3).
func (s *Scratch) VerifyAccountingRequest(secret Secret, r *Request) bool {
	if r.packet == nil || secret.IsZero() {
		return false
	}
	message := s.copyPacket(r.packet, &[AuthenticatorLength]byte{})
	return subtle.ConstantTimeCompare(s.hash(message, secret.key().octets), r.Authenticator[:]) == 1
}

// UserPassword appends to dst the passcode hidden in a User-Password (RFC 2865
// section 5.2), 0 to 128 octets, without the NUL octets that pad it at its end.
// A wrong secret gives a wrong passcode, not an error. The error is
// [BadUserPasswordLength], or that there is no secret. It does not allocate when
// dst has room for len(hidden) more octets.
func (s *Scratch) UserPassword(dst []byte, secret Secret, authenticator *[AuthenticatorLength]byte, hidden []byte) ([]byte, error) {
	if len(hidden) == 0 || len(hidden) > MaxPasscode || len(hidden)%md5.Size != 0 {
		return dst, BadUserPasswordLength
	}
	if secret.IsZero() {
		return dst, errNoSecret
	}
	start := len(dst)
	dst = append(dst, hidden...)
	previous := authenticator[:]
	for i := 0; i < len(hidden); i += md5.Size {
		block := dst[start+i : start+i+md5.Size]
		subtle.XORBytes(block, block, s.hash(secret.key().octets, previous))
		previous = hidden[i : i+md5.Size]
	}
	end := len(dst)
	for end > start && dst[end-1] == 0 {
		end--
	}
	return dst[:end], nil
}

// CHAPMatches says whether passcode answers a CHAP challenge: whether response,
// 16 octets, is the MD5 of the identifier, the passcode and the challenge
// (RFC 1994 section 4.1). [Request.CHAP] gives the other arguments. It compares
// in constant time.
func (s *Scratch) CHAPMatches(id byte, passcode, challenge, response []byte) bool {
	return subtle.ConstantTimeCompare(s.chap(id, passcode, challenge), response) == 1
}

func (s *Scratch) chap(id byte, passcode, challenge []byte) []byte {
	s.sum[0] = id
	return s.hash(s.sum[:1], passcode, challenge)
}

// Sign closes the reply in b and returns it: it sets the Length, then the
// Message-Authenticator where Begin was told to have one, computed with the
// request's authenticator in the header (RFC 3579 section 3.2), then the
// Response Authenticator (RFC 2865 section 3). The error is the first fault of
// the builder or that there is no secret; then there is no reply. The slice is
// the builder's buffer.
func (s *Scratch) Sign(secret Secret, b *Builder, requestAuthenticator *[AuthenticatorLength]byte) ([]byte, error) {
	if err := s.finish(secret, b, requestAuthenticator); err != nil {
		return nil, err
	}
	copy(b.buf[4:HeaderLength], s.hash(b.buf, secret.key().octets))
	return b.buf, nil
}

// finish sets the Length, the authenticator and the Message-Authenticator.
func (s *Scratch) finish(secret Secret, b *Builder, authenticator *[AuthenticatorLength]byte) error {
	if secret.IsZero() {
		b.fail(errNoSecret)
	}
	if b.placement == Last {
		b.addMessageAuthenticator()
	}
	if b.err != nil {
		return b.err
	}
	binary.BigEndian.PutUint16(b.buf[2:4], uint16(len(b.buf)))
	copy(b.buf[4:HeaderLength], authenticator[:])
	if at := b.messageAuthenticator; at != 0 {
		value := b.buf[at : at+AuthenticatorLength]
		clear(value) // a second Sign finds the first one's value here
		copy(value, s.hmac(secret, b.buf))
	}
	return nil
}
