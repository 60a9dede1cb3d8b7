package safenet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// element is an element of XML with all that is in it. Entities other than the five of
// XML are refused, and so no document can read files or grow.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Inside  []element `xml:",any"`
}

// parseElement reads a document of one element. In one that was a string already, what
// it says of its encoding does not matter.
func parseElement(document []byte, wasString bool) (*element, error) {
	decoder := xml.NewDecoder(bytes.NewReader(document))
	if wasString {
		decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	}
	root := new(element)
	if err := decoder.Decode(root); err != nil {
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(document)) == 0 {
			return nil, errors.New("it is empty")
		}
		return nil, syntaxOf(err)
	}
	for {
		token, err := decoder.Token()
		switch text, isText := token.(xml.CharData); {
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, syntaxOf(err)
		case isText && len(bytes.TrimSpace(text)) == 0:
		default:
			if _, isComment := token.(xml.Comment); !isComment {
				return nil, errors.New("there is more behind the end of the document")
			}
		}
	}
}

// syntaxOf makes an error of one of encoding/xml, without what the document has there.
func syntaxOf(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is no XML: there is no element")
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no XML in line %d", syntax.Line)
	}
	return errors.New("it is no XML that can be read")
}

// at goes down a path of elements in one name space, each of which has to be there once:
// of two, another program may read the other.
func (e *element) at(space string, path ...string) (*element, error) {
	for _, name := range path {
		var found *element
		for i := range e.Inside {
			if e.Inside[i].XMLName != (xml.Name{Space: space, Local: name}) {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("there is more than one %s", name)
			}
			found = &e.Inside[i]
		}
		if found == nil {
			return nil, fmt.Errorf("there is no %s", name)
		}
		e = found
	}
	return e, nil
}

// text is what stands in the element at a path, which holds nothing else.
func (e *element) text(space string, path ...string) (string, error) {
	found, err := e.at(space, path...)
	if err != nil {
		return "", err
	}
	if len(found.Inside) > 0 {
		return "", fmt.Errorf("there are elements in %s", path[len(path)-1])
	}
	return found.Text, nil
}

// escaped writes text as the captured documents have it.
var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#x000D;", "\n", "&#x000A;")

// writable reports whether XML can have a text (XML 1.0 section 2.2), but for its
// control characters, which no name has.
func writable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return utf8.ValidString(text)
}
