package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

func TestHeader(t *testing.T) {
	text := []byte("the text")
	h, err := newHeader(rand.Reader, softHardness)
	if err != nil {
		t.Fatal(err)
	}
	key := h.key(newSecret([]byte("123456")))
	content, err := h.seal(rand.Reader, key, text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.seal(rand.Reader, key, text)
	if err != nil || bytes.Equal(content[headerSize:], again[headerSize:]) {
		t.Errorf("two saves have the same nonce: %v", err)
	}
	open := func(content []byte, pin string) ([]byte, error) {
		h, encrypted, err := parseHeader(content)
		if err != nil {
			return nil, err
		}
		return h.open(h.key(newSecret([]byte(pin))), encrypted)
	}
	if got, err := open(content, "123456"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := open(content, "123457"); !errors.Is(err, errWrongPIN) {
		t.Errorf("another PIN: %v", err)
	}
	for i := range content {
		changed := bytes.Clone(content)
		changed[i] ^= 1
		if i == len(magic)+3 || i == len(magic)+7 { // the work stays small
			changed[i] ^= 1 ^ 2
		}
		if got, err := open(changed, "123456"); err == nil {
			t.Errorf("byte %d changed, and there is %q", i, got)
		}
	}
	for n := range content {
		if _, err := open(content[:n], "123456"); err == nil {
			t.Errorf("cut off after %d bytes, it opens", n)
		}
	}
}

func TestHardness(t *testing.T) {
	if usualHardness != (hardness{3, 65536, 4}) || !usualHardness.bearable() {
		t.Error("the usual hardness is not that of RFC 9106 section 4, second choice")
	}
	for _, h := range []hardness{{}, {0, 64, 1}, {1, 64, 0}, {1, 7, 1}, {1, 1 << 21, 1}, {65, 64, 1}, {64, 1 << 20, 1}, {1<<32 - 1, 1<<32 - 1, 255}} {
		if h.bearable() {
			t.Errorf("%+v is bearable", h)
		}
		content := append((&header{hardness: h}).bytes(), make([]byte, 50)...)
		if _, _, err := parseHeader(content); !errors.Is(err, errNoStore) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// FuzzStore: a file that is none is an error, and nothing else; what opens is whole.
func FuzzStore(f *testing.F) {
	h := header{hardness: softHardness}
	key := newSecret(bytes.Repeat([]byte{7}, keySize)) // no time for Argon2id here
	text, err := encode([]*token{sample("T1")})
	if err != nil {
		f.Fatal(err)
	}
	genuine, err := h.seal(rand.Reader, key, text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	f.Add(genuine[:headerSize])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, content []byte) {
		h, encrypted, err := parseHeader(content)
		if err != nil {
			return
		}
		if !h.bearable() || !bytes.Equal(append(h.bytes(), encrypted...), content) {
			t.Fatalf("%+v is not what the file has", h.hardness)
		}
		if got, err := h.open(key, encrypted); err == nil && !bytes.Equal(content, genuine) && len(got) == 0 {
			t.Fatal("something opened that nobody sealed")
		}
	})
}

// FuzzDecode: what the store has is read as it was written, or not at all.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"serial":"T1","type":"hotp","algorithm":"sha1","digits":6,"counter":3,"added":"2026-05-04T12:00:00Z","seed":"MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="}]`))
	f.Add([]byte(`[{"serial":"T1","type":"totp","algorithm":"sha256","digits":8,"period":60,"t0":-5,"spent":9,"seed":"AQ==","pending":{"server":"x","activation_key":"AQ==","sent":true}}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tokens, err := decode(text)
		if err != nil {
			if err != errContent {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, one := range tokens {
			one.next(time.Unix(0, 0))
			_, _ = one.label(), one.state(time.Unix(0, 0))
		}
		written, err := encode(tokens)
		if err != nil {
			return // a year beyond 9999, which JSON does not know
		}
		again, err := decode(written)
		if err != nil || len(again) != len(tokens) {
			t.Fatalf("%d tokens became %d: %v", len(tokens), len(again), err)
		}
	})
}
