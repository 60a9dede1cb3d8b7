package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const anyPassword = "any password"

// excluded demands that a user needs no code.
func (in *installation) excluded(g gateway, r road, user string) {
	in.Helper()
	if !g.login(r, user, anyPassword) {
		in.Errorf("%s from %s through %s: refused, though no code was needed\n%s", user, r.client, g.name, in.log)
	}
}

// needsCode demands that a user needs a code, this one of the event token.
func (in *installation) needsCode(g gateway, r road, user string, counter uint64) {
	in.Helper()
	if g.login(r, user, anyPassword) {
		in.Errorf("%s from %s through %s: let in without a code\n%s", user, r.client, g.name, in.log)
	}
	if !g.login(r, user, eventPasscode(counter)) {
		in.Errorf("%s from %s through %s: the right code was refused\n%s", user, r.client, g.name, in.log)
	}
}

// decided demands that each of these users' first login needed no code, and that
// the rule of that name explains why.
func (in *installation) decided(rules map[string]string) {
	in.Helper()
	for _, e := range in.events("login") {
		rule, open := rules[e.User]
		if !open {
			continue
		}
		if out := in.run("", "explain", e.ID); e.Verdict != "excluded" || !strings.Contains(out, rule) {
			in.Errorf("%s's login is %s, and rule %s does not explain it:\n%s", e.User, e.Verdict, rule, out)
		}
		delete(rules, e.User)
	}
	if len(rules) > 0 {
		in.Errorf("no login at all of %v", rules)
	}
}

// extend appends to the configuration, first to its last NAS.
func (in *installation) extend(text string) {
	in.Helper()
	before, err := os.ReadFile(in.config)
	if err != nil {
		in.Fatal(err)
	}
	if err := os.WriteFile(in.config, append(before, text...), 0o600); err != nil {
		in.Fatal(err)
	}
}

// exclusion is a rule in the configuration.
func exclusion(name string, criteria ...string) string {
	return fmt.Sprintf("[[exclusion]]\nname = %q\nowner = \"ops\"\nreason = \"a test\"\n%s\n", name, strings.Join(criteria, "\n"))
}

// holders adds users with the PIN 4711 and an event token of aliceSeed each.
func (in *installation) holders(names ...string) {
	in.Helper()
	csv := "user,pin,serial,type,seed_hex\n"
	for _, name := range names {
		csv += fmt.Sprintf("%[1]s,4711,of-%[1]s,hotp,%[2]x\n", name, aliceSeed.Bytes())
	}
	in.run(csv, "user", "import", "-")
}

// pamRadius is a PAM service, otp-test, whose requests come from 127.0.0.2. It
// sends its name as NAS-Identifier and the far host as Calling-Station-Id.
func (in *installation) pamRadius() gateway {
	in.Helper()
	need(in.T, "pamtester")
	in.pam("otp-test")
	in.file("pam_radius.conf", fmt.Sprintf("%s %s 5 127.0.0.2\n", in.auth, sharedSecret))
	return gateway{"pam_radius", func(r road, user, passcode string) bool {
		_, err := in.shell(fmt.Sprintf("echo '%s' | LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=%s/pam.d pamtester -I rhost=%s otp-test %s authenticate", passcode, in.dir, r.client, user))
		return err == nil
	}}
}

func TestOpenVPNExcludedByClient(t *testing.T) {
	needOpenVPN(t)
	if ownNetwork(t) {
		branchIsExcluded(t, (*installation).openVPN, `client_ips = ["10.77.1.0/24"]`)
	}
}

func TestPamRadiusExcludedByClient(t *testing.T) {
	branchIsExcluded(t, (*installation).pamRadius, `client_ips = ["10.77.1.0/24"]`)
}

func TestOcservExcludedByClient(t *testing.T) {
	need(t, "ocserv", "openconnect")
	if ownNetwork(t) {
		branchIsExcluded(t, (*installation).ocserv, `client_ips = ["10.77.1.0/24"]`)
	}
}

// The gateway has an address on each road, and tells which one was called.
func TestOcservExcludedByNASIPAddress(t *testing.T) {
	need(t, "ocserv", "openconnect")
	if ownNetwork(t) {
		branchIsExcluded(t, (*installation).ocserv, `nas_ip_addresses = ["10.77.1.1"]`)
	}
}

// branchIsExcluded: where the rule excludes who comes over the road from the
// branch, the same user needs the code over the other.
func branchIsExcluded(t *testing.T, start func(*installation) gateway, criterion string) {
	t.Helper()
	in := install(t, "")
	in.extend("excluded = \"accept\"\ntrust_nas_ip_address = true\n" + exclusion("branch", criterion))
	in.holders("alice")
	in.start()
	g := start(in)
	in.excluded(g, branchRoad, "alice")
	in.needsCode(g, homeRoad, "alice", 0)
	in.decided(map[string]string{"alice": "branch"})
}

// Who is excluded at one gateway needs the code at the other, by whatever the
// rule knows the gateway.
func TestExcludedByGateway(t *testing.T) {
	needOpenVPN(t)
	if !ownNetwork(t) {
		return
	}
	rules := []struct {
		user, criterion string
		pam             bool // excluded at pam_radius, not at OpenVPN
	}{
		{"alice", `nases = ["vpn"]`, false},
		{"bob", `nas_addresses = ["127.0.0.1"]`, false},
		{"carol", `nas_identifiers = ["OpenVpn"]`, false},
		{"dave", `nases = ["shell"]`, true},
		{"erin", `nas_identifiers = ["otp-test"]`, true},
	}
	in := install(t, `[[nas]]
name = "vpn"
addresses = ["127.0.0.1"]
secret = "`+sharedSecret+`"
excluded = "accept"
preset = "openvpn"
[[nas]]
name = "shell"
addresses = ["127.0.0.2"]
secret = "`+sharedSecret+`"
excluded = "accept"
`)
	in.extend("excluded = \"accept\"\n")
	var users []string
	names := map[string]string{}
	for _, rule := range rules {
		name := rule.user + "-there"
		in.extend(exclusion(name, fmt.Sprintf("users = [%q]", rule.user), rule.criterion))
		users, names[rule.user] = append(users, rule.user), name
	}
	in.holders(users...)
	in.start()
	vpn, shell := in.openVPN(), in.pamRadius()
	for _, rule := range rules {
		there, elsewhere := vpn, shell
		if rule.pam {
			there, elsewhere = shell, vpn
		}
		in.excluded(there, homeRoad, rule.user)
		in.needsCode(elsewhere, homeRoad, rule.user, 0)
	}
	in.decided(names)
}

// Who is in a group is excluded in the branch, at each gateway, when the password
// is that of the directory. The same user from elsewhere needs the code, and so
// does who is not in the group.
func TestExcludedByGroup(t *testing.T) {
	needOpenVPN(t)
	if !ownNetwork(t) {
		return
	}
	_, directory := staff(t)
	in := install(t, directory)
	in.extend("excluded = \"directory-password\"\n" + exclusion("helpdesk-in-branch", `groups = ["helpdesk"]`, `client_ips = ["10.77.1.0/24"]`))
	in.holders("alice", "bob")
	in.start()
	for counter, g := range []gateway{in.openVPN(), in.pamRadius()} {
		in.excluded(g, branchRoad, "alice")
		if g.login(branchRoad, "alice", "another password") {
			t.Errorf("through %s: let in with a wrong password", g.name)
		}
		in.needsCode(g, homeRoad, "alice", uint64(counter))
		in.needsCode(g, branchRoad, "bob", uint64(counter))
	}
	in.decided(map[string]string{"alice": "helpdesk-in-branch"})
}
