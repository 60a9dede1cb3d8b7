package seal

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"countersign/otp/oath"
)

// Keyring holds the data keys and seals and opens values with them. It is safe
// for concurrent use, and prints as [redacted]. NewKeyring and OpenKeyring make
// one; the zero Keyring is of no use.
type Keyring struct {
	oath.Redacted
	rand     io.Reader
	keys     atomic.Pointer[keySet]
	changing sync.Mutex // held by what replaces keys
}

// keySet is the data keys at an instant. It is replaced, never changed, so that
// Seal and Open need no lock.
type keySet struct {
	current *dataKey // that with the highest id, but for those that are only learned
	byID    map[uint32]*dataKey
}

type dataKey struct {
	id    uint32
	key   []byte
	aead  cipher.AEAD
	seals atomic.Uint64 // how many values this process sealed
}

// The keyring at rest is this header, a nonce, and under the KEK for each data
// key, by rising id, its id (4 bytes, big endian) and its bytes.
const (
	ringHeader = "countersign keyring 1\n"
	entrySize  = idSize + keySize
)

// NewKeyring makes a keyring with one data key. It keeps rand for the nonces of
// Seal: rand must be safe for concurrent use if the keyring is used so.
func NewKeyring(rand io.Reader) (*Keyring, error) {
	key, err := newDataKey(1, rand)
	if err != nil {
		return nil, fmt.Errorf("making keyring: %w", err)
	}
	return newKeyring(newKeySet(key), rand), nil
}

func newKeyring(keys *keySet, rand io.Reader) *Keyring {
	k := &Keyring{rand: rand}
	k.keys.Store(keys)
	return k
}

// OpenKeyring opens what Marshal made with the first of the KEKs that fits; rand
// is kept as by NewKeyring. The error wraps ErrOpen if none fits.
func OpenKeyring(sealed []byte, keks []KEK, rand io.Reader) (*Keyring, error) {
	body, ok := bytes.CutPrefix(sealed, []byte(ringHeader))
	if !ok || len(body) < nonceSize {
		return nil, fmt.Errorf("opening keyring: these %d bytes are no keyring of this version of Countersign: %w", len(sealed), ErrOpen)
	}
	for _, kek := range keks {
		if kek.isZero() {
			continue
		}
		aead, err := newAEAD(kek.bytes())
		if err != nil {
			return nil, fmt.Errorf("opening keyring: %w", err)
		}
		plaintext, err := aead.Open(nil, body[:nonceSize], body[nonceSize:], []byte(ringHeader))
		if err != nil {
			continue // the next may fit
		}
		keys, err := parseKeySet(plaintext)
		if err != nil {
			return nil, fmt.Errorf("opening keyring: %w", err)
		}
		return newKeyring(keys, rand), nil
	}
	return nil, fmt.Errorf("opening keyring: none of the %d key-encryption keys fits: use the key file that belongs to this store: %w", len(keks), ErrOpen)
}

// Marshal is the keyring sealed under a KEK, for OpenKeyring.
func (k *Keyring) Marshal(kek KEK, rand io.Reader) ([]byte, error) {
	if kek.isZero() {
		return nil, errors.New("sealing keyring: the key-encryption key is empty: read or create a key file")
	}
	aead, err := newAEAD(kek.bytes())
	if err != nil {
		return nil, fmt.Errorf("sealing keyring: %w", err)
	}
	plaintext := k.keys.Load().format()
	sealed := make([]byte, len(ringHeader)+nonceSize, len(ringHeader)+nonceSize+len(plaintext)+tagSize)
	nonce := sealed[copy(sealed, ringHeader):]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("sealing keyring: reading randomness: %w", err)
	}
	return aead.Seal(sealed, nonce, plaintext, []byte(ringHeader)), nil
}

// Current is the id of the data key that seals.
func (k *Keyring) Current() uint32 { return k.keys.Load().current.id }

// Rotate adds a data key and makes it the current one. On a Keyring in use, what
// is sealed from then on is lost in a crash until the keyring is stored: the
// package's doc has the order that is safe.
func (k *Keyring) Rotate(rand io.Reader) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	old := k.keys.Load()
	if old.current.id == math.MaxUint32 {
		return errors.New("rotating data keys: all ids are used up")
	}
	key, err := newDataKey(old.current.id+1, rand)
	if err != nil {
		return fmt.Errorf("rotating data keys: %w", err)
	}
	k.keys.Store(newKeySet(append(old.list(), key)...))
	return nil
}

// Retire drops an old data key, under which no value may be sealed any more. The
// current one cannot be dropped.
func (k *Keyring) Retire(id uint32) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	old := k.keys.Load()
	switch {
	case id == old.current.id:
		return fmt.Errorf("retiring data key %d: it is the current one: rotate first and seal everything again", id)
	case old.find(id) == nil:
		return fmt.Errorf("retiring data key %d: it is not in the keyring", id)
	}
	k.keys.Store(newKeySet(slices.DeleteFunc(old.list(), func(key *dataKey) bool { return key.id == id })...))
	return nil
}

// Adopt replaces the data keys by those of next, while others seal and open.
func (k *Keyring) Adopt(next *Keyring) {
	k.changing.Lock()
	defer k.changing.Unlock()
	old, keys := k.keys.Load(), next.keys.Load().list()
	for i, key := range keys {
		if known := old.find(key.id); known != nil && bytes.Equal(known.key, key.key) {
			keys[i] = known // with its count of seals
		}
	}
	k.keys.Store(newKeySet(keys...))
}

// Learn adds the data keys of next that are newer than the current one, for Open alone: the
// current one stays, until Adopt. So those who share values all learn a new key before any of
// them seals under it. Keys that were learned before, and never became current, are dropped.
func (k *Keyring) Learn(next *Keyring) {
	k.changing.Lock()
	defer k.changing.Unlock()
	current := k.keys.Load().current
	keys := slices.DeleteFunc(k.keys.Load().list(), func(key *dataKey) bool { return key.id > current.id })
	for _, key := range next.keys.Load().list() {
		if key.id > current.id {
			keys = append(keys, key)
		}
	}
	learned := newKeySet(keys...)
	learned.current = current
	k.keys.Store(learned)
}

func newDataKey(id uint32, rand io.Reader) (*dataKey, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fmt.Errorf("reading randomness for a data key: %w", err)
	}
	return dataKeyOf(id, key)
}

func dataKeyOf(id uint32, key []byte) (*dataKey, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &dataKey{id: id, key: key, aead: aead}, nil
}

// newKeySet makes a set of keys with rising ids, one at least.
func newKeySet(keys ...*dataKey) *keySet {
	s := &keySet{current: keys[len(keys)-1], byID: make(map[uint32]*dataKey, len(keys))}
	for _, key := range keys {
		s.byID[key.id] = key
	}
	return s
}

// find is the key with this id, or nil.
func (s *keySet) find(id uint32) *dataKey {
	if s.current.id == id { // nearly always
		return s.current
	}
	return s.byID[id]
}

// list is a new slice of the keys, by rising id.
func (s *keySet) list() []*dataKey {
	return slices.SortedFunc(maps.Values(s.byID), func(a, b *dataKey) int { return cmp.Compare(a.id, b.id) })
}

func (s *keySet) format() []byte {
	text := make([]byte, 0, len(s.byID)*entrySize)
	for _, key := range s.list() {
		text = binary.BigEndian.AppendUint32(text, key.id)
		text = append(text, key.key...)
	}
	return text
}

func parseKeySet(text []byte) (*keySet, error) {
	if len(text) == 0 || len(text)%entrySize != 0 {
		return nil, fmt.Errorf("%d bytes are no list of data keys", len(text))
	}
	var keys []*dataKey
	last := uint32(0)
	for entry := range slices.Chunk(text, entrySize) {
		id := binary.BigEndian.Uint32(entry)
		if id <= last {
			return nil, fmt.Errorf("data key %d follows data key %d", id, last)
		}
		key, err := dataKeyOf(id, entry[idSize:])
		if err != nil {
			return nil, err
		}
		keys, last = append(keys, key), id
	}
	return newKeySet(keys...), nil
}
