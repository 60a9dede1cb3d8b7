package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// count is a source of bytes that counts from 0, so that keys are known.
type count struct{ next byte }

func (c *count) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	return len(p), nil
}

func newTestKeyring(t testing.TB) *Keyring {
	t.Helper()
	k, err := NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newTestKEK(t testing.TB) KEK {
	t.Helper()
	kek, err := NewKEK(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func mustSeal(t testing.TB, k *Keyring, plaintext, context string) []byte {
	t.Helper()
	sealed, err := k.Seal(nil, []byte(plaintext), context)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func mustRotate(t testing.TB, k *Keyring) {
	t.Helper()
	if err := k.Rotate(rand.Reader); err != nil {
		t.Fatal(err)
	}
}

// verifyOpens fails unless sealed opens as plaintext.
func verifyOpens(t testing.TB, k *Keyring, sealed []byte, plaintext, context string) {
	t.Helper()
	got, err := k.Open(nil, sealed, context)
	if err != nil || string(got) != plaintext {
		t.Errorf("opened %q, %v", got, err)
	}
}

// verifyRefuses fails if sealed opens, or if the refusal touches dst.
func verifyRefuses(t testing.TB, k *Keyring, sealed []byte, context, what string) {
	t.Helper()
	got, err := k.Open([]byte("before"), sealed, context)
	if !errors.Is(err, ErrOpen) || string(got) != "before" {
		t.Errorf("%s: opened as %q, %v", what, got, err)
	}
}

func TestSealRoundTrip(t *testing.T) {
	k := newTestKeyring(t)
	for _, plaintext := range []string{"", "4711", strings.Repeat("seed", 32)} {
		for _, context := range []string{"", "pin/kay", "seed/4F214C507612A26A"} {
			sealed := mustSeal(t, k, plaintext, context)
			if len(sealed) != len(plaintext)+Overhead {
				t.Errorf("%d bytes were sealed to %d", len(plaintext), len(sealed))
			}
			if len(plaintext) > 0 && bytes.Contains(sealed, []byte(plaintext)) {
				t.Errorf("%q is in the sealed value", plaintext)
			}
			if id, ok := KeyID(sealed); id != k.Current() || !ok {
				t.Errorf("KeyID is %d, %v", id, ok)
			}
			verifyOpens(t, k, sealed, plaintext, context)
		}
	}
}

func TestSealAppends(t *testing.T) {
	k := newTestKeyring(t)
	for _, room := range []int{0, 10, 100} {
		dst := append(make([]byte, 0, 6+room), "before"...)
		both, err := k.Seal(dst, []byte("4711"), "pin/kay")
		if err != nil || string(both[:6]) != "before" {
			t.Fatalf("sealed as %q, %v", both, err)
		}
		dst = append(make([]byte, 0, 6+room), "before"...)
		got, err := k.Open(dst, both[6:], "pin/kay")
		if err != nil || string(got) != "before4711" {
			t.Errorf("opened as %q, %v", got, err)
		}
	}
}

func TestSealNeverRepeats(t *testing.T) {
	k := newTestKeyring(t)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(mustSeal(t, k, "4711", "pin/kay")[idSize:][:nonceSize])] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d nonces in 1000 values", len(seen))
	}
}

func TestOpenRefuses(t *testing.T) {
	k := newTestKeyring(t)
	sealed := mustSeal(t, k, "4711", "pin/kay")
	for _, context := range []string{"", "pin/ka", "pin/kayy", "pin/Kay", "seed/kay"} {
		verifyRefuses(t, k, sealed, context, "moved to "+context)
	}
	for bit := range len(sealed) * 8 {
		damaged := bytes.Clone(sealed)
		damaged[bit/8] ^= 1 << (bit % 8)
		verifyRefuses(t, k, damaged, "pin/kay", fmt.Sprintf("bit %d flipped", bit))
	}
	for length := range len(sealed) {
		verifyRefuses(t, k, sealed[:length], "pin/kay", fmt.Sprintf("cut to %d bytes", length))
	}
	verifyRefuses(t, k, append(sealed[:len(sealed):len(sealed)], 0), "pin/kay", "a byte longer")
	verifyRefuses(t, newTestKeyring(t), sealed, "pin/kay", "another keyring")
	verifyOpens(t, k, sealed, "4711", "pin/kay")
}

func TestOpenErrors(t *testing.T) {
	k := newTestKeyring(t)
	other := newTestKeyring(t)
	mustRotate(t, other)
	for _, c := range []struct {
		sealed []byte
		want   string
	}{
		{mustSeal(t, k, "4711", "pin/ann"), `opening sealed value "pin/kay" under data key 1: sealed under another key, moved from another place, or damaged`},
		{mustSeal(t, other, "4711", "pin/kay"), `opening sealed value "pin/kay": data key 2 is not in the keyring: `},
		{make([]byte, Overhead), `opening sealed value "pin/kay" of 32 bytes: `},
		{nil, `opening sealed value "pin/kay" of 0 bytes: `},
	} {
		_, err := k.Open(nil, c.sealed, "pin/kay")
		if !errors.Is(err, ErrOpen) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

func TestKeyID(t *testing.T) {
	for _, sealed := range [][]byte{nil, make([]byte, 4), bytes.Repeat([]byte{1}, Overhead-1), make([]byte, Overhead)} {
		if id, ok := KeyID(sealed); ok {
			t.Errorf("%d bytes have key id %d", len(sealed), id)
		}
	}
	if id, ok := KeyID(bytes.Repeat([]byte{1}, Overhead)); id != 0x01010101 || !ok {
		t.Errorf("key id %x, %v", id, ok)
	}
}

func TestSealLimit(t *testing.T) {
	k := newTestKeyring(t)
	k.keys.Load().current.seals.Store(maxSeals - 1)
	last := mustSeal(t, k, "4711", "pin/kay")
	want := `sealing value "pin/kay": data key 1 has sealed 2^32 values, as many as are safe: rotate the data keys`
	for range 2 {
		if got, err := k.Seal([]byte("before"), []byte("4711"), "pin/kay"); err == nil || err.Error() != want || string(got) != "before" {
			t.Errorf("sealed %q, %v", got, err)
		}
	}
	mustRotate(t, k)
	verifyOpens(t, k, mustSeal(t, k, "4712", "pin/kay"), "4712", "pin/kay")
	verifyOpens(t, k, last, "4711", "pin/kay")
}

func TestRandomnessFails(t *testing.T) {
	broken := iotest.ErrReader(io.ErrClosedPipe)
	kek, k := newTestKEK(t), newTestKeyring(t)
	k.rand = broken
	sealed, sealErr := k.Seal([]byte("before"), []byte("4711"), "pin/kay")
	if string(sealed) != "before" {
		t.Errorf("sealed %q", sealed)
	}
	_, kekErr := NewKEK(broken)
	_, ringErr := NewKeyring(broken)
	_, marshalErr := k.Marshal(kek, broken)
	for _, err := range []error{sealErr, kekErr, ringErr, marshalErr, k.Rotate(broken), CreateKeyFile(t.TempDir()+"/kek", broken)} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
	}
	if k.Current() != 1 {
		t.Errorf("current key %d after a rotation that failed", k.Current())
	}
}

// TestParallel seals and opens while the keys change; the race detector watches.
func TestParallel(t *testing.T) {
	k := newTestKeyring(t)
	first := mustSeal(t, k, "4711", "pin/kay")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				verifyOpens(t, k, mustSeal(t, k, "4712", "pin/ann"), "4712", "pin/ann")
				verifyOpens(t, k, first, "4711", "pin/kay")
			}
		})
	}
	for range 20 {
		mustRotate(t, k)
		next := newKeyring(k.keys.Load(), rand.Reader)
		mustRotate(t, next)
		k.Adopt(next)
	}
	group.Wait()
}
