package packet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"layeh.com/radius/dictionary"
)

// ErrNoAttribute is in the error of Encode for a name that no dictionary has.
var ErrNoAttribute = errors.New("there is none of this name")

// unknown is the error for a name that no dictionary has, in lower case.
func (d *Dictionary) unknown(name string) error {
	names := make([]string, 0, len(d.byName))
	for _, def := range d.byName {
		names = append(names, def.Name)
	}
	near := nearest(name, names)
	if len(near) == 0 {
		return fmt.Errorf("%w; look for it in the manual of the gateway, or add a dictionary file that has it", ErrNoAttribute)
	}
	return fmt.Errorf("%w; did you mean %s?", ErrNoAttribute, alternatives(near))
}

// namesHint is the end of an error about the name of a number: those it may
// have, or those like it.
func namesHint(name string, known []*dictionary.Value) string {
	names := make([]string, len(known))
	for i, value := range known {
		names[i] = value.Name
	}
	const all = 8
	switch near := nearest(name, names); {
	case len(near) > 0:
		return " and no name of one; did you mean " + alternatives(near) + "?"
	case len(names) > 0 && len(names) <= all:
		return " and no name of one; write one of " + strings.Join(names, ", ")
	case len(names) > 0:
		return " and no name of one, such as " + names[0]
	}
	return ""
}

// alternatives lists words as in "a, b or c".
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = strconv.Quote(word)
	}
	if last := len(quoted) - 1; last > 0 {
		return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	}
	return quoted[0]
}

// nearest returns up to three of the known names, nearest first, of which name
// may be a misspelling or a part.
func nearest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	name = strings.ToLower(name)
	limit := 1 + len(name)/4
	var near []candidate
	for _, k := range known {
		lower := strings.ToLower(k)
		switch {
		case name != "" && (strings.HasPrefix(lower, name) || strings.HasSuffix(lower, "-"+name)):
			near = append(near, candidate{k, 1})
		case max(len(name)-len(lower), len(lower)-len(name)) <= limit:
			if distance := editDistance(name, lower); distance <= limit {
				near = append(near, candidate{k, distance})
			}
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range near[:min(3, len(near))] {
		if c.distance <= near[0].distance+1 {
			names = append(names, c.name)
		}
	}
	return names
}

// editDistance returns how many octets must be inserted, removed or replaced to
// make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // the distances of a[:i] to each b[:j]
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
