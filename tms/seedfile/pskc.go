package seedfile

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxPackage is how many bytes of a PSKC file there may be for one key package, or
// for what stands before the first one.
const maxPackage = 1 << 20

var errLongPackage = fmt.Errorf("there are more than %d bytes without a token, which no PSKC file has", maxPackage)

// bounded is a text of which no part may be longer than it should.
type bounded struct {
	*bufio.Reader
	left int
}

// ReadByte is all that an XML decoder uses.
func (b *bounded) ReadByte() (byte, error) {
	if b.left--; b.left < 0 {
		return 0, errLongPackage
	}
	return b.Reader.ReadByte()
}

// Read is what a CharsetReader uses.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongPackage
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// pskcParser reads a PSKC file (RFC 6030), one key package after another.
type pskcParser struct {
	text   *bounded
	names  *pskcNames // of text
	xml    *xml.Decoder
	header pskcHeader
	vault  *pskcVault
	start  *xml.StartElement // of the package that was reached, nil when all were read
	line   int               // where it begins
	keys   []*pskcKey        // of the package that was read, that were not handed out yet
}

// newPSKC reads up to the first key package. What is missing or wrong to decrypt the
// file, it says at once.
func newPSKC(r *bufio.Reader, o Options) (parser, error) {
	p := &pskcParser{text: &bounded{Reader: r, left: maxPackage}}
	p.names = &pskcNames{raw: xml.NewDecoder(p.text)}
	p.names.raw.CharsetReader = pskcCharset
	p.xml = xml.NewTokenDecoder(p.names)
	err := p.openContainer()
	if err == nil {
		err = p.reachPackage()
	}
	if err != nil {
		return nil, p.broken(err)
	}
	if p.vault, err = newPSKCVault(&p.header, o); err != nil {
		return nil, fmt.Errorf("line %d: %w", max(p.header.line, 1), err)
	}
	return p, nil
}

// openContainer reads the start of the root element.
func (p *pskcParser) openContainer() error {
	root, err := p.element()
	if err != nil {
		return err
	}
	if root == nil || root.Name.Local != "KeyContainer" {
		return errors.New("this is no PSKC file: its root element must be KeyContainer")
	}
	if version := attribute(root, "Version"); version != "" && version != "1" && !strings.HasPrefix(version, "1.") {
		return fmt.Errorf("PSKC version %.20q: only version 1.0 is known", version)
	}
	return nil
}

// element is the start of the next element on this level, nil at its end.
func (p *pskcParser) element() (*xml.StartElement, error) {
	for {
		p.line = p.names.line()
		token, err := p.xml.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.Directive:
			return nil, errors.New("a document type or an entity is declared, which no seed file needs")
		}
	}
}

// reachPackage reads the header, as far as it goes, and up to the start of the next
// key package.
func (p *pskcParser) reachPackage() error {
	for {
		start, err := p.element()
		if err != nil {
			return err
		}
		p.start = start
		if start == nil {
			return p.closeContainer()
		}
		switch name := start.Name.Local; {
		case name == "KeyPackage" || name == "Device":
			return nil
		case p.vault == nil:
			err = p.header.read(p.xml, start, p.line)
		default:
			err = p.xml.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// closeContainer sees to it that nothing follows.
func (p *pskcParser) closeContainer() error {
	start, err := p.element()
	if err == nil && start != nil {
		return fmt.Errorf("an element %.40q stands behind the end of the KeyContainer", start.Name.Local)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (p *pskcParser) next() (*Token, error) {
	for len(p.keys) == 0 {
		if p.start == nil {
			return nil, io.EOF
		}
		if err := p.readPackage(); err != nil {
			return nil, p.broken(err)
		}
	}
	key := p.keys[0]
	p.keys = p.keys[1:]
	return key.token(p.vault)
}

// readPackage reads the package that was reached, and up to the next.
func (p *pskcParser) readPackage() error {
	var pack pskcPackage
	p.names.lines = p.names.lines[:0]
	if err := p.xml.DecodeElement(&pack, p.start); err != nil {
		return err
	}
	p.keys = pack.own(p.line, p.names.lines)
	p.text.left = maxPackage
	return p.reachPackage()
}

// broken says where the file cannot be read further.
func (p *pskcParser) broken(err error) error {
	line := p.names.line()
	if syntax := (*xml.SyntaxError)(nil); errors.As(err, &syntax) {
		switch {
		case syntax.Msg == "unexpected EOF":
			return fmt.Errorf("line %d: the file ends in the middle: it was cut off", line)
		case strings.Contains(syntax.Msg, "entity"): // its name may be part of a seed
			return fmt.Errorf("line %d: there is an & that begins no entity that XML knows", line)
		}
		return fmt.Errorf("line %d: %s", line, syntax.Msg)
	}
	if err == io.EOF {
		err = errors.New("the file ends before it has begun")
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// attribute is an attribute by its local name.
func attribute(e *xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}
