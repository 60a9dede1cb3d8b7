package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms/audit"
	"countersign/tms/store/embedded"
	"countersign/tms/store/postgres"
)

// verifyFlags say by what the audit log is verified.
type verifyFlags struct {
	key         string
	checkpoints []string
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use: "verify [FILE]", Short: "Verify that the audit log is what was written; exit 1 with every fault", Args: cobra.MaximumNArgs(1),
		Long: "Verify that nothing in the audit log was changed, left out or put in: of FILE, which is a store, a backup or an export,\n" +
			"or of the store of the configuration. No server and no key file is needed, and a store may be in use.\n" +
			"It proves what is signed, up to the newest checkpoint. What is not signed, a minute at most while the server runs, whoever\n" +
			"can write to the file can make anew; that it is much more than that, by the times of the records, is a fault. When they\n" +
			"also removed checkpoints, the server finds it at its next start and records an audit.gap (`countersign event list`). Or they\n" +
			"sign all of it with a key of their own: give the one that was noted elsewhere (`countersign audit key`) with --key.\n" +
			"Who has the file and its key file can sign whatever they want: against them, and against old copies, help only checkpoints\n" +
			"that were noted elsewhere (`countersign audit checkpoint`, or syslog), for what is up to them.",
		Example: "  countersign audit verify --key @audit.key --checkpoint @checkpoints\n" +
			"  countersign audit verify december.jsonl --key csaudit1-...",
		RunE: func(_ *cobra.Command, args []string) error {
			options, err := f.options()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if cfg, err := a.load(); err == nil && cfg.Store.Driver == conf.StorePostgres {
					return a.verifyDatabase(cfg, options)
				}
			}
			path, err := a.auditedFile(args)
			if err != nil {
				return err
			}
			return a.verifyAudit(path, options)
		},
	}
	c.Flags().StringVar(&f.key, "key", "", "the public `key` that was noted elsewhere, or @file")
	c.Flags().StringArrayVar(&f.checkpoints, "checkpoint", nil, "a `checkpoint` that was noted elsewhere, or @file with one a line; can be said more than once")
	return a.jsonFlag(c)
}

// options reads what was noted elsewhere.
func (f *verifyFlags) options() (audit.VerifyOptions, error) {
	o := audit.VerifyOptions{Format: auditFormat()}
	keys, err := noted(f.key)
	if err != nil {
		return o, fmt.Errorf("--key: %w", err)
	}
	switch {
	case len(keys) > 1:
		return o, errors.New("--key: there are several lines, and there can be one key only")
	case len(keys) == 1:
		if o.Key, err = audit.ParseKey(keys[0]); err != nil {
			return o, fmt.Errorf("--key: %w", err)
		}
	case f.key != "":
		return o, fmt.Errorf("--key %s: there is no key in it", f.key)
	}
	for _, text := range f.checkpoints {
		lines, err := noted(text)
		if err != nil {
			return o, fmt.Errorf("--checkpoint: %w", err)
		}
		for _, line := range lines {
			c, err := audit.ParseCheckpoint(line)
			if err != nil {
				return o, fmt.Errorf("--checkpoint: %w", err)
			}
			o.Noted = append(o.Noted, c)
		}
	}
	return o, nil
}

// noted are the lines of a text, or of the file it names as @file, without empty ones and
// those that begin with #.
func noted(text string) ([]string, error) {
	if path, ok := strings.CutPrefix(text, "@"); ok {
		file, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text = string(file)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// auditedFile is the file that is meant. A configuration with faults still names a store.
func (a *app) auditedFile(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	dir, ok := conf.DataDir(a.config)
	if !ok {
		_, err := a.load()
		return "", cmp.Or(err, fmt.Errorf("%s names no data_dir: name the file to verify", a.config))
	}
	return storePath(&conf.Config{DataDir: dir}), nil
}

// verifyDatabase verifies the audit log of the driver postgres and prints what it found.
func (a *app) verifyDatabase(cfg *conf.Config, o audit.VerifyOptions) error {
	ctx := context.Background()
	log, err := postgres.OpenAudit(ctx, a.postgresDatabase(cfg, slog.New(slog.DiscardHandler), nil))
	if err != nil {
		return err
	}
	r, err := audit.Verify(ctx, log, o)
	if err = errors.Join(err, log.Close()); err != nil {
		return fmt.Errorf("verifying the audit log of the database: %w", err)
	}
	return a.showVerified("database", "store", &r, o)
}

// verifyAudit verifies a file and prints what it found.
func (a *app) verifyAudit(path string, o audit.VerifyOptions) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	isStore, err := isStore(f)
	if err != nil {
		return err
	}
	ctx, what := context.Background(), "export"
	var r audit.Report
	if isStore {
		what = "store"
		r, err = verifyStore(ctx, path, o)
	} else {
		r, err = audit.VerifyExport(ctx, f, o)
	}
	if err != nil {
		return fmt.Errorf("verifying the audit log of %s: %w", path, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	return a.showVerified(path, what, &r, o)
}

// showVerified prints what was found. Faults are exit status 1.
func (a *app) showVerified(path, what string, r *audit.Report, o audit.VerifyOptions) error {
	if a.json {
		if err := a.result(viewReport(path, what, r)); err != nil {
			return err
		}
	} else {
		a.showVerification(path, what, r, o.Key != nil)
	}
	if !r.OK() {
		return exitStatus(1)
	}
	return nil
}

func verifyStore(ctx context.Context, path string, o audit.VerifyOptions) (audit.Report, error) {
	file, err := embedded.OpenAudit(path)
	if err != nil {
		return audit.Report{}, err
	}
	r, err := audit.Verify(ctx, file, o)
	return r, errors.Join(err, file.Close())
}

// showVerification prints what people read.
func (a *app) showVerification(path, what string, r *audit.Report, pinned bool) {
	if r.Version != "" {
		what += " of countersign " + r.Version
	}
	a.line("verified", fmt.Sprintf("%s (%s)", path, what))
	a.line("events", eventsLine(r))
	if r.Begin != nil {
		a.line("begins", fmt.Sprintf("after batch %d: what was before is not in it", r.Begin.Batch))
	}
	if r.Bare > 0 {
		a.line("older", fmt.Sprintf("%s of before there was a chain; the hash of what follows covers them", batches(r.Bare)))
	}
	a.line("key", keyLine(r, pinned))
	a.line("signed", signedLine(r))
	a.line("noted", notedLine(r))
	if r.Compared {
		a.line("text", "compared with the records it is made of")
	}
	for _, f := range r.Faults {
		a.line("FAULT", f.Text)
	}
	for _, f := range r.Doubts {
		a.line("doubt", f.Text)
	}
	if r.More > 0 {
		a.line("", fmt.Sprintf("and %d more faults", r.More))
	}
	a.line("result", resultLine(r))
}

func resultLine(r *audit.Report) string {
	switch n := uint64(len(r.Faults)) + r.More; {
	case n == 1:
		return "NOT GOOD: 1 fault"
	case n > 0:
		return fmt.Sprintf("NOT GOOD: %d faults", n)
	case r.Batches > 0 && r.Checkpoint == nil:
		return "good, but nothing is signed: it can have been made anew"
	}
	text := "good: nothing was changed, left out or put in"
	if r.Begin != nil {
		text += fmt.Sprintf(" after batch %d", r.Begin.Batch)
	}
	if r.Unsigned > 0 {
		text = fmt.Sprintf("%s up to batch %d, which is signed; %s after it not yet: what is not signed can have been made anew", text, r.Checkpoint.Batch, batches(r.Unsigned))
	}
	return text
}

func batches(n uint64) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}

func eventsLine(r *audit.Report) string {
	if r.Batches == 0 {
		return "none"
	}
	return fmt.Sprintf("%d in %s, %d to %d, from %s to %s", r.Records, batches(r.Batches), r.First, r.Last, stamp(r.FirstAt), stamp(r.LastAt))
}

func keyLine(r *audit.Report, pinned bool) string {
	switch {
	case len(r.Key) == 0:
		return "none"
	case pinned:
		return audit.FormatKey(r.Key) + ", as it was noted"
	}
	return audit.FormatKey(r.Key) + ", which comes with the log: note it elsewhere, and give it with --key"
}

func signedLine(r *audit.Report) string {
	if r.Checkpoint == nil {
		return "nothing yet"
	}
	text := fmt.Sprintf("up to batch %d at %s", r.Checkpoint.Batch, stamp(r.Checkpoint.At))
	if r.Unsigned > 0 {
		text += fmt.Sprintf("; %s after it not yet", batches(r.Unsigned))
	}
	return text
}

func notedLine(r *audit.Report) string {
	var parts []string
	if r.Noted > 0 {
		parts = append(parts, count(r.Noted, "checkpoint")+" of elsewhere: in the log")
	}
	for _, beyond := range []struct {
		checkpoints []audit.Checkpoint
		where       string
	}{{r.Before, "before the log begins"}, {r.After, "after the export ends"}} {
		if n := len(beyond.checkpoints); n > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s: rightly signed, and that is all there is to say", count(n, "checkpoint"), beyond.where))
		}
	}
	return strings.Join(parts, "; ")
}

// reportView is a report as JSON.
type reportView struct {
	File       string      `json:"file"`
	Type       string      `json:"type"` // store or export
	Good       bool        `json:"good"`
	Version    string      `json:"version,omitempty"` // of the program that wrote an export
	Key        string      `json:"key,omitempty"`     // it was verified by
	LogKey     string      `json:"log_key,omitempty"` // that comes with the log
	Begin      string      `json:"begin,omitempty"`   // checkpoint after which the log begins
	Batches    uint64      `json:"batches"`
	Bare       uint64      `json:"bare"` // of before there was a chain
	Records    uint64      `json:"records"`
	First      uint64      `json:"first"` // batch
	Last       uint64      `json:"last"`
	FirstAt    time.Time   `json:"first_at,omitzero"`
	LastAt     time.Time   `json:"last_at,omitzero"`
	Chain      string      `json:"chain,omitempty"` // of the last batch, in hexadecimal
	Signed     uint64      `json:"checkpoints"`
	Checkpoint string      `json:"checkpoint,omitempty"` // the last one
	Unsigned   uint64      `json:"unsigned"`             // batches after it
	Noted      int         `json:"noted"`
	Before     int         `json:"noted_before"`
	After      int         `json:"noted_after"`
	Compared   bool        `json:"compared,omitempty"` // what people read in an export with its records
	Faults     []faultView `json:"faults"`
	More       uint64      `json:"more_faults,omitempty"`
	Doubts     []faultView `json:"doubts,omitempty"` // what the clock may have done, or somebody else
}

type faultView struct {
	Kind  string `json:"kind"`
	Batch uint64 `json:"batch,omitempty"`
	To    uint64 `json:"to,omitempty"`
	Line  int    `json:"line,omitempty"`
	Text  string `json:"text"`
}

func viewReport(path, what string, r *audit.Report) reportView {
	v := reportView{
		File: path, Type: what, Good: r.OK(), Version: r.Version, Batches: r.Batches, Bare: r.Bare, Records: r.Records, First: r.First, Last: r.Last,
		FirstAt: r.FirstAt, LastAt: r.LastAt, Signed: r.Checkpoints, Unsigned: r.Unsigned, Noted: r.Noted, Before: len(r.Before), After: len(r.After), Compared: r.Compared,
		Faults: make([]faultView, 0, len(r.Faults)), More: r.More,
	}
	if len(r.Key) > 0 {
		v.Key = audit.FormatKey(r.Key)
	}
	if len(r.LogKey) > 0 {
		v.LogKey = audit.FormatKey(r.LogKey)
	}
	if r.Begin != nil {
		v.Begin = r.Begin.String()
	}
	if r.Checkpoint != nil {
		v.Checkpoint = r.Checkpoint.String()
	}
	if r.Batches > 0 {
		v.Chain = hex.EncodeToString(r.Chain[:])
	}
	for _, f := range r.Faults {
		v.Faults = append(v.Faults, faultView{string(f.Kind), f.Batch, f.To, f.Line, f.Text})
	}
	for _, f := range r.Doubts {
		v.Doubts = append(v.Doubts, faultView{string(f.Kind), f.Batch, f.To, f.Line, f.Text})
	}
	return v
}
