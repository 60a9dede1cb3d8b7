package store

import (
	"encoding/binary"
	"fmt"

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

// Selects reports whether a filter wants an event: one that is about the user
// or the serial, be it a login or an act, and differs if it has to. The limit is the
// caller's.
func Selects(f *tms.Filter, e *tms.Event) bool {
	user, serial := string(f.User), string(f.Serial)
	switch {
	case user != "" && e.User != user && (e.Kind != tms.ActEvent || e.Object != user):
		return false
	case serial != "" && string(e.Decision.Serial) != serial && (e.Kind != tms.ActEvent || e.Object != serial):
		return false
	case f.Differing && !differs(e.Decision.Verdict, e.Decision.Own):
		return false
	}
	return true
}

// Differs reports whether a record may be of a login about which the TMS and our own
// tokens did not agree. It spares parsing the others, and leaves damage to ParseRecord.
func Differs(record []byte) bool {
	d := decoder{rest: record}
	var changes [otp.MaxTokens]Change
	var verdict, own otp.Verdict
	kind, _ := d.head()
	d.changes(changes[:0])
	if kind == tms.LoginEvent {
		verdict, own = d.skipLogin()
	}
	return d.bad || differs(verdict, own)
}

// differs reports whether a login was let in and our own tokens would not have done so,
// or the other way round.
func differs(verdict, own otp.Verdict) bool {
	return own != otp.Undecided && own.Accepts() != verdict.Accepts()
}
