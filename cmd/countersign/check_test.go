package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/store"
)

// edit replaces a text in the configuration.
func (in *installation) edit(old, new string) {
	in.Helper()
	text, err := os.ReadFile(in.config)
	if err == nil {
		err = os.WriteFile(in.config, bytes.ReplaceAll(text, []byte(old), []byte(new)), 0o600)
	}
	if err != nil {
		in.Fatal(err)
	}
}

// refused demands that a command fails and says so.
func (in *installation) refused(command string, wants ...string) {
	in.Helper()
	out, status := in.try("", command)
	if status != 1 {
		in.Errorf("%s: exit status %d\n%s", command, status, out)
	}
	contains(in.T, out, wants...)
}

// A NAS that is renamed does not come under a rule that was for all but it.
func TestRenamedNASIsNotExcluded(t *testing.T) {
	in := installRules(t, "")
	in.edit("[[nas]]", "[[nas]]\nname = \"other\"\naddresses = [\"192.0.2.1\"]\nsecret = \"testing123\"\nexcluded = \"accept\"\n[[nas]]")
	in.run("", "exclude", "add", "all but one", "--reason", "r", "--no-expiry", "--client-ip", "192.0.2.0/24", "--not-nas", "loopback")
	in.run("", "exclude", "add", "one", "--reason", "r", "--no-expiry", "--client-ip", "198.51.100.0/24", "--nas", "loopback")
	in.start()
	in.edit(`"loopback"`, `"renamed"`)
	wants := []string{`rule "all but one": not_nases: there is no NAS "loopback" any more`, `countersign exclude remove "all but one"`}
	in.refused("check", wants...)
	if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	in.await("the reload", func() bool { return strings.Contains(in.log.String(), "was not reloaded") })
	contains(t, in.log.String(), `not_nases: there is no NAS`)
	in.demand("Access-Reject", `User-Name = "bob"`, `User-Password = "x"`, `Calling-Station-Id = "192.0.2.77"`)
	in.stop()

	in.refused("check", wants...)
	in.refused("serve", wants...)
	contains(t, in.run("", "exclude", "remove", "all but one"), "warning", "rule all but one removed")
	contains(t, in.run("", "check"), `warning: rule "one": nases: there is no NAS ["loopback"] any more`, "good")
	in.start()
	contains(t, in.log.String(), "level=WARN", "no login meets the rule")
}

// Rules about groups whose directory is gone can stay.
func TestRulesWithoutDirectory(t *testing.T) {
	const hq = "[[directory]]\nname = \"hq\"\ntype = \"openldap\"\nservers = [\"ldap://127.0.0.1:1\"]\nbase_dn = \"dc=example,dc=com\"\nrealms = [\"example.com\"]\n"
	in := installRules(t, hq)
	in.run("", "exclude", "add", "x", "--reason", "r", "--no-expiry", "--group", "helpdesk")
	in.edit(hq, "")
	contains(t, in.run("", "check"), `warning: rule "x": there is no [[directory]] that knows groups`, "good")
}

// What a reload would refuse is found beside the running server.
func TestCheckBesideServer(t *testing.T) {
	in := installRules(t, "")
	in.run("", "exclude", "add", "printers", "--reason", "r", "--no-expiry", "--client-ip", "192.0.2.0/24")
	in.start()
	contains(t, in.run("", "check"), "in use by a running server", "rules added at run time: good")
	in.rewrite(in.nasKeys, printers)
	in.refused("check", `rule "printers" is in the configuration and was added at run time too`)
	in.rewrite("", "")
	in.refused("check", `rule "printers" applies to the NAS "loopback"`)
	in.rewrite("excluded = \"accept\"\n", "")
	if err := os.Remove(filepath.Join(in.dir, "data", "admin.sock")); err != nil {
		t.Fatal(err)
	}
	in.refused("check", "rules added at run time: not verified: ")
}

// There may be so many rules, and no more.
func TestTooManyRules(t *testing.T) {
	var text strings.Builder
	for n := range store.MaxRules + 1 {
		fmt.Fprintf(&text, "[[exclusion]]\nname = \"%d\"\nowner = \"o\"\nreason = \"r\"\nusers = \"u%d\"\n", n, n)
	}
	in := installRules(t, text.String())
	config, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(config), fmt.Sprintf("[[exclusion]]\nname = \"%d\"", store.MaxRules))
	in.refused("check", fmt.Sprintf(".toml:%d: exclusion[%d]: there are %d exclusions, and there may be %d",
		strings.Count(before, "\n")+1, store.MaxRules, store.MaxRules+1, store.MaxRules))

	cfg := &conf.Config{}
	records := make([]tms.Rule, store.MaxRules+1)
	for n := range records {
		records[n].Rule = exclusions.Rule{Name: fmt.Sprint(n), Criteria: []exclusions.Criterion{{Kind: exclusions.Users, Values: []string{"u"}}}}
	}
	if _, err := checkRecords(cfg, records[1:], time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := checkRecords(cfg, records, time.Now()); err == nil || !strings.Contains(err.Error(), "there may be 10000") {
		t.Errorf("%d rules: error %v", len(records), err)
	}
	records[0].File = true // the present ones of the file do not count, those of the configuration do
	if _, err := checkRecords(cfg, records, time.Now()); err != nil {
		t.Error(err)
	}
}

// A store of an older format stays one until the server starts.
func TestCheckLeavesOldFormat(t *testing.T) {
	in := install(t, "")
	in.run("", "user", "add", "alice", "--pin", "4711")
	path := filepath.Join(in.dir, "data", "countersign.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(file[60:], 1) // user_version: https://sqlite.org/fileformat.html
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, in.run("", "check"), path+": format 1: the first start turns it into format 5", "make a backup first")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(file, after) {
		t.Errorf("the file has changed, error %v", err)
	}
}
