package seedfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line in bytes; that of a token has some hundred. It is also
// the size of the buffer of every text, and how much of it detect can see.
const maxLine = 64 << 10

// lines gives the lines of a text.
type lines struct {
	text   *bufio.Reader // with a buffer of maxLine
	number int           // of the line at hand, from 1
	whole  bool          // the line at hand has a line end
}

// next is the next line without its end, good until the call after. The end is
// io.EOF; other errors name the line.
func (l *lines) next() ([]byte, error) {
	line, err := l.text.ReadSlice('\n')
	if len(line) == 0 && errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	l.number++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("line %d is longer than %d bytes: this is no seed file", l.number, maxLine)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading line %d: %w", l.number, err)
	case bytes.IndexByte(line, 0) >= 0:
		return nil, fmt.Errorf("line %d is not text: save the file as UTF-8", l.number)
	}
	l.whole = err == nil
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
}

// cutOff is the error of a file that ends in the middle of the line at hand.
func (l *lines) cutOff(missing string) error {
	return fmt.Errorf("line %d: the file ends in the middle of this line: %s. If it was not cut off, end the line with a line end", l.number, missing)
}

// fault is a Fault of the line at hand.
func (l *lines) fault(serial, format string, values ...any) *Fault {
	if looksSecret(serial) {
		serial = "" // the columns are in another order than we think
	}
	return &Fault{Line: l.number, Serial: serial, Reason: fmt.Sprintf(format, values...)}
}
