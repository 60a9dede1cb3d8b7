package bsidca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
)

// proxyConnect is the Op of the net.OpError of net/http when a proxy cannot be reached.
const proxyConnect = "proxyconnect"

// hints say what to do about errors of the network, of TLS, and of other services. The
// first that fits counts.
var hints = []struct {
	fits func(error) bool
	text string
}{
	{isOfProxy, "that is the proxy: correct HTTPS_PROXY, or have NO_PROXY name the service"},
	{is[*net.DNSError], "verify the name in the URL, and the DNS of this machine"},
	{is[x509.HostnameError], "write in the URL a name that the certificate has, or verify that this is the service"},
	{is[x509.CertificateInvalidError], "verify the clock of this machine; if it is right, the service needs another certificate"},
	{is[tls.RecordHeaderError], noTLS},
	{wraps(http.ErrSchemeMismatch), noTLS},
	{wraps(syscall.ECONNREFUSED), "nothing listens there: verify the URL"},
	{wraps(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE), "the service broke off, or something on the way did: verify the URL, and try again later"},
	{wraps(syscall.EHOSTUNREACH, syscall.ENETUNREACH), unreachable},
	{isLate, unreachable},
	{isOfCaller, "is this the URL of BSIDCA.asmx?"},
}

const noTLS = "nobody speaks TLS at this port: verify the URL"

const unreachable = "verify the URL and the firewall; where a proxy is needed, set HTTPS_PROXY"

// hint is what to do about an error, or empty.
func hint(err error) string {
	for _, h := range hints {
		if h.fits(err) {
			return h.text
		}
	}
	return ""
}

func is[E error](err error) bool {
	_, found := errors.AsType[E](err)
	return found
}

func wraps(causes ...error) func(error) bool {
	return func(err error) bool {
		return slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(err, cause) })
	}
}

func isOfProxy(err error) bool {
	failed, found := errors.AsType[*net.OpError](err)
	return found && failed.Op == proxyConnect
}

func isLate(err error) bool {
	slow, found := errors.AsType[net.Error](err)
	return found && slow.Timeout()
}

// isOfCaller finds a fault that blames the request (SOAP 1.1 section 4.4.1): ours are as
// BSIDCA wants them, and so it is not BSIDCA.
func isOfCaller(err error) bool {
	found, ok := errors.AsType[*fault](err)
	return ok && strings.HasSuffix(found.code, "Client")
}
