package otp

import (
	"fmt"
	"strconv"
	"strings"
)

// String is the name by which the record is found: the commit and the place in
// it, such as 17-3.
func (e EventID) String() string {
	var b [32]byte
	name := strconv.AppendUint(b[:0], e.Batch, 10)
	name = append(name, '-')
	return string(strconv.AppendUint(name, uint64(e.Index), 10))
}

// ParseEventID is the inverse of String.
func ParseEventID(s string) (EventID, error) {
	batch, index, _ := strings.Cut(s, "-")
	b, err := strconv.ParseUint(batch, 10, 64)
	i, errIndex := strconv.ParseUint(index, 10, 32)
	if e := (EventID{Batch: b, Index: uint32(i)}); err == nil && errIndex == nil && e.String() == s {
		return e, nil
	}
	return EventID{}, fmt.Errorf("event %.64q: must be two numbers such as 17-3", s)
}
