package tables

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// field is what of a record can be searched for. The numbers are stored.
type field uint8

const (
	userField field = iota + 1
	serialField
	nasField
	verdictField
	differingField
	fieldsEnd
)

// posting says that a record has a value: the value's hash above, the ordinal of the
// record in its segment below. So sorted postings are grouped by value.
type posting uint64

func (p posting) hash() uint32    { return uint32(p >> 32) }
func (p posting) ordinal() uint32 { return uint32(p) }

// hashBits are the bits of a hash: so many that in a segment hardly any value is found
// with the records of another.
const hashBits = 24

// bucketOf is the bucket of a hash: the lists of the values in it are one row.
func bucketOf(hash uint32) byte { return byte(hash >> (hashBits - 8)) }

// inBucket are the bits of a hash that its bucket does not tell.
const inBucket = 1<<(hashBits-8) - 1

// hasher makes the hashes of values, eight bytes at a time. It begins with what the
// store's own number gives, so that nobody who chooses user names can choose what they
// share a list with.
type hasher uint64

func newHasher(id []byte) hasher { return hasher(0x9e3779b97f4a7c15).add(id) }

func (h hasher) add(value []byte) hasher {
	h = h.mix(uint64(len(value)))
	for ; len(value) >= 8; value = value[8:] {
		h = h.mix(binary.LittleEndian.Uint64(value))
	}
	rest := uint64(0)
	for _, b := range value {
		rest = rest<<8 | uint64(b)
	}
	return h.mix(rest)
}

// mix multiplies and folds: each bit of the product depends on many of both.
func (h hasher) mix(word uint64) hasher {
	above, below := bits.Mul64(uint64(h)^word, 0xd6e8feb86659fd93)
	return hasher(above ^ below)
}

func (h hasher) hash() uint32 { return uint32(h >> (64 - hashBits)) }

func (h hasher) text(value string) uint32 { return h.value([]byte(value)) }

func (h hasher) value(value []byte) uint32 { return h.add(value).hash() }

func (h hasher) number(value byte) uint32 { return h.mix(uint64(value)).hash() }

// postings are those of a segment.
type postings struct {
	of    [fieldsEnd][]posting // by field
	spare []posting            // to sort with
}

// clear keeps the space for the next segment.
func (p *postings) clear() {
	for f := range p.of {
		p.of[f] = p.of[f][:0]
	}
}

// add adds a record with these keys.
func (p *postings) add(h hasher, k *store.Keys, ordinal uint32) {
	one := func(f field, hash uint32) { p.of[f] = append(p.of[f], posting(hash)<<32|posting(ordinal)) }
	for _, v := range [...]struct {
		field field
		value []byte
	}{{userField, k.User}, {serialField, k.Serial}, {nasField, k.NAS}} {
		if len(v.value) > 0 {
			one(v.field, h.value(v.value))
		}
	}
	if k.Verdict != otp.Undecided {
		one(verdictField, h.number(byte(k.Verdict)))
	}
	if k.Differs {
		one(differingField, h.number(1))
	}
}

// wanted is a value that records must have.
type wanted struct {
	field field
	hash  uint32
}

// wantedBy are the values that a filter asks for.
func wantedBy(f *tms.Filter, h hasher) (w []wanted) {
	if f.User != "" {
		w = append(w, wanted{userField, h.text(string(f.User))})
	}
	if f.Serial != "" {
		w = append(w, wanted{serialField, h.text(string(f.Serial))})
	}
	if f.NAS != "" {
		w = append(w, wanted{nasField, h.text(f.NAS)})
	}
	if f.Verdict != otp.Undecided {
		w = append(w, wanted{verdictField, h.number(byte(f.Verdict))})
	}
	if f.Differing {
		w = append(w, wanted{differingField, h.number(1)})
	}
	return w
}

// lists calls each with the encoded lists of a field's postings, a bucket at a time. A
// bucket is, for each of its hashes in order: how much above the one before it is, how
// long its ordinals are, and these: the first, and then each as its distance from the
// one before. All of it is varints.
func (p *postings) lists(f field, each func(bucket byte, lists []byte) error) error {
	all := p.sorted(f)
	var lists, ordinals []byte
	for len(all) > 0 {
		lists = lists[:0]
		bucket, before := bucketOf(all[0].hash()), uint32(0)
		for len(all) > 0 && bucketOf(all[0].hash()) == bucket {
			hash, last := all[0].hash(), uint32(0)
			ordinals = ordinals[:0]
			for len(all) > 0 && all[0].hash() == hash {
				ordinals = binary.AppendUvarint(ordinals, uint64(all[0].ordinal()-last))
				last = all[0].ordinal()
				all = all[1:]
			}
			lists = binary.AppendUvarint(lists, uint64(hash&inBucket-before))
			lists = binary.AppendUvarint(lists, uint64(len(ordinals)))
			lists = append(lists, ordinals...)
			before = hash & inBucket
		}
		if err := each(bucket, lists); err != nil {
			return err
		}
	}
	return nil
}

// sorted sorts the postings of a field, of which the ordinals are in order already: by
// the bytes of their hashes, from the last to the first.
func (p *postings) sorted(f field) []posting {
	from, to := p.of[f], slices.Grow(p.spare[:0], len(p.of[f]))[:len(p.of[f])]
	for shift := 32; shift < 32+hashBits; shift += 8 {
		var next [256]int // where the next one with this byte goes
		for _, p := range from {
			next[byte(p>>shift)]++
		}
		at := 0
		for b, n := range next {
			next[b] = at
			at += n
		}
		for _, p := range from {
			b := byte(p >> shift)
			to[next[b]] = p
			next[b]++
		}
		from, to = to, from
	}
	p.of[f], p.spare = from, to
	return from
}

// findList finds the ordinals of a hash in the lists of its bucket; none are nil.
func findList(lists []byte, hash uint32) ([]byte, error) {
	wanted, at := uint64(hash&inBucket), uint64(0)
	for len(lists) > 0 {
		step, n := binary.Uvarint(lists)
		length, m := binary.Uvarint(lists[max(n, 0):])
		if n <= 0 || m <= 0 || length > uint64(len(lists)-n-m) {
			return nil, fmt.Errorf("%w: lists of a bucket are cut off", ErrUselessHistory)
		}
		ordinals := lists[n+m : n+m+int(length)]
		if at += step; at == wanted {
			return ordinals, nil
		} else if at > wanted {
			return nil, nil
		}
		lists = lists[n+m+int(length):]
	}
	return nil, nil
}

// intersect appends to dst the ordinals that are in every list, in order.
func intersect(dst []uint32, lists [][]byte) ([]uint32, error) {
	slices.SortFunc(lists, func(a, b []byte) int { return len(a) - len(b) })
	first := ordinals{rest: lists[0]}
	for first.next() {
		dst = append(dst, first.last)
	}
	if first.bad {
		return nil, fmt.Errorf("%w: a list is cut off", ErrUselessHistory)
	}
	for _, list := range lists[1:] {
		o := ordinals{rest: list}
		more := o.next()
		kept := dst[:0]
		for _, ordinal := range dst {
			for more && o.last < ordinal {
				more = o.next()
			}
			if more && o.last == ordinal {
				kept = append(kept, ordinal)
			}
		}
		dst = kept
	}
	return dst, nil
}

// ordinals reads a list.
type ordinals struct {
	rest []byte
	last uint32
	bad  bool
}

func (o *ordinals) next() bool {
	if len(o.rest) == 0 {
		return false
	}
	step, n := uint64(o.rest[0]), 1
	if step >= 0x80 {
		step, n = binary.Uvarint(o.rest)
	}
	if n <= 0 || step > 1<<32-1-uint64(o.last) {
		o.rest, o.bad = nil, true
		return false
	}
	o.last += uint32(step)
	o.rest = o.rest[n:]
	return true
}
