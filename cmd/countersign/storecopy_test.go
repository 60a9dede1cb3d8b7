package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layeh.com/radius"

	"countersign/tms/store/postgrestest"
)

// TestStoreCopy moves a server that has been used from its file to PostgreSQL and back: no
// code that was used before passes again.
func TestStoreCopy(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	database := server.CreateDatabase(t)
	in := install(t, "")
	embedded := in.read(in.config)
	in.alice("--type", "hotp")
	in.tells(1, "store copy --from embedded --to postgres", `set driver = "postgres" and dsn`)
	in.tells(1, "store migrate", `driver = "embedded"`)
	in.takesCodesFrom(0)

	in.write("127.0.0.0/8", sharedSecret, fmt.Sprintf("[store]\ndriver = \"postgres\"\ndsn = %q\npassword_file = %q\n[cluster]\nsame_login_window = \"0s\"\n", server.DSN(database)+"?sslmode=disable", server.PasswordFile()))
	shared := in.read(in.config)
	in.tells(1, "store copy --from embedded --to embedded", "the other way round")
	in.tells(1, "store copy --from postgres --to embedded", "`countersign store migrate` makes them")
	in.tells(1, "store migrate --check", "tables: none")
	in.tells(0, "store copy --from embedded --to postgres", "copied, and verified", "good: nothing was changed", "start the server", "never start a server on "+filepath.Join(in.dir, "data"))
	in.tells(0, "store migrate --check", "as this program has them")
	in.tells(1, "store copy --from embedded --to postgres", "a copy needs an empty place", "createdb")
	in.takesCodesFrom(1)

	in.tells(1, "store copy --from postgres --to embedded", "a copy needs an empty place", "countersign-history.db")
	in.start()
	in.tells(1, "store copy --from postgres --to embedded", "stop these first")
	in.stop()
	for _, name := range []string{"countersign.db", "countersign-history.db"} {
		path := filepath.Join(in.dir, "data", name)
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
	}
	in.tells(0, "store copy --from postgres --to embedded", "copied, and verified", `set driver = "embedded"`)
	in.file("countersign.toml", embedded)
	in.takesCodesFrom(2)

	in.file("countersign.toml", shared)
	in.tells(0, "store rewound", "no code that may have been used", "two codes in a row")
	in.start()
	n := in.nas(in.auth)
	in.login(n, "alice", eventPasscode(2), radius.CodeAccessReject) // unused there, but who knows
	in.stop()
}

// takesCodesFrom starts the server, which accepts alice's code of a counter, once, and not
// the one before; and stops it.
func (in *installation) takesCodesFrom(counter uint64) {
	in.Helper()
	in.start()
	n := in.nas(in.auth)
	if counter > 0 {
		in.login(n, "alice", eventPasscode(counter-1), radius.CodeAccessReject)
	}
	in.login(n, "alice", eventPasscode(counter), radius.CodeAccessAccept)
	in.login(n, "alice", eventPasscode(counter), radius.CodeAccessReject)
	in.stop()
}

// tells runs a command and demands its exit status and that it says all this.
func (in *installation) tells(status int, command string, wants ...string) {
	in.Helper()
	out, got := in.try("", strings.Fields(command)...)
	if got != status {
		in.Errorf("countersign %s: exit status %d, want %d:\n%s", command, got, status, out)
	}
	contains(in.T, out, wants...)
}
