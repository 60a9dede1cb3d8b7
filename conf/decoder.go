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

// table decodes a table into a struct, and reports keys that it has no field for.
func (d *decoder) table(key string, tree map[string]any, into reflect.Value) {
	var known []string
	for i := range into.NumField() {
		tag := into.Type().Field(i).Tag
		name := tag.Get("toml")
		known = append(known, name)
		if value, ok := tree[name]; ok {
			d.entry(entry{joinKey(key, name), value, tag}, into.Field(i))
		}
	}
	for name, value := range tree {
		if !slices.Contains(known, name) {
			d.unknown(key, name, value, known)
		}
	}
}

// entry decodes one key into a field.
func (d *decoder) entry(e entry, into reflect.Value) {
	switch field := into.Addr().Interface().(type) {
	case *[]NAS:
		d.gateways(e, field)
	case *[]netip.AddrPort:
		*field = addresses(d, e, listenAddresses)
	case *[]netip.Prefix:
		*field = addresses(d, e, networks)
	case *Secret:
		d.secret(e, field)
	case *time.Duration:
		number(d, e, "a duration with its unit", time.ParseDuration, field)
	case *Size:
		number(d, e, "a size in bytes or with its unit", parseSize, field)
	case *int:
		d.count(e, field)
	default:
		d.textOrTable(e, into)
	}
}

// textOrTable decodes a key into a field of kind string, a level or a struct.
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
	case isTable:
		d.table(e.key, tree, into)
	default:
		d.mismatch(e, "a table", "write ["+e.key+"] on a line of its own and its keys below")
	}
}

// gateways decodes the tables [[nas]]. An element that is no table becomes a NAS
// too, so that indexes remain those of the file.
func (d *decoder) gateways(e entry, into *[]NAS) {
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
		nas := defaultNAS()
		d.table(joinIndex(e.key, i), tree, reflect.ValueOf(&nas).Elem())
		*into = append(*into, nas)
	}
}

// secret decodes a shared secret. Its value stays out of the faults.
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
	words := strings.Fields(e.tag.Get("oneof"))
	switch {
	case len(words) > 0 && !slices.Contains(words, text):
		last := len(words) - 1
		want := `"` + strings.Join(words[:last], `", "`) + `" or "` + words[last] + `"`
		d.mismatch(e, want, "choose one of these, in lower case")
		return "", false
	case !ok:
		d.mismatch(e, "a text", "put it in double quotes")
	}
	return text, ok
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

// addresses decodes a list of what parse reads from a text. One text stands for
// a list of one, and "" for an empty list. Elements with a fault are left out.
func addresses[T any](d *decoder, e entry, parse func(string) ([]T, *complaint)) []T {
	elements, isList := e.value.([]any)
	text, isText := e.value.(string)
	switch {
	case isText && text != "":
		return address(d, e, parse)
	case !isText && !isList:
		d.mismatch(e, "a list of addresses", `write ["192.0.2.10", "2001:db8::10"], in the way of the shipped file`)
	}
	var found []T
	for i, element := range elements {
		found = append(found, address(d, entry{key: joinIndex(e.key, i), value: element}, parse)...)
	}
	return found
}

// address decodes one element of a list of addresses.
func address[T any](d *decoder, e entry, parse func(string) ([]T, *complaint)) []T {
	text, ok := e.value.(string)
	if !ok {
		d.mismatch(e, "an address", "put it in double quotes")
		return nil
	}
	found, wrong := parse(text)
	if wrong != nil {
		d.add(e.key, wrong.problem, wrong.remedy)
	}
	return found
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
