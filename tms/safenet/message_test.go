package safenet

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestCaptured reads the two captured exchanges and writes them again, byte for byte.
func TestCaptured(t *testing.T) {
	for name, want := range map[string]struct {
		challenge, peer, response string
		code                      int
		description               string
	}{
		"accepted": {"d5IdJ2Vz0lPQnbWCtkANEg==", "9BLF7lf4rXn0d2/lKlD4sQ==", "ZkFXjp+Pbpun7yw+kPwwscjMCrlMifEg", 0, ""},
		"refused":  {"z9PgKRK5SW2gk24+E1IgVA==", "RVdooRLVqxqDTbbuZsPw4w==", "PRaWDoetxEy9RAA8WrLSuXavIBnmLO/w", 1, "OTP authentication failed. "},
	} {
		l, err := parseRequest(file(t, name+".request.xml"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if l.user != "kay" || string(l.userName) != "kay" {
			t.Errorf("%s: the user is %q and %q", name, l.user, l.userName)
		}
		for what, pair := range map[string][2]string{
			"challenge": {base64.StdEncoding.EncodeToString(l.challenge[:]), want.challenge},
			"peer":      {base64.StdEncoding.EncodeToString(l.peer[:]), want.peer},
			"response":  {base64.StdEncoding.EncodeToString(l.response[:]), want.response},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: the %s is %s, not %s", name, what, pair[0], pair[1])
			}
		}
		if got := string(l.write()); got != string(file(t, name+".request.xml")) {
			t.Errorf("%s: it is written as\n%s", name, got)
		}
		o, err := parseAnswer(file(t, name+".answer.xml"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.code != want.code || o.description != want.description || (o.success != nil) != (want.code == 0) {
			t.Errorf("%s: the answer is %d %q", name, o.code, o.description)
		}
		if got := string(o.write()); got != string(file(t, name+".answer.xml")) {
			t.Errorf("%s: it is written as\n%s", name, got)
		}
	}
}

// TestContentLength: the captured headers say how long the messages were.
func TestContentLength(t *testing.T) {
	for name, want := range map[string]int{"accepted.request.xml": 944, "refused.request.xml": 944, "accepted.answer.xml": 1023, "refused.answer.xml": 675} {
		if got := len(file(t, name)); got != want {
			t.Errorf("%s has %d bytes, and had %d on the wire", name, got, want)
		}
	}
}

// TestGolden is the exchange whose passcode is known, as a server computes it.
func TestGolden(t *testing.T) {
	s := newSuccess(golden(t), []byte(goldenPasscode))
	equal(t, "MppeRecvKey", s.recvKey[:], unhex(t, goldenRecv))
	equal(t, "MppeSendKey", s.sendKey[:], unhex(t, goldenSend))
	equal(t, "AuthenticatorResponse", s.authenticatorResponse[:], unhex(t, goldenProof))
	equal(t, "MschapMppeKeys", s.mschapKeys[:], unhex(t, goldenKeys))
}

// names are user names that XML has to be careful with.
var names = []string{"kay", "a&b", "<kay>", "&amp;", "&#x000D;", "]]>", `"O'Hara"`, "Müller", "日本 語", "😀", `CORP\kay`, "kay@example.com", "a  b", "a\u0085b", "\ufeffkay"}

// TestNames: every name comes through as it is.
func TestNames(t *testing.T) {
	for _, name := range names {
		l := golden(t)
		l.user, l.userName = name, []byte(name)
		if !writable(name) {
			t.Errorf("%q is not writable", name)
		}
		got, err := parseRequest(l.write())
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got.user != name || string(got.userName) != name {
			t.Errorf("%q is read as %q and %q", name, got.user, got.userName)
		}
		o := &outcome{code: 1, description: name}
		if back, err := parseAnswer(o.write()); err != nil || back.description != name {
			t.Errorf("as a description %q is read as %q, %v", name, back.description, err)
		}
	}
	for _, name := range []string{"a\x00b", "a\x1fb", "a\nb", "a\rb", "a\tb", "a\x7fb", "a\xffb", "\ufffe", "a\uffffb", "\xed\xa0\x80"} {
		if writable(name) {
			t.Errorf("%q is writable", name)
		}
	}
}

// TestEscaping: a name is escaped in the document, and the document in the envelope.
func TestEscaping(t *testing.T) {
	l := golden(t)
	l.user = `a<&>"b`
	if got := string(l.write()); !strings.Contains(got, `&lt;user_name&gt;a&amp;lt;&amp;amp;&amp;gt;"b&lt;/user_name&gt;`) {
		t.Errorf("it is written as\n%s", got)
	}
}

// edit changes a captured message, once.
func edit(t *testing.T, name, old, replacement string) []byte {
	t.Helper()
	text := string(file(t, name))
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in %s", old, name)
	}
	return []byte(strings.Replace(text, old, replacement, 1))
}

func TestBadRequests(t *testing.T) {
	const captured = "accepted.request.xml"
	for _, test := range []struct{ old, replacement, want string }{
		{"<soap:Body>", "<soap:Body><a/>", ""}, // another program's business
		{`?xml version="1.0"?`, `?xml version="1.0" encoding="utf-16"?`, ""},
		{"MSCHAPv2", "PAP", `the type "PAP" is not known`},
		{"MSCHAPv2", "", `the type "" is not known`},
		{"d5IdJ2Vz0lPQnbWCtkANEg==", "d5IdJ2Vz0lPQnbWCtkA=", "AuthenticatorChallenge has 14 octets instead of 16"},
		{"d5IdJ2Vz0lPQnbWCtkANEg==", "", "AuthenticatorChallenge has 0 octets"},
		{"9BLF7lf4rXn0d2/lKlD4sQ==", "9BLF7lf4rXn0d2/lKlD4sf//", "PeerChallenge has 18 octets"},
		{"ZkFXjp+Pbpun7yw+kPwwscjMCrlMifEg", "ZkFXjp+Pbpun7yw+kPwwscjMCrlMifE=", "Response has 23 octets instead of 24"},
		{"ZkFXjp+P", "!!!!!!!!", "Response is not base64"},
		{"a2F5", "a2F", "UserName is not base64"},
		{"&lt;user_name&gt;kay&lt;/user_name&gt;", "", "there is no user_name"},
		{"&lt;user_name&gt;kay&lt;/user_name&gt;", "&lt;user_name&gt;kay&lt;/user_name&gt;&lt;user_name&gt;bob&lt;/user_name&gt;", "there is more than one user_name"},
		{"&lt;user_name&gt;kay", "&lt;user_name&gt;&lt;b/&gt;kay", "there are elements in user_name"},
		{"&lt;user_name&gt;kay", "&lt;user_name&gt;&amp;kay;", "it is no XML in line 2"},
		{"&lt;otp_authentication_request", "&lt;!DOCTYPE a [&lt;!ENTITY kay SYSTEM \"file:///etc/passwd\"&gt;]&gt;&lt;otp_authentication_request", ""}, // not read
		{"&lt;/otp_authentication_request&gt;", "", "the document in request: it is no XML"},
		{"&#x000D;&#x000A;</request>", "&lt;more/&gt;</request>", "there is more behind the end"},
		{"&#x000D;&#x000A;</request>", "more</request>", "there is more behind the end"},
		{"&lt;?xml", "</request><request>&lt;?xml", "there is more than one request"},
		{`<Authenticate xmlns="http://tempuri.org/">`, `<Authenticate xmlns="http://tempuri.com/">`, "there is no Authenticate"},
		{"http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope", "it is no envelope of SOAP 1.1"},
		{"</soap:Envelope>", "", "it is no XML in line"},
		{"</soap:Envelope>", "</soap:Envelope><soap:Envelope/>", "there is more behind the end"},
	} {
		_, err := parseRequest(edit(t, captured, test.old, test.replacement))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q: %v", test.replacement, err)
		case test.want != "":
			contains(t, err, test.want)
		}
	}
	for _, text := range []string{"", " ", "\x00", "{}", "<a/>", strings.Repeat("<a>", 20000)} {
		if _, err := parseRequest([]byte(text)); err == nil {
			t.Errorf("%.20q is a request", text)
		}
	}
	_, err := parseRequest(edit(t, captured, "otp_authentication_request&gt;", "x&gt;"))
	contains(t, err, "it is no XML")
}

func TestBadAnswers(t *testing.T) {
	const captured = "accepted.answer.xml"
	for _, test := range []struct{ old, replacement, want string }{
		{"&lt;error_code&gt;0", "&lt;error_code&gt;", "error_code is no number"},
		{"&lt;error_code&gt;0", "&lt;error_code&gt;0x0", "error_code is no number"},
		{"&lt;error_code&gt;0", "&lt;error_code&gt;00000000000000000000000000", ""},
		{"&lt;error_code&gt;0&lt;/error_code&gt;", "", "there is no error_code"},
		{"&lt;error_code&gt;0&lt;/error_code&gt;", "&lt;error_code&gt;1&lt;/error_code&gt;&lt;error_code&gt;0&lt;/error_code&gt;", "more than one error_code"},
		{"Fqp+6ZYTBXcF+/WxhrPl2w==", "Fqp+6ZYTBXcF+/Wxhg==", "MppeRecvKey has 13 octets instead of 16"},
		{"NLbqfzJ46qWkj7o2piJwIg==", "", "MppeSendKey has 0 octets"},
		{"9d/tDuQYp+UqCqtkiBHyCVusw2g=", "9d/tDuQYp+UqCqtkiBHyCVusw2hh", "AuthenticatorResponse has 21 octets instead of 20"},
		{"FNcjWi+hZhVZElihVL3bjeisBR8oMExBAAAAAAAAAAA=", "FNcj", "MschapMppeKeys has 3 octets instead of 32"},
		{"&lt;Mschapv2Response&gt;", "&lt;Other&gt;", "it is no XML"},
		{"AuthenticateResult>&lt;", "AuthenticateResult><![CDATA[<]]>", ""},
		{"</AuthenticateResult>", "", "it is no XML"},
	} {
		o, err := parseAnswer(edit(t, captured, test.old, test.replacement))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q: %v", test.replacement, err)
		case test.want != "":
			contains(t, err, test.want)
		case o.success == nil:
			t.Errorf("%q: an accept has nothing", test.replacement)
		}
	}
}
