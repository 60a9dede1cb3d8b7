package enrol

import (
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxAddress is the longest mail address in bytes (RFC 5321 section 4.5.3.1.3).
const maxAddress = 254

// parseAddress is a mail address as it was typed, without a name. ok is false when
// it is none.
func parseAddress(text string) (address string, ok bool) {
	text = strings.TrimSpace(text)
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || len(text) > maxAddress {
		return "", false
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || strings.IndexByte(`"<>(),;:\`, c) >= 0 {
			return "", false
		}
	}
	return text, strings.Count(text, "@") == 1
}

// anyDomain among the domains of addresses stands for all.
const anyDomain = "*"

// mayEnter reports whether users may enter an address.
func (s *Settings) mayEnter(address string) bool {
	_, domain, _ := strings.Cut(address, "@")
	return slices.ContainsFunc(s.Domains, func(d string) bool { return d == anyDomain || strings.EqualFold(d, domain) })
}

// maxDomain is how much of a domain is shown, in bytes.
const maxDomain = 48

// shorten is the end of a domain that is too long to be shown.
func shorten(domain string) string {
	if len(domain) <= maxDomain {
		return domain
	}
	return "..." + strings.ToValidUTF8(domain[len(domain)-maxDomain:], "")
}

// mask is an address that its owner knows again: a...e@example.com.
func mask(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	_, first := utf8.DecodeRuneInString(local)
	_, last := utf8.DecodeLastRuneInString(local)
	shown := local[:first] + "..."
	if utf8.RuneCountInString(local) > 2 {
		shown += local[len(local)-last:]
	}
	return shown + "@" + shorten(domain)
}
