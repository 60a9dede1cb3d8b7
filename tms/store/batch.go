package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// version is the first byte of a batch.
const version = 1

// BeginBatch appends the head of a batch to dst; records follow by AppendToBatch.
func BeginBatch(dst []byte) []byte { return append(dst, version) }

// AppendToBatch appends a record to a batch.
func AppendToBatch(batch, record []byte) []byte { return appendText(batch, record) }

// Records calls each with the records of a batch in their order. The bytes are a
// view of the batch. It stops at the first error.
func Records(batch []byte, each func(index uint32, record []byte) error) error {
	if len(batch) == 0 || batch[0] != version {
		return fmt.Errorf("%w: a batch of %d bytes is not of version %d", errRecord, len(batch), version)
	}
	rest := batch[1:]
	for index := uint32(0); len(rest) > 0; index++ {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return fmt.Errorf("%w: record %d of a batch of %d bytes is cut off", errRecord, index, len(batch))
		}
		end := n + int(length)
		if err := each(index, rest[n:end]); err != nil {
			return err
		}
		rest = rest[end:]
	}
	return nil
}

// Keys are what a record is found by. An act is about its object, a user or a serial, so
// it has that as both. The bytes are views of the record.
type Keys struct {
	At                int64       // Unix nanoseconds
	User, Serial, NAS []byte      // empty for none
	Verdict           otp.Verdict // of a login
	// Differs: of a login about which the TMS and our own tokens did not agree.
	Differs bool
}

// ParseKeys reads the keys of a record without allocating anything. It does not look at
// what is behind them, and leaves damage there to ParseRecord.
func ParseKeys(record []byte) (Keys, error) {
	d := decoder{rest: record}
	kind, at := d.head()
	d.skipChanges()
	k := Keys{At: at.UnixNano()}
	switch kind {
	case tms.LoginEvent:
		var own otp.Verdict
		k.User, k.NAS, k.Serial, k.Verdict, own = d.loginKeys()
		k.Differs = differs(k.Verdict, own)
	case tms.ActEvent:
		d.view() // actor
		d.view() // verb
		k.User = d.view()
		k.Serial = k.User
	case tms.AccountingEvent:
		k.NAS = d.view()
	default:
		d.bad = true
	}
	if d.bad {
		return Keys{}, fmt.Errorf("%w: the keys in its %d bytes do not parse", errRecord, len(record))
	}
	return k, nil
}

// InstantOf reads of a record only when its event was, in Unix nanoseconds. It is 0 for
// what does not parse.
func InstantOf(record []byte) int64 {
	d := decoder{rest: record}
	if _, at := d.head(); !d.bad {
		return at.UnixNano()
	}
	return 0
}

// Selected reports whether a filter wants the event of these keys, but for what the
// filter says of its ID.
func (k *Keys) Selected(f *tms.Filter) bool {
	switch {
	case f.User != "" && string(k.User) != string(f.User):
		return false
	case f.Serial != "" && string(k.Serial) != string(f.Serial):
		return false
	case f.NAS != "" && string(k.NAS) != f.NAS:
		return false
	case f.Verdict != otp.Undecided && k.Verdict != f.Verdict:
		return false
	case f.Differing && !k.Differs:
		return false
	}
	return Within(f, k.At, k.At)
}

// Within reports whether a filter may want an event that happened between two instants,
// in Unix nanoseconds, by From and To alone.
func Within(f *tms.Filter, first, last int64) bool {
	return (f.From.IsZero() || !time.Unix(0, last).Before(f.From)) && (f.To.IsZero() || time.Unix(0, first).Before(f.To))
}

// differs reports whether a login was let in and our own tokens would not have done so,
// or the other way round.
func differs(verdict, own otp.Verdict) bool {
	return own != otp.Undecided && own.Accepts() != verdict.Accepts()
}
