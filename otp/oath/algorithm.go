package oath

import (
	"fmt"
	"strings"
)

// Algorithm is the hash function under the HMAC of a code. The numbers are
// stored: new ones come at the end.
type Algorithm uint8

// The hash functions of RFC 6238 section 1.2. SHA1, which is all that RFC 4226
// knows, is the zero value.
const (
	SHA1 Algorithm = iota
	SHA256
	SHA512

	algorithms = iota
)

var algorithmNames = [algorithms]string{"sha1", "sha256", "sha512"}

// String is the name ParseAlgorithm reads: sha1, sha256 or sha512.
func (a Algorithm) String() string {
	if a >= algorithms {
		return fmt.Sprintf("algorithm(%d)", uint8(a))
	}
	return algorithmNames[a]
}

// ParseAlgorithm reads the name of a hash function in any of the spellings of
// seed files and otpauth links: SHA1, sha-256, HmacSHA512, HMAC-SHA1.
func ParseAlgorithm(name string) (Algorithm, error) {
	plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
	plain = strings.TrimPrefix(plain, "hmac")
	for a, known := range algorithmNames {
		if plain == known {
			return Algorithm(a), nil
		}
	}
	return 0, fmt.Errorf("unknown hash algorithm %.40q: it must be sha1, sha256 or sha512", name)
}
