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
}

// add notes a fault of a key.
func (r *report) add(key, problem, remedy string) {
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
	return slices.ContainsFunc(r.faults, func(f Fault) bool {
		return f.Key == key || strings.HasPrefix(f.Key, key+"[")
	})
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
