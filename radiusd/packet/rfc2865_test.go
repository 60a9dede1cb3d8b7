package packet

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// unhex decodes hex digits, in which spaces are for the reader.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatalf("decoding %q: %v", digits, err)
	}
	return octets
}

// parse is Parse of a packet that must be well formed.
func parse(t testing.TB, datagram []byte) *Request {
	t.Helper()
	r := new(Request)
	if err := r.Parse(datagram); err != nil {
		t.Fatalf("parsing %x: %v", datagram, err)
	}
	return r
}

func equal(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%x, want\n%x", what, got, want)
	}
}

// The examples of RFC 2865 section 7. In 7.3 the length of State in the second
// request is corrected (erratum 1469).
const (
	exampleSecret = "xyzzy5461"

	telnetRequest = `01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a
		01 06 6e 65 6d 6f  02 12 0d be 70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee
		04 06 c0 a8 01 10  05 06 00 00 00 03`
	telnetAccept = `02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2
		06 06 00 00 00 01  0f 06 00 00 00 00  0e 06 c0 a8 01 03`

	chapRequest = `01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2
		01 08 66 6c 6f 70 73 79  03 13 16 e9 75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75
		04 06 c0 a8 01 10  05 06 00 00 00 14  06 06 00 00 00 02  07 06 00 00 00 01`
	chapAccept = `02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0 3c 86 01 a4
		06 06 00 00 00 02  07 06 00 00 00 01  08 06 ff ff ff fe
		0a 06 00 00 00 02  0d 06 00 00 00 01  0c 06 00 00 05 dc`

	dialogRequest = `01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39
		01 07 6d 6f 70 73 79  02 12 33 65 75 73 77 82 89 b5 70 88 5e 15 08 48 25 c5
		04 06 c0 a8 01 10  05 06 00 00 00 07`
	dialogChallenge = `0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45
		12 30 43 68 61 6c 6c 65 6e 67 65 20 33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72
		20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f 6d 70 74 2e  18 0a 33 32 37 36 39 34 33 30`
	dialogSecond = `01 03 00 43 b1 22 55 6d 42 8a 13 d0 d6 25 38 07 c4 57 ec f0
		01 07 6d 6f 70 73 79  02 12 69 2c 1f 20 5f c0 81 b9 19 b9 51 95 f5 61 a5 81
		04 06 c0 a8 01 10  05 06 00 00 00 07  18 0a 33 32 37 36 39 34 33 30`
	dialogReject = `03 03 00 14 a4 2f 4f ca 45 91 6c 4e 09 c8 34 0f 9e 74 6a a0`
)

func TestRFC2865Examples(t *testing.T) {
	for _, example := range []struct {
		name, request, userName, passcode, reply string
	}{
		{"7.1 telnet", telnetRequest, "nemo", "arctangent", telnetAccept},
		{"7.2 CHAP", chapRequest, "flopsy", "arctangent", chapAccept},
		{"7.3 challenge", dialogRequest, "mopsy", "challenge", dialogChallenge},
		{"7.3 response", dialogSecond, "mopsy", "99101462", dialogReject},
	} {
		t.Run(example.name, func(t *testing.T) {
			var s Scratch
			secret := NewSecret([]byte(exampleSecret))
			wire := unhex(t, example.request)
			request := parse(t, wire)
			equal(t, "User-Name", request.UserName, []byte(example.userName))
			equal(t, "NAS-IP-Address", request.NASIPAddress, []byte{192, 168, 1, 16})
			checkExamplePasscode(t, &s, secret, request, example.passcode)
			equal(t, "request built anew", rebuildRequest(t, &s, secret, request, example.passcode), wire)

			wire = unhex(t, example.reply)
			reply := parse(t, wire)
			if err := s.VerifyReply(secret, reply, &request.Authenticator); err != nil {
				t.Errorf("verifying the reply: %v", err)
			}
			var b Builder
			b.Begin(reply.Code, request.Identifier, nil, Off)
			for kind, value := range reply.Attributes() {
				b.Add(kind, value)
			}
			built, err := s.Sign(secret, &b, &request.Authenticator)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "reply built anew", built, wire)
		})
	}
}

func checkExamplePasscode(t *testing.T, s *Scratch, secret Secret, request *Request, passcode string) {
	t.Helper()
	if id, challenge, response, ok := request.CHAP(); ok {
		if !s.CHAPMatches(id, []byte(passcode), challenge, response) {
			t.Errorf("passcode %q does not match", passcode)
		}
		if s.CHAPMatches(id, []byte(passcode+"x"), challenge, response) {
			t.Error("another passcode matches")
		}
		return
	}
	got, err := s.UserPassword(nil, secret, &request.Authenticator, request.UserPassword)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "passcode", got, []byte(passcode))
}

// rebuildRequest builds request anew from its parts, the credential from the
// passcode.
func rebuildRequest(t *testing.T, s *Scratch, secret Secret, request *Request, passcode string) []byte {
	t.Helper()
	var b Builder
	b.Begin(request.Code, request.Identifier, nil, Off)
	for kind, value := range request.Attributes() {
		switch kind {
		case UserPassword:
			s.AddUserPassword(&b, secret, &request.Authenticator, []byte(passcode))
		case CHAPPassword:
			s.AddCHAPPassword(&b, value[0], []byte(passcode), request.Authenticator[:])
		default:
			b.Add(kind, value)
		}
	}
	built, err := s.SignRequest(secret, &b, &request.Authenticator)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
