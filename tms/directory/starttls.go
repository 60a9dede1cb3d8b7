package directory

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-ldap/ldap/v3"
)

// startTLSRequest is an ExtendedRequest 1.3.6.1.4.1.1466.20037 with message ID 1
// (RFC 4511 sections 4.12 and 4.14.1).
const startTLSRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// Tags of an ExtendedResponse (RFC 4511 section 4.12).
const (
	tagInteger          = 0x02
	tagOctetString      = 0x04
	tagEnumerated       = 0x0a
	tagSequence         = 0x30
	tagExtendedResponse = 0x78
)

// maxResponse is the longest response to startTLSRequest in bytes.
const maxResponse = 16 << 10

var errNoResponse = errors.New("the answer is no response to StartTLS")

// startTLS asks for TLS and reads the response, and not one byte more: what the
// server sends after it belongs to TLS. It is done here, rather than in the LDAP
// library, so that the handshake has a time limit and tells errors by their
// types. An answer that refuses is an *ldap.Error.
func startTLS(c io.ReadWriter) error {
	if _, err := io.WriteString(c, startTLSRequest); err != nil {
		return err
	}
	message, err := readSequence(c)
	if err != nil {
		return err
	}
	code, text, ok := parseExtendedResponse(message)
	if !ok {
		return errNoResponse
	}
	if code != ldap.LDAPResultSuccess {
		return ldap.NewError(code, errors.New(text))
	}
	return nil
}

// readSequence reads the content of a SEQUENCE.
func readSequence(r io.Reader) ([]byte, error) {
	header := make([]byte, 2, 2+maxLengthBytes)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	if header[0] != tagSequence {
		return nil, errNoResponse
	}
	if header[1] > 0x80 && header[1] <= 0x80+maxLengthBytes {
		header = header[:2+header[1]-0x80]
		if _, err := io.ReadFull(r, header[2:]); err != nil {
			return nil, err
		}
	}
	length, _, ok := parseLength(header[1:])
	if !ok || length > maxResponse {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errNoResponse, maxResponse)
	}
	content := make([]byte, length)
	_, err := io.ReadFull(r, content)
	return content, err
}

// maxLengthBytes is how many bytes the length of an element may take.
const maxLengthBytes = 4

// parseLength reads the length of an element (X.690 section 8.1.3).
func parseLength(b []byte) (length int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	if b[0] < 0x80 {
		return int(b[0]), b[1:], true
	}
	count := int(b[0] - 0x80)
	if count == 0 || count > maxLengthBytes || len(b) <= count {
		return 0, nil, false
	}
	var n uint32
	for _, digit := range b[1 : 1+count] {
		n = n<<8 | uint32(digit)
	}
	if n > maxResponse {
		return maxResponse + 1, b[1+count:], true
	}
	return int(n), b[1+count:], true
}

// element cuts one element off b.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != tag {
		return nil, nil, false
	}
	length, rest, ok := parseLength(b[1:])
	if !ok || length > len(rest) {
		return nil, nil, false
	}
	return rest[:length], rest[length:], true
}

// parseExtendedResponse reads the content of a message that is an
// ExtendedResponse with message ID 1.
func parseExtendedResponse(message []byte) (code uint16, text string, ok bool) {
	id, rest, ok := element(message, tagInteger)
	if !ok || len(id) == 0 || len(id) > maxLengthBytes || id[len(id)-1] != 1 {
		return 0, "", false
	}
	response, _, ok := element(rest, tagExtendedResponse)
	if !ok {
		return 0, "", false
	}
	result, rest, ok := element(response, tagEnumerated)
	if !ok || len(result) != 1 {
		return 0, "", false
	}
	_, rest, ok = element(rest, tagOctetString) // matchedDN
	if !ok {
		return 0, "", false
	}
	diagnostic, _, ok := element(rest, tagOctetString)
	return uint16(result[0]), string(diagnostic), ok
}
