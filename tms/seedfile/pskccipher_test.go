package seedfile

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"testing"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// TestUnwrapKeyVectors has the vectors of RFC 3394 section 4 and RFC 5649 section 6.
func TestUnwrapKeyVectors(t *testing.T) {
	for _, test := range []struct{ key, wrapped, plain string }{
		{"000102030405060708090a0b0c0d0e0f", "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5", "00112233445566778899aabbccddeeff"},
		{"000102030405060708090a0b0c0d0e0f1011121314151617", "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d", "00112233445566778899aabbccddeeff"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21", "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"},
		{"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", "c37b7e6492584340bed12207808941155068f738"},
		{"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "afbeb0f07dfbf5419200f2ccb50bb24f", "466f7250617369"},
	} {
		block := must(aes.NewCipher(must(hex.DecodeString(test.key))))
		wrapped := must(hex.DecodeString(test.wrapped))
		plain, err := unwrapKey(block, wrapped)
		if got := hex.EncodeToString(plain); err != nil || got != test.plain {
			t.Errorf("%s is %s (%v), want %s", test.wrapped, got, err, test.plain)
		}
		for i := range wrapped {
			changed := bytes.Clone(wrapped)
			changed[i] ^= 1
			if plain, err := unwrapKey(block, changed); err != errDamaged {
				t.Errorf("%x is %x (%v), but was changed", changed, plain, err)
			}
		}
	}
}

// TestUnwrapKeyOfOthers: any key that another library wraps is unwrapped.
func TestUnwrapKeyOfOthers(t *testing.T) {
	block := must(aes.NewCipher(count(16)))
	for n := 2; n <= 16; n++ {
		key := count(8 * n)
		plain, err := unwrapKey(block, must(josecipher.KeyWrap(block, key)))
		if err != nil || !bytes.Equal(plain, key) {
			t.Errorf("a key of %d bytes: %x (%v)", len(key), plain, err)
		}
	}
	for _, short := range []int{0, 1, 8, 17} {
		if _, err := unwrapKey(block, make([]byte, short)); err != errDamaged {
			t.Errorf("%d bytes: %v", short, err)
		}
	}
}

func TestCBC(t *testing.T) {
	block, iv := must(aes.NewCipher(count(32))), count(16)
	for n := range 50 {
		text := count(n)
		data := encryptCBC(block, iv, text)
		if plain, err := decryptCBC(block, data); err != nil || !bytes.Equal(plain, text) {
			t.Errorf("%d bytes: %x (%v)", n, plain, err)
		}
		if _, err := decryptCBC(block, data[:len(data)-1]); err != errDamaged {
			t.Errorf("%d bytes, cut: %v", n, err)
		}
	}
	for _, short := range []int{0, 16} {
		if _, err := decryptCBC(block, make([]byte, short)); err != errDamaged {
			t.Errorf("%d bytes: %v", short, err)
		}
	}
}
