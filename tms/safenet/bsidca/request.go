package bsidca

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/otp/oath"
)

// namespace is that of all operations, and with their name their SOAPAction.
const namespace = "http://www.cryptocard.com/blackshield/"

// request is a call of an operation.
type request struct {
	operation string
	params    []param
}

// param is a parameter. An optional one that is not said is left out.
type param struct {
	name, value string
	secret      bool
}

// envelope is the request as SOAP 1.1 has it.
func (r *request) envelope() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString(`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>`)
	fmt.Fprintf(&b, `<%s xmlns="%s">`, r.operation, namespace)
	for _, p := range r.params {
		if !utf8.ValidString(p.value) || strings.ContainsFunc(p.value, unsendable) {
			return nil, fmt.Errorf("calling %s: %s has characters that cannot be sent: it must be text without control characters", r.operation, p.name)
		}
		fmt.Fprintf(&b, "<%s>", p.name)
		if err := xml.EscapeText(&b, []byte(p.value)); err != nil {
			return nil, fmt.Errorf("calling %s: writing %s: %w", r.operation, p.name, err)
		}
		fmt.Fprintf(&b, "</%s>", p.name)
	}
	fmt.Fprintf(&b, "</%s></soap:Body></soap:Envelope>", r.operation)
	return b.Bytes(), nil
}

// unsendable are characters that XML cannot have, and those that no parameter has.
func unsendable(r rune) bool { return unicode.IsControl(r) || r == 0xfffe || r == 0xffff }

// maxQuoted is how many bytes of the service's own words an error quotes.
const maxQuoted = 200

// scrub makes a text of the service fit for an error: short, and without the secrets
// of the request, should the service repeat them.
func (r *request) scrub(text string) string {
	for _, p := range r.params {
		if p.secret && p.value != "" {
			text = strings.ReplaceAll(text, p.value, oath.Redaction)
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxQuoted {
		text = text[:maxQuoted] + "..."
	}
	return text
}
