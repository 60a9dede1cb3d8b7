package conf

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder puts the tree of a TOML text into a Config, as the tags of its fields
// say. What does not fit is reported and left out.
type decoder struct {
	*report
}

// entry is one key of the text, for one field.
type entry struct {
	key   string
	value any // as the TOML library has it: string, int64, []any, map[string]any, ...
	tag   reflect.StructTag
}

// table decodes a table into a struct and the structs embedded in it, and
// reports keys that there is no field for.
func (d *decoder) table(key string, tree map[string]any, into reflect.Value) {
	var known []string
	for _, field := range fieldsOf(into.Type()) {
		name := field.Tag.Get("toml")
		known = append(known, name)
		if value, ok := tree[name]; ok {
			d.entry(entry{joinKey(key, name), value, field.Tag}, into.FieldByIndex(field.Index))
		}
	}
	for name, value := range tree {
		if !slices.Contains(known, name) {
			d.unknown(key, name, value, known)
		}
	}
}

// fieldsOf returns the fields of a table that are keys.
func fieldsOf(table reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(table), func(f reflect.StructField) bool { return f.Anonymous })
}

// entry decodes one key into a field.
func (d *decoder) entry(e entry, into reflect.Value) {
	switch field := into.Addr().Interface().(type) {
	case *Secret:
		d.secret(e, field)
	case *bool:
		d.toggle(e, field)
	case *int:
		d.count(e, field)
	case *Size:
		number(d, e, "a size in bytes or with its unit", parseSize, field)
	case *time.Duration:
		number(d, e, "a duration with its unit", time.ParseDuration, field)
	case *time.Time:
		d.instant(e, field)
	default:
		d.listOrText(e, into)
	}
}

// listOrText decodes a key into a field that is a list, and others.
func (d *decoder) listOrText(e entry, into reflect.Value) {
	switch field := into.Addr().Interface().(type) {
	case *[]netip.AddrPort:
		*field = addresses(d, e, listenAddresses)
	case *[]netip.Prefix:
		*field = addresses(d, e, networks)
	case *[]string:
		*field = d.texts(e)
	case *[]Attribute:
		*field = d.attributes(e)
	default:
		d.textOrTable(e, into)
	}
}

// textOrTable decodes a key into a field of kind string, a level, a struct or a
// list of structs.
func (d *decoder) textOrTable(e entry, into reflect.Value) {
	tree, isTable := e.value.(map[string]any)
	level, isLevel := into.Addr().Interface().(*slog.Level)
	switch {
	case isLevel:
		if text, ok := d.text(e); ok {
			_ = level.UnmarshalText([]byte(text)) // knows each word of oneof
		}
	case into.Kind() == reflect.String:
		if text, ok := d.text(e); ok {
			into.SetString(text)
		}
	case into.Kind() == reflect.Slice:
		d.tables(e, into)
	case isTable:
		d.table(e.key, tree, into)
	default:
		d.mismatch(e, "a table", "write ["+e.key+"] on a line of its own and its keys below")
	}
}

// tables decodes an array of tables, as [[nas]]. An element that is no table
// becomes an element without keys, so that indexes remain those of the file.
func (d *decoder) tables(e entry, into reflect.Value) {
	trees, ok := e.value.([]map[string]any) // written as [[nas]]
	elements, inline := e.value.([]any)     // written as nas = [{...}, {...}]
	for i, element := range elements {
		tree, isTable := element.(map[string]any)
		if !isTable {
			d.mismatch(entry{key: joinIndex(e.key, i), value: element}, "a table", `write {name = "gateway", ...}`)
		}
		trees = append(trees, tree)
	}
	if !ok && !inline {
		d.mismatch(e, "a list of tables", "write [["+e.key+"]], in double brackets, and its keys below")
	}
	for i, tree := range trees {
		element := withoutKeys(into.Type().Elem())
		d.table(joinIndex(e.key, i), tree, element)
		into.Set(reflect.Append(into, element))
	}
}

// withoutKeys returns a new element of an array of tables, with its defaults.
func withoutKeys(element reflect.Type) reflect.Value {
	into := reflect.New(element).Elem()
	switch element := into.Addr().Interface().(type) {
	case *NAS:
		*element = defaultNAS()
	case *Directory:
		*element = defaultDirectory()
	case *Collector:
		*element = defaultCollector()
	case *Syslog:
		*element = defaultSyslog()
	}
	return into
}

// secret decodes a secret. Its value stays out of the faults.
func (d *decoder) secret(e entry, into *Secret) {
	text, ok := e.value.(string)
	if !ok {
		d.add(e.key, "must be a text", "put it in double quotes")
		return
	}
	*into = newSecret([]byte(text))
}

// text returns the text of a key, one of the words of the tag oneof if there is
// such a tag.
func (d *decoder) text(e entry) (string, bool) {
	text, ok := e.value.(string)
	words := e.words()
	switch {
	case len(words) > 0 && !slices.Contains(words, text):
		d.mismatch(e, alternatives(words), "choose one of these, in lower case")
		return "", false
	case !ok:
		d.mismatch(e, "a text", "put it in double quotes")
	}
	return text, ok
}

// words returns the words of the tag oneof.
func (e entry) words() []string {
	words := strings.Fields(e.tag.Get("oneof"))
	for i, word := range words {
		if word == "''" {
			words[i] = ""
		}
	}
	return words
}

// alternatives returns words as a fault tells them: "a", "b" or "c".
func alternatives(words []string) string {
	last := len(words) - 1
	return `"` + strings.Join(words[:last], `", "`) + `" or "` + words[last] + `"`
}

// toggle decodes true or false.
func (d *decoder) toggle(e entry, into *bool) {
	value, ok := e.value.(bool)
	if !ok {
		d.mismatch(e, "true or false", "write one of these, without quotes")
		return
	}
	*into = value
}

// count decodes a whole number within the bounds of the tag.
func (d *decoder) count(e entry, into *int) {
	if _, ok := e.value.(int64); !ok {
		d.mismatch(e, "a whole number", "choose "+e.tag.Get("bounds")+", without quotes")
		return
	}
	number(d, e, "a whole number", strconv.Atoi, into)
}

// number decodes what parse reads from a text or an integer, within the bounds
// of the tag.
func number[T ~int | ~int64](d *decoder, e entry, want string, parse func(string) (T, error), into *T) {
	bounds := e.tag.Get("bounds")
	n, err := parse(fmt.Sprint(e.value))
	if err != nil {
		d.mismatch(e, want, "choose "+bounds+", in double quotes")
		return
	}
	low, high, _ := strings.Cut(bounds, " to ")
	least, errLow := parse(low)
	most, errHigh := parse(high)
	if errLow != nil || errHigh != nil {
		panic("conf: " + e.key + " has the tag bounds:" + strconv.Quote(bounds))
	}
	if n < least || n > most {
		d.add(e.key, show(e.value)+" is out of bounds", "choose "+bounds)
		return
	}
	*into = n
}

// mismatch reports a value that is not what it must be.
func (d *decoder) mismatch(e entry, want, remedy string) {
	d.add(e.key, "must be "+want+", not "+show(e.value), remedy)
}

// show returns a value as a fault tells it.
func show(value any) string {
	switch value := value.(type) {
	case string:
		return strconv.Quote(value)
	case int64, float64, bool:
		return fmt.Sprintf("the %s %v", noun(value), value)
	}
	return "a " + noun(value)
}

// noun names the type of a value.
func noun(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case int64, float64:
		return "number"
	case bool:
		return "switch"
	case []any:
		return "list"
	case map[string]any:
		return "table"
	case []map[string]any:
		return "list of tables"
	}
	return "date or time"
}
