package conf

import (
	"strconv"
	"strings"
)

// positions maps each key and array element of a TOML text to the line it
// begins on, counted from 1. Keys are written as by joinKey and joinIndex.
type positions map[string]int

// line returns the line of a key; of a missing one the line of the table or
// array around it.
func (p positions) line(key string) int {
	for key != "" {
		if line, ok := p[key]; ok {
			return line
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 1
}

// joinKey appends a name to a key: "radius" and "auth" to "radius.auth". Names
// that are not bare in TOML are quoted.
func joinKey(key, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isBare(r) }) {
		name = strconv.Quote(name)
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

// joinIndex appends the index of an array element to a key: "nas[1]".
func joinIndex(key string, index int) string {
	return key + "[" + strconv.Itoa(index) + "]"
}

// isBare reports whether a name may hold r without quotes.
func isBare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}
