package tables

import (
	"encoding/binary"
	"fmt"
	"sort"

	"countersign/otp"
	"countersign/tms/store"
)

// segmentHead is a row of table segment.
type segmentHead struct {
	first, last  uint64 // batches
	number       int64
	fromAt, toAt int64
}

// lookPage is how many segments are looked at in one go: the LIMIT of findPieces.
const lookPage = 64

// findPieces looks at the next segments, until it finds one with events that may be
// wanted. more says that there may be others.
func (w *search) findPieces(c Conn) (more bool, err error) {
	var heads []segmentHead
	last := w.before.Batch
	if w.before.Index == 0 {
		last--
	}
	err = c.Query("SELECT first, last, number, from_at, to_at FROM segment WHERE first <= ? ORDER BY first DESC LIMIT 64", func(r Row) error {
		heads = append(heads, segmentHead{uint64(r.Integer(0)), uint64(r.Integer(1)), r.Integer(2), r.Integer(3), r.Integer(4)})
		return nil
	}, int64(last))
	if err != nil {
		return false, err
	}
	for _, head := range heads {
		if store.Within(&w.filter, head.fromAt, head.toAt) {
			p := piece{segmentHead: head}
			if len(w.wanted) > 0 {
				if p.events, err = w.candidates(c, &head); err != nil {
					return false, err
				}
			}
			if p.events == nil && len(w.wanted) == 0 || len(p.events) > 0 {
				w.pieces = append(w.pieces, p)
				return true, nil
			}
		}
		w.before = otp.EventID{Batch: head.first}
	}
	return len(heads) == lookPage, nil
}

// candidates are the events of a segment that have every wanted value, or another with
// the same hash, the newest first.
func (w *search) candidates(c Conn, head *segmentHead) ([]otp.EventID, error) {
	found := make([][]byte, 0, fieldsEnd)
	for _, v := range w.wanted {
		var list []byte
		err := c.Query("SELECT lists FROM posting WHERE id = ?", func(r Row) (err error) {
			list, err = findList(r.Blob(0), v.hash)
			return err
		}, postingID(head.number, v.field, bucketOf(v.hash)))
		if err != nil || list == nil {
			return nil, err
		}
		found = append(found, list)
	}
	ordinals, err := intersect(nil, found)
	if err != nil || len(ordinals) == 0 {
		return nil, err
	}
	var counts []byte
	err = c.Query("SELECT counts FROM segment WHERE first = ?", func(r Row) error { counts = r.Blob(0); return nil }, int64(head.first))
	if err != nil {
		return nil, err
	}
	return w.locate(head, counts, ordinals)
}

// locate turns ordinals into events, the newest first, and leaves out what is done.
func (w *search) locate(head *segmentHead, counts []byte, ordinals []uint32) ([]otp.EventID, error) {
	starts, records, err := batchStarts(head.first, counts)
	if err != nil {
		return nil, err
	}
	events := make([]otp.EventID, 0, len(ordinals))
	at := len(starts)
	for i := len(ordinals) - 1; i >= 0; i-- {
		ordinal := uint64(ordinals[i])
		if ordinal >= records {
			return nil, fmt.Errorf("%w: record %d of %d in a segment", ErrUselessHistory, ordinal, records)
		}
		at = sort.Search(at, func(n int) bool { return starts[n].ordinal > ordinal }) // the batch is the one before
		start := starts[at-1]
		if id := (otp.EventID{Batch: start.batch, Index: uint32(ordinal - start.ordinal)}); later(w.before, id) {
			events = append(events, id)
		}
	}
	return events, nil
}

// batchStart is where a batch begins in its segment.
type batchStart struct {
	batch   uint64
	ordinal uint64
}

// appendCount appends to the batch counts of a segment how many records a batch has: a
// varint for each batch. After a zero comes how many batches in a row have none.
func appendCount(counts []byte, records, missing uint64) []byte {
	if missing > 0 {
		counts = append(counts, 0)
		counts = binary.AppendUvarint(counts, missing)
	}
	if records == 0 {
		return counts
	}
	return binary.AppendUvarint(counts, records)
}

// batchStarts reads the batch counts of a segment: where each batch that has records
// begins, and how many records there are.
func batchStarts(batch uint64, counts []byte) (starts []batchStart, records uint64, err error) {
	for len(counts) > 0 {
		n, size := binary.Uvarint(counts)
		missing, more := uint64(0), 0
		if size > 0 && n == 0 {
			missing, more = binary.Uvarint(counts[size:])
		}
		if size <= 0 || n == 0 && more <= 0 {
			return nil, 0, fmt.Errorf("%w: the counts of a segment are cut off", ErrUselessHistory)
		}
		counts = counts[size+more:]
		if n == 0 {
			batch += missing
			continue
		}
		starts = append(starts, batchStart{batch, records})
		records += n
		batch++
	}
	return starts, records, nil
}
