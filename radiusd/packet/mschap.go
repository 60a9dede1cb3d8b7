package packet

import (
	"bytes"
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	//lint:ignore SA1019 MS-CHAP is made of MD4
	"golang.org/x/crypto/md4"
)

// The lengths of MS-CHAP, RFC 2548 sections 2.1.3 and 2.3.2. Both responses are
// laid out alike: an identifier, a flag octet, 24 octets (version 1: the LM
// response; version 2: 16 of peer challenge and 8 reserved), the NT response.
const (
	msCHAPChallengeLength  = 8
	msCHAP2ChallengeLength = 16
	msCHAPResponseLength   = 50
	ntResponseLength       = 24
	useNTResponse          = 0x01 // in the flags of version 1
)

func peerChallenge(response []byte) []byte { return response[2:18] }
func ntResponseOf(response []byte) []byte  { return response[26:50] }

// MSCHAPMatches says whether passcode answers an MS-CHAP version 1 challenge of
// 8 octets with this MS-CHAP-Response of 50 (RFC 2433, RFC 2548 section 2.1.3).
// Only the NT response counts: a response that says it has only the LM response,
// which ignores case and all after 14 characters, does not match.
func MSCHAPMatches(passcode, challenge, response []byte) bool {
	if len(challenge) != msCHAPChallengeLength || len(response) != msCHAPResponseLength ||
		response[1]&useNTResponse == 0 {
		return false
	}
	want := challengeResponse([8]byte(challenge), ntHash(passcode))
	return subtle.ConstantTimeCompare(want[:], ntResponseOf(response)) == 1
}

// MSCHAP2Matches says whether passcode answers an MS-CHAPv2 challenge of 16
// octets with this MS-CHAP2-Response of 50 (RFC 2759 section 4). The user name
// goes into the hash without a leading "DOMAIN\"; because some peers leave it
// in, the name as it stands in the packet is tried too.
func MSCHAP2Matches(userName, passcode, challenge, response []byte) bool {
	_, ok := matchMSCHAP2(userName, passcode, challenge, response)
	return ok
}

// matchMSCHAP2 returns the challenge hash whose spelling of the user name makes
// the response right.
func matchMSCHAP2(userName, passcode, challenge, response []byte) (hash [8]byte, ok bool) {
	if len(challenge) != msCHAP2ChallengeLength || len(response) != msCHAPResponseLength {
		return hash, false
	}
	key := ntHash(passcode)
	matches := func(name []byte) bool {
		hash = challengeHash(peerChallenge(response), challenge, name)
		want := challengeResponse(hash, key)
		return subtle.ConstantTimeCompare(want[:], ntResponseOf(response)) == 1
	}
	domain := bytes.IndexByte(userName, '\\') + 1
	ok = matches(userName[domain:]) || domain > 0 && matches(userName)
	return hash, ok
}

// AuthenticatorResponse returns the proof for the peer that the server knows the
// passcode too (RFC 2759 section 8.7), for [Builder.AddMSCHAP2Success]. The
// arguments are those of a [MSCHAP2Matches] that was true.
func AuthenticatorResponse(userName, passcode, challenge, response []byte) [20]byte {
	hash, ok := matchMSCHAP2(userName, passcode, challenge, response)
	if !ok {
		return [20]byte{} // proves nothing to anyone
	}
	digest := sha1Of(hashHash(passcode), ntResponseOf(response), []byte("Magic server to client signing constant"))
	return sha1Of(digest[:], hash[:], []byte("Pad to make it do more than one iteration"))
}

// NTResponse answers an MS-CHAPv2 challenge as the peer does (RFC 2759 section
// 8.1). Both challenges are unpredictable, the first made by the authenticator and
// the second by the peer. userName goes into the hash as given: it has to be
// without its "DOMAIN\".
func NTResponse(userName, passcode []byte, challenge, peer [16]byte) [24]byte {
	return challengeResponse(challengeHash(peer[:], challenge[:], userName), ntHash(passcode))
}

// JoinMSCHAP2Response returns an MS-CHAP2-Response (RFC 2548 section 2.3.2) of its
// parts, with the identifier 0, for [MSCHAP2Matches], [AuthenticatorResponse] and
// [MPPEKeys].
func JoinMSCHAP2Response(peer [16]byte, ntResponse [24]byte) (response [50]byte) {
	copy(peerChallenge(response[:]), peer[:])
	copy(ntResponseOf(response[:]), ntResponse[:])
	return response
}

// SplitMSCHAP2Response returns the parts of an MS-CHAP2-Response of 50 octets, and
// false if it has not that many.
func SplitMSCHAP2Response(response []byte) (peer [16]byte, ntResponse [24]byte, ok bool) {
	if len(response) != msCHAPResponseLength {
		return peer, ntResponse, false
	}
	return [16]byte(peerChallenge(response)), [24]byte(ntResponseOf(response)), true
}

// LiteralMSCHAPKeys are the keys of [MSCHAPKeys] as RFC 2548 section 2.4.1 has them
// to the letter, and SafeNet's OTP service: 8 octets of the LM hash, the NT hash
// itself, and 8 zeros.
func LiteralMSCHAPKeys(passcode []byte) [32]byte {
	var keys [32]byte
	hash := ntHash(passcode)
	copy(keys[:8], lmHashStart(passcode))
	copy(keys[8:], hash[:])
	return keys
}

// AddMSCHAP2Success adds to an Access-Accept the proof for the peer (RFC 2548
// section 2.3.3). The identifier is the first octet of the MS-CHAP2-Response.
func (b *Builder) AddMSCHAP2Success(id byte, authenticatorResponse [20]byte) {
	value := fmt.Appendf([]byte{id}, "S=%X", authenticatorResponse)
	b.AddVendor(VendorMicrosoft, msCHAP2Success, value)
}

// AppendMSCHAP2Success appends what AddMSCHAP2Success adds, for [Builder.AddEncoded].
func AppendMSCHAP2Success(dst []byte, id byte, authenticatorResponse [20]byte) []byte {
	var b Builder
	b.Begin(AccessAccept, 0, nil, Off)
	b.AddMSCHAP2Success(id, authenticatorResponse)
	return append(dst, b.buf[HeaderLength:]...)
}

// AddMSCHAPError adds to an Access-Reject the failure that a peer of MS-CHAP of
// either version understands: wrong credentials, do not try again in this
// exchange (RFC 2548 section 2.1.5, RFC 2759 section 6). The identifier is the
// first octet of the response.
func (b *Builder) AddMSCHAPError(id byte) {
	b.AddVendor(VendorMicrosoft, msCHAPError, append([]byte{id}, "E=691 R=0 V=3"...))
}

// challengeHash is RFC 2759 section 8.2.
func challengeHash(peer, authenticator, userName []byte) [8]byte {
	sum := sha1Of(peer, authenticator, userName)
	return [8]byte(sum[:8])
}

// ntHash is RFC 2759 section 8.3: MD4 of the passcode in UTF-16.
func ntHash(passcode []byte) [16]byte {
	var units []uint16
	for len(passcode) > 0 {
		r, size := utf8.DecodeRune(passcode)
		units = utf16.AppendRune(units, r)
		passcode = passcode[size:]
	}
	text := make([]byte, 0, 2*len(units))
	for _, unit := range units {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	return md4Of(text)
}

// md4Of is the hash of RFC 1320, on which MS-CHAP stands and nothing new should.
func md4Of(message []byte) [16]byte {
	h := md4.New()
	h.Write(message)
	return [16]byte(h.Sum(nil))
}

// hashHash is RFC 2759 section 8.4.
func hashHash(passcode []byte) []byte {
	once := ntHash(passcode)
	twice := md4Of(once[:])
	return twice[:]
}

// challengeResponse is RFC 2759 section 8.5: three DES encryptions of the
// challenge under the 16 octets of the hash and 5 zeros.
func challengeResponse(challenge [8]byte, hash [16]byte) [ntResponseLength]byte {
	var keys [21]byte
	copy(keys[:], hash[:])
	var response [ntResponseLength]byte
	for i := range 3 {
		copy(response[8*i:], desEncrypt(keys[7*i:7*i+7], challenge[:]))
	}
	return response
}

// desEncrypt encrypts one block under a key of 56 bits, which DES wants spread
// over 8 octets with a parity bit each that nobody reads.
func desEncrypt(key, block []byte) []byte {
	var bits uint64
	for _, octet := range key {
		bits = bits<<8 | uint64(octet)
	}
	var spread [8]byte
	for i := range spread {
		spread[i] = byte(bits>>(49-7*i)) << 1
	}
	cipher, err := des.NewCipher(spread[:])
	if err != nil {
		panic("packet: making a DES cipher: " + err.Error()) // only a key that is not 8 octets long
	}
	out := make([]byte, des.BlockSize)
	cipher.Encrypt(out, block)
	return out
}

func sha1Of(parts ...[]byte) [20]byte {
	h := sha1.New()
	for _, part := range parts {
		h.Write(part)
	}
	return [20]byte(h.Sum(nil))
}
