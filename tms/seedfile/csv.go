package seedfile

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rows gives the rows of a CSV file, one for each line that is not empty and no
// comment. It is our own reading of RFC 4180, because encoding/csv lets a field go
// over any number of lines, and does not tell that the last line was cut off. Fields
// are separated by commas, unless the first row has none: then by semicolons, as a
// German Excel writes, or tabs, as mysql does.
type rows struct {
	lines
	comma  byte
	fields []string // of the row at hand, without quotes and white space around them
	quoted bool     // the last of them had quotes
}

func newRows(text *bufio.Reader) *rows { return &rows{lines: lines{text: text}} }

// next goes to the next row. A *Fault is about that row; io.EOF is the end.
func (r *rows) next() error {
	for {
		line, err := r.lines.next()
		if err != nil {
			return err
		}
		line = bytes.TrimLeft(line, " ")
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		if !utf8.Valid(line) {
			return r.fault("", "it is not UTF-8: save the file with this encoding")
		}
		if r.comma == 0 {
			r.comma = separator(line)
		}
		return r.split(string(line))
	}
}

// separator is what separates the fields of a row.
func separator(line []byte) byte {
	for _, c := range []byte(",;\t") {
		if bytes.IndexByte(line, c) >= 0 {
			return c
		}
	}
	return ','
}

func (r *rows) split(line string) error {
	r.fields = r.fields[:0]
	for more := true; more; {
		var field string
		trimmed := strings.TrimLeft(line, " ")
		if r.quoted = strings.HasPrefix(trimmed, `"`); r.quoted {
			quoted, rest, closed := unquote(trimmed[1:])
			if !closed && !r.whole {
				return r.cutOff("a quoted field is not closed")
			} else if !closed {
				return r.fault("", "field %d begins with a quote that is not closed on the line", len(r.fields)+1)
			}
			field, line = quoted, rest
			_, line, more = cut(line, r.comma)
		} else {
			field, line, more = cut(line, r.comma)
		}
		r.fields = append(r.fields, strings.TrimSpace(field))
	}
	return nil
}

func cut(s string, sep byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// unquote is what stands before the closing quote, in which two quotes are one, and
// what stands behind it.
func unquote(s string) (field, rest string, closed bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return "", "", false
		}
		b.WriteString(s[:i])
		if rest = s[i+1:]; !strings.HasPrefix(rest, `"`) {
			return b.String(), rest, true
		}
		b.WriteByte('"')
		s = rest[1:]
	}
}

// field is field i of the row at hand, from 0, "" when there is none.
func (r *rows) field(i int) string {
	if i < 0 || i >= len(r.fields) {
		return ""
	}
	return r.fields[i]
}

// short reports whether the row was cut off: it has less than n fields and no line
// end.
func (r *rows) short(n int) bool { return !r.whole && len(r.fields) < n }

// torn reports whether field i may have been cut off: there is no line end behind it,
// nor a quote.
func (r *rows) torn(i int) bool { return !r.whole && !r.quoted && i >= len(r.fields)-1 }

// header is where the columns of a CSV file stand, by their names in small letters
// and with spaces only.
type header map[string]int

// header makes one of the row at hand.
func (r *rows) header() header {
	h := header{}
	for i, name := range r.fields {
		name = columnName(name)
		if _, twice := h[name]; !twice {
			h[name] = i
		}
	}
	return h
}

func columnName(name string) string {
	return strings.NewReplacer("_", " ", "-", " ").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// column is the place of the first of some names of a column, -1 when none is there.
func (h header) column(names ...string) int {
	for _, name := range names {
		if i, ok := h[name]; ok {
			return i
		}
	}
	return -1
}

// userColumn is the column that Options.AssignColumn names, by its name or by its
// number from 1, and otherwise that of the format.
// A column with secrets is refused.
func (h header) userColumn(assign string, otherwise int, secrets ...int) (int, error) {
	if i, ok := h[columnName(assign)]; ok && assign != "" {
		assign = strconv.Itoa(i + 1)
	} else if assign != "" && !allDigits(assign) {
		return 0, fmt.Errorf("the file has no column %.40q for the user: name one of its first line", assign)
	}
	return userColumn(assign, otherwise, secrets...)
}

// userColumn is header.userColumn of a file without a header.
func userColumn(assign string, otherwise int, secrets ...int) (int, error) {
	if assign == "" {
		return otherwise, nil
	}
	number, err := strconv.Atoi(assign)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("column %.40q for the user: the columns of this file have no names, so say its number, from 1", assign)
	}
	if slices.Contains(secrets, number-1) {
		return 0, fmt.Errorf("column %d for the user: there are the seeds", number)
	}
	return number - 1, nil
}
