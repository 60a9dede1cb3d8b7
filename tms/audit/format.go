package audit

import "time"

// Format is how the records of a batch are written. It is the store's, and whoever
// verifies or exports a log says what it is. All of it may be nil: then records are bytes,
// which the chain covers all the same. Split and Join go together, the others need Split.
type Format struct {
	// Split calls each with the records of a batch in their order.
	Split func(records []byte, each func(index uint32, record []byte) error) error
	// Join makes the bytes of a batch of its records again.
	Join func(records [][]byte) []byte
	// Parse reads a record, and tells when it was made.
	Parse func(record []byte) (time.Time, error)
	// Render makes of a record what people read: a JSON object in one line.
	Render func(batch uint64, index uint32, record []byte) ([]byte, error)
}
