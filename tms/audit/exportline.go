package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// exportFormat is the number of the format; it is in the first line.
const exportFormat = 1

const (
	// maxLine bounds a line of an export.
	maxLine = 4 << 20
	// maxChunk is how many bytes a line has of a batch that is not shown by its records.
	maxChunk = 1 << 20
)

// The lines of an export, but those of records.
type (
	// headLine is the first.
	headLine struct {
		Format  int         `json:"countersign_audit"`
		Version string      `json:"version"`
		Key     string      `json:"key"`
		Begin   *signedLine `json:"begins_after"`
		Retain  bool        `json:"retention,omitempty"` // has removed what is before: Begin is signed so
	}
	// signedLine is a checkpoint, or what NewBegin signs, or without time and signature a
	// hash.
	signedLine struct {
		Batch     uint64 `json:"batch"`
		At        string `json:"at,omitempty"`
		Chain     Hash   `json:"chain"`
		Signature []byte `json:"signature,omitempty"`
	}
	checkpointLine struct {
		Checkpoint signedLine `json:"checkpoint"`
	}
	// batchLine comes after the records of a batch. Chain is nil when it has no hash.
	batchLine struct {
		Batch   uint64 `json:"batch"`
		Records uint64 `json:"records"`
		Chain   *Hash  `json:"chain"`
	}
	// bytesLine is a part of a batch that is not shown by its records.
	bytesLine struct {
		Bytes []byte `json:"bytes"`
	}
	// endLine is the last. Sum is the SHA-256 of all lines before: it tells damage in
	// what nothing else covers, but anybody can make it.
	endLine struct {
		Complete    bool   `json:"complete"`
		Batches     uint64 `json:"batches"`
		Records     uint64 `json:"records"`
		Checkpoints uint64 `json:"checkpoints"`
		Last        uint64 `json:"last_batch"`
		Bounded     bool   `json:"bounded"` // by the range: the log may go on
		Chain       Hash   `json:"chain"`
		Sum         Hash   `json:"sha256"`
	}
)

// The beginnings of lines that are not of records.
var (
	batchStart      = []byte(`{"batch":`)
	checkpointStart = []byte(`{"checkpoint":`)
	bytesStart      = []byte(`{"bytes":`)
	endStart        = []byte(`{"complete":`)
)

// encodeLine makes a line.
func encodeLine(line any) []byte {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // no line has anything that cannot be encoded
	}
	return text
}

// decodeLine reads what encodeLine makes, and nothing that differs in a byte.
func decodeLine(text []byte, line any) error {
	if err := json.Unmarshal(text, line); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if !bytes.Equal(encodeLine(line), text) {
		return fmt.Errorf("it is not written as an export is: it would be %q", encodeLine(line))
	}
	return nil
}

// parseHead reads the first line. Of one of another format only its number is known.
func parseHead(line []byte) (headLine, error) {
	text, whole := bytes.CutSuffix(line, []byte{'\n'})
	if !whole {
		return headLine{}, errors.New("it is cut off")
	}
	var other struct {
		Format int `json:"countersign_audit"`
	}
	if json.Unmarshal(text, &other) == nil && other.Format > exportFormat {
		return headLine{Format: other.Format}, nil
	}
	var h headLine
	err := decodeLine(text, &h)
	return h, err
}

// values are the key, and after what the export begins, nil for nothing, and whether that
// is where retention has ended.
func (h *headLine) values() (key ed25519.PublicKey, begin *Checkpoint, retained bool, err error) {
	if key, err = ParseKey(h.Key); err != nil {
		return nil, nil, false, err
	}
	if h.Begin == nil {
		if h.Retain {
			err = errors.New("it does not say what retention has removed")
		}
		return key, nil, false, err
	}
	c, err := h.Begin.checkpoint()
	if err == nil && c.Batch == 0 {
		err = errors.New("no log begins after batch 0")
	}
	return key, &c, h.Retain, err
}

func lineOf(c *Checkpoint) signedLine {
	line := signedLine{Batch: c.Batch, Chain: c.Chain, Signature: c.Signature}
	if len(c.Signature) > 0 {
		line.At = c.At.UTC().Format(timeText)
	}
	return line
}

func (l *signedLine) checkpoint() (Checkpoint, error) {
	c := Checkpoint{Batch: l.Batch, Chain: l.Chain, Signature: l.Signature}
	if len(l.Signature) == 0 && l.At == "" {
		return c, nil
	}
	var err error
	c.At, err = parseTime(l.At)
	return c, err
}

// The member of a record's line that has its bytes is the last.
var (
	recordStart = []byte(`,"record":"`)
	recordEnd   = []byte(`"}`)
	recordText  = base64.StdEncoding.Strict()
)

// unreadable is shown of a record that Render cannot read.
const unreadable = `{"unreadable":true}`

// recordLine is what Render makes of a record, with its bytes in base64.
func (f *Format) recordLine(batch uint64, index uint32, record []byte) []byte {
	text, err := f.Render(batch, index, record)
	if err != nil || len(text) < len(`{"":0}`) || text[0] != '{' || text[len(text)-1] != '}' || bytes.ContainsRune(text, '\n') {
		text = []byte(unreadable)
	}
	line := append([]byte(nil), text[:len(text)-1]...)
	line = append(line, recordStart...)
	line = recordText.AppendEncode(line, record)
	return append(line, recordEnd...)
}

// recordOf takes the record out of its line. ok is false when it is not the line of a
// record.
func recordOf(line []byte) (record []byte, ok bool, err error) {
	i := bytes.LastIndex(line, recordStart)
	if i < 0 {
		return nil, false, nil
	}
	text, ok := bytes.CutSuffix(line[i+len(recordStart):], recordEnd)
	if !ok {
		return nil, true, fmt.Errorf("its record has no end")
	}
	record, err = recordText.AppendDecode(nil, text)
	if err != nil {
		return nil, true, fmt.Errorf("its record is not base64: %w", err)
	}
	return record, true, nil
}

// recordLines are the lines of the records of a batch. ok is false when they would not
// show all of it, or not in lines of bounded length.
func (f *Format) recordLines(b *Batch) (lines [][]byte, ok bool) {
	var records [][]byte
	ok = true
	err := f.Split(b.Records, func(index uint32, record []byte) error {
		line := f.recordLine(b.Number, index, record)
		lines, records = append(lines, line), append(records, record)
		ok = ok && len(line) < maxLine
		return nil
	})
	return lines, ok && err == nil && bytes.Equal(f.Join(records), b.Records)
}

// byteLines are the lines of a batch that is not shown by its records, one at least.
func byteLines(b *Batch) (lines [][]byte) {
	rest := b.Records
	for {
		n := min(len(rest), maxChunk)
		lines = append(lines, encodeLine(bytesLine{append([]byte{}, rest[:n]...)}))
		if rest = rest[n:]; len(rest) == 0 {
			return lines
		}
	}
}
