package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"

	"countersign/otp/oath"
)

// BoxKeySize is how many random bytes NewBox takes as root key.
const BoxKeySize = 32

// BoxOverhead is how many bytes longer a value is in a Box.
const BoxOverhead = nonceSize + tagSize

// Box seals what is given away and comes back: the State of a RADIUS dialog, the
// cookie of a web page. Whoever has it meanwhile can neither read nor change it, but
// can give it back more than once, and to another node, which opens it as well. It
// is safe for concurrent use and prints as [redacted].
type Box struct {
	oath.Redacted
	aead *cipher.AEAD // behind a pointer, because fmt prints unexported fields
	rand io.Reader
}

// NewBox makes a Box out of a root key of BoxKeySize bytes. Boxes of different
// purposes do not open what the others sealed. AES-256-GCM, under a key derived by
// HKDF-SHA256 (RFC 5869); with random nonces one purpose may seal 2^32 values.
func NewBox(root []byte, purpose string, rand io.Reader) (*Box, error) {
	if len(root) != BoxKeySize {
		return nil, fmt.Errorf("making a box: the root key must have %d bytes", BoxKeySize)
	}
	key, err := hkdf.Key(sha256.New, root, nil, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead: &aead, rand: rand}, nil
}

// Seal appends a sealed value to dst. It opens in the same context only.
func (b *Box) Seal(dst, value, context []byte) ([]byte, error) {
	var nonce [nonceSize]byte
	if _, err := io.ReadFull(b.rand, nonce[:]); err != nil {
		return dst, fmt.Errorf("sealing: %w", err)
	}
	return (*b.aead).Seal(append(dst, nonce[:]...), nonce[:], value, context), nil
}

// Open appends to dst what Seal sealed in this context. The error is ErrOpen.
func (b *Box) Open(dst, sealed, context []byte) ([]byte, error) {
	if len(sealed) < BoxOverhead {
		return dst, ErrOpen
	}
	opened, err := (*b.aead).Open(dst, sealed[:nonceSize], sealed[nonceSize:], context)
	if err != nil {
		return dst, ErrOpen
	}
	return opened, nil
}
