package oath

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"testing"
)

func TestParseSeed(t *testing.T) {
	want := []byte("12345678901234567890")
	for name, c := range map[string]struct {
		parse func(string) (Seed, error)
		texts []string
	}{
		"hex": {ParseSeedHex, []string{
			"3132333435363738393031323334353637383930",
			" 31 32 33 34-35 36 37 38 39 30 31323334 3536\r\n37383930\n",
		}},
		"base32": {ParseSeedBase32, []string{
			"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
			"gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
			"GEZDGNBV-GY3TQOJQ\u2013GEZDGNBV\u00a0GY3TQOJQ====\n",
		}},
	} {
		for _, text := range c.texts {
			seed, err := c.parse(text)
			if err != nil || !bytes.Equal(seed.Bytes(), want) {
				t.Errorf("%s: %q gives %d bytes, %v", name, text, seed.Len(), err)
			}
		}
	}
}

func TestParseSeedBase32Padding(t *testing.T) {
	for length := 8; length <= 128; length++ {
		want := bytes.Repeat([]byte{0xf7}, length)
		padded := base32.StdEncoding.EncodeToString(want)
		for _, text := range []string{padded, strings.TrimRight(padded, "="), strings.ToLower(padded)} {
			if seed, err := ParseSeedBase32(text); err != nil || !bytes.Equal(seed.Bytes(), want) {
				t.Errorf("%d bytes: got %d, %v", length, seed.Len(), err)
			}
		}
	}
}

func TestParseSeedErrors(t *testing.T) {
	for _, c := range []struct {
		parse      func(string) (Seed, error)
		text, want string
	}{
		{ParseSeedHex, "", "seed has 0 bytes, but must have 8 to 128: check that it was copied whole"},
		{ParseSeedHex, "31323334353637", "seed has 7 bytes"},
		{ParseSeedHex, strings.Repeat("ab", 129), "seed has 129 bytes"},
		{ParseSeedHex, "313233343", "seed has 9 hexadecimal digits, an odd number"},
		{ParseSeedHex, "31 32 333g 35363738", "character 10 is none of 0-9 and A-F"},
		{ParseSeedHex, "0x3132333435363738", "character 2 is none of"},
		{ParseSeedHex, "3132３33435363738", "character 5 is none of"},
		{ParseSeedBase32, "====", "seed has 0 bytes"},
		{ParseSeedBase32, "GEZDGNBVGYY", "seed has 11 base32 characters"},
		{ParseSeedBase32, "GEZDGNBVGY3TQO", "seed has 14 base32 characters"},
		{ParseSeedBase32, "GEZDGNBVGY3TQOJQA", "seed has 17 base32 characters"},
		{ParseSeedBase32, "GEZDGNBVGYYA", "seed has 7 bytes"},
		{ParseSeedBase32, "GEZDGNB0GY3TQOJQ", "character 8 is none of A-Z and 2-7 (base32 has no 0, 1, 8 and 9)"},
		{ParseSeedBase32, "GEZD====GNBVGY3TQOJQ", "character 5 is none of"},
	} {
		seed, err := c.parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
			continue
		}
		if !seed.IsZero() {
			t.Errorf("%q: a seed came with the error", c.text)
		}
		if c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("error repeats the seed: %v", err)
		}
	}
}

func TestSeedView(t *testing.T) {
	var zero Seed
	if !zero.IsZero() || zero.Len() != 0 || len(zero.Bytes()) != 0 || !NewSeed(nil).IsZero() || !NewSeed([]byte{}).IsZero() {
		t.Error("the zero seed is not zero")
	}
	b := []byte("12345678901234567890")
	seed := NewSeed(b)
	if seed.IsZero() || seed.Len() != 20 || !bytes.Equal(seed.Bytes(), b) || &seed.Bytes()[0] != &b[0] || cap(seed.Bytes()) != 20 {
		t.Error("the seed is not a view of its bytes")
	}
	if !seed.Equal(NewSeed(bytes.Clone(b))) || seed.Equal(NewSeed(b[:19])) || seed.Equal(zero) || !zero.Equal(Seed{}) {
		t.Error("Equal is wrong")
	}
	if other := bytes.Clone(b); true {
		other[19] ^= 1
		if seed.Equal(NewSeed(other)) {
			t.Error("different seeds are equal")
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { seed = NewSeed(b) }); allocs != 0 {
		t.Errorf("NewSeed: %v allocations", allocs)
	}
}

func FuzzParseSeed(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range map[string]func(string) (Seed, error){"hex": ParseSeedHex, "base32": ParseSeedBase32} {
			seed, err := parse(text)
			if err != nil {
				if !seed.IsZero() || len(err.Error()) > 200 {
					t.Errorf("%s: seed of %d bytes with error %v", name, seed.Len(), err)
				}
				continue
			}
			if seed.Len() < minSeed || seed.Len() > maxSeed {
				t.Errorf("%s: %d bytes accepted", name, seed.Len())
			}
			again, err := ParseSeedHex(hex.EncodeToString(seed.Bytes()))
			if err != nil || !again.Equal(seed) {
				t.Errorf("%s: does not read back as hex: %v", name, err)
			}
			again, err = ParseSeedBase32(base32.StdEncoding.EncodeToString(seed.Bytes()))
			if err != nil || !again.Equal(seed) {
				t.Errorf("%s: does not read back as base32: %v", name, err)
			}
		}
	})
}
