package seedfile

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// safenetXML reads the XML of Aladdin and SafeNet: Tokens of Token with a serial, each
// with Applications of Application with Seed and MovingFactor. Names are taken as they
// are, without their name spaces. The tokens are event tokens with 6 digits; a seed of
// 64 hexadecimal digits goes with SHA-256. Of several applications with a seed the last
// one counts.
type safenetXML struct {
	text  *bounded
	xml   *xml.Decoder
	path  []string // of the open elements
	begun bool     // there was an element
	found xmlToken // what is known of the open Token
}

// xmlToken is what a Token element says.
type xmlToken struct {
	line         int
	serial       string
	seed, factor []byte // of the last application that has a seed
	application  struct{ seed, factor []byte }
}

// maxDepth is how deep the elements of a file may be nested.
const maxDepth = 16

func newSafeNetXML(text *bufio.Reader) *safenetXML {
	p := &safenetXML{text: &bounded{Reader: text, left: maxPackage}}
	p.xml = xml.NewDecoder(p.text)
	p.xml.CharsetReader = pskcCharset
	return p
}

func (p *safenetXML) next() (*Token, error) {
	p.text.left = maxPackage
	for {
		part, err := p.xml.RawToken()
		if err != nil {
			return nil, p.broken(err)
		}
		switch part := part.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("line %d: a document type is not accepted in a seed file", p.line())
		case xml.StartElement:
			err = p.open(part)
		case xml.CharData:
			p.value(part)
		case xml.EndElement:
			whole := p.at(tokenPath)
			if err = p.close(part.Name.Local); err == nil && whole {
				return p.token()
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *safenetXML) line() int {
	line, _ := p.xml.InputPos()
	return line
}

// broken says where the XML is broken. The decoder's own words may have a piece of the
// file in them.
func (p *safenetXML) broken(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, io.EOF) && len(p.path) == 0 && p.begun:
		return io.EOF
	case errors.Is(err, io.EOF) && !p.begun:
		return fmt.Errorf("line %d: the file has no element Tokens", p.line())
	case errors.Is(err, io.EOF), errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF"):
		return fmt.Errorf("line %d: the file ends in the middle: it was cut off", p.line())
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: this is no well-formed XML", syntax.Line)
	}
	return fmt.Errorf("reading line %d: %w", p.line(), err)
}

func (p *safenetXML) open(e xml.StartElement) error {
	if len(p.path) == 0 && e.Name.Local != "Tokens" {
		return fmt.Errorf("line %d: the file begins with %.40q, not with Tokens", p.line(), e.Name.Local)
	}
	if len(p.path) == maxDepth {
		return fmt.Errorf("line %d: elements are nested too deeply", p.line())
	}
	p.path, p.begun = append(p.path, strings.Clone(e.Name.Local)), true
	switch {
	case p.at(tokenPath):
		p.found = xmlToken{line: p.line()}
		for _, a := range e.Attr {
			if a.Name.Local == "serial" {
				p.found.serial = strings.TrimSpace(a.Value)
			}
		}
	case p.at(applicationPath):
		p.found.application.seed, p.found.application.factor = nil, nil
	}
	return nil
}

// The elements that count, by those that they stand in.
var (
	tokenPath       = []string{"Tokens", "Token"}
	applicationPath = []string{"Tokens", "Token", "Applications", "Application"}
	seedPath        = append(slices.Clip(applicationPath), "Seed")
	factorPath      = append(slices.Clip(applicationPath), "MovingFactor")
)

// at reports whether the innermost open element is the one of this path.
func (p *safenetXML) at(path []string) bool { return slices.Equal(p.path, path) }

// maxValue is how much is kept of a value, in bytes: twice what the longest seed has.
const maxValue = 2 * 2 * maxSeed

func (p *safenetXML) value(text []byte) {
	a := &p.found.application
	switch {
	case p.at(seedPath):
		a.seed = appendValue(a.seed, text)
	case p.at(factorPath):
		a.factor = appendValue(a.factor, text)
	}
}

// appendValue appends to a value until it is longer than maxValue.
func appendValue(value, text []byte) []byte {
	room := max(0, maxValue+1-len(value))
	return append(value, text[:min(len(text), room)]...)
}

func (p *safenetXML) close(name string) error {
	last := len(p.path) - 1
	if last < 0 || p.path[last] != name {
		return fmt.Errorf("line %d: this is no well-formed XML", p.line())
	}
	if a := &p.found.application; p.at(applicationPath) && len(bytes.TrimSpace(a.seed)) > 0 {
		p.found.seed, p.found.factor = a.seed, a.factor
	}
	p.path = p.path[:last]
	return nil
}

func (p *safenetXML) token() (*Token, error) {
	f := &p.found
	seed := string(bytes.TrimSpace(f.seed))
	switch {
	case badSerial(f.serial) != "":
		return nil, &Fault{Line: f.line, Reason: badSerial(f.serial)}
	case seed == "":
		return nil, &Fault{Line: f.line, Serial: f.serial, Reason: "the token has no seed"}
	case len(f.seed) > maxValue || len(f.factor) > maxValue:
		return nil, &Fault{Line: f.line, Serial: f.serial, Reason: fmt.Sprintf("its Seed or MovingFactor is longer than %d bytes", maxValue)}
	}
	t := newToken(f.line, f.serial, otp.HOTP)
	var err error
	if t.Seed, err = oath.ParseSeedHex(seed); err == nil {
		err = t.setCounter(string(bytes.TrimSpace(f.factor)))
	}
	if err != nil {
		return nil, &Fault{Line: f.line, Serial: f.serial, Reason: err.Error()}
	}
	if t.Seed.Len() == 32 {
		t.Algorithm = oath.SHA256
	}
	return t, nil
}
