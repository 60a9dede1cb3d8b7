package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"countersign/radiusd/radiustest"
)

// maxDrift is how many steps ahead Countersign is told to follow a token's
// clock: as many logins a user has.
const maxDrift = 1000

// countersign is the server built from this tree, with the shipped settings
// but for max_drift (see the package comment) and a log of warnings only.
type countersign struct {
	binary string
	behind *behind   // nil for none
	store  *database // nil for the one that comes with it
}

// The databases of a shared store: the one with the users, and the copy of it in use.
const (
	stockedName = "stocked"
	runningName = "running"
)

// behind is the TMS behind the server.
type behind struct {
	addr    netip.AddrPort
	timeout time.Duration
}

func (countersign) name() string { return "Countersign" }

// steps begins with the present one: the first login of a user is no surprise.
func (countersign) steps() radiustest.Steps { return radiustest.Steps{Ahead: maxDrift} }

func (c countersign) config(dir string) string { return filepath.Join(dir, "countersign.toml") }

func (c countersign) stock(ctx context.Context, dir string, users population) error {
	if err := c.configure(dir, 1812, stockedName); err != nil {
		return err
	}
	if c.store != nil {
		if err := runTool(ctx, c.binary, "--config", c.config(dir), "store", "migrate"); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, "users.csv")
	if err := users.writeFile(file, importHeading, importLine); err != nil {
		return err
	}
	defer os.Remove(file)
	return runTool(ctx, c.binary, "--config", c.config(dir), "user", "import", file)
}

func (c countersign) command(dir string, port uint16) ([]string, error) {
	return []string{c.binary, "--config", c.config(dir), "serve"}, c.configure(dir, port, runningName)
}

func (c countersign) configure(dir string, port uint16, database string) error {
	metrics, tms, store := "", "", ""
	if c.store != nil {
		store = fmt.Sprintf("\n[store]\ndriver = \"postgres\"\ndsn = %q\npassword = %q\n\n[cluster]\nnode = \"node-%d\"\n",
			c.store.dsn(database), c.store.password, port)
	}
	if c.behind != nil {
		metrics = fmt.Sprintf("127.0.0.1:%d", port)
		tms = fmt.Sprintf("\n[tms]\nradius = [%q]\nradius_secret = %q\ntimeout = %q\n", c.behind.addr, sharedSecret, c.behind.timeout)
	}
	return os.WriteFile(c.config(dir), fmt.Appendf(nil, `data_dir = "data"

[radius]
auth = ["127.0.0.1:%d"]
acct = ["127.0.0.1:%d"]

[[nas]]
name = "bench"
addresses = ["127.0.0.1"]
secret = "%s"
message_authenticator = "require"

[login]
max_drift = %d
resync_steps = %d

[web]
listen = ""

[metrics]
listen = %q

[log]
level = "warn"
%s%s`, port, port+1, sharedSecret, maxDrift, maxDrift, metrics, tms, store), 0o600)
}
