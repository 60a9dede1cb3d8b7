package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"unsafe"
)

// ErrOpen means that something sealed did not open: it was sealed under another
// key, or for another context, or is damaged. Which of these cannot be told.
var ErrOpen = errors.New("sealed under another key, moved from another place, or damaged")

// Overhead is how many bytes longer a sealed value is than what was sealed.
const Overhead = idSize + nonceSize + tagSize

const (
	idSize    = 4
	nonceSize = 12
	tagSize   = 16
	// maxSeals is how many values one key may seal with random nonces
	// (NIST SP 800-38D section 8.3).
	maxSeals = 1 << 32
)

// Seal appends plaintext, sealed for context under the current data key, to dst.
// The two must not overlap. Without error the result is Overhead bytes longer
// than dst and plaintext; with an error, which only randomness that fails or the
// limit of the data key can cause, it is dst.
func (k *Keyring) Seal(dst, plaintext []byte, context string) ([]byte, error) {
	key := k.keys.Load().current
	if key.seals.Add(1) > maxSeals {
		return dst, fmt.Errorf("sealing value %q: data key %d has sealed 2^32 values, as many as are safe: rotate the data keys", context, key.id)
	}
	sealed := slices.Grow(dst, Overhead+len(plaintext))
	sealed = binary.BigEndian.AppendUint32(sealed, key.id)
	nonce := sealed[len(sealed):][:nonceSize]
	if _, err := io.ReadFull(k.rand, nonce); err != nil {
		return dst, fmt.Errorf("sealing value %q: reading randomness: %w", context, err)
	}
	sealed = sealed[:len(sealed)+nonceSize]
	return key.aead.Seal(sealed, nonce, plaintext, bytesOf(context)), nil
}

// Open appends what was sealed for context to dst. The two must not overlap. It
// allocates only if dst has no room. With an error, which wraps ErrOpen, the
// result is dst.
func (k *Keyring) Open(dst, sealed []byte, context string) ([]byte, error) {
	id, ok := KeyID(sealed)
	if !ok {
		return dst, fmt.Errorf("opening sealed value %q of %d bytes: %w", context, len(sealed), ErrOpen)
	}
	key := k.keys.Load().find(id)
	if key == nil {
		return dst, fmt.Errorf("opening sealed value %q: data key %d is not in the keyring: %w", context, id, ErrOpen)
	}
	nonce, ciphertext := sealed[idSize:idSize+nonceSize], sealed[idSize+nonceSize:]
	plaintext, err := key.aead.Open(dst, nonce, ciphertext, bytesOf(context))
	if err != nil {
		return dst, fmt.Errorf("opening sealed value %q under data key %d: %w", context, id, ErrOpen)
	}
	return plaintext, nil
}

// KeyID is the id of the data key that sealed a value; false if this is no
// sealed value.
func KeyID(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < Overhead {
		return 0, false
	}
	id = binary.BigEndian.Uint32(sealed)
	return id, id != 0
}

// bytesOf views a string as bytes, for reading only. It spares the copy that a
// conversion would allocate for each value.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
