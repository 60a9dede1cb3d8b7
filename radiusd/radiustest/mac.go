package radiustest

import (
	"encoding"
	"encoding/binary"
	"hash"
)

// savedMAC computes HMACs (RFC 2104) under keys whose two pad blocks are
// hashed beforehand: an HMAC of a short message then takes two compressions in
// place of four. One serves any number of keys of one hash, for one goroutine,
// and allocates nothing.
//
// What key keeps of a key is only the chaining value of either state. The rest
// of a marshalled state, its magic number, its buffer and its count of one
// block, is the same for every key and kept once.
type savedMAC struct {
	hash    hash.Hash
	restore encoding.BinaryUnmarshaler // the hash
	state   []byte                     // a marshalled state after one block
	chain   []byte                     // the part of state that is the chaining value
	inner   []byte                     // space for the inner digest
	factor  [8]byte                    // space for the moving factor of a code
	digest  []byte                     // space for the digest of a code
}

// magicLen is the length of the magic number that begins a marshalled state of
// the standard library's hashes.
const magicLen = 4

func newSavedMAC(h hash.Hash) *savedMAC {
	m := &savedMAC{
		hash:    h,
		restore: h.(encoding.BinaryUnmarshaler),
		inner:   make([]byte, 0, h.Size()),
		digest:  make([]byte, 0, h.Size()),
	}
	m.state = m.after(make([]byte, h.BlockSize()))
	m.chain = m.state[magicLen : magicLen+h.Size()]
	return m
}

// after returns the marshalled state of the hash after one block.
func (m *savedMAC) after(block []byte) []byte {
	m.hash.Reset()
	m.hash.Write(block)
	state, err := m.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("radiustest: the hash does not give its state: " + err.Error())
	}
	return state
}

// key returns the saved states of a key, inner and outer.
func (m *savedMAC) key(key []byte) []byte {
	block := make([]byte, m.hash.BlockSize())
	if len(key) > len(block) {
		m.hash.Reset()
		m.hash.Write(key)
		key = m.hash.Sum(nil)
	}
	var saved []byte
	for _, pad := range []byte{0x36, 0x5c} {
		clear(block[copy(block, key):])
		for i := range block {
			block[i] ^= pad
		}
		saved = append(saved, m.after(block)[magicLen:magicLen+m.hash.Size()]...)
	}
	return saved
}

// sum appends the HMAC of message under the saved states of a key to dst,
// which may lie within message.
func (m *savedMAC) sum(dst, saved, message []byte) []byte {
	m.resume(saved[:len(m.chain)])
	m.hash.Write(message)
	inner := m.hash.Sum(m.inner)
	m.resume(saved[len(m.chain):])
	m.hash.Write(inner)
	return m.hash.Sum(dst)
}

func (m *savedMAC) resume(chain []byte) {
	copy(m.chain, chain)
	if err := m.restore.UnmarshalBinary(m.state); err != nil {
		panic("radiustest: the hash does not take its own state: " + err.Error())
	}
}

// appendCode appends the code for a moving factor to dst (RFC 4226 section
// 5.3): the seed is in the saved states, digits is 6 to 10.
func appendCode(dst []byte, m *savedMAC, saved []byte, factor uint64, digits int) []byte {
	binary.BigEndian.PutUint64(m.factor[:], factor)
	digest := m.sum(m.digest, saved, m.factor[:])
	offset := digest[len(digest)-1] & 0xf
	number := binary.BigEndian.Uint32(digest[offset:]) & 0x7fffffff
	dst = append(dst, "0000000000"[:digits]...)
	for i := range digits {
		dst[len(dst)-1-i] = '0' + byte(number%10)
		number /= 10
	}
	return dst
}
