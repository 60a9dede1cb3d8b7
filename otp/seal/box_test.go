package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
)

func newBox(t *testing.T, root []byte, purpose string) *Box {
	t.Helper()
	b, err := NewBox(root, purpose, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABoxOpensWhatItSealedOnly(t *testing.T) {
	root := bytes.Repeat([]byte{7}, BoxKeySize)
	b, node := newBox(t, root, "state"), newBox(t, root, "state")
	sealed, err := b.Seal([]byte("before "), []byte("4711"), []byte("alice"))
	if err != nil || bytes.Contains(sealed, []byte("4711")) || len(sealed) != len("before 4711")+BoxOverhead {
		t.Fatalf("%x, %v", sealed, err)
	}
	sealed = sealed[len("before "):]
	if value, err := node.Open([]byte("got "), sealed, []byte("alice")); err != nil || string(value) != "got 4711" {
		t.Errorf("%q, %v", value, err)
	}
	again, _ := b.Seal(nil, []byte("4711"), []byte("alice"))
	if bytes.Equal(again, sealed) {
		t.Error("two sealed values are alike")
	}
	refuse := func(name string, b *Box, sealed, context []byte) {
		if value, err := b.Open(nil, sealed, context); !errors.Is(err, ErrOpen) || len(value) != 0 {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
	refuse("another context", b, sealed, []byte("bob"))
	refuse("another purpose", newBox(t, root, "cookie"), sealed, []byte("alice"))
	refuse("another root", newBox(t, bytes.Repeat([]byte{8}, BoxKeySize), "state"), sealed, []byte("alice"))
	refuse("nothing", b, nil, []byte("alice"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		refuse("a changed byte", b, changed, []byte("alice"))
	}
}

func TestABoxNeedsARealKeyAndChance(t *testing.T) {
	if _, err := NewBox([]byte("short"), "state", rand.Reader); err == nil {
		t.Error("a short root key was taken")
	}
	b, _ := NewBox(make([]byte, BoxKeySize), "state", bytes.NewReader(nil))
	if _, err := b.Seal(nil, []byte("x"), nil); err == nil {
		t.Error("sealed without a nonce")
	}
	if text := fmt.Sprintf("%v %+v %#v", b, *b, struct{ b *Box }{b}); bytes.Contains([]byte(text), []byte("aead:")) {
		t.Error(text)
	}
}
