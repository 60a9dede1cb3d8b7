package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/store/embedded"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Copy the store to a new file, while the server runs or not", Args: cobra.ExactArgs(1),
		Long: "Copy the store to a new file, while the server runs or not. The key file is not in it: keep a copy of that apart,\n" +
			"for without it the backup cannot be read, and with it it can.",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if err := writeBackup(ctx, client, args[0]); err != nil {
					return err
				}
				a.say("backup written to %s", args[0])
				return nil
			})
		},
	}
}

// writeBackup receives a backup into a file that must not exist. Broken off, it
// leaves none.
func writeBackup(ctx context.Context, client *console.Client, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the backup file: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := client.Backup(ctx, f); err != nil {
		return err
	}
	return f.Sync()
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Put a backup in the place of the store; the server must be stopped", Args: cobra.ExactArgs(1),
		Long: "Put a backup in the place of the store; the server must be stopped, and the store that was there is kept aside.\n" +
			"A backup turns counters back. So that no code used since then passes again, event tokens (hotp, mobilepass)\n" +
			"then need two codes in a row once, and clock tokens (totp) are refused for the next minute or so.",
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			if cfg.Store.Driver == conf.StorePostgres {
				return errors.New("the store is in PostgreSQL: stop all servers, restore it with PostgreSQL's own programs, and then run `countersign store rewound`")
			}
			if _, err := os.Stat(cfg.KeyFile(credentials())); errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("there is no key file %s: put the one of the backup's time there first", cfg.KeyFile(credentials()))
			}
			options, err := a.storeOptions(cfg, slog.New(slog.NewTextHandler(a.err, nil)), nil)
			if err != nil {
				return err
			}
			err = embedded.Restore(context.Background(), args[0], storePath(cfg), options, policy(cfg))
			if errors.Is(err, embedded.ErrLocked) {
				return fmt.Errorf("%w: stop the server first", err)
			}
			if err != nil {
				return err
			}
			a.say("restored from %s", args[0])
			a.say("the audit log goes on from the backup: checkpoints that were noted since then fit the store that was kept aside, which `countersign audit verify FILE` verifies too")
			return nil
		},
	}
}

func (a *app) keyCommand() *cobra.Command {
	rotate := &cobra.Command{
		Use: "rotate", Short: "Make new keys and seal every seed and PIN anew, while the server runs or not", Args: cobra.NoArgs,
		Long: "Make new keys and seal every seed and PIN anew, while the server runs or not. The key file then has the new key; the\n" +
			"old one is kept beside it, because backups made until now need it. Broken off, it can be given again.\n" +
			"\n" +
			"Where several servers share a database all of them go on, but none starts again without the new key: copy the key file\n" +
			"to each at once. Until then `countersign cluster status` names those that lack it.",
		RunE: func(*cobra.Command, []string) error {
			if _, err := a.load(); err != nil { // or it could not say where the keys are
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				if err := client.RotateKeys(ctx); err != nil {
					return err
				}
				path := cfg.KeyFile(credentials())
				a.say("keys rotated; %s has the new one", path)
				if cfg.Store.Driver == conf.StorePostgres {
					a.say("copy %s to every other server of this database now: they go on as they are, but would not start again without it", path)
				}
				a.say("backups made until now need the old one, kept as %s.before-*: put it apart, and remove it when they are gone", path)
				return nil
			})
		},
	}
	return group("key", "Look after the keys that seal seeds and PINs", rotate)
}

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the configuration, the store, the directories, the mail server and the TMS; exit 1 with every fault", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load()
			if err != nil {
				fmt.Fprintln(a.err, err)
				return exitStatus(1)
			}
			if _, err := nasTable(cfg, nil); err != nil {
				return err
			}
			a.say("configuration %s: good, %d NAS", a.config, len(cfg.NAS))
			err = a.checkStore(cfg)
			for _, unanswered := range []error{a.checkDirectories(cfg), a.checkMail(cfg), a.checkTMS(cfg)} {
				if err == nil {
					err = unanswered
				}
			}
			return err
		},
	}
}

// checkStore opens and checks the store. One that a running server has open is
// that server's to check: /readyz tells. Only the rules in it are looked at.
func (a *app) checkStore(cfg *conf.Config) error {
	if cfg.Store.Driver == conf.StorePostgres {
		return a.checkDatabase(cfg)
	}
	path := storePath(cfg)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		a.say("store %s: not there yet, the first start makes it", path)
		return nil
	}
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if old, err := a.oldFormat(cfg, logger); err != nil || old {
		return err
	}
	p, err := a.openParts(ctx, cfg, logger, nil)
	if errors.Is(err, embedded.ErrLocked) {
		a.say("store %s: in use by a running server", path)
		return a.checkServedRules(ctx, cfg)
	}
	if err != nil {
		return err
	}
	records, _, err := p.readRules(ctx, 0)
	if err = errors.Join(err, p.store.Check(ctx), p.close()); err != nil {
		return err
	}
	if err := a.checkRecords(cfg, records); err != nil {
		return err
	}
	a.say("store %s: good", path)
	return nil
}

// checkDatabase checks the store in PostgreSQL, which others may use meanwhile.
func (a *app) checkDatabase(cfg *conf.Config) error {
	ctx := context.Background()
	p, err := a.openParts(ctx, cfg, slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn})), nil)
	if err != nil {
		return err
	}
	records, _, err := p.readRules(ctx, 0)
	if err = errors.Join(err, p.store.Check(ctx), p.close()); err != nil {
		return err
	}
	if err := a.checkRecords(cfg, records); err != nil {
		return err
	}
	a.say("store in PostgreSQL: good; `countersign cluster status` tells of servers and standbys")
	return nil
}

// oldFormat tells of a store that is of an older format, and leaves it so: to open
// it would turn it. There are no rules in it yet.
func (a *app) oldFormat(cfg *conf.Config, logger *slog.Logger) (bool, error) {
	options, err := a.storeOptions(cfg, logger, nil)
	if err != nil {
		return false, err
	}
	format, err := embedded.OldFormat(options)
	if err != nil || format == 0 {
		return false, err
	}
	a.say("store %s: format %d: the first start turns it into format %d, after which an older Countersign refuses it; make a backup first, with the older one",
		storePath(cfg), format, embedded.Format)
	return true, nil
}

// checkServedRules checks the rules with those that the running server has.
func (a *app) checkServedRules(ctx context.Context, cfg *conf.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := console.NewClient(adminDialer(cfg))
	defer client.Close()
	var records []tms.Rule
	err := client.Rules(ctx, "", func(v tms.RuleView) error {
		records = append(records, tms.Rule{
			Exists: true, File: v.Source == tms.FromFile,
			Rule: exclusions.Rule{Name: v.Name, Owner: v.Owner, Reason: v.Reason, Expires: v.Expires, Criteria: v.Criteria},
		})
		return nil
	})
	if err != nil {
		fmt.Fprintln(a.err, "rules added at run time: not verified:", err)
		return exitStatus(1)
	}
	if err := a.checkRecords(cfg, records); err != nil {
		return err
	}
	a.say("rules added at run time: good")
	return nil
}

// checkRecords is checkRecords that prints the warnings.
func (a *app) checkRecords(cfg *conf.Config, records []tms.Rule) error {
	warnings, err := checkRecords(cfg, records, a.clock())
	for _, warning := range warnings {
		fmt.Fprintln(a.err, "warning:", warning)
	}
	return err
}
