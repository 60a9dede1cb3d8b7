package packet

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"layeh.com/radius/dictionary"
)

// Opener opens the dictionary file of a name, as os.Open does.
type Opener func(name string) (io.ReadCloser, error)

// What a dictionary may cost to read.
const (
	maxDictionaryFile  = 1 << 20 // octets
	maxDictionaryFiles = 1000    // FreeRADIUS's own dictionary has 230
)

// Load adds the attributes of a dictionary file in the format of FreeRADIUS, and
// of those it includes: "$INCLUDE name" is relative to the folder of the file it
// is in, and "$INCLUDE- name" may fail. A file may add attributes to vendors that
// the dictionary knows already. What it defines anew takes the place of what was
// there before.
//
// What newer versions of FreeRADIUS have and Countersign cannot write (attributes
// within attributes, types and flags of their own) is passed over, and Encode
// says so when it is asked for one. Anything else is an error that names the file
// and the line; the dictionary is then as it was.
func (d *Dictionary) Load(name string, open Opener) error {
	l := &loader{
		open:       open,
		vendors:    make(map[string]*vendor),
		declared:   make(map[string]bool),
		unwritable: make(map[string]string),
		secret:     make(map[string]bool),
	}
	for key, v := range d.vendors {
		l.vendors[key] = v
	}
	err := l.read(name, nil)
	if err == nil && len(l.blocks) > 0 {
		open := l.blocks[len(l.blocks)-1]
		err = fmt.Errorf("%s: %s %s is missing at the end", name, open.keyword, open.name)
	}
	if err != nil {
		return fmt.Errorf("reading dictionary %w", err)
	}
	parsed, err := l.parse()
	if err != nil {
		return fmt.Errorf("reading dictionary %w", err)
	}
	d.merge(parsed, l)
	return nil
}

// loader gathers the lines of a dictionary file and of those it includes, as
// layeh's parser understands them.
type loader struct {
	dialect
	open       Opener
	files      int
	lines      strings.Builder
	positions  []position         // of each line
	vendors    map[string]*vendor // by name in lower case; aliases too
	declared   map[string]bool    // the vendors that lines has a VENDOR line of, by name
	unwritable map[string]string  // as in Dictionary
	secret     map[string]bool    // the attributes whose values are not to be shown, by name in lower case
}

// position is a line of a file.
type position struct {
	file string
	line int
}

func (p position) String() string { return p.file + ":" + strconv.Itoa(p.line) }

// read adds the lines of a file. Including names the files that are being read.
func (l *loader) read(name string, including []string) error {
	if slices.Contains(including, name) {
		return fmt.Errorf("%s: it includes itself; remove the $INCLUDE", name)
	}
	if l.files++; l.files > maxDictionaryFiles {
		return fmt.Errorf("%s: more than %d files are included; include fewer", name, maxDictionaryFiles)
	}
	text, err := l.text(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func(internal bool) { l.internal = internal }(l.internal)
	at := position{file: name}
	including = append(including, name)
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		at.line++
		if err := l.line(at, line, including); err != nil {
			return err
		}
	}
	return nil
}

// text returns what is in a file.
func (l *loader) text(name string) (string, error) {
	file, err := l.open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxDictionaryFile+1))
	if err == nil && len(text) > maxDictionaryFile {
		err = fmt.Errorf("it has more than %d bytes; take only what is needed of it", maxDictionaryFile)
	}
	return string(text), err
}

// line adds one line.
func (l *loader) line(at position, line string, including []string) error {
	line, _, _ = strings.Cut(line, "#")
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return nil
	}
	keyword := strings.ToUpper(fields[0])
	if keyword == "$INCLUDE" || keyword == "$INCLUDE-" {
		return l.include(at, keyword == "$INCLUDE-", fields[1:], including)
	}
	if err := l.translate(at, keyword, fields[1:]); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// include reads the file of an $INCLUDE.
func (l *loader) include(at position, optional bool, names, including []string) error {
	if len(names) != 1 {
		return fmt.Errorf("%s: $INCLUDE needs the name of a file, one without spaces", at)
	}
	name := names[0]
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(at.file), name)
	}
	if optional {
		file, err := l.open(name)
		if err != nil {
			return nil
		}
		file.Close()
	}
	if err := l.read(name, including); err != nil {
		return fmt.Errorf("%w (included by %s)", err, at)
	}
	return nil
}

// emit adds a line for the parser.
func (l *loader) emit(at position, fields ...string) {
	l.lines.WriteString(strings.Join(fields, " ") + "\n")
	l.positions = append(l.positions, at)
}

// parse has layeh's parser read the lines.
func (l *loader) parse() (*dictionary.Dictionary, error) {
	parser := dictionary.Parser{IgnoreIdenticalAttributes: true}
	parsed, err := parser.Parse(dictionaryText{strings.NewReader(l.lines.String())})
	var fault *dictionary.ParseError
	if !errors.As(err, &fault) || fault.Line < 1 || fault.Line > len(l.positions) {
		return parsed, err
	}
	at := l.positions[fault.Line-1]
	var duplicate *dictionary.DuplicateAttributeError
	if errors.As(err, &duplicate) {
		return nil, fmt.Errorf("%s: attribute %s is defined for the second time, and differently; remove one", at, duplicate.Attribute.Name)
	}
	return nil, fmt.Errorf("%s: %w", at, fault.Inner)
}

// dictionaryText is text in the shape of a file, which layeh's parser wants.
type dictionaryText struct{ *strings.Reader }

func (dictionaryText) Name() string { return "" }
func (dictionaryText) Close() error { return nil }

// merge adds what a file has. Of several attributes with one number the last
// names it in Format.
func (d *Dictionary) merge(parsed *dictionary.Dictionary, l *loader) {
	for name, why := range l.unwritable {
		d.unwritable[name] = why
	}
	d.vendors = l.vendors
	d.add(parsed.Attributes, parsed.Values, nil, l.secret)
	for _, v := range parsed.Vendors {
		d.add(v.Attributes, v.Values, l.vendors[strings.ToLower(v.Name)], l.secret)
	}
}

func (d *Dictionary) add(attributes []*dictionary.Attribute, values []*dictionary.Value, v *vendor, secret map[string]bool) {
	for _, a := range attributes {
		key := strings.ToLower(a.Name)
		def := &definition{Attribute: a, number: number{attribute: uint32(a.OID[0])}, vendor: v, secret: secret[key]}
		if v != nil {
			def.number.vendor = v.number
		}
		d.byName[key] = def
		d.byNumber[def.number] = def
		delete(d.unwritable, key)
	}
	for _, value := range values {
		key := strings.ToLower(value.Attribute)
		d.values[key] = append(d.values[key], value)
	}
}
