package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a configuration file.
type Fault struct {
	File    string // as it was named to Load or Parse
	Line    int    // counted from 1
	Key     string // with its tables, as "radius.auth" or "nas[1].secret"; may be "" when the text is not TOML
	Problem string // what is wrong
	Remedy  string // how to mend it
}

// String returns "FILE:LINE: key: problem; remedy".
func (f Fault) String() string {
	place := fmt.Sprintf("%s:%d: ", f.File, f.Line)
	if f.Key != "" {
		place += f.Key + ": "
	}
	return place + f.Problem + "; " + f.Remedy
}

// Faults is the error of Load and Parse for a file with faults: all of them,
// in the order of lines. It is never empty.
type Faults []Fault

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// complaint is a fault that does not know its place.
type complaint struct {
	problem, remedy string
}

// report gathers the faults of one file.
type report struct {
	file   string
	lines  positions
	faults Faults
	keys   map[string]place
}

// place says where around a key there are faults: bits.
type place uint8

const (
	itself    place = 1 << iota
	anElement       // of this list, or in one
	inside          // this table, or in a table in it
)

// add notes a fault of a key.
func (r *report) add(key, problem, remedy string) {
	if r.keys == nil {
		r.keys = map[string]place{}
	}
	for i, c := range key {
		switch c {
		case '[':
			r.keys[key[:i]] |= anElement
		case '.':
			r.keys[key[:i]] |= inside
		}
	}
	r.keys[key] |= itself
	r.faults = append(r.faults, Fault{File: r.file, Line: r.lines.line(key), Key: key, Problem: problem, Remedy: remedy})
}

// addMissing notes that a key is missing, unless it is there with a fault of
// its own or of one of its elements.
func (r *report) addMissing(key, problem, remedy string) {
	if !r.has(key) {
		r.add(key, problem, remedy)
	}
}

// has reports whether key or one of its elements has a fault.
func (r *report) has(key string) bool {
	return r.keys[key]&(itself|anElement) != 0
}

// run has the checks look at a Config, unless it is nil.
func (r *report) run(checks []Check, config *Config) {
	for _, check := range checks {
		if config != nil {
			check(config, func(key, problem, remedy string) {
				if !r.covers(key) {
					r.add(key, problem, remedy)
				}
			})
		}
	}
}

// covers reports whether key has a fault, or what is in it, or what it is in.
func (r *report) covers(key string) bool {
	if r.keys[key] != 0 {
		return true
	}
	for key != "" {
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
		if r.keys[key]&itself != 0 {
			return true
		}
	}
	return false
}

// element returns the key of an element of a list; of a single text that stands
// for a list that of the list.
func (r *report) element(list string, index int) string {
	if element := joinIndex(list, index); r.lines[element] > 0 {
		return element
	}
	return list
}

// err returns the faults in the order of lines, or nil.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return r.faults
}
