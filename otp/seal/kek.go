package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"io"
	"unsafe"

	"countersign/otp/oath"
)

// keySize is the length of every key here, that of AES-256.
const keySize = 32

// KEK is a key-encryption key: 32 random bytes under which a Keyring is sealed.
// It prints as [redacted]. NewKEK and ParseKeyFile make one; the zero KEK is no
// key, and nothing is sealed under it.
type KEK struct {
	oath.Redacted
	data *byte // of keySize bytes; fmt does not follow a pointer to a byte
}

// NewKEK makes a key from 32 bytes of rand.
func NewKEK(rand io.Reader) (KEK, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return KEK{}, fmt.Errorf("reading randomness for a key-encryption key: %w", err)
	}
	return kekOf(key), nil
}

// kekOf is the KEK of keySize bytes, which it keeps.
func kekOf(key []byte) KEK { return KEK{data: unsafe.SliceData(key)} }

func (k KEK) isZero() bool { return k.data == nil }

func (k KEK) bytes() []byte {
	if k.isZero() {
		return nil
	}
	return unsafe.Slice(k.data, keySize)
}

// Equal compares in constant time.
func (k KEK) Equal(other KEK) bool {
	return subtle.ConstantTimeCompare(k.bytes(), other.bytes()) == 1
}

// newAEAD is AES-256-GCM under a key of keySize bytes.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
