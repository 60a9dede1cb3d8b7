package main

import (
	"strings"
	"testing"

	"layeh.com/radius"
)

// TestSchemaOfAnotherVersion: a program works with the tables of the version after its own,
// so that nodes are updated one by one. Tables that it cannot work with it refuses, and
// says what to do, as it does without any.
func TestSchemaOfAnotherVersion(t *testing.T) {
	t.Parallel()
	c := installCluster(t, layout{nodes: 2})
	c.users(2, "hotp")
	c.start()
	a, b := c.nodes[0], c.nodes[1]
	login := func(n *node, counter int) {
		t.Helper()
		s := shown{1, counter}
		if code := n.code(c.gateway, s.name(), s.passcode(), s.station()); code != radius.CodeAccessAccept {
			t.Errorf("node %s: %v, want Access-Accept", n.name, code)
		}
	}
	login(a, 0)
	const newer = "by Countersign 9.9.0, and this program"
	c.sql("INSERT INTO migration (version_id, is_applied) SELECT max(version_id) + 1, true FROM migration;" +
		"UPDATE meta SET bytes = '9.9.0' WHERE name = 'migrated_by'")
	login(a, 1) // a node of the older version goes on
	b.stop()
	c.start(b) // and starts again
	login(b, 2)
	c.says(b, 1, []string{"store", "migrate"}, newer, "update it")
	login(b, 3)

	b.stop()
	c.sql("INSERT INTO meta (name, number) SELECT 'min_version', max(version_id) FROM migration" +
		" ON CONFLICT (name) DO UPDATE SET number = excluded.number")
	for _, command := range []string{"serve", "check", "user list", "store migrate"} {
		c.says(b, 1, strings.Fields(command), newer, "update it")
	}

	empty := c.primary.CreateDatabase(t)
	b.change("/"+c.database+"?", "/"+empty+"?")
	for _, command := range []string{"serve", "check", "user list"} {
		c.says(b, 1, strings.Fields(command), "`countersign store migrate` makes them")
	}
}

// sql runs statements in the database of the cluster and returns what they print.
func (c *cluster) sql(statements string) string {
	c.Helper()
	out, err := c.primary.SQL(c.database, statements)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// says runs a command and demands its exit status and some of what it says.
func (c *cluster) says(n *node, status int, command []string, wants ...string) {
	c.Helper()
	out, got := n.try("", command...)
	if got != status {
		c.Errorf("countersign %s: exit status %d, want %d", strings.Join(command, " "), got, status)
	}
	contains(c.T, out, wants...)
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "SQLSTATE") {
		c.Errorf("countersign %s is not polite:\n%s", strings.Join(command, " "), out)
	}
}
