package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms/store/postgres"
)

func (a *app) storeMigrateCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use: "migrate", Short: "Make the tables in PostgreSQL, or bring them up to this version, while nodes run", Args: cobra.NoArgs,
		Long: "Make the tables in the PostgreSQL database of [store], or bring them up to those of this program. The first time it\n" +
			"also makes the key file, if there is none: every other node needs a copy of it.\n" +
			"\n" +
			"To update a cluster to the next version without a break: install it on one node and give `countersign store migrate`\n" +
			"there, while all nodes run; nodes of the version before go on working. Then update and restart one node after the\n" +
			"other. A node that is older than that refuses the new tables and says so. Make a backup (pg_dump) before.",
		Example: "  countersign store migrate --check    # changes nothing; exit 1 if there is something to do\n" +
			"  countersign store migrate",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.sharedStore()
			if err != nil {
				return err
			}
			return a.migrateStore(context.Background(), cfg, check)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only tell what would be done; exit 1 if there is something")
	return c
}

// sharedStore is the configuration, which has to be one with a database.
func (a *app) sharedStore() (*conf.Config, error) {
	cfg, err := a.load()
	if err == nil && cfg.Store.Driver != conf.StorePostgres {
		err = fmt.Errorf("%s has driver = %q in [store]: this is about the driver postgres; a store in a file is brought up to date by the first start", a.config, cfg.Store.Driver)
	}
	return cfg, err
}

func (a *app) migrateStore(ctx context.Context, cfg *conf.Config, check bool) error {
	options := a.postgresDatabase(cfg, slog.New(slog.NewTextHandler(a.err, nil)), nil)
	found, err := postgres.Look(ctx, options)
	if err != nil {
		return err
	}
	if check {
		a.showVersions(&found)
		if found.Tables < found.Known {
			return exitStatus(1)
		}
		return nil
	}
	from, to, err := postgres.Migrate(ctx, options)
	if err != nil {
		return err
	}
	switch {
	case from == 0:
		a.say("tables: made, version %d", to)
	case from == to:
		a.say("tables: version %d already, nothing to do", to)
	default:
		a.say("tables: brought from version %d to %d", from, to)
	}
	a.showNodes(found.Nodes, to)
	if found.Used {
		return nil
	}
	path, made, err := a.makeKey(cfg)
	if err == nil && made {
		a.say("key file: %s is made; copy it to every other node, and keep a copy apart: without it nothing in the store can be read", path)
	}
	return err
}

// showVersions tells what there is to do.
func (a *app) showVersions(v *postgres.Versions) {
	switch {
	case v.Tables == 0:
		a.say("tables: none; `countersign store migrate` makes those of version %d", v.Known)
	case v.Tables < v.Known:
		a.say("tables: version %d (by Countersign %s); `countersign store migrate` brings them to %d", v.Tables, v.By, v.Known)
	case v.Tables == v.Known:
		a.say("tables: version %d, as this program has them", v.Tables)
	default:
		a.say("tables: version %d (by Countersign %s), newer than the %d of this program: update this node", v.Tables, v.By, v.Known)
	}
	a.showNodes(v.Nodes, max(v.Tables, v.Known))
}

// showNodes tells which nodes run, and which of them are to be updated.
func (a *app) showNodes(nodes []postgres.NodeVersion, tables int64) {
	for _, n := range nodes {
		text := "up to date"
		if n.Known < tables {
			text = fmt.Sprintf("knows tables of version %d: update it", n.Known)
		}
		a.say("node %s: runs, Countersign %s, %s", n.Name, n.Version, text)
	}
}

func (a *app) storeRewoundCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rewound", Short: "Make a PostgreSQL database safe again that was set back to an earlier state; all nodes must be stopped", Args: cobra.NoArgs,
		Long: "Make a PostgreSQL database safe again that was set back to an earlier state: by restoring a dump (pg_dump), by\n" +
			"recovery to a point in time, or because a standby was promoted that had not got everything. All nodes must be stopped,\n" +
			"and must not be started before: codes that were used after that state would pass once more.\n" +
			"\n" +
			"So that none does, event tokens (hotp, mobilepass) then need two codes in a row once, and clock tokens (totp) are\n" +
			"refused for the next minute or so. Links of invitations are void, and invitations to event tokens end; mails that\n" +
			"waited are dropped, for they may have been sent; dialogs and sessions in web pages that were open are over. It is\n" +
			"recorded in the audit log, which goes on from the restored state: checkpoints that were noted elsewhere since then do\n" +
			"not fit it any more.",
		Example: "  systemctl stop countersign            # on every node\n" +
			"  pg_restore --clean --dbname=countersign countersign.dump\n" +
			"  countersign store rewound",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.sharedStore()
			if err != nil {
				return err
			}
			return a.rewindStore(context.Background(), cfg)
		},
	}
}

func (a *app) rewindStore(ctx context.Context, cfg *conf.Config) error {
	options, err := a.postgresOptions(cfg, slog.New(slog.NewTextHandler(a.err, nil)), nil)
	if err != nil {
		return err
	}
	found, err := postgres.Look(ctx, options)
	if err != nil {
		return err
	}
	if len(found.Nodes) > 0 {
		a.showNodes(found.Nodes, found.Tables)
		return errors.New("stop all nodes first, then give the command again (one that was killed counts as stopped after a few seconds)")
	}
	if err := postgres.Rewound(ctx, options, policy(cfg)); err != nil {
		return ofKeyFile(cfg, err)
	}
	a.say("done: no code that may have been used before this instant is accepted any more; the nodes can be started")
	a.say("event tokens need two codes in a row once, and clock tokens are refused for a minute or so; links of invitations are void, mails that waited are dropped")
	return nil
}
