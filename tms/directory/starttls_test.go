package directory

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-ldap/ldap/v3"
)

// exchange is a server that has its answer ready.
type exchange struct {
	io.Reader
	request bytes.Buffer
}

func (e *exchange) Write(b []byte) (int, error) { return e.request.Write(b) }

// Answers of servers to a request for StartTLS.
const (
	agreedShort = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	// Active Directory writes lengths in four bytes, and the name of the response.
	agreedLong = "\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037"
	unwilling  = "\x30\x14\x02\x01\x01\x78\x0f\x0a\x01\x34\x04\x00\x04\x08no certs"
)

func TestStartTLS(t *testing.T) {
	for _, test := range []struct {
		about, answer, err string
		code               uint16
	}{
		{"agreed", agreedShort, "", 0},
		{"agreed in long form", agreedLong, "", 0},
		{"refused", unwilling, "no certs", 52},
		{"end", "", "EOF", 0},
		{"end in the middle", agreedShort[:7], "EOF", 0},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x0a", errNoResponse.Error(), 0},
		{"another message", strings.Replace(agreedShort, "\x02\x01\x01", "\x02\x01\x02", 1), errNoResponse.Error(), 0},
		{"a notice of disconnection", strings.Replace(unwilling, "\x02\x01\x01", "\x02\x01\x00", 1), errNoResponse.Error(), 0},
		{"another response", strings.Replace(agreedShort, "\x78", "\x61", 1), errNoResponse.Error(), 0},
		{"too long", "\x30\x84\x7f\xff\xff\xff", errNoResponse.Error(), 0},
		{"of unknown length", "\x30\x80\x02\x01\x01", errNoResponse.Error(), 0},
	} {
		e := &exchange{Reader: iotest.OneByteReader(strings.NewReader(test.answer + "TLS follows"))}
		if test.err == "EOF" {
			e.Reader = strings.NewReader(test.answer)
		}
		err := startTLS(e)
		if e.request.String() != startTLSRequest {
			t.Errorf("%s: the request was %x", test.about, e.request.Bytes())
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v instead of %q", test.about, err, test.err)
		}
		if test.code != 0 && !ldap.IsErrorWithCode(err, test.code) {
			t.Errorf("%s: %v has another code than %d", test.about, err, test.code)
		}
		if rest, _ := io.ReadAll(e); err == nil && string(rest) != "TLS follows" {
			t.Errorf("%s: %q is left for TLS", test.about, rest)
		}
	}
	if err := startTLS(&exchange{Reader: iotest.ErrReader(io.ErrClosedPipe)}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of reading is %v", err)
	}
}

func FuzzStartTLS(f *testing.F) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		e := &exchange{Reader: bytes.NewReader(answer)}
		if startTLS(e) == nil && !bytes.Contains(answer, []byte{tagEnumerated, 1, 0}) {
			t.Errorf("%x is taken for consent", answer)
		}
	})
}
