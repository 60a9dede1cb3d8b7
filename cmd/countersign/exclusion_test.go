package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"countersign/conf"
	"countersign/radiusd"
	"countersign/tms/directory"
)

// printers is a rule of the configuration.
const printers = `
[[exclusion]]
name = "printers"
owner = "ops"
reason = "they cannot type"
client_macs = ["00:10:A4:23:19:C0"]
`

// installRules is an installation whose NAS accepts excluded logins.
func installRules(t *testing.T, rules string) *installation {
	in := install(t, rules)
	in.rewrite("excluded = \"accept\"\n", rules)
	return in
}

// rewrite writes the configuration anew, with other settings of the NAS.
func (in *installation) rewrite(nasKeys, more string) {
	in.Helper()
	in.nasKeys = nasKeys
	in.write("127.0.0.0/8", sharedSecret, more)
}

// radclient sends an Access-Request and returns what it printed.
func (in *installation) radclient(attributes ...string) string {
	return in.radclientFor("5", attributes...)
}

// radclientFor is radclient that waits so many seconds for a reply.
func (in *installation) radclientFor(seconds string, attributes ...string) string {
	in.Helper()
	command := exec.Command("radclient", "-x", "-r", "1", "-t", seconds, in.auth.String(), "auth", sharedSecret)
	command.Stdin = strings.NewReader(strings.Join(attributes, ",") + "\n")
	out, _ := command.CombinedOutput()
	return string(out)
}

// demand demands what radclient received.
func (in *installation) demand(want string, attributes ...string) string {
	in.Helper()
	out := in.radclient(attributes...)
	if !strings.Contains(out, "Received "+want) {
		in.Errorf("%q: want %s, got\n%s\n%s", attributes, want, out, in.log)
	}
	return out
}

// lastEvent is the name of the newest event.
func (in *installation) lastEvent() string {
	in.Helper()
	var event struct{ ID string }
	if err := json.Unmarshal([]byte(in.run("", "event", "list", "--json", "--limit", "1")), &event); err != nil {
		in.Fatal(err)
	}
	return event.ID
}

// contains demands texts of an output, whatever the spaces between words.
func contains(t *testing.T, out string, wants ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(out), " ")
	for _, want := range wants {
		if !strings.Contains(flat, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}

// A rule of the configuration lets a machine pass by its MAC, in whatever
// notation, and explain names the rule.
func TestExcludedByMAC(t *testing.T) {
	need(t, "radclient")
	in := installRules(t, printers)
	in.start()
	const user, password = `User-Name = "printer7"`, `User-Password = "anything"`
	in.demand("Access-Accept", user, password, `Calling-Station-Id = "0010.a423.19c0"`)
	contains(t, in.run("", "explain", in.lastEvent()),
		`rule "printers"`, "00-10-A4-23-19-C0", "they cannot type", "ops", "excluded", "loopback")
	in.demand("Access-Accept", user, password, `Calling-Station-Id = "00-10-A4-23-19-C0"`)
	in.demand("Access-Reject", user, password, `Calling-Station-Id = "0010.a423.19c1"`)
	contains(t, in.run("", "explain", in.lastEvent()), "eToken needed", "printers", "00-10-A4-23-19-C1")
	in.demand("Access-Reject", user, password)

}

// Rules that are added at run time count at once, and those that are removed do
// not.
func TestRulesOfRunTime(t *testing.T) {
	need(t, "radclient")
	in := installRules(t, printers)
	in.start()
	const user, password, station = `User-Name = "bob"`, `User-Password = "anything"`, `Calling-Station-Id = "192.0.2.77"`
	in.demand("Access-Reject", user, password, station)
	in.run("", "exclude", "add", "branch", "--reason", "no phones there", "--expires", "30d", "--client-ip", "192.0.2.0/24")
	in.demand("Access-Accept", user, password, station)
	accepted := in.lastEvent()
	contains(t, in.run("", "explain", "--user", "bob", "--nas", "loopback", "--client-ip", "192.0.2.1"), `rule "branch"`, "no phones there", "printers")
	contains(t, in.run("", "exclude", "list"), "branch", "printers")
	contains(t, in.run("", "exclude", "show", "branch"), "192.0.2.0/24", "no phones there")
	contains(t, in.run("", "exclude", "report"), "branch", "printers")

	in.run("", "exclude", "remove", "branch")
	in.demand("Access-Reject", user, password, station)
	// What was decided is explained by the rules of its time.
	contains(t, in.run("", "explain", accepted), `rule "branch"`, "192.0.2.77")

	for _, bad := range [][]string{
		{"exclude", "add", "x", "--reason", "r", "--client-ip", "192.0.2.0/24"},
		{"exclude", "add", "x", "--no-expiry", "--client-ip", "192.0.2.0/24"},
		{"exclude", "add", "x", "--reason", "r", "--no-expiry"},
		{"exclude", "add", "x", "--reason", "r", "--no-expiry", "--client-ip", "192.0.2.0/33"},
		{"exclude", "add", "x", "--reason", "r", "--no-expiry", "--nas", "nowhere"},
		{"exclude", "add", "printers", "--reason", "r", "--no-expiry", "--user", "x"},
		{"exclude", "add", "x", "--reason", "r", "--no-expiry", "--user", "eve,mallory"},
		{"exclude", "add", "x", "--reason", "r", "--no-expiry", "--group", "helpdesk"},
		{"exclude", "remove", "printers"},
		{"exclude", "remove", "nothing"},
		{"explain", "--user", "bob", "--nas", "nowhere"},
		{"explain", "999-0"},
	} {
		if out, status := in.try("", bad...); status != 1 {
			t.Errorf("%q: exit status %d\n%s", bad, status, out)
		}
	}
}

// Uses are counted, also over a kill.
func TestRuleUses(t *testing.T) {
	in := installRules(t, printers)
	in.start()
	for range 3 {
		in.demand("Access-Accept", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c0"`)
	}
	in.kill()
	var rule struct {
		Name string
		Used int
	}
	if err := json.Unmarshal([]byte(in.run("", "exclude", "list", "--json")), &rule); err != nil || rule.Name != "printers" || rule.Used != 3 {
		t.Errorf("%+v, %v; want 3 uses of printers", rule, err)
	}
}

// A configuration that is reloaded brings its rules along.
func TestReloadTakesRules(t *testing.T) {
	in := installRules(t, printers)
	in.start()
	other := strings.Replace(printers, "C0", "C1", 1)
	in.rewrite(in.nasKeys, other)
	if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	in.await("the reload", func() bool { return strings.Contains(in.log.String(), "reloaded") })
	in.demand("Access-Reject", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c0"`)
	in.demand("Access-Accept", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c1"`)
}

// A configuration that is refused changes nothing, not even the rules of the next
// change.
func TestRefusedReloadChangesNothing(t *testing.T) {
	in := installRules(t, printers)
	in.start()
	in.run("", "exclude", "add", "night", "--reason", "r", "--no-expiry", "--user", "eve")
	in.rewrite("", strings.Replace(printers, "C0", "C1", 1)) // no excluded, and the rule of run time stays
	if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	in.await("the refusal", func() bool { return strings.Contains(in.log.String(), "the configuration was not reloaded") })
	in.rewrite("excluded = \"accept\"\n", printers)
	in.run("", "exclude", "add", "day", "--reason", "r", "--no-expiry", "--user", "mallory")
	in.demand("Access-Accept", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c0"`)
	in.demand("Access-Reject", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c1"`)
	contains(t, in.run("", "exclude", "show", "printers"), "00:10:A4:23:19:C0")
}

// A directory is taken over by a restart only, so rules that need one are not
// taken over before: without a directory everybody is in no group.
func TestReloadWithTheFirstDirectory(t *testing.T) {
	const directory = `
[[directory]]
name = "hq"
type = "openldap"
servers = ["ldap://127.0.0.1:1"]
base_dn = "dc=example,dc=com"
realms = ["example.com"]
`
	for _, rules := range []string{`
[[exclusion]]
name = "outside vpn"
owner = "ops"
reason = "r"
not_groups = ["VPN"]
`, `
[[reply]]
not_groups = ["VPN"]
attributes = { Class = "staff" }
`} {
		in := installRules(t, printers)
		in.start()
		in.rewrite(in.nasKeys, printers+directory+rules)
		if err := in.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		in.await("the refusal", func() bool { return strings.Contains(in.log.String(), "the configuration was not reloaded") })
		contains(t, in.log.String(), "restart the server")
		in.demand("Access-Reject", `User-Name = "bob"`, `User-Password = "x"`)
		if out := in.demand("Access-Accept", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c0"`); strings.Contains(out, "0x7374616666") { // staff
			t.Errorf("the reply has the Class of a rule:\n%s", out)
		}
	}
}

// A rule can be taken away from a running server whatever is wrong with the file.
func TestRemoveWithFaultsInTheFile(t *testing.T) {
	in := installRules(t, "")
	in.start()
	in.run("", "exclude", "add", "night", "--reason", "r", "--no-expiry", "--user", "eve")
	in.demand("Access-Accept", `User-Name = "eve"`, `User-Password = "x"`)
	in.rewrite("nonsense = 1\n", "")
	out, status := in.try("", "exclude", "remove", "night")
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	contains(t, out, "nonsense", "warning", "goes on")
	in.demand("Access-Reject", `User-Name = "eve"`, `User-Password = "x"`)
	if _, status := in.try("", "key", "rotate"); status != 1 {
		t.Errorf("key rotate: exit status %d", status)
	}
	in.stop()
	if _, status := in.try("", "exclude", "list"); status != 1 {
		t.Errorf("without a server: exit status %d", status)
	}
}

// What an excluded login gets has no default.
func TestExcludedMustBeSaid(t *testing.T) {
	in := install(t, printers)
	for _, command := range []string{"check", "serve"} {
		out, status := in.try("", command)
		if status != 1 {
			t.Errorf("%s: exit status %d", command, status)
		}
		contains(t, out, `"loopback"`, "excluded")
	}
	// Nor is there one for a rule that is added at run time.
	in.rewrite("", "")
	out, status := in.try("", "exclude", "add", "x", "--reason", "r", "--no-expiry", "--user", "bob")
	if status != 1 {
		t.Errorf("exclude add: exit status %d", status)
	}
	contains(t, out, `"loopback"`, "excluded")
	// A NAS that stops saying it keeps a server with such a rule from starting.
	in.rewrite("excluded = \"accept\"\n", "")
	in.run("", "exclude", "add", "x", "--reason", "r", "--no-expiry", "--user", "bob")
	in.rewrite("", "")
	for _, command := range []string{"check", "serve"} {
		out, status := in.try("", command)
		if status != 1 {
			t.Errorf("%s: exit status %d", command, status)
		}
		contains(t, out, `rule "x"`, `"loopback"`)
	}
	in.run("", "exclude", "remove", "x")
	in.run("", "check")
}

// Faults in rules have their line.
func TestCheckFindsFaultsInRules(t *testing.T) {
	in := installRules(t, `
[[exclusion]]
name = "bad"
owner = "ops"
reason = "r"
client_macs = [
  "00-10-A4-23-19-C0",
  "00-10-A4-23-19",
]
times = "Mon-Fri 25:00-26:00"
groups = "helpdesk"

[[reply]]
attributes = { Fortinet-Group-Nam = "x", Session-Timeout = "soon" }
`)
	out, status := in.try("", "check")
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		for _, wrong := range []string{`"00-10-A4-23-19",`, "25:00", "helpdesk", "Fortinet-Group-Nam"} {
			if place := fmt.Sprintf("%s:%d: ", filepath.Base(in.config), i+1); strings.Contains(line, wrong) && !strings.Contains(out, place) {
				t.Errorf("no fault at %s\n%s", place, out)
			}
		}
	}
	contains(t, out, "Fortinet-Group-Name", "Session-Timeout")
}

// Reply attributes for everybody, without a directory.
func TestReplyAttributes(t *testing.T) {
	need(t, "radclient")
	in := installRules(t, printers+`
[[reply]]
attributes = { Filter-Id = "all" }
[[reply]]
client_macs = "00-10-A4-*"
attributes = { Class = "printers", Cisco-AVPair = ["a=b", "c=d"], Fortinet-Group-Name = "printers" }
`)
	in.start()
	out := in.demand("Access-Accept", `User-Name = "p"`, `User-Password = "x"`, `Calling-Station-Id = "0010a42319c0"`)
	contains(t, out, `Filter-Id = "all"`, `Cisco-AVPair = "a=b"`, `Cisco-AVPair = "c=d"`, `Fortinet-Group-Name = "printers"`, "Class = 0x7072696e74657273")
	contains(t, in.run("", "explain", "--user", "p", "--nas", "loopback", "--mac", "0010a42319c0"), "Fortinet-Group-Name", "Cisco-AVPair", "Filter-Id")
	if out := in.demand("Access-Reject", `User-Name = "p"`, `User-Password = "x"`); strings.Contains(out, "Filter-Id") {
		t.Errorf("an Access-Reject with Filter-Id:\n%s", out)
	}
}

// In the mode token-holders who holds no token passes, and who holds one needs
// the code.
func TestTokenHolders(t *testing.T) {
	need(t, "radclient")
	in := install(t, "")
	in.rewrite("excluded = \"accept\"\nmode = \"token-holders\"\n", "")
	in.alice("--type", "hotp")
	in.start()
	in.demand("Access-Accept", `User-Name = "bob"`, `User-Password = "anything"`)
	in.demand("Access-Reject", `User-Name = "alice"`, `User-Password = "anything"`)
	in.demand("Access-Accept", `User-Name = "alice"`, `User-Password = "`+eventPasscode(0)+`"`)
	in.run("", "token", "disable", "A1")
	in.demand("Access-Reject", `User-Name = "alice"`, `User-Password = "anything"`)
	in.run("", "user", "add", "carol", "--no-pin")
	in.run("", "user", "set", "carol", "--disable")
	in.demand("Access-Reject", `User-Name = "carol"`, `User-Password = "anything"`)
}

// The next code is asked for by an Access-Challenge, and the second packet is
// judged by the first.
func TestChallengeForTheNextCode(t *testing.T) {
	need(t, "radclient")
	in := install(t, "")
	in.rewrite("challenge = true\n", "")
	in.alice("--type", "hotp")
	in.start()
	out := in.demand("Access-Challenge", `User-Name = "alice"`, `User-Password = "`+eventPasscode(50)+`"`)
	state := regexp.MustCompile(`State = (0x[0-9a-f]+)`).FindStringSubmatch(out)
	if state == nil {
		t.Fatalf("no State in\n%s", out)
	}
	contains(t, out, "Reply-Message")
	in.demand("Access-Accept", `User-Name = "alice"`, `User-Password = "`+eventPasscode(51)+`"`, "State = "+state[1])
}

// The words of the configuration are those of the packages that use them.
func TestWordsOfTheConfiguration(t *testing.T) {
	all := conf.Criteria{}
	fields := reflect.ValueOf(&all).Elem()
	for i := range fields.NumField() {
		fields.Field(i).Set(reflect.ValueOf([]string{"x"}))
	}
	if n := len(criteria(&all)); n != fields.NumField() {
		t.Errorf("%d criteria of %d", n, fields.NumField())
	}
	for _, preset := range radiusd.Presets() {
		presetOf(&conf.NAS{Preset: conf.Preset(preset)})
	}
	for _, typ := range []conf.DirectoryType{conf.ActiveDirectory, conf.OpenLDAP, conf.GenericDirectory} {
		if _, err := directory.ParseType(string(typ)); err != nil {
			t.Error(err)
		}
	}
	for refusal, verdict := range passwordVerdicts {
		if verdict == 0 {
			t.Errorf("%v has no verdict", refusal)
		}
	}
}
