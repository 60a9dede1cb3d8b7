package seedfile

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// pskcCharset is the CharsetReader of XML decoders: the file says itself what it is
// written in.
func pskcCharset(name string, text io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "utf8", "us-ascii", "ascii", "utf-16": // newText has done what there was to do
		return text, nil
	case "iso-8859-1", "latin1":
		return &latin1Reader{text: text}, nil
	}
	return nil, fmt.Errorf("the character set %.20q is not known: save the file as UTF-8", name)
}

// latin1Reader turns ISO 8859-1 into UTF-8.
type latin1Reader struct {
	text   io.Reader
	byte   [1]byte
	second bool // byte is the second one of a character whose first was given out
}

// ReadByte is all that an XML decoder uses.
func (l *latin1Reader) ReadByte() (byte, error) {
	if l.second {
		l.second = false
		return l.byte[0], nil
	}
	if _, err := io.ReadFull(l.text, l.byte[:]); err != nil {
		return 0, err
	}
	c := l.byte[0]
	if c < utf8.RuneSelf {
		return c, nil
	}
	l.byte[0], l.second = 0x80|c&0x3f, true
	return 0xc0 | c>>6, nil
}

func (l *latin1Reader) Read(p []byte) (int, error) {
	for i := range p {
		b, err := l.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}
