package exclusions

import (
	"fmt"
	"strings"
)

// wordOf is the word of a number, or what and the number when it has none.
func wordOf[N ~uint8](words []string, what string, n N) string {
	if int(n) < len(words) {
		return words[n]
	}
	return fmt.Sprintf("%s(%d)", what, uint8(n))
}

// parseWord is the inverse of wordOf; capitals do not matter. The number that has
// no word cannot be written.
func parseWord[N ~uint8](words []string, what, s string) (N, error) {
	for n, word := range words {
		if word != "" && strings.EqualFold(s, word) {
			return N(n), nil
		}
	}
	return 0, fmt.Errorf("%s %.40q: must be %s", what, s, alternatives(words))
}

// alternatives lists words as "a, b or c".
func alternatives(words []string) string {
	if words[0] == "" {
		words = words[1:]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
