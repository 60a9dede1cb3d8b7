package console

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/tms"
	"countersign/tms/audit"
)

// chain is a tms.Audit of one batch, and the tms.Store that records acts on it.
type chain struct {
	tms.Store
	verbs  []string
	broken error // what listing batches ends with
	number int   // of batches
}

var chainKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func (c *chain) Record(_ context.Context, act tms.Act) error {
	c.verbs = append(c.verbs, act.Verb+" "+act.Detail)
	return nil
}

func (c *chain) AuditKey(context.Context) (ed25519.PublicKey, error) {
	return chainKey.Public().(ed25519.PublicKey), nil
}

func (c *chain) Begin(context.Context) (audit.Checkpoint, bool, error) {
	return audit.Checkpoint{}, false, nil
}

func (c *chain) Batches(_ context.Context, after uint64, each func(*audit.Batch) error) error {
	var hash audit.Hash
	for i := range uint64(c.number) {
		records := bytes.Repeat([]byte("record"), 1000)
		if hash = audit.Link(hash, i+1, records); i+1 <= after {
			continue
		}
		if err := each(&audit.Batch{Number: i + 1, Records: records, Chain: hash}); err != nil {
			return err
		}
	}
	return c.broken
}

func (c *chain) Checkpoints(ctx context.Context, after uint64, each func(*audit.Checkpoint) error) error {
	if after >= uint64(c.number) {
		return nil
	}
	newest, _ := c.Checkpoint(ctx)
	return each(&newest)
}

func (c *chain) Checkpoint(context.Context) (audit.Checkpoint, error) {
	var hash audit.Hash
	for i := range uint64(c.number) {
		hash = audit.Link(hash, i+1, bytes.Repeat([]byte("record"), 1000))
	}
	return audit.NewCheckpoint(chainKey, uint64(c.number), time.Unix(1_800_000_000, 0), hash), nil
}

func plainFormat() audit.Format {
	return audit.Format{
		Split:  func(records []byte, each func(uint32, []byte) error) error { return each(0, records) },
		Join:   func(records [][]byte) []byte { return bytes.Join(records, nil) },
		Parse:  func([]byte) (time.Time, error) { return time.Unix(1_800_000_000, 0), nil },
		Render: func(uint64, uint32, []byte) ([]byte, error) { return []byte(`{}`), nil },
	}
}

func TestTheAuditLogTravels(t *testing.T) {
	log := &chain{number: 40}
	service := tms.NewService(tms.Options{Store: log, Audit: log, Exporter: audit.Exporter{Format: plainFormat(), Version: "1.2.3"}, Clock: time.Now})
	c, ctx := mount(t, service, true), context.Background()
	text, err := c.AuditKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.ParseKey(text)
	if err != nil || !key.Equal(chainKey.Public()) {
		t.Errorf("%s, %v", text, err)
	}
	if checkpoint, err := c.SignAudit(ctx); err != nil || checkpoint.Batch != 40 || !checkpoint.SignedBy(key) {
		t.Errorf("%+v, %v", checkpoint, err)
	}
	var file bytes.Buffer
	if err := c.ExportAudit(ctx, tms.AuditRange{From: time.Unix(1_700_000_000, 0)}, &file); err != nil {
		t.Fatal(err)
	}
	report, err := audit.VerifyExport(ctx, &file, audit.VerifyOptions{Key: key, Format: plainFormat()})
	if err != nil || !report.OK() || report.Batches != 40 {
		t.Errorf("%+v, %v", report, err)
	}
	if strings.Join(log.verbs, ", ") != "audit.checkpoint , audit.export from=2023-11-14T22:13:20Z" {
		t.Errorf("recorded %q", log.verbs)
	}
	stranger := mount(t, service, false)
	if err := stranger.ExportAudit(ctx, tms.AuditRange{}, &file); !errors.Is(err, tms.ErrForbidden) {
		t.Error(err)
	}
}

// An export is whole or an error, whether it fails before its first byte or after.
func TestAnExportIsWholeOrAnError(t *testing.T) {
	ctx := context.Background()
	for _, batches := range []int{0, 200} {
		log := &chain{number: batches, broken: errors.New("the disk is gone")}
		service := tms.NewService(tms.Options{Store: log, Audit: log, Exporter: audit.Exporter{Format: plainFormat()}, Clock: time.Now})
		var file bytes.Buffer
		err := mount(t, service, true).ExportAudit(ctx, tms.AuditRange{}, &file)
		if err == nil || batches == 0 && !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("%d batches, %d bytes: %v", batches, file.Len(), err)
		}
	}
	c := mount(t, tms.NewService(tms.Options{Clock: time.Now}), true)
	if err := c.ExportAudit(ctx, tms.AuditRange{}, nil); !errors.Is(err, tms.ErrInvalid) {
		t.Error(err)
	}
}
