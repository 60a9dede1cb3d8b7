package accounting

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// Classes signs what an Access-Accept says in its Class, and reads it in the records of
// the session. It is safe for concurrent use, and prints as [redacted].
type Classes struct{ pads *[2][sha256.BlockSize]byte }

const (
	classPrefix = "CS1-"
	// classEnd is behind it, because gateways append to what they got: NUL bytes, or, as
	// ProFTPD 1.3.8 does, the two octets that came after it in the packet.
	classEnd  = '.'
	macLength = 16
	// MaxPool is the longest name of a session limit in bytes.
	MaxPool = 64
	// maxSigned is what is behind the prefix, before it is made printable: the numbers,
	// the name and what proves them.
	maxSigned = binary.MaxVarintLen64 + binary.MaxVarintLen32 + MaxPool + macLength
)

var classEncoding = base64.RawURLEncoding.Strict()

// NewClasses returns the Classes of a key of 32 bytes. Servers that stand in for each
// other share it.
func NewClasses(key []byte) *Classes {
	derived, err := hkdf.Key(sha256.New, key, nil, "countersign: Class of an Access-Accept", sha256.Size)
	if err != nil {
		panic("accounting: deriving a key: " + err.Error()) // only for a length that is too large
	}
	c := &Classes{new([2][sha256.BlockSize]byte)}
	for i, x := range [2]byte{0x36, 0x5c} { // the pads of HMAC, RFC 2104
		copy(c.pads[i][:], derived)
		for j := range c.pads[i] {
			c.pads[i][j] ^= x
		}
	}
	return c
}

// Append appends the Class of a login, by the place of its record in the journal, and of
// the session limit it counts for: "" for none, and for a name longer than MaxPool. It is
// printable, has no NUL byte and at most 128 bytes if the batch is below 2^49.
func (c *Classes) Append(dst []byte, batch uint64, index uint32, pool string) []byte {
	var b [maxSigned]byte
	said := binary.AppendUvarint(b[:0], batch)
	said = binary.AppendUvarint(said, uint64(index))
	if len(pool) <= MaxPool {
		said = append(said, pool...)
	}
	mac := c.mac(said)
	dst = append(dst, classPrefix...)
	dst = classEncoding.AppendEncode(dst, append(said, mac[:]...))
	return append(dst, classEnd)
}

// Open reads a Class. What a gateway has appended to it is not looked at. It returns false
// when the Class is not one that Append has made.
func (c *Classes) Open(class []byte) (batch uint64, index uint32, pool string, ok bool) {
	var b [maxSigned]byte
	said, ok := c.verify(b[:], class)
	if !ok {
		return 0, 0, "", false
	}
	batch, m := binary.Uvarint(said)
	number, k := binary.Uvarint(said[max(m, 0):])
	if m <= 0 || k <= 0 || number > 1<<32-1 {
		return 0, 0, "", false // signed, but not by Append
	}
	return batch, uint32(number), string(said[m+k:]), true
}

// verify decodes a Class into b, and returns what it says if that is signed.
func (c *Classes) verify(b, class []byte) (said []byte, ok bool) {
	class, _, ended := bytes.Cut(class, []byte{classEnd})
	text, ours := bytes.CutPrefix(class, []byte(classPrefix))
	if !ended || !ours || classEncoding.DecodedLen(len(text)) > len(b) {
		return nil, false
	}
	n, err := classEncoding.Decode(b, text)
	if err != nil || n < macLength {
		return nil, false
	}
	said = b[:n-macLength]
	mac := c.mac(said)
	return said, subtle.ConstantTimeCompare(mac[:], b[n-macLength:n]) == 1
}

// mac is the first half of the HMAC-SHA256 (RFC 2104) of what a Class says. It is put
// together here from two hashes of arrays on the stack, because crypto/hmac would need an
// object for every goroutine.
func (c *Classes) mac(said []byte) [macLength]byte {
	var message [sha256.BlockSize + maxSigned]byte
	copy(message[:], c.pads[0][:])
	n := copy(message[sha256.BlockSize:], said)
	inner := sha256.Sum256(message[:sha256.BlockSize+n])
	copy(message[:], c.pads[1][:])
	copy(message[sha256.BlockSize:], inner[:])
	outer := sha256.Sum256(message[:sha256.BlockSize+sha256.Size])
	return [macLength]byte(outer[:])
}

const redacted = "[redacted]"

// Format prints [redacted] under every verb.
func (c *Classes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is [redacted].
func (c *Classes) LogValue() slog.Value { return slog.StringValue(redacted) }
