package seedfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// pskcMode decrypts a value. The error is that of a wrong key or of a value that was
// changed.
type pskcMode func(block cipher.Block, data []byte) ([]byte, error)

// pskcCipher is an encryption algorithm of XML Encryption.
type pskcCipher struct {
	keyLength int // bytes
	shortKey  int // another length that will do, 0 for none
	block     func(key []byte) (cipher.Block, error)
	mode      pskcMode
	integrity bool // a value that was changed is noticed without a MAC
}

// pskcCiphers are those that are read, by what their names end with.
var pskcCiphers = map[string]pskcCipher{
	"aes128-cbc":    {keyLength: 16, block: aes.NewCipher, mode: decryptCBC},
	"aes192-cbc":    {keyLength: 24, block: aes.NewCipher, mode: decryptCBC},
	"aes256-cbc":    {keyLength: 32, block: aes.NewCipher, mode: decryptCBC},
	"tripledes-cbc": {keyLength: 24, shortKey: 16, block: newTripleDES, mode: decryptCBC},
	"kw-aes128":     {keyLength: 16, block: aes.NewCipher, mode: unwrapKey, integrity: true},
	"kw-aes192":     {keyLength: 24, block: aes.NewCipher, mode: unwrapKey, integrity: true},
	"kw-aes256":     {keyLength: 32, block: aes.NewCipher, mode: unwrapKey, integrity: true},
	"kw-aes128-pad": {keyLength: 16, block: aes.NewCipher, mode: unwrapKey, integrity: true},
	"kw-aes192-pad": {keyLength: 24, block: aes.NewCipher, mode: unwrapKey, integrity: true},
	"kw-aes256-pad": {keyLength: 32, block: aes.NewCipher, mode: unwrapKey, integrity: true},
}

// shortName is what tells an algorithm: the end of its URI.
func shortName(uri string) string {
	uri = strings.TrimSpace(uri)
	return strings.ToLower(uri[strings.LastIndexAny(uri, "#:/")+1:])
}

// findCipher finds an algorithm by its URI.
func findCipher(uri string) (pskcCipher, error) {
	name := shortName(uri)
	if rest, ok := strings.CutPrefix(name, "kw-aes-"); ok { // as XML Encryption 1.1 writes it
		name = "kw-aes" + rest
	}
	c, known := pskcCiphers[name]
	switch {
	case known:
		return c, nil
	case name == "":
		return c, errors.New("a value is encrypted, but the file does not say how")
	case strings.HasPrefix(name, "rsa"):
		return c, errors.New("a value is encrypted for a certificate, which is not supported: ask for a file under a password or a pre-shared key")
	}
	return c, fmt.Errorf("the encryption %.60q is not supported, only AES-CBC, 3DES-CBC and AES key wrap are", uri)
}

// blockOf is the block cipher under a key.
func (c *pskcCipher) blockOf(key Secret) (cipher.Block, error) {
	n := len(key.bytes())
	if n == c.keyLength || n == c.shortKey && n > 0 {
		return c.block(key.bytes())
	}
	return nil, fmt.Errorf("the key has %d bytes, but the file needs one of %d: %w", n, c.keyLength, ErrWrongKey)
}

// newTripleDES takes a key of two parts, too, of which the first is used twice.
func newTripleDES(key []byte) (cipher.Block, error) {
	if len(key) == 2*des.BlockSize {
		key = slices.Concat(key, key[:des.BlockSize])
	}
	return des.NewTripleDESCipher(key)
}

var errDamaged = errors.New("it does not decrypt")

// decryptCBC decrypts what the initialization vector stands before, and removes the
// padding of PKCS #7.
func decryptCBC(block cipher.Block, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(data) < 2*size || len(data)%size != 0 {
		return nil, errDamaged
	}
	plain := make([]byte, len(data)-size)
	cipher.NewCBCDecrypter(block, data[:size]).CryptBlocks(plain, data[size:])
	n := int(plain[len(plain)-1])
	if n == 0 || n > size {
		return nil, errDamaged
	}
	text, padding := plain[:len(plain)-n], plain[len(plain)-n:]
	if !bytes.Equal(padding, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errDamaged
	}
	return text, nil
}

// encryptCBC is the inverse of decryptCBC, under an initialization vector.
func encryptCBC(block cipher.Block, iv, text []byte) []byte {
	n := block.BlockSize() - len(text)%block.BlockSize()
	out := slices.Concat(iv, text, bytes.Repeat([]byte{byte(n)}, n))
	data := out[len(iv):]
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return out
}

// What is found before the key when it was unwrapped rightly: RFC 3394 section 2.2.3,
// and RFC 5649 section 3, where the length of the key follows.
const (
	plainWrap  = 0xa6a6a6a6a6a6a6a6
	paddedWrap = 0xa65959a6
)

// unwrapKey is AES key wrap (RFC 3394), and that with padding (RFC 5649), with which
// some programs write what is no multiple of 8 bytes under the name of the first.
func unwrapKey(block cipher.Block, data []byte) ([]byte, error) {
	n := len(data)/8 - 1
	if n < 1 || len(data)%8 != 0 {
		return nil, errDamaged
	}
	data = slices.Clone(data)
	if n == 1 {
		block.Decrypt(data, data)
	} else {
		unwrapBlocks(block, data, n)
	}
	check, key := binary.BigEndian.Uint64(data), data[8:]
	if check == plainWrap && n > 1 {
		return key, nil
	}
	length := int(uint32(check))
	if check>>32 != paddedWrap || length > len(key) || length <= len(key)-8 || bytes.Count(key[length:], []byte{0}) != len(key)-length {
		return nil, errDamaged
	}
	return key[:length], nil
}

// unwrapBlocks turns the n blocks of 8 bytes behind the first back into what they were
// (RFC 3394 section 2.2.2).
func unwrapBlocks(block cipher.Block, data []byte, n int) {
	var pair [aes.BlockSize]byte
	check := binary.BigEndian.Uint64(data)
	for step := 6 * n; step > 0; step-- {
		part := data[8*((step-1)%n+1):][:8]
		binary.BigEndian.PutUint64(pair[:], check^uint64(step))
		copy(pair[8:], part)
		block.Decrypt(pair[:], pair[:])
		check = binary.BigEndian.Uint64(pair[:])
		copy(part, pair[8:])
	}
	binary.BigEndian.PutUint64(data, check)
}

// pskcHashes are the hash functions of MACs and of PBKDF2.
var pskcHashes = map[string]func() hash.Hash{
	"sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// findHMAC finds the hash function of an HMAC by its URI, nil when it is none of them.
func findHMAC(uri string) func() hash.Hash {
	name := strings.NewReplacer("-", "", "_", "").Replace(shortName(uri))
	return pskcHashes[strings.TrimPrefix(strings.TrimPrefix(name, "idhmacwith"), "hmac")]
}
