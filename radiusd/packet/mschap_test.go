package packet

import (
	"bytes"
	"encoding/base64"
	"os/exec"
	"strings"
	"testing"
)

// TestMD4 is RFC 1320 appendix A.5.
func TestMD4(t *testing.T) {
	for message, want := range map[string]string{
		"":                           "31d6cfe0d16ae931b73c59d7e0c089c0",
		"a":                          "bde52cb31de33e46245e05fbdbd6fb24",
		"abc":                        "a448017aaf21d8525fc10ae87aa6729d",
		"message digest":             "d9130a8164549fe818874806e1c7014b",
		"abcdefghijklmnopqrstuvwxyz": "d79e1c308aa5bbcdeea8ed63df412da9",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "043f8582f241db351ce627e153e7f0e4",
		strings.Repeat("1234567890", 8):                                  "e33b4ddc9c38f2199c3e7b164fcc0536",
	} {
		sum := md4Of([]byte(message))
		equal(t, "MD4 of "+message, sum[:], unhex(t, want))
	}
}

// mschap2Vector is one MS-CHAPv2 login with all that follows from it.
type mschap2Vector struct {
	name, userName, passcode  string
	challenge, peer, response string
	authenticatorResponse     string
	send, recv                string // empty where the source does not say
	lmHashStart, ntHash       string
}

var mschap2Vectors = []mschap2Vector{
	{
		name: "RFC 2759 section 9.2 and RFC 3079 section 3.5.3", userName: "User", passcode: "clientPass",
		challenge:             "5b5d7c7d7b3f2f3e3c2c602132262628",
		peer:                  "21402324255e262a28295f2b3a337c7e",
		response:              "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df",
		authenticatorResponse: "407a5589115fd0d6209f510fe9c04566932cda56",
		send:                  "8b7cdc149b993a1ba118cb153f56dccb",
		lmHashStart:           "76a152936096d783",
		ntHash:                "44ebba8d5312b8d611474411f56989ae",
	},
	{
		name: "an OTP service of SafeNet's", userName: "kay", passcode: "test533269",
		challenge:             "ad267fd1914bf259a83cd575d2522934",
		peer:                  "8493c267fd584122e64ae636ca39b1f9",
		response:              "39371889cbd47530a78be4e6a23b3648f346520322f0ef0e",
		authenticatorResponse: "23c01f568e5798f1ef6f6d97edea3865f7e486f4",
		send:                  "3e91a46d472b023e499259aaaf12e856",
		recv:                  "75e7500914b97583e7dce0bb29ad46d5",
		lmHashStart:           "707369bc8c44c7c9",
		ntHash:                "120110702e9eec5c7759222cd5f4db5b",
	},
}

// responseOf returns the MS-CHAP2-Response of the vector, made by the NAS's
// side and held against the vector's NT response.
func (v mschap2Vector) responseOf(t *testing.T) []byte {
	t.Helper()
	var b Builder
	b.Begin(AccessRequest, 1, nil, Off)
	b.AddMSCHAP2Response(0x2a, []byte(v.userName), []byte(v.passcode), [16]byte(unhex(t, v.challenge)), [16]byte(unhex(t, v.peer)))
	wire, err := new(Scratch).SignRequest(NewSecret([]byte("s")), &b, &[16]byte{})
	must(t, err)
	r := parse(t, wire)
	equal(t, "MS-CHAP-Challenge", r.MSCHAPChallenge, unhex(t, v.challenge))
	equal(t, "MS-CHAP2-Response", r.MSCHAP2Response, unhex(t, "2a00"+v.peer+"0000000000000000"+v.response))
	return r.MSCHAP2Response
}

func TestMSCHAP2(t *testing.T) {
	for _, v := range mschap2Vectors {
		t.Run(v.name, func(t *testing.T) {
			challenge, response := unhex(t, v.challenge), v.responseOf(t)
			user, passcode := []byte(v.userName), []byte(v.passcode)
			if !MSCHAP2Matches(user, passcode, challenge, response) {
				t.Error("the passcode does not match")
			}
			proof := AuthenticatorResponse(user, passcode, challenge, response)
			equal(t, "authenticator response", proof[:], unhex(t, v.authenticatorResponse))
			send, recv := MPPEKeys(passcode, response)
			legacy, hash := MSCHAPKeys(passcode), ntHash(passcode)
			for want, got := range map[string][]byte{
				v.send: send[:], v.recv: recv[:], v.lmHashStart: legacy[:8], v.ntHash: hash[:],
			} {
				if want != "" {
					equal(t, "key", got, unhex(t, want))
				}
			}
			for name, matches := range map[string]bool{
				"another passcode":  MSCHAP2Matches(user, append(passcode, 'x'), challenge, response),
				"another user":      MSCHAP2Matches([]byte("mallory"), passcode, challenge, response),
				"another challenge": MSCHAP2Matches(user, passcode, make([]byte, 16), response),
				"short challenge":   MSCHAP2Matches(user, passcode, challenge[:15], response),
				"short response":    MSCHAP2Matches(user, passcode, challenge, response[:49]),
			} {
				if matches {
					t.Errorf("%s matches", name)
				}
			}
		})
	}
}

// TestPeer: what the peer computes is what its NAS passes on.
func TestPeer(t *testing.T) {
	for _, v := range mschap2Vectors {
		challenge, peer := [16]byte(unhex(t, v.challenge)), [16]byte(unhex(t, v.peer))
		nt := NTResponse([]byte(v.userName), []byte(v.passcode), challenge, peer)
		equal(t, "NT response", nt[:], unhex(t, v.response))
		joined, passedOn := JoinMSCHAP2Response(peer, nt), v.responseOf(t)
		equal(t, "response", joined[1:], passedOn[1:])
		gotPeer, gotNT, ok := SplitMSCHAP2Response(passedOn)
		if !ok || gotPeer != peer || gotNT != nt {
			t.Errorf("%s: it splits into %x and %x, %v", v.name, gotPeer, gotNT, ok)
		}
		if _, _, ok := SplitMSCHAP2Response(passedOn[:49]); ok {
			t.Error("49 octets are a response")
		}
		keys := LiteralMSCHAPKeys([]byte(v.passcode))
		equal(t, "literal keys", keys[:], unhex(t, v.lmHashStart+v.ntHash+"0000000000000000"))
	}
}

// TestCapturedKeys is another login at SafeNet's OTP service, as captured. Nobody knows
// the passcode, but MschapMppeKeys has its NT hash, from which all else follows.
func TestCapturedKeys(t *testing.T) {
	unbase64 := func(text string) []byte {
		octets, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		return octets
	}
	keys := unbase64("FNcjWi+hZhVZElihVL3bjeisBR8oMExBAAAAAAAAAAA=")
	challenge, peer := unbase64("d5IdJ2Vz0lPQnbWCtkANEg=="), unbase64("9BLF7lf4rXn0d2/lKlD4sQ==")
	hash := [16]byte(keys[8:24])
	hashed := challengeHash(peer, challenge, []byte("kay"))
	nt := challengeResponse(hashed, hash)
	equal(t, "Response", nt[:], unbase64("ZkFXjp+Pbpun7yw+kPwwscjMCrlMifEg"))
	twice := md4Of(hash[:])
	digest := sha1Of(twice[:], nt[:], []byte("Magic server to client signing constant"))
	proof := sha1Of(digest[:], hashed[:], []byte("Pad to make it do more than one iteration"))
	equal(t, "AuthenticatorResponse", proof[:], unbase64("9d/tDuQYp+UqCqtkiBHyCVusw2g="))
	master := sha1Of(twice[:], nt[:], []byte("This is the MPPE Master Key"))
	send, recv := startKey(master[:16], serverSends), startKey(master[:16], serverReceives)
	equal(t, "MppeSendKey", send[:], unbase64("NLbqfzJ46qWkj7o2piJwIg=="))
	equal(t, "MppeRecvKey", recv[:], unbase64("Fqp+6ZYTBXcF+/WxhrPl2w=="))
}

// TestHashesOfSamba holds both hashes against smbencrypt of freeradius-utils.
func TestHashesOfSamba(t *testing.T) {
	for _, passcode := range []string{"test533269", "1234755224", "a", "0000000000"} {
		out, err := exec.Command("smbencrypt", passcode).Output()
		if err != nil {
			t.Fatalf("running smbencrypt (scripts/test installs freeradius-utils): %v", err)
		}
		fields := strings.Fields(string(out))
		if len(fields) < 2 || len(fields[len(fields)-1]) != 32 {
			t.Fatalf("smbencrypt says %q", out)
		}
		lm, nt := unhex(t, fields[len(fields)-2]), unhex(t, fields[len(fields)-1])
		keys := LiteralMSCHAPKeys([]byte(passcode))
		equal(t, "LM hash", keys[:8], lm[:8])
		equal(t, "NT hash", keys[8:24], nt)
		equal(t, "padding", keys[24:], make([]byte, 8))
	}
}

// TestMSCHAP2Domain: the peer hashes the name without its domain (RFC 2759
// section 4), and some peers hash it whole; the proof follows the peer.
func TestMSCHAP2Domain(t *testing.T) {
	v := mschap2Vectors[0]
	challenge, passcode := unhex(t, v.challenge), []byte(v.passcode)
	inPacket := []byte(`CORP\User`)
	response := v.responseOf(t)
	if !MSCHAP2Matches(inPacket, passcode, challenge, response) {
		t.Error("a name with domain does not match what was hashed without")
	}
	proof := AuthenticatorResponse(inPacket, passcode, challenge, response)
	equal(t, "authenticator response", proof[:], unhex(t, v.authenticatorResponse))

	var whole [50]byte
	copy(whole[:], response)
	nt := challengeResponse(challengeHash(peerChallenge(response), challenge, inPacket), ntHash(passcode))
	copy(ntResponseOf(whole[:]), nt[:])
	if !MSCHAP2Matches(inPacket, passcode, challenge, whole[:]) {
		t.Error("a name hashed with its domain does not match")
	}
	if MSCHAP2Matches([]byte("User"), passcode, challenge, whole[:]) {
		t.Error("a domain that is not in the packet matches")
	}
	if AuthenticatorResponse(inPacket, passcode, challenge, whole[:]) == proof {
		t.Error("the proof does not follow the name that was hashed")
	}
	if AuthenticatorResponse(inPacket, []byte("wrong"), challenge, response) != [20]byte{} {
		t.Error("a wrong passcode is proved")
	}
}

// TestMSCHAP is the example of RFC 2433 appendix B.
func TestMSCHAP(t *testing.T) {
	challenge := unhex(t, "102db5df085d3041")
	response := unhex(t, "0701"+strings.Repeat("00", 24)+"4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61")
	if !MSCHAPMatches([]byte("MyPw"), challenge, response) {
		t.Error("the passcode does not match")
	}
	lmOnly := bytes.Clone(response)
	lmOnly[1] = 0
	for name, matches := range map[string]bool{
		"another passcode":  MSCHAPMatches([]byte("mypw"), challenge, response),
		"another challenge": MSCHAPMatches([]byte("MyPw"), make([]byte, 8), response),
		"the LM response":   MSCHAPMatches([]byte("MyPw"), challenge, lmOnly),
		"long challenge":    MSCHAPMatches([]byte("MyPw"), append(challenge, 0), response),
		"short response":    MSCHAPMatches([]byte("MyPw"), challenge, response[:49]),
	} {
		if matches {
			t.Errorf("%s matches", name)
		}
	}
	keys := MSCHAPKeys([]byte("clientPass"))
	equal(t, "keys of version 1 (RFC 3079 section 2.5)", keys[:], unhex(t, "76a152936096d783 41c00c584bd2d91c4017a2a12fa59f3f"))
}

// TestNTHashOfUnicode: octets are UTF-8 and hashed as UTF-16.
func TestNTHashOfUnicode(t *testing.T) {
	got, want := ntHash([]byte("ä😀")), md4Of(unhex(t, "e400 3dd8 00de"))
	equal(t, "NT hash", got[:], want[:])
}
