package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

func mustMarshal(t testing.TB, k *Keyring, kek KEK) []byte {
	t.Helper()
	sealed, err := k.Marshal(kek, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func mustOpenKeyring(t testing.TB, sealed []byte, keks ...KEK) *Keyring {
	t.Helper()
	k, err := OpenKeyring(sealed, keks, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyringRoundTrip(t *testing.T) {
	kek, k := newTestKEK(t), newTestKeyring(t)
	old := mustSeal(t, k, "4711", "pin/kay")
	mustRotate(t, k)
	mustRotate(t, k)
	young := mustSeal(t, k, "4712", "pin/ann")
	sealed := mustMarshal(t, k, kek)
	for id, key := range k.keys.Load().byID {
		if bytes.Contains(sealed, key.key[:8]) {
			t.Errorf("data key %d is in the sealed keyring", id)
		}
	}
	again := mustOpenKeyring(t, sealed, KEK{}, newTestKEK(t), kek, newTestKEK(t))
	if again.Current() != 3 {
		t.Errorf("current key %d", again.Current())
	}
	verifyOpens(t, again, old, "4711", "pin/kay")
	verifyOpens(t, again, young, "4712", "pin/ann")
	verifyOpens(t, k, mustSeal(t, again, "4713", "pin/bob"), "4713", "pin/bob")
	if bytes.Equal(sealed, mustMarshal(t, k, kek)) {
		t.Error("a keyring was sealed twice with one nonce")
	}
}

func TestOpenKeyringRefuses(t *testing.T) {
	kek, k := newTestKEK(t), newTestKeyring(t)
	sealed := mustMarshal(t, k, kek)
	refuse := func(what string, sealed []byte, keks ...KEK) {
		t.Helper()
		if got, err := OpenKeyring(sealed, keks, rand.Reader); got != nil || !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	refuse("no key", sealed)
	refuse("empty key", sealed, KEK{})
	refuse("other keys", sealed, newTestKEK(t), newTestKEK(t))
	for bit := range len(sealed) * 8 {
		damaged := bytes.Clone(sealed)
		damaged[bit/8] ^= 1 << (bit % 8)
		refuse("a bit flipped", damaged, kek)
	}
	for length := range len(sealed) {
		refuse("cut short", sealed[:length], kek)
	}
	_, err := OpenKeyring(sealed, []KEK{newTestKEK(t)}, rand.Reader)
	if want := "opening keyring: none of the 1 key-encryption keys fits: use the key file that belongs to this store: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	if _, err := k.Marshal(KEK{}, rand.Reader); err == nil {
		t.Error("a keyring was sealed under no key")
	}
}

func TestParseKeySet(t *testing.T) {
	entry := func(id uint32) []byte {
		return append(binary.BigEndian.AppendUint32(nil, id), make([]byte, keySize)...)
	}
	for _, text := range [][]byte{
		nil, entry(1)[1:], append(entry(1), 0), entry(0),
		append(entry(2), entry(1)...), append(entry(1), entry(1)...),
	} {
		if _, err := parseKeySet(text); err == nil {
			t.Errorf("%x is read as a list of data keys", text)
		}
	}
	text := append(entry(2), entry(7)...)
	keys, err := parseKeySet(text)
	if err != nil || keys.current.id != 7 || keys.find(2) == nil || keys.find(3) != nil || !bytes.Equal(keys.format(), text) {
		t.Errorf("list of data keys does not read back: %v", err)
	}
}

func TestRotateRetire(t *testing.T) {
	k := newTestKeyring(t)
	first := mustSeal(t, k, "4711", "pin/kay")
	if err := k.Retire(1); err == nil {
		t.Error("the only key was retired")
	}
	mustRotate(t, k)
	if id, _ := KeyID(mustSeal(t, k, "4711", "pin/kay")); id != 2 || k.Current() != 2 {
		t.Errorf("sealed under key %d, current %d", id, k.Current())
	}
	verifyOpens(t, k, first, "4711", "pin/kay")
	for id, want := range map[uint32]string{
		2: "retiring data key 2: it is the current one",
		3: "retiring data key 3: it is not in the keyring",
	} {
		if err := k.Retire(id); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if err := k.Retire(1); err != nil {
		t.Error(err)
	}
	verifyRefuses(t, k, first, "pin/kay", "under a retired key")
	mustRotate(t, k)
	if k.Current() != 3 {
		t.Errorf("current key %d after a retirement", k.Current())
	}
}

func TestRotateIDsUsedUp(t *testing.T) {
	key, err := newDataKey(math.MaxUint32, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := newKeyring(newKeySet(key), rand.Reader)
	if err := k.Rotate(rand.Reader); err == nil {
		t.Errorf("rotated to key %d", k.Current())
	}
}

func TestAdoptKeepsCounts(t *testing.T) {
	kek, k := newTestKEK(t), newTestKeyring(t)
	next := mustOpenKeyring(t, mustMarshal(t, k, kek), kek)
	mustRotate(t, next)
	k.keys.Load().current.seals.Store(maxSeals)
	k.Adopt(next)
	if got := k.keys.Load().find(1).seals.Load(); got != maxSeals || k.Current() != 2 {
		t.Errorf("key 1 has sealed %d values, current %d", got, k.Current())
	}
	other := newTestKeyring(t)
	sealed := mustSeal(t, other, "4711", "pin/kay")
	k.Adopt(other)
	verifyOpens(t, k, sealed, "4711", "pin/kay")
	if k.Current() != 1 {
		t.Errorf("current key %d", k.Current())
	}
}

// A key that is learned opens, and seals only when it is adopted.
func TestLearn(t *testing.T) {
	kek, k := newTestKEK(t), newTestKeyring(t)
	abandoned := mustOpenKeyring(t, mustMarshal(t, k, kek), kek)
	mustRotate(t, abandoned)
	next := mustOpenKeyring(t, mustMarshal(t, k, kek), kek)
	mustRotate(t, next)
	sealed := mustSeal(t, next, "4711", "pin/kay")
	k.Learn(abandoned)
	k.Learn(next)
	verifyOpens(t, k, sealed, "4711", "pin/kay")
	own := mustSeal(t, k, "4711", "pin/kay")
	if id, _ := KeyID(own); id != 1 || k.Current() != 1 {
		t.Errorf("sealed under key %d, current %d", id, k.Current())
	}
	k.Adopt(next)
	verifyOpens(t, k, own, "4711", "pin/kay")
	if k.Current() != 2 {
		t.Errorf("current key %d after Adopt", k.Current())
	}
}

// disk is what is left after a crash.
type disk struct {
	keyFile []byte
	keyring []byte
	values  [][]byte // each of the plaintext "4711" for "pin/kay"
}

// reopen starts anew from the disk and verifies that everything opens.
func (d *disk) reopen(t *testing.T, after string) *Keyring {
	t.Helper()
	keks, err := ParseKeyFile(d.keyFile)
	if err != nil {
		t.Fatalf("%s: %v", after, err)
	}
	k, err := OpenKeyring(d.keyring, keks, rand.Reader)
	if err != nil {
		t.Fatalf("%s: %v", after, err)
	}
	for i, value := range d.values {
		if got, err := k.Open(nil, value, "pin/kay"); err != nil || string(got) != "4711" {
			t.Errorf("%s: value %d opens as %q, %v", after, i, got, err)
		}
	}
	return k
}

func newDisk(t *testing.T, kek KEK) *disk {
	k := newTestKeyring(t)
	return &disk{FormatKeyFile(kek), mustMarshal(t, k, kek), [][]byte{mustSeal(t, k, "4711", "pin/kay"), mustSeal(t, k, "4711", "pin/kay")}}
}

// TestRotateKEKWithCrashes walks the steps of the package's doc and starts anew
// after each.
func TestRotateKEKWithCrashes(t *testing.T) {
	old, next := newTestKEK(t), newTestKEK(t)
	d := newDisk(t, old)
	d.reopen(t, "before")
	d.keyFile = FormatKeyFile(next, old)
	d.keyring = mustMarshal(t, d.reopen(t, "step 1"), next)
	d.reopen(t, "step 2")
	if _, err := OpenKeyring(d.keyring, []KEK{next}, rand.Reader); err != nil {
		t.Errorf("step 2 is not seen to be done: %v", err)
	}
	d.keyFile = FormatKeyFile(next)
	d.reopen(t, "step 3")

	// Out of order the store would be lost.
	d = newDisk(t, old)
	if _, err := OpenKeyring(d.keyring, []KEK{next}, rand.Reader); !errors.Is(err, ErrOpen) {
		t.Errorf("step 3 before step 2: %v", err)
	}
}

// TestRotateDataKeyWithCrashes does the same for the data key, with a server in
// use meanwhile.
func TestRotateDataKeyWithCrashes(t *testing.T) {
	kek := newTestKEK(t)
	d := newDisk(t, kek)
	running := d.reopen(t, "before")
	seal := func(after string) {
		d.values = append(d.values, mustSeal(t, running, "4711", "pin/kay"))
		d.reopen(t, after)
	}

	next := d.reopen(t, "a second keyring")
	mustRotate(t, next)
	seal("the rotation, not stored")
	d.keyring = mustMarshal(t, next, kek)
	seal("step 1")
	running.Adopt(next)
	seal("step 2")
	for i, value := range d.values {
		if id, _ := KeyID(value); id == running.Current() {
			continue
		}
		d.values[i] = mustSeal(t, running, "4711", "pin/kay")
		seal("a part of step 3")
	}
	next = d.reopen(t, "step 3")
	if err := next.Retire(1); err != nil {
		t.Fatal(err)
	}
	d.keyring = mustMarshal(t, next, kek)
	seal("step 4, stored")
	running.Adopt(next)
	seal("step 4")

	// Sealed under a key that was not stored: what the order avoids.
	mustRotate(t, running)
	verifyRefuses(t, d.reopen(t, "the end"), mustSeal(t, running, "4711", "pin/kay"), "pin/kay", "a lost key")
}
