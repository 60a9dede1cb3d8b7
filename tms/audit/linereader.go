package audit

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"io"
)

var errLongLine = fmt.Errorf("it is longer than %d bytes", maxLine)

// lineReader reads lines of bounded length.
type lineReader struct {
	r   *bufio.Reader
	sum hash.Hash // of the lines before; next adds those that are too long
	n   int       // number of the last line
	buf []byte
}

// next returns the next line with its end, which the last may not have. It is valid
// until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if len(l.buf) > maxLine {
			l.n++
			return nil, l.skip(err)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(l.buf) > 0 {
			err = nil
		}
		if err == nil {
			l.n++
		}
		return l.buf, err
	}
}

// skip reads a line that is too long to its end.
func (l *lineReader) skip(err error) error {
	l.sum.Write(l.buf)
	for errors.Is(err, bufio.ErrBufferFull) {
		var part []byte
		part, err = l.r.ReadSlice('\n')
		l.sum.Write(part)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return errLongLine
}
