package mail

import (
	"errors"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns is how wide the text of a mail is: a line of it is one of quoted-printable.
const columns = 72

const (
	maxAddress   = 254 // bytes, RFC 5321 section 4.5.3.1.3 without <>
	maxLocalPart = 64  // bytes, RFC 5321 section 4.5.3.1.1
)

// isText reports whether s is UTF-8 without anything that ends a line, controls a
// device, or shows text in another order than it is written in.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// checkAddress verifies a bare address, as alice@example.com. It may have letters
// of any script (RFC 6531); quoted local parts are not taken.
func checkAddress(address string) error {
	at := strings.LastIndexByte(address, '@')
	if !isText(address) || strings.ContainsAny(address, " <>\"(),:;\\") || len(address) > maxAddress || at > maxLocalPart {
		return errors.New("it is no mail address")
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return errors.New("it is no mail address")
	}
	return nil
}

// checkURL verifies a link that people are to follow.
func checkURL(link string) error {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(link, " <>\"") {
		return errors.New("it is no link of http or https") // and may be secret
	}
	return nil
}

// wrap breaks lines at spaces. What follows the number of a list goes on behind it.
// Lines that begin with a space are for copying and stay whole, as long words do. Of
// several empty lines one stays.
func wrap(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, " \t")
		if line == "" && len(out) > 0 && out[len(out)-1] == "" {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			line = wrapLine(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func wrapLine(line string) string {
	var out strings.Builder
	indent, column := "", 0
	for i, word := range strings.Fields(line) {
		switch width := utf8.RuneCountInString(word); {
		case i == 0:
			column = width
			if strings.Trim(word, "0123456789") == "." {
				indent = strings.Repeat(" ", width+1)
			}
		case column+1+width > columns:
			out.WriteString("\n" + indent)
			column = len(indent) + width
		default:
			out.WriteByte(' ')
			column += 1 + width
		}
		out.WriteString(word)
	}
	return out.String()
}
