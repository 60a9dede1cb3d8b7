package oath

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// readVectors returns the fields of each line of a file of vectors that is not
// a comment, and fails if there are not as many lines and fields as expected.
func readVectors(t *testing.T, name string, lines, fields int) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var vectors [][]string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		vector := strings.Fields(line)
		if len(vector) != fields {
			t.Fatalf("%s: %d fields in %q, want %d", name, len(vector), line, fields)
		}
		vectors = append(vectors, vector)
	}
	if len(vectors) != lines {
		t.Fatalf("%s: %d vectors, want %d", name, len(vectors), lines)
	}
	return vectors
}

func number(t *testing.T, text string, base int) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func rfcSeed(length int) Seed {
	return NewSeed([]byte(strings.Repeat("1234567890", 7)[:length]))
}

func TestRFC4226(t *testing.T) {
	var g Generator
	g.Init(SHA1, rfcSeed(20).Bytes())
	for _, v := range readVectors(t, "rfc4226.txt", 10, 4) {
		counter, truncated := number(t, v[0], 10), number(t, v[2], 10)
		if got := hex.EncodeToString((*g.work).mac(counter)); got != v[1] {
			t.Errorf("HMAC of %d is %s, want %s", counter, got, v[1])
		}
		if got := g.Code(counter, MaxDigits); got != truncated {
			t.Errorf("truncated value of %d is %d, want %d", counter, got, truncated)
		}
		if got := HOTP(SHA1, rfcSeed(20), counter, 6); got != v[3] {
			t.Errorf("HOTP of %d is %s, want %s", counter, got, v[3])
		}
	}
}

func TestRFC6238(t *testing.T) {
	length := map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64}
	for _, v := range readVectors(t, "rfc6238.txt", 18, 4) {
		a, err := ParseAlgorithm(v[3])
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(number(t, v[0], 10)), 999999999)
		if got := TimeStep(at, 0, 30); got != int64(number(t, v[1], 16)) {
			t.Errorf("time step at %s is %x, want %s", v[0], got, v[1])
		}
		if got := TOTP(a, rfcSeed(length[a]), at, 0, 30, 8); got != v[2] {
			t.Errorf("%s TOTP at %s is %s, want %s", v[3], v[0], got, v[2])
		}
	}
}

func TestMobilePASS(t *testing.T) {
	for _, v := range readVectors(t, "mobilepass.txt", 18, 4) {
		c, err := ParseActivationCode(v[0])
		if err != nil {
			t.Fatal(err)
		}
		seed := c.Seed(strings.TrimPrefix(v[1], "-"))
		if got := HOTP(SHA256, seed, number(t, v[2], 10), 6); got != v[3] {
			t.Errorf("code %s of %s with policy %s is %s, want %s", v[2], v[0], v[1], got, v[3])
		}
	}
}
