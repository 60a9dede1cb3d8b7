package seedfile

import (
	"io"
	"strings"
	"testing"
)

// BenchmarkPSKC tells how many tokens a second are read and written.
func BenchmarkPSKC(b *testing.B) {
	const many = 2000
	tokens := make([]*Token, many)
	for i := range tokens {
		tokens[i] = sampleTokens()[i%6]
	}
	encrypted := writeSample(b, tokens, "password", minIterations)
	var clear strings.Builder
	clear.WriteString(`<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">`)
	pack := strings.TrimSuffix(strings.SplitN(plainFile(totpKey, strings.Replace(plainSecret, "%s", "<TimeInterval><PlainValue>30</PlainValue></TimeInterval>", 1)), ">", 2)[1], "</KeyContainer>")
	for range many {
		clear.WriteString(pack + "\n")
	}
	clear.WriteString("</KeyContainer>")
	for name, text := range map[string]string{"read encrypted": encrypted, "read clear": clear.String()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				read, faults, err := readAll(text, Options{Password: secret("password")})
				if len(read) != many || err != nil {
					b.Fatal(len(read), faults, err)
				}
			}
			b.ReportMetric(float64(b.N*many)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(encrypted)))
		for b.Loop() {
			if err := WritePSKC(io.Discard, sequence(tokens), secret("password"), PSKCOptions{Rand: zeros{}, Iterations: minIterations}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*many)/b.Elapsed().Seconds(), "tokens/s")
	})
}

// zeros is randomness that costs nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
