package main

import (
	"fmt"
	"testing"
)

// anyNames are rules that name users and realms in other ways than logins have
// them.
const anyNames = `
[[exclusion]]
name = "all but alice"
owner = "ops"
reason = "test"
client_ips = "192.0.2.1"
not_users = ["EXAMPLE\\Alice"]
[[exclusion]]
name = "other realms"
owner = "ops"
reason = "test"
client_ips = "192.0.2.2"
not_realms = ["EXAMPLE"]
[[exclusion]]
name = "alice"
owner = "ops"
reason = "test"
client_ips = "192.0.2.3"
users = ["alice@example.org"]
[[exclusion]]
name = "the realm"
owner = "ops"
reason = "test"
client_ips = "192.0.2.4"
realms = ["EXAMPLE"]
[[reply]]
users = ["EXAMPLE\\alice"]
attributes = { Filter-Id = "hers" }
`

// A rule means the same person in whatever way the name is written in it.
func TestNamesInRules(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	_, staff := staff(t)
	const others = `
[[directory]]
name = "others"
type = "openldap"
servers = ["ldaps://127.0.0.1:1"]
base_dn = "dc=example,dc=net"
realms = ["example.net"]
`
	for _, test := range []struct {
		about, directories string
		alice, bob         string // their canonical names
	}{
		{"one directory", staff, "alice", "bob"},
		{"no main directory", staff + others, "alice@example.org", "bob@example.org"},
	} {
		t.Run(test.about, func(t *testing.T) {
			in := installRules(t, test.directories+anyNames)
			in.start()
			login := func(want, user, client, rule, told string) string {
				t.Helper()
				out := in.demand(want, fmt.Sprintf("User-Name = %q", user), password("x"), fmt.Sprintf("Calling-Station-Id = %q", client))
				contains(t, in.run("", "explain", in.lastEvent()), rule, told)
				contains(t, in.run("", "explain", "--user", user, "--nas", "loopback", "--client-ip", client), rule, told)
				return out
			}
			for _, alice := range []string{test.alice, `EXAMPLE\Alice`, "alice@example"} {
				login("Access-Reject", alice, "192.0.2.1", "all but alice missed:", fmt.Sprintf(`user %s is listed as "EXAMPLE\\Alice", which is excepted`, test.alice))
				login("Access-Reject", alice, "192.0.2.2", "other realms missed:", "realm example.org is listed as EXAMPLE, which is excepted")
				login("Access-Accept", alice, "192.0.2.3", `rule "alice"`, "user "+test.alice+" is listed")
				out := login("Access-Accept", alice, "192.0.2.4", `rule "the realm"`, "realm example.org is listed as EXAMPLE")
				contains(t, out, `Filter-Id = "hers"`)
			}
			login("Access-Accept", `EXAMPLE\bob`, "192.0.2.1", `rule "all but alice"`, "user "+test.bob+" is not")
			login("Access-Reject", `EXAMPLE\bob`, "192.0.2.3", "alice missed:", "user "+test.bob+" is not alice@example.org")

			// So does one that is added at run time.
			in.run("", "exclude", "add", "not bob", "--reason", "r", "--no-expiry", "--client-ip", "192.0.2.5", "--not-user", "bob@EXAMPLE", "--realm", "example")
			login("Access-Reject", test.bob, "192.0.2.5", "not bob missed:", "which is excepted")
			login("Access-Accept", test.alice, "192.0.2.5", `rule "not bob"`, "")
		})
	}
}
