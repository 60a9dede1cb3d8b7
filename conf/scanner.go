package conf

import (
	"bytes"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxNesting is how deep scanPositions follows arrays and inline tables into
// each other. What is deeper has no positions of its own.
const maxNesting = 64

// scanPositions finds the line of each key and array element of a TOML text. It
// is meant for text that the TOML library took; of any other text it finds what
// it can. Of a key that occurs more than once the last line counts.
func scanPositions(text []byte) positions {
	s := &scanner{text: text, line: 1, found: positions{}, tables: map[string]int{}}
	s.skipByteOrderMark()
	table := ""
	for s.skipBlank(); !s.atEnd(); s.skipBlank() {
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.setting(table, 0)
		}
		s.skipTo("\n")
	}
	return s.found
}

// scanner walks through a TOML text, byte by byte.
type scanner struct {
	text   []byte
	at     int            // the next byte
	line   int            // its line
	found  positions      // what was found so far
	tables map[string]int // how many [[tables]] of each key were seen
}

func (s *scanner) atEnd() bool { return s.at >= len(s.text) }

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.atEnd() {
		return 0
	}
	return s.text[s.at]
}

// next steps over the next byte and returns it, 0 at the end.
func (s *scanner) next() byte {
	c := s.peek()
	if c == '\n' {
		s.line++
	}
	s.at = min(s.at+1, len(s.text))
	return c
}

// accept steps over prefix if it comes next.
func (s *scanner) accept(prefix string) bool {
	if !bytes.HasPrefix(s.text[s.at:], []byte(prefix)) {
		return false
	}
	s.at += len(prefix) // no prefix holds a newline
	return true
}

// skipByteOrderMark steps over what the TOML library steps over too.
func (s *scanner) skipByteOrderMark() {
	_ = s.accept("\xef\xbb\xbf") || s.accept("\xff\xfe") || s.accept("\xfe\xff")
}

// skipTo stops before the next of the bytes in stops, or at the end.
func (s *scanner) skipTo(stops string) {
	for !s.atEnd() && strings.IndexByte(stops, s.peek()) < 0 {
		s.next()
	}
}

// skipSpaces steps over white space within a line.
func (s *scanner) skipSpaces() {
	for !s.atEnd() && strings.IndexByte(" \t\r", s.peek()) >= 0 {
		s.next()
	}
}

// skipBlank steps over white space, newlines and comments.
func (s *scanner) skipBlank() {
	for !s.atEnd() {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.next()
		case '#':
			s.skipTo("\n")
		default:
			return
		}
	}
}

// lastOf turns the key of an array of tables into that of its last table.
func (s *scanner) lastOf(key string) string {
	if n := s.tables[key]; n > 0 {
		return joinIndex(key, n-1)
	}
	return key
}

// within returns the key that a dotted name has within table. The tables in the
// name are noted on this line unless they have one.
func (s *scanner) within(table string, names []string) string {
	last := len(names) - 1
	for _, name := range names[:last] {
		table = s.lastOf(joinKey(table, name))
		if _, ok := s.found[table]; !ok {
			s.found[table] = s.line
		}
	}
	return joinKey(table, names[last])
}

// header reads "[table]" or "[[table]]" and returns the key of the table. Of an
// array of tables the key without index has the line of the first one.
func (s *scanner) header() string {
	s.next()
	array := s.accept("[")
	names := s.names()
	if len(names) == 0 {
		return ""
	}
	key := s.within("", names)
	if !array || s.tables[key] == 0 {
		s.found[key] = s.line
	}
	if array {
		s.tables[key]++
		key = s.lastOf(key)
		s.found[key] = s.line
	}
	return key
}

// setting reads "key = value".
func (s *scanner) setting(table string, depth int) {
	names := s.names()
	if len(names) == 0 {
		return
	}
	key := s.within(table, names)
	s.found[key] = s.line
	if s.accept("=") {
		s.value(key, depth)
	}
}

// names reads a dotted name, and the white space behind it.
func (s *scanner) names() []string {
	var names []string
	for {
		s.skipSpaces()
		name, ok := s.name()
		if !ok {
			return names
		}
		names = append(names, name)
		s.skipSpaces()
		if !s.accept(".") {
			return names
		}
	}
}

// name reads one part of a dotted name, bare or quoted.
func (s *scanner) name() (string, bool) {
	start := s.at
	if c := s.peek(); c == '"' || c == '\'' {
		s.quoted()
		return unquote(string(s.text[start:s.at])), true
	}
	s.skipTo(" \t\r\n.=,#\"'[]{}")
	return string(s.text[start:s.at]), s.at > start
}

// unquote returns the text that a TOML string stands for.
func unquote(literal string) string {
	var text struct{ V string }
	if _, err := toml.Decode("V = "+literal, &text); err != nil {
		return literal
	}
	return text.V
}

// value reads a value and notes what is in it.
func (s *scanner) value(key string, depth int) {
	s.skipSpaces()
	switch c := s.peek(); {
	case depth > maxNesting:
		s.at = len(s.text)
	case c == '"' || c == '\'':
		s.stringValue(c)
	case c == '[':
		s.array(key, depth)
	case c == '{':
		s.inlineTable(key, depth)
	default:
		s.skipTo(",]}#\n")
	}
}

// array reads an array and notes its elements.
func (s *scanner) array(key string, depth int) {
	s.next()
	for index := 0; ; {
		s.skipBlank()
		if s.atEnd() || s.accept("]") {
			return
		}
		if s.accept(",") {
			continue
		}
		start, element := s.at, joinIndex(key, index)
		s.found[element] = s.line
		s.value(element, depth+1)
		if s.at == start {
			return // not TOML
		}
		index++
	}
}

// inlineTable reads an inline table and notes its keys.
func (s *scanner) inlineTable(key string, depth int) {
	s.next()
	for {
		s.skipBlank()
		if s.atEnd() || s.accept("}") {
			return
		}
		if s.accept(",") {
			continue
		}
		start := s.at
		s.setting(key, depth+1)
		if s.at == start {
			return // not TOML
		}
	}
}

// stringValue reads a string, of one line or of several.
func (s *scanner) stringValue(quote byte) {
	three := strings.Repeat(string(quote), 3)
	if !s.accept(three) {
		s.quoted()
		return
	}
	for !s.atEnd() && !s.accept(three) {
		s.character(quote)
	}
	for range 2 { // so many quotes may stand before the closing three
		s.accept(three[:1])
	}
}

// quoted reads a string of one line.
func (s *scanner) quoted() {
	quote := s.next()
	for !s.atEnd() && s.peek() != '\n' {
		if s.peek() == quote {
			s.next()
			return
		}
		s.character(quote)
	}
}

// character steps over one character of a string, an escaped one as a whole.
func (s *scanner) character(quote byte) {
	if s.next() == '\\' && quote == '"' && s.peek() != '\n' {
		s.next()
	}
}
