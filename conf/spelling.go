package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknown reports a key that has no field, and what may have been meant.
func (d *decoder) unknown(table, name string, value any, known []string) {
	remedy := "remove it, or choose one of " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	} else if home := homes(name); len(home) == 1 {
		remedy = "it belongs " + home[0]
	}
	what := "key"
	switch value.(type) {
	case map[string]any, []map[string]any:
		what = "table"
	}
	d.add(joinKey(table, name), "unknown "+what, remedy)
}

// nearest returns the known name that name is a misspelling of, or "".
func nearest(name string, known []string) string {
	best, bestDistance := "", 1+len(name)/3
	for _, candidate := range known {
		if distance := editDistance(strings.ToLower(name), candidate); distance <= bestDistance {
			best, bestDistance = candidate, distance-1
		}
	}
	return best
}

// homes returns the places where a key of this name may stand.
func homes(name string) []string {
	var places []string
	config := reflect.TypeFor[Config]()
	for field := range config.Fields() {
		key, table := field.Tag.Get("toml"), field.Type
		place := "to [" + key + "]"
		if table.Kind() == reflect.Slice && table.Elem().Kind() == reflect.Struct {
			table, place = table.Elem(), "to [["+key+"]]"
		}
		switch {
		case key == name:
			places = append(places, "to the top of the file, before the first [table]")
		case table.Kind() == reflect.Struct && slices.Contains(keysOf(table), name):
			places = append(places, place)
		}
	}
	return places
}

// keysOf returns the keys of a table.
func keysOf(table reflect.Type) []string {
	var keys []string
	for _, field := range fieldsOf(table) {
		if key, ok := field.Tag.Lookup("toml"); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// editDistance returns how many bytes must be inserted, removed or replaced to
// make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
