package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/console"
	"countersign/tms/store"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Verify, export and sign the log of logins and administrative acts",
		a.auditVerifyCommand(), a.auditExportCommand(), a.auditKeyCommand(), a.auditCheckpointCommand())
}

// auditFormat is how records of the journal are read, and how an export shows them.
func auditFormat() audit.Format {
	return audit.Format{
		Split: store.Records,
		Join: func(records [][]byte) []byte {
			batch := store.BeginBatch(nil)
			for _, record := range records {
				batch = store.AppendToBatch(batch, record)
			}
			return batch
		},
		Parse: func(record []byte) (time.Time, error) {
			r, err := store.ParseRecord(record)
			return r.Event.At, err
		},
		Render: func(batch uint64, index uint32, record []byte) ([]byte, error) {
			r, err := store.ParseRecord(record)
			if err != nil {
				return nil, err
			}
			r.Event.ID = otp.EventID{Batch: batch, Index: index}
			return console.RenderEvent(&r.Event)
		},
	}
}

// auditExporter is the tms.Options.Exporter.
func auditExporter() audit.Exporter { return audit.Exporter{Format: auditFormat(), Version: version} }

func (a *app) auditKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public key that signs the audit log", Args: cobra.NoArgs,
		Long: "Print the public key that signs the audit log. Note it elsewhere: `countersign audit verify --key` then finds out when\n" +
			"a log was signed by another. The key that signs never leaves the store, where it is sealed: who has the store and its key\n" +
			"file can sign a log of their own, and only a checkpoint that was noted elsewhere finds that.",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				key, err := client.AuditKey(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.out, key)
				return err
			})
		},
	}
}

func (a *app) auditCheckpointCommand() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Sign how far the audit log has come, and print that to be noted elsewhere", Args: cobra.NoArgs,
		Long: "Sign how far the audit log has come, and print the checkpoint in one line. Note it where nobody who can write to this\n" +
			"machine can change it: `countersign audit verify --checkpoint` then proves that all up to it still is what it was, even against\n" +
			"those who have the key file. What comes after the last one that was noted is proven by the key alone.",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				checkpoint, err := client.SignAudit(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.out, checkpoint)
				return err
			})
		},
	}
}

func (a *app) auditExportCommand() *cobra.Command {
	var from, to, path string
	c := &cobra.Command{
		Use: "export", Short: "Write the audit log as JSON lines", Args: cobra.NoArgs,
		Long: "Write the audit log as JSON lines, while the server runs or not: each login and act as `countersign event list --json`\n" +
			"shows it, with its bytes, hashes and checkpoints, so that `countersign audit verify FILE` can verify it anywhere.\n" +
			"A range goes on to the next checkpoint.",
		Example: "  countersign audit export --from 2026-12-01 --to 2026-12-31 -o december.jsonl",
		RunE: func(*cobra.Command, []string) error {
			var r tms.AuditRange
			var err error
			if r.From, r.To, err = timeRange(from, to, a.clock()); err != nil {
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				return a.exportAudit(ctx, client, r, path)
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&from, "from", "", "only from this `time` on: 2026-12-31T18:00, 2026-12-31, RFC 3339, or how long ago: 2h, 30d")
	flags.StringVar(&to, "to", "", "only before this `time`, in the same way; of a day its end")
	flags.StringVarP(&path, "output", "o", "", "new `file` to write; standard output when left out")
	_ = c.MarkFlagFilename("output")
	return c
}

// exportAudit writes an export to a new file, or to standard output. Broken off, it leaves
// no file.
func (a *app) exportAudit(ctx context.Context, client *console.Client, r tms.AuditRange, path string) (err error) {
	if path == "" {
		w := bufio.NewWriter(a.out)
		return errors.Join(client.ExportAudit(ctx, r, w), w.Flush())
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the file of the export: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
			return
		}
		a.say("audit log exported to %s", path)
	}()
	if err := client.ExportAudit(ctx, r, f); err != nil {
		return err
	}
	return f.Sync()
}

// isStore reports whether a file is a store or a backup rather than an export, by its
// first bytes (https://sqlite.org/fileformat.html#magic_header_string).
func isStore(f io.ReaderAt) (bool, error) {
	const magic = "SQLite format 3\x00"
	begin := make([]byte, len(magic))
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return string(begin[:n]) == magic, nil
}
