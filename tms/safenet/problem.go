package safenet

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

var (
	errForged  = errors.New("it does not know the passcode that it accepted, so the accept may be forged")
	errTooLong = fmt.Errorf("it is longer than %d bytes", maxMessage)
)

// problem is what went wrong with the service, and how to mend it, in one line.
type problem struct {
	url    string
	doing  string
	err    error
	remedy string
}

func (p *problem) Error() string {
	text := fmt.Sprintf("OTP service %s: %s: %s", p.url, p.doing, oneLine(p.err.Error()))
	if p.remedy != "" {
		text += ": " + p.remedy
	}
	return text
}

func (p *problem) Unwrap() error { return p.err }

func (c *Client) problem(doing string, err error) error {
	return &problem{c.url.String(), doing, err, remedy(err)}
}

// timeoutError says that all together took too long.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("it was not done within %v", e.limit) }

// busyError says that a request was not sent, because too many were under way.
type busyError struct {
	inFlight int
	cause    error
}

func (e *busyError) Error() string {
	return fmt.Sprintf("%d requests were under way all the time: %v", e.inFlight, e.cause)
}

func (e *busyError) Unwrap() error { return e.cause }

// unknownCode is an answer with an error_code of which nobody knows what it means.
type unknownCode struct {
	code        int
	description string
}

func (e *unknownCode) Error() string {
	return fmt.Sprintf("its error_code is %d (%q), and only 0 and 1 are known", e.code, e.description)
}

func (e *unknownCode) Unwrap() error { return ErrOddAnswer }

// malformed is an answer of the right type that is not the service's.
type malformed struct {
	err     error
	excerpt string
}

func (e *malformed) Error() string {
	return fmt.Sprintf("it is not as the service's are: %v; it begins with %q", e.err, e.excerpt)
}

func (e *malformed) Unwrap() error { return e.err }

// strange is an answer that is not the service's.
type strange struct {
	status   int
	text     string // the status as it came
	media    string
	location string // of a redirect
	fault    string // of an envelope that has one
	excerpt  string
}

func (e *strange) Error() string {
	switch {
	case e.location != "":
		return fmt.Sprintf("it is %q and sends us to %s", e.text, e.location)
	case e.fault != "":
		return fmt.Sprintf("it is %q with the fault %q", e.text, e.fault)
	}
	return fmt.Sprintf("it is %q of type %q and begins with %q", e.text, e.media, e.excerpt)
}

// Unwrap tells a Fault, which only the service itself answers, from all that may stand in
// its place. It has the status 500 (SOAP 1.1 section 6.2).
func (e *strange) Unwrap() error {
	if e.fault != "" && e.status == http.StatusInternalServerError && e.media == "text/xml" {
		return ErrOddAnswer
	}
	return nil
}

func (l *login) strange(response *http.Response, media string, body []byte) error {
	e := &strange{status: response.StatusCode, text: clip(response.Status, 60), media: media, excerpt: l.excerpt(body)}
	if text, ok := fault(body); ok {
		e.fault = l.clean(text)
	}
	if location, err := response.Location(); err == nil && response.StatusCode/100 == 3 {
		e.location = clip((&url.URL{Scheme: location.Scheme, Host: location.Host, Path: location.Path}).String(), 120)
	}
	return e
}

func mediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return clip(media, 60)
}

// tag is what people do not see of a web page.
var tag = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)>|<!--.*?-->|<[^>]*>`)

// excerpt is the first words of an answer.
func (l *login) excerpt(body []byte) string {
	return clip(l.clean(tag.ReplaceAllString(string(body[:min(len(body), 4096)]), " ")), 120)
}

// clean makes one line of a text of the service, without what we sent: from a proof and
// its challenges a passcode can be guessed.
func (l *login) clean(text string) string {
	for _, sent := range [][]byte{l.response[:], l.challenge[:], l.peer[:]} {
		text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString(sent), "[redacted]")
	}
	return clip(oneLine(text), 200)
}

func oneLine(text string) string {
	fields := strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return strings.Join(fields, " ")
}

func clip(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length], "") + "..."
}

// remedy is how to mend an error, or empty.
func remedy(err error) string {
	if text := answerRemedy(err); text != "" {
		return text
	}
	for _, r := range remedies {
		if r.mends(err) {
			return r.text
		}
	}
	return ""
}

func answerRemedy(err error) string {
	var (
		odd  *strange
		bad  *malformed
		code *unknownCode
		busy *busyError
	)
	switch {
	case errors.As(err, &odd):
		return odd.remedy()
	case errors.As(err, &bad), errors.Is(err, errTooLong):
		return "verify in otp_service_url that this is the OTP service of the TMS"
	case errors.As(err, &code):
		return "look up in the TMS's own log what it means"
	case errors.As(err, &busy):
		return "find out why the TMS is slow, or raise max_in_flight"
	case errors.Is(err, errForged):
		return "find out who answers there: verify the name and its DNS, and use https"
	case errors.Is(err, errAcceptsAll):
		return "verify in otp_service_url that this is the TMS; if it is, take it out of service until it refuses again"
	}
	return nameRemedy(err)
}

func (e *strange) remedy() string {
	switch e.status {
	case http.StatusOK:
		return "that is no OTP service: verify the path in otp_service_url, SafeNet's is " + ServicePath
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return "verify the path in otp_service_url, SafeNet's is " + ServicePath
	case http.StatusUnauthorized, http.StatusForbidden:
		return "have IIS allow anonymous access to the application, and to it from the address of this machine"
	case http.StatusServiceUnavailable:
		return "start the application pool of the OTP service in IIS"
	}
	switch {
	case e.location != "":
		return "write in otp_service_url where the service itself is"
	case e.status >= 500:
		return "read the event log of the TMS; SafeNet's service is at " + ServicePath
	}
	return "verify otp_service_url, and that nothing in between answers"
}

// nameRemedy is how to mend that a certificate is for other names, which it tells: the
// text of crypto/x509 does not when an address was asked for.
func nameRemedy(err error) string {
	wrong, found := errors.AsType[x509.HostnameError](err)
	if !found {
		return ""
	}
	list := namesOf(wrong.Certificate)
	if len(list) == 0 {
		return "give the server a certificate with this name as a subjectAltName; this one has none at all"
	}
	return fmt.Sprintf("write in otp_service_url a name that the certificate has (%s), or give the server a certificate with this name", strings.Join(list, ", "))
}

// remedies are how to mend errors of TLS and of the network. The first that fits counts.
var remedies = []struct {
	mends func(error) bool
	text  string
}{
	{is[x509.UnknownAuthorityError], "set ca_file to the certificate (PEM) of the CA that issued the server's"},
	{is[x509.CertificateInvalidError], "renew the certificate of the server, and verify the clocks of both machines"},
	{is[tls.RecordHeaderError], "the server speaks no TLS on this port: write http://, or the port of https"},
	{isAlert, "the server must speak TLS 1.2 or later; put a proxy that does before one that cannot"},
	{is[*net.DNSError], "verify the name in otp_service_url, and the DNS of this machine"},
	{wraps(syscall.ECONNREFUSED), "nothing listens there: verify otp_service_url, and that IIS runs"},
	{wraps(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE), "the server broke off: verify in otp_service_url whether it speaks http or https there, and read its event log"},
	{wraps(syscall.EHOSTUNREACH, syscall.ENETUNREACH), unreachable},
	{isLate, unreachable},
}

const unreachable = "verify otp_service_url, the firewall, and that the TMS runs"

func is[E error](err error) bool {
	_, found := errors.AsType[E](err)
	return found
}

func wraps(causes ...error) func(error) bool {
	return func(err error) bool {
		return slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(err, cause) })
	}
}

// isAlert finds an error of TLS that has no type of its own.
func isAlert(err error) bool { return strings.Contains(err.Error(), "tls: ") }

func isLate(err error) bool {
	slow, found := errors.AsType[net.Error](err)
	return is[*timeoutError](err) || found && slow.Timeout()
}
