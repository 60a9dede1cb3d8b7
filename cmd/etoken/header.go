package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"
)

// hardness is how much work it is to try an Application PIN: the parameters of
// Argon2id (RFC 9106 section 3.1).
type hardness struct {
	Time, Memory uint32 // passes, KiB
	Threads      uint8
}

// usualHardness is the second recommended choice of RFC 9106 section 4.
var usualHardness = hardness{Time: 3, Memory: 64 * 1024, Threads: 4}

// bearable reports whether the work can be asked of this computer. A file that
// somebody has changed must not stop it.
func (h hardness) bearable() bool {
	const most = 1 << 20 // KiB
	return h.Time >= 1 && h.Threads >= 1 && h.Memory >= 8*uint32(h.Threads) && h.Memory <= most && h.Time <= 64 && uint64(h.Time)*uint64(h.Memory) <= 8*most
}

// header is what the store file begins with, big endian:
//
//	8 bytes   "etoken", 0, 1: the form of the file
//	4, 4, 4   passes, KiB and lanes of Argon2id
//	16        its salt
//	12        the nonce of AES-256-GCM
//
// The rest is the encrypted text and its tag; the header is the additional data.
type header struct {
	hardness
	salt  [16]byte
	nonce [12]byte
}

const (
	magic      = "etoken\x00\x01"
	headerSize = len(magic) + 3*4 + 16 + 12
	keySize    = 32
)

// Errors about the store file.
var (
	errNoStore  = errors.New("it is no store of etoken, or a newer etoken has written it")
	errWrongPIN = errors.New("the Application PIN is wrong (or the file was changed)")
)

func newHeader(rand io.Reader, h hardness) (header, error) {
	made := header{hardness: h}
	if _, err := io.ReadFull(rand, made.salt[:]); err != nil {
		return made, fmt.Errorf("making a salt: %w", err)
	}
	return made, nil
}

func (h *header) bytes() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	for _, n := range []uint32{h.Time, h.Memory, uint32(h.Threads)} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return append(append(b, h.salt[:]...), h.nonce[:]...)
}

// parseHeader splits a store file.
func parseHeader(content []byte) (h header, encrypted []byte, err error) {
	if len(content) < headerSize || string(content[:len(magic)]) != magic {
		return h, nil, errNoStore
	}
	b := content[len(magic):]
	threads := binary.BigEndian.Uint32(b[8:])
	h.hardness = hardness{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), uint8(min(threads, 255))}
	copy(h.salt[:], b[12:])
	copy(h.nonce[:], b[12+16:])
	if threads > 255 || !h.bearable() {
		return h, nil, fmt.Errorf("%w: it asks for unbearable work (%d passes over %d KiB)", errNoStore, h.Time, h.Memory)
	}
	return h, content[headerSize:], nil
}

// key is the key that an Application PIN makes.
func (h *header) key(pin secret) secret {
	return newSecret(argon2.IDKey(pin.Bytes(), h.salt[:], h.Time, h.Memory, h.Threads, keySize))
}

// seal is a whole store file, with a new nonce.
func (h *header) seal(rand io.Reader, key secret, text []byte) ([]byte, error) {
	if _, err := io.ReadFull(rand, h.nonce[:]); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	b := h.bytes()
	return aead.Seal(b, h.nonce[:], text, b), nil
}

// open is the text of an encrypted part.
func (h *header) open(key secret, encrypted []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, h.nonce[:], encrypted, h.bytes())
	if err != nil {
		return nil, errWrongPIN
	}
	return text, nil
}

func newAEAD(key secret) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key.Bytes())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
