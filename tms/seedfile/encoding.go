package seedfile

import (
	"bufio"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// newText reads a file as UTF-8 without a byte order mark. With the mark of UTF-16,
// which is what PowerShell and old editors of Windows write, it is converted.
func newText(r io.Reader) *bufio.Reader {
	text := bufio.NewReaderSize(r, maxLine)
	bom, _ := text.Peek(3)
	switch {
	case string(bom) == "\ufeff":
		_, _ = text.Discard(len(bom))
	case len(bom) > 1 && string(bom[:2]) == "\xff\xfe":
		return newUTF16(text, binary.LittleEndian)
	case len(bom) > 1 && string(bom[:2]) == "\xfe\xff":
		return newUTF16(text, binary.BigEndian)
	}
	return text
}

// utf16Reader turns UTF-16 into UTF-8.
type utf16Reader struct {
	text  *bufio.Reader
	order binary.ByteOrder
	utf8  [utf8.UTFMax]byte
	rest  []byte // of utf8, not given yet
}

func newUTF16(text *bufio.Reader, order binary.ByteOrder) *bufio.Reader {
	_, _ = text.Discard(2)
	return bufio.NewReaderSize(&utf16Reader{text: text, order: order}, maxLine)
}

// Read converts one character after another. Half a character at the end is an
// io.ErrUnexpectedEOF.
func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.rest) == 0 {
			r, err := u.character()
			if err != nil {
				return n, err
			}
			u.rest = utf8.AppendRune(u.utf8[:0], r)
		}
		taken := copy(p[n:], u.rest)
		u.rest = u.rest[taken:]
		n += taken
	}
	return n, nil
}

// character is the next one; half of a surrogate pair is U+FFFD.
func (u *utf16Reader) character() (rune, error) {
	r, err := u.unit()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	second, err := u.unit()
	if err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	return utf16.DecodeRune(r, second), nil
}

func (u *utf16Reader) unit() (rune, error) {
	var two [2]byte
	_, err := io.ReadFull(u.text, two[:])
	return rune(u.order.Uint16(two[:])), err
}
