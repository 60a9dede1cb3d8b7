package oath

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
)

// Generator computes the codes of one seed after another. The zero value is
// ready for Init. After the first use of an Algorithm nothing allocates.
//
// It must not be copied and is not safe for concurrent use: each goroutine has
// its own. It holds states from which codes can be computed, so it prints as
// [redacted].
type Generator struct {
	Redacted
	work **workspace // for fmt would follow a single pointer, see doc.go
}

// workspace is what a Generator keeps. HMAC (RFC 2104) is
// H(seed^opad || H(seed^ipad || message)); inner and outer are the saved states
// of H after seed^ipad and seed^opad, views of the buffers below.
type workspace struct {
	digests [algorithms]digest // made when first needed
	digest  digest             // the one in use

	inner, outer             []byte
	innerBuffer, outerBuffer [maxState]byte

	block   [sha512.BlockSize]byte
	message [8]byte
	sum     [sha512.Size]byte
}

// digest is a hash whose state can be saved and resumed, as all of these can.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// maxState is enough for the longest saved state, that of SHA-512: a mark of 4
// bytes, 8 words, a block and the length. A longer one would still be right,
// but allocate, and the test would show it.
const maxState = 4 + sha512.Size + sha512.BlockSize + 8

var (
	innerPad = bytes.Repeat([]byte{0x36}, sha512.BlockSize)
	// padChange turns a block with the inner pad into one with the outer pad.
	padChange = bytes.Repeat([]byte{0x36 ^ 0x5c}, sha512.BlockSize)
)

// Init prepares for the codes of this seed. It panics if a is none of the
// constants of this package.
func (g *Generator) Init(a Algorithm, seed []byte) {
	if g.work == nil {
		w := new(workspace)
		g.work = &w
	}
	w := *g.work
	w.choose(a)
	block := w.block[:w.digest.BlockSize()]
	clear(block)
	if len(seed) > len(block) {
		w.digest.Reset()
		w.digest.Write(seed)
		w.digest.Sum(block[:0])
	} else {
		copy(block, seed)
	}
	subtle.XORBytes(block, block, innerPad)
	w.inner = w.absorb(w.innerBuffer[:0], block)
	subtle.XORBytes(block, block, padChange)
	w.outer = w.absorb(w.outerBuffer[:0], block)
	clear(block)
}

// Code is the code at factor, with 6 to 10 digits (RFC 4226 section 5.3). Any
// other number of digits is taken as the nearest of these. As the truncated
// value has 31 bits, a code of 10 digits starts with 0, 1 or 2. Init comes
// first.
func (g *Generator) Code(factor uint64, digits int) uint64 {
	return uint64(truncate((*g.work).mac(factor))) % codeRange[clampDigits(digits)]
}

func (w *workspace) choose(a Algorithm) {
	if a >= algorithms {
		panic("oath: unknown " + a.String())
	}
	if w.digests[a] == nil {
		w.digests[a] = newDigest(a)
	}
	w.digest = w.digests[a]
}

func newDigest(a Algorithm) digest {
	switch a {
	case SHA256:
		return sha256.New().(digest)
	case SHA512:
		return sha512.New().(digest)
	default:
		return sha1.New().(digest)
	}
}

// absorb appends the state of the digest after block to dst.
func (w *workspace) absorb(dst, block []byte) []byte {
	w.digest.Reset()
	w.digest.Write(block)
	state, err := w.digest.AppendBinary(dst)
	if err != nil {
		panic(fmt.Sprintf("oath: saving hash state: %v", err)) // the standard library's never fail
	}
	return state
}

func (w *workspace) resume(state []byte) {
	if err := w.digest.UnmarshalBinary(state); err != nil {
		panic(fmt.Sprintf("oath: resuming hash state: %v", err))
	}
}

// mac is the HMAC of factor as 8 bytes, big endian (RFC 4226 section 5.1). The
// result is overwritten by the next call.
func (w *workspace) mac(factor uint64) []byte {
	binary.BigEndian.PutUint64(w.message[:], factor)
	w.resume(w.inner)
	w.digest.Write(w.message[:])
	sum := w.digest.Sum(w.sum[:0])
	w.resume(w.outer)
	w.digest.Write(sum)
	return w.digest.Sum(w.sum[:0])
}

// truncate takes four bytes at the offset that the last four bits name, without
// the sign (RFC 4226 section 5.3, for longer sums RFC 6238 section 1.2).
func truncate(mac []byte) uint32 {
	offset := mac[len(mac)-1] & 0x0f
	return binary.BigEndian.Uint32(mac[offset:]) & 0x7fffffff
}
