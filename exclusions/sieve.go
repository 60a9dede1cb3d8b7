package exclusions

// sieve tells of most texts that they are not in a set, at a fraction of what a
// look-up in a map costs: a user is in dozens of groups, and few of them are
// named in rules. It is a Bloom filter with one hash function.
type sieve []uint64

// newSieve makes the sieve of a set of texts, with 16 to 32 bits for each.
func newSieve(texts []string) sieve {
	size := 1
	for size*64 < 16*len(texts) {
		size *= 2
	}
	s := make(sieve, size)
	s.sift(texts, true)
	return s
}

// next is the index of the first text that may be in the set, len(texts) when
// none is.
func (s sieve) next(texts []string) int { return s.sift(texts, false) }

// sift hashes each text by its length and its first 24 bytes, in which DNs
// differ. It adds the texts to the set, or returns the index of the first that
// may be in it. Both are one loop because a function for the hash would not be
// inlined, and this is most of what a decision costs.
func (s sieve) sift(texts []string, add bool) int {
	for i, text := range texts {
		h := uint64(len(text))
		if len(text) >= 24 {
			h = (h ^ word64(text)) * 0x9E3779B97F4A7C15 // odd numbers without a pattern
			h ^= word64(text[8:]) * 0xC2B2AE3D27D4EB4F
			h ^= word64(text[16:]) * 0x165667B19E3779F9
		} else {
			for j := range len(text) {
				h = (h ^ uint64(text[j])) * 0x9E3779B97F4A7C15
			}
		}
		h ^= h >> 32
		word, bit := &s[h>>6&uint64(len(s)-1)], uint64(1)<<(h&63)
		if add {
			*word |= bit
		} else if *word&bit != 0 {
			return i
		}
	}
	return len(texts)
}

// word64 is the first eight bytes of a text, which the compiler loads at once.
func word64(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}
