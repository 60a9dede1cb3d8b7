package accounting

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

var classKey = bytes.Repeat([]byte{7}, 32)

func TestClassRoundTrip(t *testing.T) {
	c := NewClasses(classKey)
	every := make([]byte, MaxPool)
	for i := range every {
		every[i] = byte(i * 4)
	}
	for _, pool := range []string{"", "staff", "Gäste im Haus", "a-b_c/d\x00e", string(every)} {
		for _, at := range []Position{{}, {1, 0}, {17, 3}, {1<<49 - 1, 1<<32 - 1}} {
			class := c.Append([]byte("before"), at.Batch, at.Index, pool)
			if !bytes.HasPrefix(class, []byte("beforeCS1-")) {
				t.Fatalf("%q", class)
			}
			class = class[len("before"):]
			if len(class) > 128 || bytes.ContainsFunc(class, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%d bytes: %q", len(class), class)
			}
			for _, appended := range []string{"", "\x00", "\x00\x00", "\x19\x80", "A", "."} {
				batch, index, got, ok := c.Open(append(bytes.Clone(class), appended...))
				if !ok || (Position{batch, index}) != at || got != pool {
					t.Errorf("%q and %q: %d-%d %q %v", class, appended, batch, index, got, ok)
				}
			}
		}
	}
	if _, _, pool, ok := c.Open(c.Append(nil, 1, 1, strings.Repeat("x", MaxPool+1))); !ok || pool != "" {
		t.Errorf("a name that is too long: %q %v", pool, ok)
	}
}

// TestClassIsHMAC holds the proof against crypto/hmac.
func TestClassIsHMAC(t *testing.T) {
	class := NewClasses(classKey).Append(nil, 17, 3, "staff")
	raw, err := base64.RawURLEncoding.DecodeString(string(class[len(classPrefix) : len(class)-1]))
	if err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, classKey, nil, "countersign: Class of an Access-Accept", 32)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte("\x11\x03staff"))
	if want := "\x11\x03staff" + string(h.Sum(nil)[:16]); string(raw) != want {
		t.Errorf("%x, want %x", raw, want)
	}
}

func TestClassNotOurs(t *testing.T) {
	c := NewClasses(classKey)
	class := c.Append(nil, 17, 3, "staff")
	for i := range class {
		for bit := range 8 {
			changed := bytes.Clone(class)
			changed[i] ^= 1 << bit
			if _, _, _, ok := c.Open(changed); ok {
				t.Errorf("opened with byte %d changed: %q", i, changed)
			}
		}
		if _, _, _, ok := c.Open(class[:i]); ok {
			t.Errorf("opened when cut to %d bytes", i)
		}
	}
	other := NewClasses(bytes.Repeat([]byte{8}, 32)).Append(nil, 17, 3, "staff")
	for _, class := range []string{
		"", "CS1-", "CS1", "v1", "CS1-AAAA", "CS1-" + strings.Repeat("A", 200), string(other),
		strings.Replace(string(class), ".", "A.", 1), strings.Replace(string(class), ".", "=.", 1), strings.Replace(string(class), ".", "\x00.", 1),
		"\x00" + string(class), strings.ToLower(string(class)),
	} {
		if _, _, _, ok := c.Open([]byte(class)); ok {
			t.Errorf("opened %q", class)
		}
	}
}

func TestClassesPrintNothing(t *testing.T) {
	c := NewClasses([]byte("a key that nobody is ever to see"))
	if got := fmt.Sprintf("%v %+v %s %d %#v", c, c, c, c, struct{ C *Classes }{c}); strings.Count(got, redacted) != 5 {
		t.Error(got)
	}
}

func TestClassAllocations(t *testing.T) {
	c := NewClasses(classKey)
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = c.Append(buf[:0], 123456, 400, "staff") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClassAppend(b *testing.B) {
	c := NewClasses(classKey)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 256)
		for pb.Next() {
			buf = c.Append(buf[:0], 123456, 400, "staff")
		}
	})
}

func BenchmarkClassOpen(b *testing.B) {
	c := NewClasses(classKey)
	class := c.Append(nil, 123456, 400, "staff")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, ok := c.Open(class); !ok {
			b.Fatal("not opened")
		}
	}
}

func FuzzClassOpen(f *testing.F) {
	c := NewClasses(classKey)
	f.Fuzz(func(t *testing.T, class []byte) {
		batch, index, pool, ok := c.Open(class)
		if !ok {
			return
		}
		if again := c.Append(nil, batch, index, pool); !bytes.HasPrefix(class, again) {
			t.Errorf("%q was opened, and made it would be %q", class, again)
		}
	})
}
