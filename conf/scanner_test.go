package conf

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestScanPositions(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want positions
	}{
		"empty":           {"", positions{}},
		"only comments":   {"# a = 1\n\n  # [b]\n", positions{}},
		"plain":           {"a = 1\nb=2\n\n c\t= 3 # d = 4\n", positions{"a": 1, "b": 2, "c": 4}},
		"CRLF and BOM":    {"\xef\xbb\xbfa = 1\r\n\r\n[b]\r\nc = 1\r\n", positions{"a": 1, "b": 3, "b.c": 4}},
		"tables":          {"[a]\nb = 1\n[c.d]\ne = 1\n[ a . f ]\ng = 1", positions{"a": 1, "a.b": 2, "c": 3, "c.d": 3, "c.d.e": 4, "a.f": 5, "a.f.g": 6}},
		"table after its": {"[a.b]\nc = 1\n[a]\nd = 1\n", positions{"a": 3, "a.b": 1, "a.b.c": 2, "a.d": 4}},
		"dotted":          {"a.b . c = 1\na.d = 2\n", positions{"a": 1, "a.b": 1, "a.b.c": 1, "a.d": 2}},
		"quoted":          {"\"a b\" = 1\n'c.d'.e = 2\n\"\\u0066\" = 3\n\"\" = 4\n", positions{`"a b"`: 1, `"c.d"`: 2, `"c.d".e`: 2, "f": 3, `""`: 4}},
		"arrays of tables": {"[[a]]\nb = 1\n[[a]]\n\nb = 2\n[a.c]\nd = 1\n[[a.e]]\n[[a.e]]\nf = 1\n", positions{
			"a": 1, "a[0]": 1, "a[0].b": 2, "a[1]": 3, "a[1].b": 5, "a[1].c": 6, "a[1].c.d": 7,
			"a[1].e": 8, "a[1].e[0]": 8, "a[1].e[1]": 9, "a[1].e[1].f": 10}},
		"array of lines": {"a = [ # [b]\n 1,\n\n \"]\", # ,\n [3,\n4], ]\nb = 1\n", positions{
			"a": 1, "a[0]": 2, "a[1]": 4, "a[2]": 5, "a[2][0]": 5, "a[2][1]": 6, "b": 7}},
		"inline tables": {"a = {b = 1, c.d = {e = \"}\"}}\nf = [{g = 1},\n{g = 2}]\n", positions{
			"a": 1, "a.b": 1, "a.c": 1, "a.c.d": 1, "a.c.d.e": 1, "f": 2, "f[0]": 2, "f[0].g": 2, "f[1]": 3, "f[1].g": 3}},
		"strings":      {"a = \"# \\\" b = 1\"\nb = 'c:\\'\nc = \"\"\nd = 1\n", positions{"a": 1, "b": 2, "c": 3, "d": 4}},
		"long strings": {"a = \"\"\"\nb = 1\n\\\"\"\"\"\\\"\"\"\"\nc = '''\nd = 1\\'''\ne = \"\"\"f\"\"\"\"\"\ng = \"\"\"\"\"\"\nh = 1\n", positions{"a": 1, "c": 4, "e": 6, "g": 7, "h": 8}},
		"escaped quotes": {"a = [\"\\\"]\", '\\', 3]\nb = \"\"\"\n\\\"\"\"\nc = 1\n\"\"\"\nd = 1\n", positions{
			"a": 1, "a[0]": 1, "a[1]": 1, "a[2]": 1, "b": 2, "d": 6}},
		"quotes at the end": {"a = [\"\"\"b\"\"\"\"\", \"\"\"\"c\"\"\"\"]\n", positions{"a": 1, "a[0]": 1, "a[1]": 1}},
		"dates":             {"a = 1979-05-27 07:32:00Z\nb = 07:32:00\n", positions{"a": 1, "b": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := scanPositions([]byte(test.text)); !maps.Equal(got, test.want) {
				t.Errorf("of\n%s\ngot  %v\nwant %v", test.text, got, test.want)
			}
		})
	}
}

func TestScanPositionsGivesUpOnDeepNesting(t *testing.T) {
	text := "a = 1\nb = " + strings.Repeat("[", 1<<20)
	found := scanPositions([]byte(text))
	if found["a"] != 1 || found["b"] != 2 || len(found) > maxNesting+3 {
		t.Errorf("found %d positions", len(found))
	}
}

func TestLineOfMissingKey(t *testing.T) {
	found := scanPositions([]byte("a = [1,\n2]\n\n[b.c]\nd = 1\n"))
	for key, want := range map[string]int{"a[1]": 2, "a[7]": 1, "b.c.x": 4, "b.c.d.x[3].y": 5, "x": 1, "": 1, `"x.y"[`: 1} {
		if got := found.line(key); got != want {
			t.Errorf("line(%q) = %d, want %d", key, got, want)
		}
	}
}

// FuzzScanPositions compares with the TOML decoder: for a text that it takes,
// each key and element has a line that the key's name stands on, the one that
// the library has where it has one.
func FuzzScanPositions(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, text string) {
		found := scanPositions([]byte(text))
		lines := strings.Split(text, "\n")
		for key, line := range found {
			if line < 1 || line > len(lines) {
				t.Fatalf("%s is said to be on line %d of %d", key, line, len(lines))
			}
		}
		var tree map[string]toml.Primitive
		library, err := toml.Decode(text, &tree)
		if err != nil {
			return
		}
		c := comparison{t, text, lines, found, &library}
		c.table("", tree)
	})
}

// addCorpus adds the files of testdata/good and testdata/bad.
func addCorpus(f *testing.F) {
	f.Helper()
	for _, folder := range []string{"good", "bad"} {
		names, err := filepath.Glob(filepath.Join("testdata", folder, "*.toml"))
		if err != nil || len(names) == 0 {
			f.Fatalf("%d files, %v", len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
}

// comparison is of found positions with those of the TOML library.
type comparison struct {
	*testing.T
	text    string
	lines   []string
	found   positions
	decoder *toml.MetaData
}

func (c *comparison) table(table string, tree map[string]toml.Primitive) {
	for name, value := range tree {
		key := joinKey(table, name)
		c.key(key, name)
		if want := c.decoderLine(value); want > 0 && c.found[key] != want {
			c.Errorf("%s is on line %d, the library says %d", key, c.found[key], want)
		}
		var inner map[string]toml.Primitive
		if c.decoder.PrimitiveDecode(value, &inner) == nil && inner != nil {
			c.table(key, inner)
			continue
		}
		var list any
		if err := c.decoder.PrimitiveDecode(value, &list); err != nil {
			c.Fatal(err)
		}
		c.elements(key, list)
	}
}

// elements looks at what the library has no lines of: the elements of arrays.
func (c *comparison) elements(key string, value any) {
	list := reflect.ValueOf(value)
	if tree, ok := value.(map[string]any); ok {
		for name, inner := range tree {
			c.key(joinKey(key, name), name)
			c.elements(joinKey(key, name), inner)
		}
	} else if list.Kind() == reflect.Slice {
		for i := range list.Len() {
			element := joinIndex(key, i)
			c.key(element, "")
			c.elements(element, list.Index(i).Interface())
		}
	}
}

// key demands a line with the name.
func (c *comparison) key(key, name string) {
	line, ok := c.found[key]
	switch {
	case !ok && strings.Count(c.text, "[")+strings.Count(c.text, "{") <= maxNesting:
		c.Errorf("%s was not found", key)
	case ok && !strings.Contains(c.lines[line-1], name) && !strings.Contains(c.lines[line-1], `\`):
		c.Errorf("%s is said to be on line %d: %s", key, line, c.lines[line-1])
	}
}

// refusal refuses to be decoded, and so makes the library tell a line.
type refusal struct{}

func (*refusal) UnmarshalTOML(any) error { return errors.New("refused") }

// decoderLine returns the line that the library has of a value, or 0. Of a
// string of several lines it has the last one.
func (c *comparison) decoderLine(value toml.Primitive) int {
	var refused toml.ParseError
	err := c.decoder.PrimitiveDecode(value, &refusal{})
	if !errors.As(err, &refused) || strings.Contains(c.text, `"""`) || strings.Contains(c.text, `'''`) || strings.Contains(c.text, "[[") {
		return 0
	}
	return refused.Position.Line
}

// FuzzDecode feeds the decoder and the verifier, without the files of secrets.
func FuzzDecode(f *testing.F) {
	addCorpus(f)
	f.Add("radius.auth = ':1812'\nlogin.window = 99\nnas = [{secret_file = 1, name = 'a'}, 2]")
	f.Fuzz(func(t *testing.T, text string) {
		config, report := decode("countersign.toml", []byte(text))
		if config != nil {
			config.verify(report)
			report.run([]Check{wrongRules}, config)
		}
		err := report.err()
		var faults Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("%T is not Faults", err)
		}
		if config == nil && len(faults) != 1 {
			t.Errorf("neither a Config nor one fault, but %v", faults)
		}
		verifyFaults(t, faults, 1+strings.Count(text, "\n"))
	})
}

// verifyFaults demands faults that are whole and in the order of lines.
func verifyFaults(t *testing.T, faults Faults, lines int) {
	previous := 1
	for _, fault := range faults {
		if fault.Line < previous || fault.Line > lines || fault.Problem == "" || fault.Remedy == "" {
			t.Errorf("bad fault %+v", fault)
		}
		previous = fault.Line
	}
}
