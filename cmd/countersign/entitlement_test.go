package main

import (
	"strings"
	"testing"
)

// A name in enrol.groups that no directory has would leave everybody without a token:
// check tells it, and so does the server when it starts and after a reload.
func TestGroupsThatNoDirectoryHas(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := installRules(t, directory)
	in.extend("[enrol]\ngroups = [\"Help Desk\", \"night-shift\", \"CN=Helpdesk,OU=Groups,DC=example,DC=org\"]\n")
	const missing = `enrol.groups: no directory has a group`
	in.refused("check", missing+` "Help Desk"`, "good")
	in.start()
	in.await("a warning", func() bool { return strings.Contains(in.log.String(), missing+` \"Help Desk\"`) })
	if n := strings.Count(in.log.String(), missing); n != 1 {
		t.Errorf("%d groups are missing, want 1:\n%s", n, in.log.String())
	}
	in.edit(`"Help Desk"`, `"HELPDESK", "gone"`)
	in.hup(missing + ` \"gone\"`)
	if n := strings.Count(in.log.String(), missing); n != 2 {
		t.Errorf("%d groups are missing, want 2:\n%s", n, in.log.String())
	}
	in.edit(`, "gone"`, "")
	if out := in.run("", "check"); strings.Contains(out, "enrol.groups") {
		t.Errorf("all groups are there:\n%s", out)
	}
	ldap.Kill()
	in.hup(`enrol.groups: \"HELPDESK\" is not verified: `)
}
