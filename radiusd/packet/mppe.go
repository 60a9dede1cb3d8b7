package packet

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"layeh.com/radius"
)

// MPPEKeys returns the 128-bit session keys that follow from an MS-CHAPv2 login
// with the given MS-CHAP2-Response of 50 octets (RFC 3079 section 3.4), as the
// NAS uses them: send encrypts towards the peer. They are for
// [Scratch.AddMPPEKeys].
func MPPEKeys(passcode, response []byte) (send, recv [16]byte) {
	if len(response) != msCHAPResponseLength {
		return send, recv
	}
	master := sha1Of(hashHash(passcode), ntResponseOf(response), []byte("This is the MPPE Master Key"))
	return startKey(master[:16], serverSends), startKey(master[:16], serverReceives)
}

// The two sentences of RFC 3079 section 3.4 as they apply to the server's side.
const (
	serverSends    = "On the client side, this is the receive key; on the server side, it is the send key."
	serverReceives = "On the client side, this is the send key; on the server side, it is the receive key."
)

func startKey(master []byte, sentence string) [16]byte {
	sum := sha1Of(master, make([]byte, 40), []byte(sentence), bytes.Repeat([]byte{0xf2}, 40))
	return [16]byte(sum[:16])
}

// MSCHAPKeys returns what a version 1 login gives for MPPE: 8 octets of the LM
// hash and 16 of the hash of the NT hash, for [Scratch.AddMSCHAPKeys]. RFC 2548
// section 2.4.1 names the NT hash itself, but the keys of RFC 3079 section 2
// come from the hash of the hash, and that is what gateways expect.
func MSCHAPKeys(passcode []byte) [24]byte {
	var keys [24]byte
	copy(keys[:8], lmHashStart(passcode))
	copy(keys[8:], hashHash(passcode))
	return keys
}

// AddMPPEKeys adds to an Access-Accept the session keys of an MS-CHAPv2 login,
// encrypted under the secret and the Request Authenticator (RFC 2548 sections
// 2.4.2 and 2.4.3), and the leave to use them. The salt is any random number;
// two different ones are made of it.
func (s *Scratch) AddMPPEKeys(b *Builder, secret Secret, requestAuthenticator *[AuthenticatorLength]byte, salt uint16, send, recv [16]byte) {
	s.addSalted(b, msMPPESendKey, secret, requestAuthenticator, salt, send)
	s.addSalted(b, msMPPERecvKey, secret, requestAuthenticator, salt+1, recv)
	b.allowMPPE()
}

func (s *Scratch) addSalted(b *Builder, vendorType byte, secret Secret, authenticator *[AuthenticatorLength]byte, salt uint16, key [16]byte) {
	if secret.IsZero() {
		b.fail(errNoSecret)
		return
	}
	salted := binary.BigEndian.AppendUint16(nil, salt|0x8000) // the leftmost bit is always set
	value, err := radius.NewTunnelPassword(key[:], salted, secret.key().octets, authenticator[:])
	if err != nil {
		b.fail(fmt.Errorf("encrypting MPPE key: %w", err))
		return
	}
	b.AddVendor(VendorMicrosoft, vendorType, value)
}

// AddMSCHAPKeys adds to an Access-Accept the keys of an MS-CHAP version 1 login
// (RFC 2548 section 2.4.1), hidden as a User-Password is, and the leave to use
// them.
func (s *Scratch) AddMSCHAPKeys(b *Builder, secret Secret, requestAuthenticator *[AuthenticatorLength]byte, keys [24]byte) {
	if secret.IsZero() {
		b.fail(errNoSecret)
		return
	}
	value := make([]byte, 32)
	copy(value, keys[:])
	s.hide(secret, requestAuthenticator, value)
	b.AddVendor(VendorMicrosoft, msCHAPMPPEKeys, value)
	b.allowMPPE()
}

// allowMPPE says that the peer may encrypt, with RC4 keys of 40 or 128 bits
// (RFC 2548 sections 2.4.4 and 2.4.5).
func (b *Builder) allowMPPE() {
	b.AddVendor(VendorMicrosoft, msMPPEEncryptionPolicy, []byte{0, 0, 0, 1})
	b.AddVendor(VendorMicrosoft, msMPPEEncryptionTypes, []byte{0, 0, 0, 6})
}

// OpenMPPEKeys opens the keys that AddMPPEKeys and AddMSCHAPKeys add, in an
// Access-Accept that answers a request with the given authenticator: what an
// MS-CHAPv2 login gives for sending and receiving, of 1 to 239 octets, mostly 16, and
// the 24 octets of a version 1 login. What is absent is nil. It is not for a reply
// that is not verified: another secret gives other keys, or the error that a key cannot
// be opened; then there are none.
func (s *Scratch) OpenMPPEKeys(secret Secret, reply *Request, requestAuthenticator *[AuthenticatorLength]byte) (send, recv, legacy []byte, err error) {
	if secret.IsZero() {
		return nil, nil, nil, errNoSecret
	}
	if send, err = openSalted(msMPPESendKey, secret, reply, requestAuthenticator); err != nil {
		return nil, nil, nil, fmt.Errorf("opening MS-MPPE-Send-Key: %w", err)
	}
	if recv, err = openSalted(msMPPERecvKey, secret, reply, requestAuthenticator); err != nil {
		return nil, nil, nil, fmt.Errorf("opening MS-MPPE-Recv-Key: %w", err)
	}
	hidden := reply.VendorValue(VendorMicrosoft, msCHAPMPPEKeys)
	if hidden == nil {
		return send, recv, nil, nil
	}
	if len(hidden) != 32 {
		return nil, nil, nil, fmt.Errorf("opening MS-CHAP-MPPE-Keys: %d octets, not 32", len(hidden))
	}
	legacy = bytes.Clone(hidden)
	s.reveal(secret, requestAuthenticator, legacy, hidden)
	return send, recv, legacy[:24], nil
}

// openSalted opens an attribute that addSalted made, nil when it is absent.
func openSalted(vendorType byte, secret Secret, reply *Request, authenticator *[AuthenticatorLength]byte) ([]byte, error) {
	value := reply.VendorValue(VendorMicrosoft, vendorType)
	if value == nil {
		return nil, nil
	}
	key, _, err := radius.TunnelPassword(value, secret.key().octets, authenticator[:])
	if err == nil && len(key) == 0 {
		err = errors.New("it is empty")
	}
	return key, err
}

// reveal undoes hide: plain is what was hidden, and has room for it.
func (s *Scratch) reveal(secret Secret, authenticator *[AuthenticatorLength]byte, plain, hidden []byte) {
	previous := authenticator[:]
	for i := 0; i < len(hidden); i += AuthenticatorLength {
		block := hidden[i : i+AuthenticatorLength]
		subtle.XORBytes(plain[i:], block, s.hash(secret.key().octets, previous))
		previous = block
	}
}

// lmHashStart is the first half of the LM hash (RFC 2433 appendix A.2): its key
// is the first seven characters in upper case.
func lmHashStart(passcode []byte) []byte {
	var key [7]byte
	copy(key[:], bytes.ToUpper(passcode))
	return desEncrypt(key[:], []byte("KGS!@#$%"))
}
