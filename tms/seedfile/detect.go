package seedfile

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

var (
	errEmpty   = errors.New("the file is empty")
	errUnknown = errors.New("the format of the file is not known: say which it is. A DIGIPASS export file (.dpx) cannot be read, only the proprietary library of OneSpan does")
)

// strangers are the first bytes of files that are no seed files, or none that can be
// read, and what to do about them.
var strangers = []struct{ mark, advice string }{
	{"PK\x03\x04", "this is a zip archive or an Excel workbook (.xlsx): unpack it, or save the sheet as CSV"},
	{"\xd0\xcf\x11\xe0", "this is an old Office document (.xls): save the sheet as CSV"},
	{"\x1f\x8b", "this is compressed with gzip: unpack it first"},
	{"7z\xbc\xaf", "this is a 7-Zip archive: unpack it first"},
	{"%PDF", "this is a PDF document: ask for the seed file itself"},
	{"SQLite format 3", "this is a SQLite database: write the rows as CSV"},
	{"-----BEGIN PGP", "this is encrypted with PGP: decrypt it with gpg first"},
	{"-----BEGIN", "this is a certificate or key: no seeds are in it"},
}

// newParser makes the parser of a format.
func newParser(format Format, text *bufio.Reader, o Options) (parser, error) {
	if _, err := text.Peek(1); err != nil {
		return nil, errEmpty
	}
	if o.AssignColumn != "" && !hasColumns(format) {
		return nil, fmt.Errorf("column %.40q for the user: a file of format %s has no columns", o.AssignColumn, format)
	}
	return newParserOf(format, text, o)
}

func newParserOf(format Format, text *bufio.Reader, o Options) (parser, error) {
	switch format {
	case PSKC:
		return newPSKC(text, o)
	case SafeNetXML:
		return newSafeNetXML(text), nil
	case SafeNetDAT:
		return newSafeNetDAT(text), nil
	case OATHCSV:
		return newOATH(text, o, false)
	case YubicoCSV:
		return newYubico(text, o)
	case EntraCSV:
		return newEntra(text, o)
	case FreeRADIUS:
		return newFreeRADIUS(text, o)
	case PrivacyIDEA, LinOTP:
		return newServerParser(format, text, o)
	}
	return nil, fmt.Errorf("unknown format %.40q: it must be one of %v", string(format), Formats)
}

// newServerParser reads what another server hands out, in its own or other formats.
func newServerParser(server Format, text *bufio.Reader, o Options) (parser, error) {
	format, err := detect(text)
	switch {
	case err != nil:
		return nil, err
	case format == PrivacyIDEA:
		return newPrivacyIDEA(text, o)
	case server == LinOTP && format == OATHCSV:
		return newLinOTP(text, o)
	case format == LinOTP:
		return nil, errLinOTP
	}
	return newParser(format, text, o)
}

func hasColumns(format Format) bool {
	return format != PSKC && format != SafeNetXML && format != SafeNetDAT
}

// detect finds the format of a file by its beginning, of which it uses up nothing. The
// error says what the file is instead, if that is known.
func detect(text *bufio.Reader) (Format, error) {
	start, _ := text.Peek(maxLine)
	trimmed := bytes.TrimSpace(start)
	if len(trimmed) == 0 {
		return "", errEmpty
	}
	for _, s := range strangers {
		if bytes.HasPrefix(start, []byte(s.mark)) {
			return "", errors.New(s.advice)
		}
	}
	switch {
	case bytes.IndexByte(start, 0) >= 0:
		return "", errors.New("this is no text file, and so no seed file")
	case trimmed[0] == '<':
		return detectXML(trimmed)
	case linotpOwn(start, nil):
		return "", errLinOTP
	case privacyIDEAKind(string(start)) != "":
		return PrivacyIDEA, nil
	}
	return detectLines(start)
}

// detectXML looks for the first element.
func detectXML(start []byte) (Format, error) {
	decoder := xml.NewDecoder(bytes.NewReader(start))
	decoder.CharsetReader = pskcCharset
	for {
		part, err := decoder.RawToken()
		if err != nil {
			return "", errors.New("this begins as XML, but has no element that can be read")
		}
		e, ok := part.(xml.StartElement)
		if !ok {
			continue
		}
		switch name := e.Name.Local; {
		case strings.EqualFold(name, "KeyContainer"):
			return PSKC, nil
		case name == "Tokens":
			return SafeNetXML, nil
		case strings.EqualFold(name, "html"):
			return "", errors.New("this is a web page: download the seed file itself")
		default:
			return "", fmt.Errorf("this is XML that begins with %.40q: a PSKC file begins with KeyContainer, one of SafeNet with Tokens", name)
		}
	}
}

// detectLines looks at one line after another until one tells. A file of comments only
// has no tokens in any format.
func detectLines(start []byte) (Format, error) {
	comments, vasco := true, false
	for line := range bytes.Lines(start) {
		text := string(bytes.TrimSpace(line))
		if text == "" || text[0] == '#' {
			continue
		}
		comments = false
		if format, err := detectLine(string(line)); format != "" || err != nil {
			return format, err
		}
		vasco = vasco || looksDPX(text)
	}
	switch {
	case comments:
		return SafeNetDAT, nil
	case vasco:
		return "", errDPX
	}
	return "", errUnknown
}

// detectLine is the format of which a line can be, "" when it tells nothing.
func detectLine(line string) (Format, error) {
	key, _, _ := strings.Cut(line, ":")
	lower := strings.ToLower(strings.TrimSpace(key))
	if lower == "dn" || lower == "objectclass" || strings.HasPrefix(lower, "scc") {
		return SafeNetDAT, nil
	}
	if looksUsers(line) {
		return FreeRADIUS, nil
	}
	r := rows{lines: lines{whole: true}, comma: separator([]byte(line))}
	if r.split(strings.TrimRight(line, "\r\n")) != nil || len(r.fields) < 2 {
		return "", nil
	}
	return detectRow(&r)
}

func detectRow(r *rows) (Format, error) {
	serial, secret := entraColumns(r.header())
	switch {
	case serial >= 0 && secret >= 0:
		return EntraCSV, nil
	case linotpOwn(nil, r.fields):
		return "", errLinOTP
	case looksRadcheck(r):
		return FreeRADIUS, nil
	case looksYubico(r.fields):
		return YubicoCSV, nil
	case looksPrivacyIDEA(r.fields):
		return PrivacyIDEA, nil
	case looksOATH(r.fields):
		return OATHCSV, nil
	}
	return "", nil
}

// errDPX is for a file of VASCO, now OneSpan.
var errDPX = errors.New("this is a DIGIPASS export file (.dpx) of VASCO (OneSpan), which only their proprietary library can decrypt: ask OneSpan for the seeds as PSKC (RFC 6030) or OATH CSV, which they give for tokens of OATH type")

// looksDPX reports whether a line can be of a .dpx file: a text whose values are
// encrypted, under names that are in the clear.
func looksDPX(line string) bool {
	lower := strings.ToLower(line)
	return strings.Contains(lower, "digipass") || strings.Contains(lower, "vasco") || strings.Contains(lower, "dpx")
}
