package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Checkpoint says that the chain had reached a batch by a time.
type Checkpoint struct {
	Batch     uint64
	At        time.Time // whole seconds
	Chain     Hash      // of the batch
	Signature []byte    // Ed25519 (RFC 8032), of what message makes
}

// NewCheckpoint signs a checkpoint.
func NewCheckpoint(key ed25519.PrivateKey, batch uint64, at time.Time, chain Hash) Checkpoint {
	c := Checkpoint{Batch: batch, At: at.Truncate(time.Second), Chain: chain}
	c.Signature = ed25519.Sign(key, c.message(checkpointContext))
	return c
}

// SignedBy reports whether the holder of a key has signed it.
func (c *Checkpoint) SignedBy(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.message(checkpointContext), c.Signature)
}

// NewBegin signs that retention has removed the batches up to one, at a time, so that a log
// begins after it. What it makes is a Checkpoint in all but what is signed: no checkpoint
// of the log can stand for it.
func NewBegin(key ed25519.PrivateKey, batch uint64, at time.Time, chain Hash) Checkpoint {
	c := Checkpoint{Batch: batch, At: at.Truncate(time.Second), Chain: chain}
	c.Signature = ed25519.Sign(key, c.message(beginContext))
	return c
}

// BeginsBy reports whether the holder of a key has made it by NewBegin.
func (c *Checkpoint) BeginsBy(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.message(beginContext), c.Signature)
}

// The contexts of what is signed.
const (
	checkpointContext = "countersign audit checkpoint 1\n"
	beginContext      = "countersign audit begin 1\n"
)

// message is what is signed: a context, the number of the batch and the Unix seconds (8
// bytes each, big endian), and the hash.
func (c *Checkpoint) message(context string) []byte {
	m := []byte(context)
	m = binary.BigEndian.AppendUint64(m, c.Batch)
	m = binary.BigEndian.AppendUint64(m, uint64(c.At.Unix()))
	return append(m, c.Chain[:]...)
}

// timeText is how instants of checkpoints are written: RFC 3339 in UTC, whole seconds.
const timeText = "2006-01-02T15:04:05Z"

// parseTime reads what is written so, and nothing that only means the same.
func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(timeText, text)
	if err != nil || at.Format(timeText) != text {
		return at, fmt.Errorf("%q is not a time like %s", text, timeText)
	}
	return at, nil
}

var signatureText = base64.StdEncoding.Strict()

// String is a checkpoint as people note it: the number of its batch, its time, the hash in
// hexadecimal and the signature in base64, with a space between them.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%d %s %s %s", c.Batch, c.At.UTC().Format(timeText), c.Chain, signatureText.EncodeToString(c.Signature))
}

// ParseCheckpoint reads what String makes; more space between the parts does no harm.
// Whether it is signed by anybody is for SignedBy to say.
func ParseCheckpoint(s string) (Checkpoint, error) {
	part := strings.Fields(s)
	if len(part) != 4 {
		return Checkpoint{}, fmt.Errorf("checkpoint %q: it has %d parts and not the 4 of BATCH TIME HASH SIGNATURE", s, len(part))
	}
	var c Checkpoint
	var err error
	if c.Batch, err = strconv.ParseUint(part[0], 10, 64); err != nil || c.Batch == 0 {
		return Checkpoint{}, fmt.Errorf("checkpoint: %q is not the number of a batch", part[0])
	}
	if c.At, err = parseTime(part[1]); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of batch %d: %w", c.Batch, err)
	}
	if err = c.Chain.UnmarshalText([]byte(part[2])); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of batch %d: %w", c.Batch, err)
	}
	c.Signature, err = signatureText.DecodeString(part[3])
	if err != nil || len(c.Signature) != ed25519.SignatureSize {
		return Checkpoint{}, fmt.Errorf("checkpoint of batch %d: %q is not a signature of %d bytes in base64", c.Batch, part[3], ed25519.SignatureSize)
	}
	return c, nil
}

// same reports whether two are the same in all they say.
func (c *Checkpoint) same(d *Checkpoint) bool {
	return c.Batch == d.Batch && c.At.Equal(d.At) && c.Chain == d.Chain && bytes.Equal(c.Signature, d.Signature)
}
