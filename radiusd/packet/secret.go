package packet

import (
	"bytes"
	"crypto/md5"
	"encoding"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a shared secret together with the states of MD5 that HMAC-MD5
// (RFC 2104) reaches after the secret: they are computed once, so that a
// Message-Authenticator costs two blocks less. A Secret is a small value to be
// copied freely, safe for concurrent use. It prints as [redacted] under every
// verb of fmt, in slog and in JSON. The zero Secret is no secret: it verifies
// nothing and signs nothing.
type Secret struct {
	// Behind two pointers, because fmt calls no method on unexported fields: there
	// it prints a pointer as an address, but one that meets a verb it does not
	// know, such as %s, it follows, once.
	hidden **secretKey
}

type secretKey struct {
	octets       []byte
	inner, outer []byte // marshalled MD5 states after the two pads of HMAC
}

// NewSecret returns the Secret of the given octets, of which it keeps a copy.
// No octets make the zero Secret.
func NewSecret(octets []byte) Secret {
	if len(octets) == 0 {
		return Secret{}
	}
	pad := make([]byte, md5.BlockSize)
	if len(octets) > md5.BlockSize {
		sum := md5.Sum(octets)
		copy(pad, sum[:])
	} else {
		copy(pad, octets)
	}
	key := &secretKey{
		octets: bytes.Clone(octets),
		inner:  stateAfter(pad, 0x36),
		outer:  stateAfter(pad, 0x5c),
	}
	return Secret{&key}
}

// key is for a Secret that is not zero.
func (s Secret) key() *secretKey { return *s.hidden }

// stateAfter returns the state of MD5 after the octets of pad, each XORed with
// x.
func stateAfter(pad []byte, x byte) []byte {
	block := make([]byte, len(pad))
	for i := range pad {
		block[i] = pad[i] ^ x
	}
	h := md5.New()
	h.Write(block)
	state, err := h.(encoding.BinaryAppender).AppendBinary(nil)
	if err != nil {
		panic("packet: saving an MD5 state: " + err.Error()) // crypto/md5 documents that it can
	}
	return state
}

// IsZero says whether s is the zero Secret.
func (s Secret) IsZero() bool { return s.hidden == nil }

// Format prints [redacted] under every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted], so that JSON and the like show that.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
