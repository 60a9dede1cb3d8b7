package seedfile

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// fernetMark begins every Fernet token: version 0x80 and the high bytes of a time
// before the year 2106, in base64.
const fernetMark = "gAAAAA"

// maxFernet is the longest pi export in bytes. It cannot be read in parts, because its
// MAC stands at the end.
const maxFernet = 256 << 20

// newFernet decrypts a pi export of privacyIDEA. The key is what the export printed:
// 44 characters of base64.
func newFernet(text *bufio.Reader, o Options) (parser, error) {
	key, err := fernetKey(o)
	if err != nil {
		return nil, err
	}
	sealed, err := io.ReadAll(io.LimitReader(text, maxFernet+1))
	if err != nil {
		return nil, fmt.Errorf("reading the export of privacyIDEA: %w", err)
	}
	if len(sealed) > maxFernet {
		return nil, fmt.Errorf("the export of privacyIDEA is longer than %d bytes: export the tokens in parts", maxFernet)
	}
	plain, err := openFernet(bytes.TrimSpace(sealed), key)
	if err != nil {
		return nil, err
	}
	return newPrivacyIDEAJSON(bytes.NewReader(plain))
}

func fernetKey(o Options) ([]byte, error) {
	key := o.PSK.bytes()
	if o.PSK.IsZero() {
		key, _ = base64.URLEncoding.AppendDecode(nil, bytes.TrimSpace(o.Password.bytes()))
	}
	if len(key) != 32 {
		return nil, errors.New("line 1: this is an encrypted export of privacyIDEA: give the key that the export printed, 44 characters, as the password")
	}
	return key, nil
}

// openFernet verifies and decrypts a Fernet token: a version, 8 bytes of time, the IV,
// what AES-128-CBC made of the text, and HMAC-SHA-256 over all of it. The first half of
// the key is for the MAC.
func openFernet(token, key []byte) ([]byte, error) {
	const head, mac = 1 + 8 + aes.BlockSize, sha256.Size
	sealed, err := base64.URLEncoding.AppendDecode(nil, token)
	if err != nil || len(sealed) < head+aes.BlockSize+mac || (len(sealed)-head-mac)%aes.BlockSize != 0 || sealed[0] != 0x80 {
		return nil, errors.New("line 1: the export of privacyIDEA is not whole: it was cut off or changed")
	}
	signed, sum := sealed[:len(sealed)-mac], sealed[len(sealed)-mac:]
	h := hmac.New(sha256.New, key[:16])
	h.Write(signed)
	if !hmac.Equal(sum, h.Sum(nil)) {
		return nil, errors.New("line 1: the key is not that of this export of privacyIDEA, or the export was changed")
	}
	block, err := aes.NewCipher(key[16:])
	if err != nil {
		return nil, err
	}
	text := signed[head:]
	cipher.NewCBCDecrypter(block, signed[1+8:head]).CryptBlocks(text, text)
	padding := int(text[len(text)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("line 1: the padding of the export of privacyIDEA is wrong")
	}
	return text[:len(text)-padding], nil
}

// privacyIDEAJSON reads a list of objects, each a token. Lines are those of the
// decrypted text.
type privacyIDEAJSON struct {
	lines *lineCounter
	json  *json.Decoder
}

// lineCounter counts the lines of what the JSON decoder has used up. It keeps what the
// decoder has read ahead.
type lineCounter struct {
	text   io.Reader
	ahead  []byte
	offset int64 // of ahead in the text
	line   int   // at offset, from 1
	left   int   // bytes that may still be read for the token at hand
}

func (c *lineCounter) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes without a token", maxPackage)
	}
	n, err := c.text.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.ahead = append(c.ahead, p[:n]...)
	return n, err
}

// at is the line of an offset, which must not lie before that of the last call.
func (c *lineCounter) at(offset int64) int {
	used := min(int(offset-c.offset), len(c.ahead))
	c.line += bytes.Count(c.ahead[:used], []byte("\n"))
	c.ahead = append(c.ahead[:0], c.ahead[used:]...)
	c.offset += int64(used)
	return c.line
}

func newPrivacyIDEAJSON(text io.Reader) (parser, error) {
	p := &privacyIDEAJSON{lines: &lineCounter{text: text, line: 1, left: maxPackage}}
	p.json = json.NewDecoder(p.lines)
	begin, err := p.json.Token()
	if err != nil || begin != json.Delim('[') {
		return nil, errors.New("line 1: this is no list of tokens as privacyIDEA exports it")
	}
	return p, nil
}

func (p *privacyIDEAJSON) next() (*Token, error) {
	p.lines.left = maxPackage
	if !p.json.More() {
		if _, err := p.json.Token(); err != nil {
			return nil, p.broken()
		}
		return nil, io.EOF
	}
	var raw json.RawMessage
	if err := p.json.Decode(&raw); err != nil {
		return nil, p.broken()
	}
	line := p.lines.at(p.json.InputOffset() - int64(len(raw)))
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, &Fault{Line: line, Reason: "it is no token: no object"}
	}
	return privacyIDEAToken(flatten(object), line)
}

// broken says where the JSON is broken, without the decoder's words, which may show a
// piece of it.
func (p *privacyIDEAJSON) broken() error {
	return fmt.Errorf("line %d: the list of tokens is broken or was cut off here", p.lines.at(p.json.InputOffset()))
}

// flatten lays the maps within an object flat.
func flatten(object map[string]any) map[string]string {
	said := map[string]string{}
	for key, value := range object {
		inner, ok := value.(map[string]any)
		if !ok {
			said[key] = scalar(value)
		}
		for within, value := range inner {
			said[innerKey(key, within)] = scalar(value)
		}
	}
	return said
}

func scalar(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	}
	return ""
}
