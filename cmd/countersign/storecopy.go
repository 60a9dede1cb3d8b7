package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp/seal"
	"countersign/tms/audit"
	"countersign/tms/store/embedded"
	"countersign/tms/store/postgres"
	"countersign/tms/store/tables"
)

// storeCommand is about the store as a whole.
func (a *app) storeCommand() *cobra.Command {
	return group("store", "Move the store between a file and PostgreSQL, and look after its tables",
		a.storeCopyCommand(), a.storeMigrateCommand(), a.storeRewoundCommand())
}

// copyFlags say what is copied where.
type copyFlags struct {
	from, to     string
	anew, faults bool
}

func (a *app) storeCopyCommand() *cobra.Command {
	var f copyFlags
	c := &cobra.Command{
		Use: "copy --from embedded|postgres --to postgres|embedded", Short: "Copy the whole store from one engine to the other, and verify the copy", Args: cobra.NoArgs,
		Long: "Copy the whole store from one engine to the other: users with PINs, tokens with their counters, rules with all\n" +
			"revisions, invitations, mails, sessions, and the audit log with its chain. The server (all nodes) must be stopped: a\n" +
			"code that is used after the copy began would pass once more. The source stays as it is.\n" +
			"\n" +
			"Both are named by the one configuration: the file is countersign.db in data_dir, the database is dsn in [store], so\n" +
			"driver = \"postgres\" is set for the copy in either direction. What is sealed stays sealed by the same key, so the copy\n" +
			"needs the key file that the source has; it is not copied.\n" +
			"\n" +
			"The copy must go to an empty place; tables that are missing in the database are made. Broken off, the same command\n" +
			"goes on where it was; no server opens what is not complete. At the end every table of the copy is held against the\n" +
			"source, row by row, and the audit log of the copy is verified with the key of the source. The index for searches is\n" +
			"not copied: the server makes it anew in the background.",
		Example: "  countersign store copy --from embedded --to postgres\n" +
			"  countersign store copy --from postgres --to embedded\n" +
			"  countersign store copy --from embedded --to postgres --anew    # what was begun is removed first",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.copyStore(ctx, cfg, f)
		},
	}
	c.Flags().StringVar(&f.from, "from", "", "`engine` that has the store now: embedded or postgres")
	c.Flags().StringVar(&f.to, "to", "", "`engine` that is to have it: postgres or embedded")
	c.Flags().BoolVar(&f.anew, "anew", false, "remove what a copy that was broken off has left, and begin again")
	c.Flags().BoolVar(&f.faults, "accept-faults", false, "copy an audit log in which verification finds faults, as it is")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	engines := cobra.FixedCompletions([]string{string(conf.StoreEmbedded), string(conf.StorePostgres)}, cobra.ShellCompDirectiveNoFileComp)
	_ = c.RegisterFlagCompletionFunc("from", engines)
	_ = c.RegisterFlagCompletionFunc("to", engines)
	return c
}

// copiedStore is one end of a copy.
type copiedStore interface {
	tables.CopyStore
	io.Closer
}

// copyStore copies, and says what came of it and what to do next.
func (a *app) copyStore(ctx context.Context, cfg *conf.Config, f copyFlags) error {
	embedded, postgres := string(conf.StoreEmbedded), string(conf.StorePostgres)
	if !(f.from == embedded && f.to == postgres) && !(f.from == postgres && f.to == embedded) {
		return fmt.Errorf("--from %s --to %s: say --from %s --to %s, or the other way round", f.from, f.to, embedded, postgres)
	}
	if cfg.Store.Driver != conf.StorePostgres {
		return fmt.Errorf("the configuration %s does not say where the database is: set driver = \"postgres\" and dsn in its [store], for a copy in either direction", a.config)
	}
	logger := slog.New(slog.NewTextHandler(a.err, nil))
	from, err := a.openSource(ctx, cfg, conf.StoreDriver(f.from), logger)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openTarget(ctx, cfg, conf.StoreDriver(f.to), logger)
	if err != nil {
		return err
	}
	report, err := tables.Copy(ctx, from, to, tables.CopyOptions{Anew: f.anew, Faults: f.faults, Format: auditFormat(), Progress: a.copyProgress()})
	if err = errors.Join(err, to.Close()); err != nil {
		return copyError(err, f)
	}
	a.showCopy(cfg, f, from, to, &report)
	return nil
}

// openSource opens what is copied, with the key file that is there: none is made.
func (a *app) openSource(ctx context.Context, cfg *conf.Config, driver conf.StoreDriver, logger *slog.Logger) (copiedStore, error) {
	path := cfg.KeyFile(credentials())
	keks, err := seal.ReadKeyFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key file of the store that is to be copied: %w", err)
	}
	if driver == conf.StorePostgres {
		o := a.postgresDatabase(cfg, logger, nil)
		o.KEKs = keks
		s, err := opened(postgres.OpenSource(ctx, o))
		return s, ofKeyFile(cfg, err)
	}
	s, err := opened(embedded.OpenSource(ctx, embedded.Options{Path: storePath(cfg), KEKs: keks, Rand: a.rand, Clock: a.clock, Logger: logger}))
	if errors.Is(err, embedded.ErrLocked) {
		err = fmt.Errorf("%w: stop the server first", err)
	}
	return s, ofKeyFile(cfg, err)
}

// openTarget opens where the copy goes, and makes the tables of a database that has none.
func (a *app) openTarget(ctx context.Context, cfg *conf.Config, driver conf.StoreDriver, logger *slog.Logger) (copiedStore, error) {
	if driver == conf.StorePostgres {
		o := a.postgresDatabase(cfg, logger, nil)
		found, err := postgres.Look(ctx, o)
		if err == nil && found.Tables == 0 {
			_, _, err = postgres.Migrate(ctx, o)
		}
		if err != nil {
			return nil, err
		}
		return opened(postgres.OpenTarget(ctx, o))
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	s, err := opened(embedded.OpenTarget(ctx, embedded.Options{Path: storePath(cfg), Logger: logger}))
	if errors.Is(err, embedded.ErrLocked) {
		err = fmt.Errorf("%w: stop the server that uses it first", err)
	}
	return s, err
}

// opened is a store as an interface, which is nil when there is an error.
func opened[S copiedStore](s S, err error) (copiedStore, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// copyError says what can be done about an error.
func copyError(err error, f copyFlags) error {
	again := fmt.Sprintf("countersign store copy --from %s --to %s", f.from, f.to)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("broken off: %s goes on where it was; until then no server opens the copy", again)
	case errors.Is(err, tables.ErrTargetUsed) && f.to == string(conf.StorePostgres):
		return fmt.Errorf("%w: make an empty database (createdb) and name it by dsn in [store], or drop and make this one anew, if what is in it is not needed", err)
	case errors.Is(err, tables.ErrTargetUsed):
		return fmt.Errorf("%w: move countersign.db and countersign-history.db out of data_dir first, and keep them until all works", err)
	case errors.Is(err, tables.ErrSourceChanged), errors.Is(err, tables.ErrCopyDiffers):
		return fmt.Errorf("%w; see to it that no server runs, then begin again with %s --anew", err, again)
	case errors.Is(err, tables.ErrAuditFaults):
		return fmt.Errorf("%w; `countersign audit verify` lists them all; if they are known, %s --accept-faults ends the copy with the log as it is", err, again)
	}
	return err
}

// copyProgress shows on a terminal how far a copy is, and elsewhere what it does.
func (a *app) copyProgress() func(what string, done, total int64) {
	var bar *progressbar.ProgressBar
	shown := ""
	return func(what string, done, total int64) {
		if what != shown {
			if bar != nil {
				_ = bar.Finish()
			}
			shown, bar = what, a.bar(fmt.Sprintf("%-24s", what), max(total, 1), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done)
	}
}

// showCopy prints what was copied, and what to do now.
func (a *app) showCopy(cfg *conf.Config, f copyFlags, from, to copiedStore, r *tables.CopyReport) {
	t := a.newTable("TABLE", "ROWS", "SHA-256 OF ALL ROWS")
	for _, table := range r.Tables {
		t.row(table.Name, fmt.Sprint(table.Rows), table.Sum.String()[:16])
	}
	_ = t.end(nil)
	if !from.Has(tables.HistoryPart) {
		a.say("sessions: the file with them is missing, or of another version; the server makes them again, as far as the accounting log goes back")
	}
	a.say("audit log: %s; key %s", resultLine(&r.Audit), audit.FormatKey(r.Audit.Key))
	a.say("copied, and verified: %s is as %s, row by row", to, from)
	a.say("")
	a.say("%s", strings.Join(nextSteps(a, cfg, f, from), "\n"))
}

// nextSteps are what to do after a copy.
func nextSteps(a *app, cfg *conf.Config, f copyFlags, from copiedStore) []string {
	key := cfg.KeyFile(credentials())
	steps := []string{"Next:"}
	if f.to == string(conf.StorePostgres) {
		steps = append(steps,
			fmt.Sprintf("  - start the server: %s has driver = \"postgres\" already", a.config),
			fmt.Sprintf("  - every further node gets the same configuration and a copy of the key file %s", key))
	} else {
		steps = append(steps,
			fmt.Sprintf("  - in [store] of %s set driver = \"embedded\", and remove dsn and password_file", a.config),
			fmt.Sprintf("  - start one server, with the key file %s as before; other nodes stay off", key))
	}
	return append(steps,
		fmt.Sprintf("  - never start a server on %s again: codes that are used from now on would pass there once more", from),
		"    keep it apart as a backup, as long as one would be kept, then remove it")
}
