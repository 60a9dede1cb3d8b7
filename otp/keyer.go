package otp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"countersign/otp/oath"
)

// Keyer makes keyed hashes (HMAC-SHA256, its first 16 bytes) that are the same on every
// server that has the key, and tell nobody else anything. It is for one goroutine at a time.
// It prints as [redacted].
type Keyer struct {
	oath.Redacted
	mac  hash.Hash
	text []byte
	sum  []byte
}

// NewKeyer makes a Keyer for one purpose: the same parts have other hashes for another.
func NewKeyer(key [32]byte, purpose string) *Keyer {
	derive := hmac.New(sha256.New, key[:])
	_, _ = io.WriteString(derive, purpose)
	return &Keyer{mac: hmac.New(sha256.New, derive.Sum(nil)), sum: make([]byte, 0, sha256.Size)}
}

// Add appends a part of what Sum hashes, with its length before it.
func (k *Keyer) Add(part []byte) {
	k.text = binary.AppendUvarint(k.text, uint64(len(part)))
	k.text = append(k.text, part...)
}

// AddString is Add of a text.
func (k *Keyer) AddString(part string) {
	k.text = binary.AppendUvarint(k.text, uint64(len(part)))
	k.text = append(k.text, part...)
}

// Sum is the hash of all parts since the last Sum. It wipes them.
func (k *Keyer) Sum() (sum [16]byte) {
	k.mac.Reset()
	_, _ = k.mac.Write(k.text)
	k.sum = k.mac.Sum(k.sum[:0])
	clear(k.text)
	k.text = k.text[:0]
	copy(sum[:], k.sum)
	return sum
}
