package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"countersign/tms"
)

// AppendAccounting appends a record of the accounting log to dst: when an
// Accounting-Request came, the name of its NAS, the address it came from, and its
// attributes as received (RFC 2866 section 3).
func AppendAccounting(dst []byte, at time.Time, nas, source string, attributes []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at.UnixNano()))
	dst = appendText(dst, nas)
	dst = appendText(dst, source)
	return appendText(dst, attributes)
}

// ParseAccounting reads what AppendAccounting wrote.
func ParseAccounting(record []byte) (time.Time, tms.Accounting, error) {
	d := decoder{rest: record}
	at := d.instant()
	a := tms.Accounting{AccountingNAS: d.text(), Source: d.text(), Attributes: bytes.Clone(d.view())}
	if d.bad || len(d.rest) > 0 {
		return time.Time{}, tms.Accounting{}, fmt.Errorf("%w: %d bytes of the accounting log do not parse", errRecord, len(record))
	}
	return at, a, nil
}
