package conf

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes, in the file an integer or a text with a unit:
// 65536, "64KiB", "4MiB", "1GiB".
type Size int64

// sizeUnits are the units of Size, the greatest first.
var sizeUnits = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// String returns the size in the greatest unit that divides it: "4MiB".
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s%unit.bytes == 0 && s != 0 {
			return fmt.Sprintf("%d%s", s/unit.bytes, unit.name)
		}
	}
	return "0"
}

// parseSize reads what String writes, up to 4294967295 of a unit.
func parseSize(text string) (Size, error) {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		return Size(n) * unit.bytes, err
	}
	panic("unreachable: the last unit is every text's suffix")
}
