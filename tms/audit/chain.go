package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Hash is the hash of a batch and, by the hash of the batch before, of all before it.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what String makes.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("%q is not a hash of %d hexadecimal digits: it has %d", text, 2*len(h), len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("%q is not a hash of %d hexadecimal digits", text, 2*len(h))
	}
	return nil
}

// chainContext keeps the hashes of a chain apart from all others.
const chainContext = "countersign audit chain 1\n"

// Link is the hash of a batch: SHA-256 of a context, the hash of the batch before (zero
// for the first), the batch's number (8 bytes, big endian) and its records as they are
// stored.
func Link(before Hash, batch uint64, records []byte) Hash {
	h := sha256.New()
	h.Write([]byte(chainContext))
	h.Write(before[:])
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], batch)
	h.Write(number[:])
	h.Write(records)
	var hash Hash
	h.Sum(hash[:0])
	return hash
}
