package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// noon is when the first record of a test is made.
var noon = time.Unix(1_800_000_000, 0).UTC()

// newKey is the key of a name, always the same.
func newKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// memoryLog is a Log that tests can change.
type memoryLog struct {
	key         ed25519.PrivateKey
	begin       *Checkpoint
	batches     []Batch
	checkpoints []Checkpoint
	// listing is called before the batches after one are listed.
	listing func(after uint64)
	err     error // of the next list of batches
}

func (l *memoryLog) AuditKey(context.Context) (ed25519.PublicKey, error) { return public(l.key), nil }

func (l *memoryLog) Begin(context.Context) (Checkpoint, bool, error) {
	if l.begin == nil {
		return Checkpoint{}, false, nil
	}
	return *l.begin, true, nil
}

func (l *memoryLog) Batches(_ context.Context, after uint64, each func(*Batch) error) error {
	if l.listing != nil {
		l.listing(after)
	}
	if err := l.err; err != nil {
		l.err = nil
		return err
	}
	for _, b := range slices.Clone(l.batches) {
		if b.Number > after {
			b.Records = bytes.Clone(b.Records)
			if err := each(&b); err != nil {
				return fmt.Errorf("listing: %w", err)
			}
			clear(b.Records) // it was a view
		}
	}
	return nil
}

func (l *memoryLog) Checkpoints(_ context.Context, after uint64, each func(*Checkpoint) error) error {
	for _, c := range slices.Clone(l.checkpoints) {
		if c.Batch > after {
			c.Signature = bytes.Clone(c.Signature)
			if err := each(&c); err != nil {
				return fmt.Errorf("listing: %w", err)
			}
			clear(c.Signature)
		}
	}
	return nil
}

// head is the hash of the last batch, as a server would go on from it.
func (l *memoryLog) head() (number uint64, chain Hash) {
	if l.begin != nil {
		number, chain = l.begin.Batch, l.begin.Chain
	}
	for _, b := range l.batches {
		if chain = b.Chain; b.Bare {
			chain = Link(l.hashBefore(b.Number), b.Number, b.Records)
		}
		number = b.Number
	}
	return number, chain
}

func (l *memoryLog) hashBefore(number uint64) Hash {
	begin, _, _ := l.Begin(context.Background())
	at, err := follow(context.Background(), l, begin, number)
	if err != nil {
		panic(err)
	}
	return at.Chain
}

// add appends a batch of so many records.
func (l *memoryLog) add(records int) {
	before, chain := l.head()
	number := before + 1
	var list [][]byte
	for i := range records {
		list = append(list, record(noon.Add(time.Duration(number)*time.Minute), fmt.Sprintf("login %d of batch %d", i, number)))
	}
	bytes := joinRecords(list)
	l.batches = append(l.batches, Batch{Number: number, Records: bytes, Chain: Link(chain, number, bytes)})
}

// addBare appends a batch without a hash.
func (l *memoryLog) addBare(records int) {
	l.add(records)
	b := &l.batches[len(l.batches)-1]
	b.Chain, b.Bare = Hash{}, true
}

// sign writes a checkpoint of the last batch.
func (l *memoryLog) sign() Checkpoint {
	number, chain := l.head()
	c := NewCheckpoint(l.key, number, noon.Add(time.Duration(number)*time.Minute+time.Second), chain)
	l.checkpoints = append(l.checkpoints, c)
	return c
}

// newLog has so many batches, of three records each, and a checkpoint of every fifth.
func newLog(batches int) *memoryLog {
	l := &memoryLog{key: newKey("server")}
	for i := 1; i <= batches; i++ {
		l.add(3)
		if i%5 == 0 {
			l.sign()
		}
	}
	return l
}

// clone is a copy to change.
func (l *memoryLog) clone() *memoryLog {
	c := *l
	c.batches, c.checkpoints = slices.Clone(l.batches), slices.Clone(l.checkpoints)
	for i := range c.batches {
		c.batches[i].Records = bytes.Clone(c.batches[i].Records)
	}
	for i := range c.checkpoints {
		c.checkpoints[i].Signature = bytes.Clone(c.checkpoints[i].Signature)
	}
	return &c
}

// of returns a batch by its number.
func (l *memoryLog) of(number uint64) *Batch {
	for i := range l.batches {
		if l.batches[i].Number == number {
			return &l.batches[i]
		}
	}
	panic(fmt.Sprintf("there is no batch %d", number))
}

// relink makes the hashes from a batch on anew.
func (l *memoryLog) relink(from uint64) {
	var before Hash
	for i := range l.batches {
		b := &l.batches[i]
		if b.Number >= from && !b.Bare {
			b.Chain = Link(before, b.Number, b.Records)
		}
		if before = b.Chain; b.Bare {
			before = Link(l.hashBefore(b.Number), b.Number, b.Records)
		}
	}
}

// resign makes the checkpoints from a batch on anew with a key.
func (l *memoryLog) resign(from uint64, key ed25519.PrivateKey) {
	for i := range l.checkpoints {
		if c := &l.checkpoints[i]; c.Batch >= from {
			*c = NewCheckpoint(key, c.Batch, c.At, l.of(c.Batch).Chain)
		}
	}
}

// remove removes batches.
func (l *memoryLog) remove(from, to uint64) {
	l.batches = slices.DeleteFunc(l.batches, func(b Batch) bool { return b.Number >= from && b.Number <= to })
}

func (l *memoryLog) removeCheckpoints(from, to uint64) {
	l.checkpoints = slices.DeleteFunc(l.checkpoints, func(c Checkpoint) bool { return c.Batch >= from && c.Batch <= to })
}

// retain removes what is up to a checkpoint, as retention does.
func (l *memoryLog) retain(c Checkpoint) {
	l.remove(0, c.Batch)
	l.removeCheckpoints(0, c.Batch)
	begin := NewBegin(l.key, c.Batch, c.At.Add(time.Hour), c.Chain)
	l.begin = &begin
}

// The records of tests: 8 bytes of Unix seconds and a text. In a batch each comes after
// its length, and the first byte is 1.

func record(at time.Time, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), text...)
}

func joinRecords(records [][]byte) []byte {
	batch := []byte{1}
	for _, r := range records {
		batch = append(binary.AppendUvarint(batch, uint64(len(r))), r...)
	}
	return batch
}

func splitRecords(batch []byte, each func(uint32, []byte) error) error {
	if len(batch) == 0 || batch[0] != 1 {
		return errors.New("not a batch")
	}
	rest := batch[1:]
	for index := uint32(0); len(rest) > 0; index++ {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return fmt.Errorf("record %d is cut off", index)
		}
		if err := each(index, rest[size:size+int(n)]); err != nil {
			return err
		}
		rest = rest[size+int(n):]
	}
	return nil
}

func parseRecord(r []byte) (time.Time, error) {
	if len(r) < 8 {
		return time.Time{}, errors.New("it has no time")
	}
	return time.Unix(int64(binary.BigEndian.Uint64(r)), 0).UTC(), nil
}

func renderRecord(batch uint64, index uint32, r []byte) ([]byte, error) {
	at, err := parseRecord(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID   string    `json:"id"`
		At   time.Time `json:"at"`
		Text string    `json:"text"`
	}{fmt.Sprintf("%d-%d", batch, index), at, string(r[8:])})
}

var testFormat = Format{Split: splitRecords, Join: joinRecords, Parse: parseRecord, Render: renderRecord}

// verified verifies a log with its own key and these checkpoints.
func verified(t testing.TB, l Log, noted ...Checkpoint) Report {
	t.Helper()
	r, err := Verify(t.Context(), l, VerifyOptions{Format: testFormat, Noted: noted})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkFaults compares the faults of a report with what they have to begin with.
func checkFaults(t testing.TB, r Report, want ...string) {
	t.Helper()
	var got []string
	for _, f := range r.Faults {
		got = append(got, string(f.Kind)+": "+f.Text)
	}
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && i < len(got) && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
