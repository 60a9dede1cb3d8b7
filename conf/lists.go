package conf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

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

// texts decodes a list of texts, of the words of the tag oneof if there is such a
// tag. One text stands for a list of one, and "" for an empty list, which is
// never nil. An element with a fault is "", so that indexes remain those of the
// file.
func (d *decoder) texts(e entry) []string {
	found := []string{}
	switch value := e.value.(type) {
	case []any:
		for i, element := range value {
			text, _ := d.text(entry{joinIndex(e.key, i), element, e.tag})
			found = append(found, text)
		}
	case string:
		if value != "" {
			text, _ := d.text(e)
			found = append(found, text)
		}
	default:
		d.mismatch(e, "a text or a list of texts", `put texts in double quotes, and a list in [ ]: ["one", "two"]`)
	}
	return found
}

// attributes decodes the table reply.attributes, in the order of names.
func (d *decoder) attributes(e entry) []Attribute {
	const example = `write attributes = { Filter-Id = "vpn", Cisco-AVPair = ["a=b", "c=d"] }`
	tree, ok := e.value.(map[string]any)
	if !ok {
		d.mismatch(e, "a table", example)
	}
	var found []Attribute
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		value := entry{key: joinKey(e.key, name), value: tree[name]}
		if name == "" {
			d.add(value.key, "is no name of an attribute", example)
		}
		found = append(found, Attribute{name, d.attributeValues(value)})
	}
	return found
}

// attributeValues decodes the values of an attribute, as texts does.
func (d *decoder) attributeValues(e entry) []string {
	list, isList := e.value.([]any)
	if !isList {
		return []string{d.attributeValue(e)}
	}
	if len(list) == 0 {
		d.add(e.key, "has no value", "leave it out, or give it one")
	}
	var found []string
	for i, element := range list {
		found = append(found, d.attributeValue(entry{key: joinIndex(e.key, i), value: element}))
	}
	return found
}

// attributeValue decodes one value of an attribute, "" with a fault.
func (d *decoder) attributeValue(e entry) string {
	switch value := e.value.(type) {
	case string:
		if value == "" {
			d.add(e.key, "is empty", "leave it out: RADIUS has no empty attributes")
		}
		return value
	case int64:
		return strconv.FormatInt(value, 10)
	}
	d.mismatch(e, "a text or a whole number, or a list of these", "put it in double quotes")
	return ""
}

// instant decodes a date and time with its offset, into UTC.
func (d *decoder) instant(e entry, into *time.Time) {
	value, ok := e.value.(time.Time)
	if !ok {
		d.mismatch(e, "a date and time", "write it with its offset and without quotes, as 2027-01-31T18:00:00+01:00")
		return
	}
	zone := value.Location().String()
	switch {
	case zone == "time-local":
		d.add(e.key, "has no date", "write both and the offset, as 2027-01-31T18:00:00+01:00")
	case zone == "datetime-local" || zone == "date-local": // the TOML library's names
		utc := value.Format("2006-01-02T15:04:05")
		d.add(e.key, "does not say in which time zone", fmt.Sprintf("add the offset from UTC, as %sZ or %s+01:00", utc, utc))
	case value.Year() < 2000:
		d.add(e.key, fmt.Sprintf("lies in the year %d", value.Year()), "choose a date since the year 2000, or leave it out for never")
	case value.Year() > 9998: // in other time zones it could not be written
		d.add(e.key, fmt.Sprintf("lies in the year %d", value.Year()), "choose a date before the year 9999, or leave it out for never")
	default:
		*into = value.UTC()
	}
}
