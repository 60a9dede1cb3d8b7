package oath

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"testing"
)

var hashes = map[Algorithm]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New}

// TestGeneratorAgainstHMAC uses one Generator for every hash and seeds of every
// length around the block sizes, so that nothing of the last seed may stay.
func TestGeneratorAgainstHMAC(t *testing.T) {
	var g Generator
	for length := 300; length >= 0; length-- {
		seed := bytes.Repeat([]byte{byte(length), 0xa5}, 150)[:length]
		for a, h := range hashes {
			g.Init(a, seed)
			for _, factor := range []uint64{0, 1, 1 << 40, ^uint64(0)} {
				m := hmac.New(h, seed)
				m.Write(binary.BigEndian.AppendUint64(nil, factor))
				want := m.Sum(nil)
				if got := (*g.work).mac(factor); !bytes.Equal(got, want) {
					t.Fatalf("%v, seed of %d bytes, factor %d: HMAC %x, want %x", a, length, factor, got, want)
				}
			}
		}
	}
}

func TestGeneratorForcesDigits(t *testing.T) {
	var g Generator
	g.Init(SHA1, rfcSeed(20).Bytes())
	for digits, want := range map[int]uint64{
		-1: 755224, 0: 755224, 6: 755224, 7: 4755224, 8: 84755224, 9: 284755224, 10: 1284755224, 11: 1284755224,
	} {
		if got := g.Code(0, digits); got != want {
			t.Errorf("code with %d digits is %d, want %d", digits, got, want)
		}
	}
}

func TestGeneratorUnknownAlgorithm(t *testing.T) {
	defer func() {
		if got := recover(); got != "oath: unknown algorithm(3)" {
			t.Errorf("panic %v", got)
		}
	}()
	new(Generator).Init(3, nil)
}

func BenchmarkGeneratorInit(b *testing.B) {
	seed := rfcSeed(20).Bytes()
	for a := range Algorithm(algorithms) {
		b.Run(a.String(), func(b *testing.B) {
			b.ReportAllocs()
			var g Generator
			for b.Loop() {
				g.Init(a, seed)
			}
		})
	}
}

func BenchmarkGeneratorCode(b *testing.B) {
	for a := range Algorithm(algorithms) {
		b.Run(a.String(), func(b *testing.B) {
			b.ReportAllocs()
			var g Generator
			g.Init(a, rfcSeed(20).Bytes())
			var factor uint64
			for b.Loop() {
				factor++
				g.Code(factor, 6)
			}
		})
	}
}

// BenchmarkHMAC is what a code costs with crypto/hmac, to compare.
func BenchmarkHMAC(b *testing.B) {
	b.ReportAllocs()
	seed := rfcSeed(20).Bytes()
	var message [8]byte
	for b.Loop() {
		m := hmac.New(sha1.New, seed)
		m.Write(message[:])
		truncate(m.Sum(nil))
	}
}
