package accounting

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position names a record: the number of the batch in which it became durable, and its
// place there. Records are ordered by it, and the zero Position is before all of them.
type Position struct {
	Batch uint64
	Index uint32
}

// String is the position as people write it: 17-3.
func (p Position) String() string {
	var b [32]byte
	text := strconv.AppendUint(b[:0], p.Batch, 10)
	text = append(text, '-')
	return string(strconv.AppendUint(text, uint64(p.Index), 10))
}

// ParsePosition is the inverse of String.
func ParsePosition(text string) (Position, error) {
	batch, index, _ := strings.Cut(text, "-")
	b, err := strconv.ParseUint(batch, 10, 64)
	i, errIndex := strconv.ParseUint(index, 10, 32)
	if p := (Position{b, uint32(i)}); err == nil && errIndex == nil && p.String() == text {
		return p, nil
	}
	return Position{}, fmt.Errorf("session or record %.64q: must be two numbers such as 17-3", text)
}

// Compare is negative when p is before q, 0 when they are the same, else positive.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Batch, q.Batch), cmp.Compare(p.Index, q.Index))
}

// Before reports whether p is before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

// IsZero reports whether p names no record.
func (p Position) IsZero() bool { return p == Position{} }

// MarshalText is String.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePosition.
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}
