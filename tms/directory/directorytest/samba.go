package directorytest

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The domain of every Samba: its NetBIOS name, and its DNS name.
const (
	SambaDomain = "ADT"
	SambaRealm  = "ad.test"
)

const (
	sambaBaseDN           = "DC=ad,DC=test"
	administratorPassword = "Passw0rd.Adm1n"
	python                = "/usr/bin/python3" // Debian's: another may not know Samba's modules
)

// Samba is a domain controller of Active Directory for SambaRealm.
//
// Users, each with the password of Password: alice (in cn=Level3, which is in
// Level2, which is in Level1), bob, carol (who must change her password), dave
// (who is disabled), erin (whose UPN is e.jones@mail.test) and svc, the service
// account. Domain Users, everybody's primary group, is in cn=Everyone. Accounts
// are locked after 3 wrong passwords.
type Samba struct {
	Server
	config string
}

// Password is the password of a user of a Samba.
func Password(user string) string { return user + ".Passw0rd" }

// provisioned is the folder of a domain that no server runs on.
var provisioned = struct {
	sync.Mutex
	dir     string
	sweeper *process
}{}

// StartSamba starts a Samba, which lives until the test ends.
func StartSamba(t testing.TB) *Samba {
	t.Helper()
	template, dir, address := provisionedDomain(t), t.TempDir(), ownAddress(t, "389")
	run(t, "", "cp", "-a", template+"/.", dir)
	DefaultAuthority(t).files(t, dir, []string{address, "dc1." + SambaRealm})
	s := &Samba{Server: Server{
		URL: "ldap://" + address, TLSURL: "ldaps://" + address,
		Host: address, CAFile: filepath.Join(dir, "ca.pem"), BaseDN: sambaBaseDN,
		BindDN: "CN=svc,CN=Users," + sambaBaseDN, BindPassword: Password("svc"),
		t: t, dir: dir,
		listens: []string{address + ":389", address + ":636"},
	}, config: writeSambaConfig(t, dir, address)}
	s.command = []string{"samba", "-i", "--debug-stdout", "-M", "single", "-s", s.config}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// provisionedDomain makes the domain all Sambas of this process begin with.
func provisionedDomain(t testing.TB) string {
	t.Helper()
	provisioned.Lock()
	defer provisioned.Unlock()
	if provisioned.dir != "" {
		return provisioned.dir
	}
	dir, err := os.MkdirTemp("", "samba")
	if err != nil {
		t.Fatal(err)
	}
	provisioned.sweeper = startShell(t, nil, sweep, dir)
	run(t, "", "samba-tool", "domain", "provision", "--targetdir="+dir,
		"--realm="+strings.ToUpper(SambaRealm), "--domain="+SambaDomain, "--adminpass="+administratorPassword,
		"--server-role=dc", "--dns-backend=NONE", "--host-name=dc1", "--host-ip=127.0.0.1",
		"--option=interfaces=127.0.0.1/8", "--option=bind interfaces only=yes")
	run(t, people, python, "-", writeSambaConfig(t, dir, "127.0.0.1"))
	provisioned.dir = dir
	return dir
}

// people is a program that makes the users and groups.
//
//go:embed testdata/people.py
var people string

// writeSambaConfig has Samba keep everything below dir.
func writeSambaConfig(t testing.TB, dir, address string) string {
	t.Helper()
	path := filepath.Join(dir, "etc", "smb.conf")
	writeFile(t, path, fmt.Appendf(nil, `[global]
netbios name = DC1
realm = %[1]s
workgroup = %[2]s
server role = active directory domain controller
server services = ldap
interfaces = %[3]s/8
bind interfaces only = yes
private dir = %[4]s/private
state directory = %[4]s/state
cache directory = %[4]s/cache
lock directory = %[4]s
pid directory = %[4]s/run
ncalrpc dir = %[4]s/run/ncalrpc
binddns dir = %[4]s/bind-dns
winbindd socket directory = %[4]s/run/winbindd
ntp signd socket directory = %[4]s/run/ntp
tls cafile = %[4]s/ca.pem
tls certfile = %[4]s/cert.pem
tls keyfile = %[4]s/key.pem
`, strings.ToUpper(SambaRealm), SambaDomain, address, dir))
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Tool runs samba-tool on the domain's files, which may be done while the server
// runs.
func (s *Samba) Tool(arguments ...string) string {
	s.t.Helper()
	return run(s.t, "", append(append([]string{"samba-tool"}, arguments...), "-s", s.config)...)
}

// Modify makes changes, in LDIF.
func (s *Samba) Modify(ldif string) {
	s.t.Helper()
	run(s.t, modifyProgram(ldif), python, "-", s.config)
}

func modifyProgram(ldif string) string {
	head, _, _ := strings.Cut(people, "# The people.")
	return head + fmt.Sprintf("db.modify_ldif(%q)\n", ldif)
}
