package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp"
	"countersign/radiusd/radiustest"
	"countersign/radiusd/remote/remotetest"
	"countersign/tms/directory/directorytest"
	"countersign/tms/safenet"
)

// branch has dora, in a part of the directory of its own.
const branch = `dn: ou=branch,dc=example,dc=org
objectClass: organizationalUnit
ou: branch

dn: uid=dora,ou=branch,dc=example,dc=org
objectClass: inetOrgPerson
uid: dora
cn: dora
sn: dora

`

// twoDirectories starts a real OpenLDAP with alice and bob, of whom alice is in the group
// helpdesk by way of night-shift, and dora, and returns it as two [[directory]] of which
// dora is in the other.
func twoDirectories(t *testing.T) string {
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{
		LDIF: directorytest.Person("alice", anyPassword) + directorytest.Person("bob", anyPassword) + branch +
			directorytest.Group("night-shift", "uid=alice,ou=people,dc=example,dc=org") +
			directorytest.Group("helpdesk", "cn=night-shift,ou=groups,dc=example,dc=org"),
	})
	one := func(name, unit, realms string) string {
		return fmt.Sprintf("[[directory]]\nname = %q\ntype = \"openldap\"\nservers = [%q]\nca_file = %q\nbind_dn = %q\nbind_password = %q\n"+
			"base_dn = \"ou=%s,%s\"\ngroup_base_dn = \"ou=groups,%[7]s\"\nrealms = [%[8]s]\n",
			name, ldap.TLSURL, ldap.CAFile, ldap.BindDN, ldap.BindPassword, unit, ldap.BaseDN, realms)
	}
	return "[users]\ndefault_realm = \"example.org\"\n" + one("staff", "people", `"example.org", "EXAMPLE"`) + one("outside", "branch", `"example.net", "BRANCH"`)
}

// passwordsAt is a FreeRADIUS that knows these users by the same password.
func passwordsAt(t *testing.T, users ...string) *remotetest.FreeRADIUS {
	known := make([]remotetest.User, len(users))
	for i, name := range users {
		known[i] = remotetest.User{Name: name, Password: anyPassword}
	}
	return remotetest.StartFreeRADIUS(t, known...)
}

// shown demands that the TMS is asked about a user, and lets them in.
func (in *installation) shown(tms *remotetest.FreeRADIUS, nas *radiustest.NAS, user, typed string) {
	in.Helper()
	before := tms.Requests()
	reply := in.ask(nas, in.request(nas, user, typed))
	if n := tms.Requests() - before; reply.Code != radius.CodeAccessAccept || n != 1 {
		in.Errorf("%s: %v, and %d requests to the TMS; want Access-Accept and 1\n%s", user, reply.Code, n, in.log)
	}
}

// hidden demands that the TMS is not asked about a user, who is refused.
func (in *installation) hidden(tms *remotetest.FreeRADIUS, nas *radiustest.NAS, user, typed string) {
	in.Helper()
	before := tms.Requests()
	reply := in.ask(nas, in.request(nas, user, typed))
	if n := tms.Requests() - before; reply.Code != radius.CodeAccessReject || n != 0 {
		in.Errorf("%s: %v, and %d requests to the TMS; want Access-Reject and none\n%s", user, reply.Code, n, in.log)
	}
}

// kept demands that the TMS is not asked about a user, who gets no answer.
func (in *installation) kept(tms *remotetest.FreeRADIUS, nas *radiustest.NAS, user, typed string) {
	in.Helper()
	before := tms.Requests()
	if code, n := in.silent(nas, user, typed), tms.Requests()-before; code != 0 || n != 0 {
		in.Errorf("%s: %v, and %d requests to the TMS; want silence and none\n%s", user, code, n, in.log)
	}
}

// The TMS is asked about those who belong to it, by whatever name of theirs, and about
// nobody else: not about names that no directory has, for the TMS may know by them
// somebody whom we know otherwise.
func TestUserRepository(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	tms := passwordsAt(t, "alice", "bob", "dora", "mallory")
	in := install(t, behind("user_repository = \"all\"\nuser_name_format = \"plain\"\naccepted_once = \"0s\"\n", tms)+twoDirectories(t))
	in.start()
	nas, last := in.nas(in.auth), "all"
	for i, test := range []struct {
		repository      string
		members, others []string
	}{
		{"all", []string{"alice", `EXAMPLE\alice`, "bob@example.org", "dora@example.net"}, nil},
		{"group:helpdesk", []string{"alice", "Alice@example.org"}, []string{"bob", `EXAMPLE\bob`, "dora@example.net"}},
		{"group:CN=Night-Shift, OU=Groups,DC=example,DC=org", []string{`EXAMPLE\alice`}, []string{"bob", "dora@example.net"}},
		{"realm:example", []string{"alice", "alice@example.org", "bob"}, []string{"dora@example.net", `BRANCH\dora`}},
		{"directory:outside", []string{"dora@example.net", `BRANCH\dora`}, []string{"alice", "bob@example.org"}},
	} {
		if i > 0 {
			in.change(strconv.Quote(last), strconv.Quote(test.repository))
			in.hupTimes(i)
			last = test.repository
		}
		for _, user := range test.members {
			in.shown(tms, nas, user, anyPassword)
		}
		strangers := []string{"mallory", "mallory@example.org", `BRANCH\mallory`, "alice@nowhere", `X\alice`, "alice@nowhere@example.org", "dora", "dora@nowhere"}
		for _, user := range append(test.others, strangers...) {
			in.hidden(tms, nas, user, anyPassword)
		}
		if t.Failed() {
			t.Fatalf("with user_repository = %q", test.repository)
		}
	}
	contains(t, in.run("", "explain", "--user", "dora@example.net", "--nas", "loopback"), "verified by", "the TMS")
	contains(t, in.run("", "explain", "--user", `X\alice`, "--nas", "loopback"), "verified by", "tokens here")
}

// Who verifies a code is a matter of the user's groups in the directory, and of the NAS.
func TestOrderOfGroupAndNAS(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	_, directory := staff(t)
	tms := passwordsAt(t, "alice", "bob")
	in := install(t, behind("order = \"tms\"\naccepted_once = \"0s\"\n", tms)+directory+fmt.Sprintf(`
[[nas]]
name = "cellar"
addresses = ["127.0.0.9"]
secret = %q
order = "local"
[[order]]
name = "pilot"
groups = ["helpdesk"]
nases = ["cellar"]
order = "tms"
[[order]]
groups = ["cn=night-shift,ou=groups,dc=example,dc=org"]
order = "local"
`, sharedSecret))
	contains(t, in.run("", "check"), "directory staff, ")
	in.start()
	loopback := in.nas(in.auth)
	cellar, err := radiustest.Dial(in.auth, radiustest.NewSecret(sharedSecret), netip.MustParseAddrPort("127.0.0.9:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer cellar.Close()
	in.shown(tms, loopback, "bob", anyPassword)    // as [tms] says
	in.hidden(tms, cellar, "bob", anyPassword)     // as the NAS says
	in.shown(tms, cellar, "alice", anyPassword)    // as the first [[order]] says
	in.hidden(tms, loopback, "alice", anyPassword) // as the second says
	contains(t, in.run("", "explain", "--user", "alice", "--nas", "cellar"), "verified by", "pilot")
}

// While nobody knows who is in the group of the TMS, the TMS is not asked, and of our own
// tokens only a right code counts; not that of who belongs to the TMS for good.
func TestGroupOfTheTMSUnknown(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	tms := passwordsAt(t, "alice", "bob")
	in := install(t, behind("user_repository = \"group:helpdesk\"\n", tms)+directory+"stale_time = \"0s\"\n")
	in.alice("--type", "hotp")
	in.start()
	ldap.Kill()
	nas := in.nas(in.auth)
	in.login(nas, "alice", eventPasscode(0), radius.CodeAccessAccept)
	in.kept(tms, nas, "alice", eventPasscode(0))
	in.kept(tms, nas, "alice", anyPassword)
	in.kept(tms, nas, "bob", anyPassword)
	in.run("", "migrate", "rollback", "--user", "alice")
	in.kept(tms, nas, "alice", eventPasscode(1))
	if n := tms.Requests(); n != 0 {
		t.Errorf("%d requests to the TMS", n)
	}
	contains(t, in.run("", "token", "list", "--json"), `"failures":0`)
}

// Where all users are the TMS's, it is asked while the directory is dead, too, and its
// accept counts; but nothing is learned from it, because nobody knows whose name that is.
func TestNothingLearnedWithoutTheDirectory(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	tms := remotetest.StartFreeRADIUS(t, remotetest.User{Name: "alice", PIN: "4711", Seed: aliceSeed.Bytes()})
	in := install(t, behind("learn = true\nuser_name_format = \"plain\"\naccepted_once = \"0s\"\n", tms)+directory+"cache_time = \"1s\"\nstale_time = \"0s\"\n")
	in.run("", "token", "import", "--format", "oath-csv", in.file("seeds.csv", fmt.Sprintf("A1,%x,totp,6,30\n", aliceSeed.Bytes())))
	in.start()
	in.await("the token to be looked at", func() bool { return in.metric("countersign_learning_stock_tokens") == "1" })
	ldap.Kill()
	nas := in.nas(in.auth)
	in.shown(tms, nas, "alice", passcode(0))
	in.shown(tms, nas, "alice@example.org", passcode(0))
	if code := in.silent(nas, "alice", "4711000000"); code != 0 {
		t.Errorf("%v to a wrong code, though it may be of somebody else's token", code)
	}
	before := tms.Requests()
	for _, name := range []string{`X\alice`, "alice@nowhere", "alice@nowhere@example.org"} {
		if code := in.silent(nas, name, passcode(0)); code == radius.CodeAccessAccept {
			t.Errorf("%s: %v", name, code)
		}
	}
	if n := tms.Requests(); n != before {
		t.Error("the TMS was asked about a name of no realm of ours")
	}
	if held := in.held(); len(held) > 0 {
		t.Errorf("learned while the directory is dead: %v", held)
	}
	ldap.Restart()
	in.await("the token to be learned", func() bool {
		_ = in.silent(nas, `EXAMPLE\alice`, passcode(0))
		return in.held()["alice"] == "A1"
	})
}

// Without a directory a name with one of the realms of [tms] is the plain name: one user,
// one memory of passcodes, one account. With any other it is nobody of the TMS's.
func TestRealmsWithoutADirectory(t *testing.T) {
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	programs := freePort(t, "tcp")
	in := install(t, behind("realms = [\"EXAMPLE\", \"example.com\"]\nuser_name_format = \"plain\"\n", tms)+
		fmt.Sprintf("[otp_service]\nlisten = %q\nallow = \"127.0.0.1\"\n", programs))
	in.run("", "user", "add", "bob", "--no-pin")
	in.run("", "user", "set", "bob", "--disable")
	in.start()
	nas := in.nas(in.auth)
	names := []string{`EXAMPLE\alice`, "alice@example.com", "alice", `example\alice`}
	typed := passcode(0)
	requests := make([]*radius.Packet, len(names))
	for i, name := range names {
		requests[i] = in.request(nas, name, typed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	replies, err := radiustest.Parallel(ctx, in.auth, radiustest.NewSecret(sharedSecret), requests)
	if err != nil {
		t.Fatal(err)
	}
	count := map[radius.Code]int{}
	for _, reply := range replies {
		count[reply.Code]++
	}
	if count[radius.CodeAccessAccept] != 1 || count[radius.CodeAccessReject] != 3 || tms.Requests() != 1 {
		t.Errorf("%v, and %d requests to the TMS; want one Access-Accept, 3 Access-Reject and 1 request\n%s", count, tms.Requests(), in.log)
	}
	for _, name := range append(names, `OTHER\alice`, "alice@nowhere", `EXAMPLE\alice@nowhere`) {
		in.hidden(tms, nas, name, typed)
	}
	for _, name := range []string{"bob", `EXAMPLE\bob`, "bob@EXAMPLE.COM", `OTHER\bob`, "bob@nowhere"} {
		in.hidden(tms, nas, name, "bobs-password")
	}
	in.await("alice to be known as a user of the TMS", func() bool {
		return row(in.run("", "migrate", "status", "--users"), "alice") != "no line begins with alice"
	})
	if status := in.run("", "migrate", "status", "--users", "--json"); strings.Contains(status, "example") {
		t.Errorf("a user with a realm:\n%s", status)
	}

	// Our own tokens are found by all these names, too.
	in.run("", "user", "add", "erin", "--pin", "4711")
	in.run("", "token", "add", "--user", "erin", "--serial", "E1", "--type", "hotp", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes()))
	before := tms.Requests()
	in.login(nas, `EXAMPLE\erin`, eventPasscode(0), radius.CodeAccessAccept)
	in.login(nas, "erin@example.com", eventPasscode(0), radius.CodeAccessReject)
	in.login(nas, "erin", eventPasscode(1), radius.CodeAccessAccept)
	verify := programAt(t, programs)
	for name, want := range map[string]bool{`EXAMPLE\erin`: true, `OTHER\erin`: false} {
		if accepted, err := verify(name, eventPasscode(2)); err != nil || accepted != want {
			t.Errorf("%s at the OTP service: accepted %t, %v; want %t", name, accepted, err, want)
		}
	}
	if n := tms.Requests(); n != before {
		t.Error("the TMS was asked about a user who holds a token")
	}
}

// The TMS is told the names that it knows; but to MS-CHAPv2 the name belongs as it is.
func TestNamesAtTheTMS(t *testing.T) {
	tms := remotetest.StartFreeRADIUS(t,
		remotetest.User{Name: `EXAMPLE\bob`, Password: "of the domain"},
		remotetest.User{Name: "bob", Password: "of nothing"},
		remotetest.User{Name: "bob@example.com", Password: "of the realm"},
	)
	in := install(t, behind("realms = [\"EXAMPLE\", \"example.com\"]\nuser_name_format = \"domain\"\ndomain = \"EXAMPLE\"\naccepted_once = \"0s\"\n", tms))
	in.start()
	nas := in.nas(in.auth)
	for _, name := range []string{"bob", `EXAMPLE\bob`, "bob@example.com"} {
		in.shown(tms, nas, name, "of the domain")
	}
	in.change("user_name_format = \"domain\"\ndomain = \"EXAMPLE\"\n", "user_name_format = \"plain\"\n")
	in.hup("msg=reloaded")
	for _, name := range []string{"bob", `EXAMPLE\bob`, "bob@example.com"} {
		in.shown(tms, nas, name, "of nothing")
	}
	mschap := func(name, typed, want string) {
		t.Helper()
		out, _ := in.try(typed+"\n", "login", name, "--method", "mschapv2", "--message-authenticator")
		contains(t, out, want)
	}
	mschap("bob@example.com", "of the realm", "Access-Accept")
	mschap("bob@example.com", "of nothing", "Access-Reject")
	mschap("bob", "of nothing", "Access-Accept")
}

// Programs that ask the OTP service mean the users of the directory, as gateways do.
func TestOTPServiceWithADirectory(t *testing.T) {
	need(t, "/usr/sbin/slapd", "curl")
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{
		PasswordPolicy: true, LDIF: directorytest.Person("alice", anyPassword) + directorytest.Person("bob", anyPassword) + directorytest.Person("carl", anyPassword),
	})
	ldap.Modify("dn: uid=bob,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n\n")
	plain := freePort(t, "tcp")
	in := install(t, fmt.Sprintf("[otp_service]\nlisten = %q\nallow = \"127.0.0.1\"\n", plain)+openLDAPTable(ldap)+"stale_time = \"0s\"\n")
	in.alice("--type", "hotp")
	for _, name := range []string{"bob", "carl"} {
		in.run("", "user", "add", name, "--pin", "4711")
		in.run("", "token", "add", "--user", name, "--serial", name+"1", "--type", "hotp", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes()))
	}
	contains(t, in.run("", "check"), "directory staff, ")
	in.start()
	contains(t, in.run("", "check"), "directory staff, ")
	verify := programAt(t, plain)
	for _, test := range []struct {
		user     string
		counter  uint64
		accepted bool
	}{
		{`EXAMPLE\alice`, 0, true}, {"alice", 0, false}, {"Alice@example.org", 0, false}, {"alice@example.org", 1, true}, {"alice", 2, true},
		{"alice@nowhere", 3, false}, {`X\alice`, 3, false}, {"bob", 0, false}, {`EXAMPLE\bob`, 0, false},
	} {
		if accepted, err := verify(test.user, eventPasscode(test.counter)); err != nil || accepted != test.accepted {
			t.Errorf("%s, code %d: accepted %t, %v; want %t", test.user, test.counter, accepted, err, test.accepted)
		}
	}
	events := in.run("", "event", "list")
	contains(t, events, "directory_disabled", "replayed")
	in.login(in.nas(in.auth), `EXAMPLE\alice`, eventPasscode(2), radius.CodeAccessReject) // burned by another name

	// Who may ask changes without a restart.
	status := func(source string) string {
		t.Helper()
		out, err := in.shell("curl -s -o /dev/null -w %{http_code} --interface " + source + " -H 'Content-Type: text/xml' -d x http://" + plain.String() + safenet.ServicePath)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	if a, b := status("127.0.0.1"), status("127.0.0.2"); a == "403" || b != "403" {
		t.Errorf("%s and %s, want 403 of the second only", a, b)
	}
	in.change("allow = \"127.0.0.1\"", "allow = \"127.0.0.2\"")
	in.hup("msg=reloaded")
	if a, b := status("127.0.0.1"), status("127.0.0.2"); a != "403" || b == "403" {
		t.Errorf("%s and %s after the reload, want 403 of the first only", a, b)
	}
	in.change("allow = \"127.0.0.2\"", "allow = \"127.0.0.0/29\"")
	in.hupTimes(2)

	// While the directory is dead only a right code counts, and nobody is refused.
	ldap.Kill()
	if accepted, err := verify(`EXAMPLE\carl`, eventPasscode(0)); err != nil || !accepted {
		t.Errorf("carl while the directory is dead: accepted %t, %v", accepted, err)
	}
	if accepted, err := verify("carl", eventPasscode(0)); err == nil {
		t.Errorf("carl's used code while the directory is dead: accepted %t, though nothing is known of carl", accepted)
	}
}

// programAt is a program that asks the OTP service at an address whether a login is accepted.
func programAt(t *testing.T, addr netip.AddrPort) func(user, typed string) (bool, error) {
	t.Helper()
	client, err := safenet.New(safenet.Options{URL: "http://" + addr.String() + safenet.ServicePath, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func(user, typed string) (bool, error) {
		answer, err := client.VerifyPasscode(t.Context(), user, otp.NewPasscode([]byte(typed)))
		return answer.Accepted, err
	}
}

// openLDAPTable is the [[directory]] of an OpenLDAP.
func openLDAPTable(ldap *directorytest.OpenLDAP) string {
	return fmt.Sprintf("[[directory]]\nname = \"staff\"\ntype = \"openldap\"\nservers = [%q]\nca_file = %q\nbind_dn = %q\nbind_password = %q\nbase_dn = %q\nrealms = [\"example.org\", \"EXAMPLE\"]\n",
		ldap.TLSURL, ldap.CAFile, ldap.BindDN, ldap.BindPassword, ldap.BaseDN)
}
