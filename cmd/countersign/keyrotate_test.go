package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layeh.com/radius"
)

// TestKeysOfTwoServers: after `key rotate` at one server the other is known to lack the new
// key, and starts again once it has it. Invitation and mail are sealed anew too.
func TestKeysOfTwoServers(t *testing.T) {
	t.Parallel()
	c := installCluster(t, layout{nodes: 2, more: "listen_https = \"PAGES\"\nurl = \"https://otp.example.com\""})
	a, b := c.nodes[0], c.nodes[1]
	shared, own := a.keyFile(), filepath.Join(b.dir, "own.key")
	b.change(shared, own)
	copyFile(t, shared, own)
	c.users(1, "hotp")
	a.run("", "token", "invite", "user0", "--mail", "user0@example.com")
	c.start()
	if code := b.code(c.gateway, "user0", shown{0, 0}.passcode(), "1"); code != radius.CodeAccessAccept {
		t.Errorf("a login: %v", code)
	}
	contains(t, a.run("", "explain", "--user", "user0", "--last"), "decided by node b")
	contains(t, a.log.String(), "store=postgres", "node=a", "database=postgres://"+c.primary.Address())

	contains(t, a.run("", "key", "rotate"), "copy "+shared+" to every other server")
	fault := `node "b" could not be started again, because its key file ` + own + ` does not open the store: copy that of node "a" there`
	a.await("the missing key to be told", func() bool { return strings.Contains(strings.Join(a.status().Faults, "\n"), fault) })
	out, status := b.try("", "check")
	if status == 0 {
		t.Error("the store opens with the old key")
	}
	contains(t, out, "key file "+own)
	copyFile(t, shared, own)
	contains(t, b.run("", "check"), "good")

	if out, status = a.try("", "cluster", "forget", "b"); status == 0 {
		t.Error("a node that is alive is forgotten")
	}
	contains(t, out, "is alive: stop it first")
}

// keyFile is the key file of a node.
func (n *node) keyFile() string {
	text, err := os.ReadFile(n.config)
	if err != nil {
		n.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), `key_file = "`)
	path, _, _ := strings.Cut(after, `"`)
	return path
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
