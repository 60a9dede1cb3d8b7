package packet

import (
	"crypto/md5"
	"crypto/subtle"
)

// This file is the side of the NAS: credentials into a request, and the check
// of the reply. A request is built like a reply, with Begin and Add.

// AddUserPassword adds passcode, up to [MaxPasscode] octets, as a User-Password
// hidden under the secret and the Request Authenticator (RFC 2865 section 5.2).
func (s *Scratch) AddUserPassword(b *Builder, secret Secret, authenticator *[AuthenticatorLength]byte, passcode []byte) {
	switch {
	case secret.IsZero():
		b.fail(errNoSecret)
		return
	case len(passcode) > MaxPasscode:
		b.fail(BadUserPasswordLength)
		return
	}
	length := max(md5.Size, (len(passcode)+md5.Size-1)/md5.Size*md5.Size)
	if b.open(UserPassword, length) {
		var padding [md5.Size]byte
		b.buf = append(b.buf, passcode...)
		b.buf = append(b.buf, padding[:length-len(passcode)]...)
		s.hide(secret, authenticator, b.buf[len(b.buf)-length:])
	}
}

// hide encrypts plain, whole blocks of 16 octets, in place with the method of
// RFC 2865 section 5.2.
func (s *Scratch) hide(secret Secret, authenticator *[AuthenticatorLength]byte, plain []byte) {
	previous := authenticator[:]
	for ; len(plain) > 0; plain = plain[md5.Size:] {
		block := plain[:md5.Size]
		subtle.XORBytes(block, block, s.hash(secret.key().octets, previous))
		previous = block
	}
}

// AddCHAPPassword adds a CHAP-Password that answers challenge, which is either
// the Request Authenticator or what the caller adds as CHAP-Challenge.
func (s *Scratch) AddCHAPPassword(b *Builder, id byte, passcode, challenge []byte) {
	var value [1 + md5.Size]byte
	value[0] = id
	copy(value[1:], s.chap(id, passcode, challenge))
	b.Add(CHAPPassword, value[:])
}

// AddMSCHAP2Response adds an MS-CHAP-Challenge and the MS-CHAP2-Response that
// answers it with passcode (RFC 2548 sections 2.1.2 and 2.3.2). Both challenges
// are 16 unpredictable octets, the first made by the NAS and the second by its
// peer; userName goes into the hash as given.
func (b *Builder) AddMSCHAP2Response(id byte, userName, passcode []byte, challenge, peer [16]byte) {
	response := make([]byte, msCHAPResponseLength)
	response[0] = id
	copy(peerChallenge(response), peer[:])
	nt := challengeResponse(challengeHash(peer[:], challenge[:], userName), ntHash(passcode))
	copy(ntResponseOf(response), nt[:])
	b.AddVendor(VendorMicrosoft, msCHAPChallenge, challenge[:])
	b.AddVendor(VendorMicrosoft, msCHAP2Response, response)
}

// SignRequest closes the request in b and returns it. An Access-Request and a
// Status-Server carry the given authenticator, 16 unpredictable octets; the one
// of an Accounting-Request and of a Disconnect-Request is computed (RFC 2866 section 3,
// RFC 5176 section 2.3) and the argument ignored. Errors and the slice are as with
// [Scratch.Sign].
func (s *Scratch) SignRequest(secret Secret, b *Builder, authenticator *[AuthenticatorLength]byte) ([]byte, error) {
	switch Code(b.buf[0]) {
	case AccountingRequest, DisconnectRequest:
		return s.Sign(secret, b, &[AuthenticatorLength]byte{})
	}
	if err := s.finish(secret, b, authenticator); err != nil {
		return nil, err
	}
	return b.buf, nil
}

// VerifyReply returns nil when reply answers the request with the given
// authenticator and was made with this secret: its Response Authenticator is
// right (RFC 2865 section 3) and so is its Message-Authenticator, if it has one.
// A NAS that is to withstand CVE-2024-3596 also asks that it has one.
func (s *Scratch) VerifyReply(secret Secret, reply *Request, requestAuthenticator *[AuthenticatorLength]byte) error {
	if secret.IsZero() {
		return errNoSecret
	}
	message := s.copyPacket(reply.packet, requestAuthenticator)
	if subtle.ConstantTimeCompare(s.hash(message, secret.key().octets), reply.Authenticator[:]) != 1 {
		return errResponseAuthenticator
	}
	if reply.MessageAuthenticator != 0 && !s.messageAuthenticatorMatches(secret, reply, requestAuthenticator) {
		return errMessageAuthenticator
	}
	return nil
}
