package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"countersign/tms/directory/directorytest"
	"countersign/tms/mail/mailtest"
)

// conversation is a real program that a user answers, prompt by prompt.
type conversation struct {
	*installation
	command *exec.Cmd
	answers io.WriteCloser
	said    *transcript
	heard   int // how much of what it said was waited for
}

// converse starts a program that reads its user's answers from standard input.
func (in *installation) converse(line ...string) *conversation {
	in.Helper()
	c := &conversation{installation: in, command: exec.Command(line[0], line[1:]...), said: new(transcript)}
	c.command.Dir, c.command.Stdout, c.command.Stderr = in.dir, c.said, c.said
	var err error
	if c.answers, err = c.command.StdinPipe(); err != nil {
		in.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		_ = c.answers.Close()
		if c.command.ProcessState == nil {
			_ = c.command.Process.Kill()
			_ = c.command.Wait()
		}
		if in.Failed() {
			in.Logf("%s said:\n%s", strings.Join(line, " "), c.said)
		}
	})
	return c
}

// hears waits until the program says something new, and returns all that is new.
func (c *conversation) hears(text string) string {
	c.Helper()
	var news string
	c.await(fmt.Sprintf("%q of %s", text, filepath.Base(c.command.Path)), func() bool {
		news = c.said.String()[c.heard:]
		return strings.Contains(news, text)
	})
	c.heard += len(news)
	return news
}

// answer types a line.
func (c *conversation) answer(line string) {
	c.Helper()
	if _, err := io.WriteString(c.answers, line+"\n"); err != nil {
		c.Fatal(err)
	}
}

// etoken is the token client, built once for a test, with a store of its own.
func (in *installation) etoken() func(stdin string, args ...string) string {
	in.Helper()
	path := filepath.Join(in.dir, "etoken")
	if out, err := exec.Command("go", "build", "-o", path, "countersign/cmd/etoken").CombinedOutput(); err != nil {
		in.Fatalf("building etoken: %v\n%s", err, out)
	}
	return func(stdin string, args ...string) string {
		in.Helper()
		command := exec.Command(path, args...)
		command.Env = append(os.Environ(), "ETOKEN_STORE="+filepath.Join(in.dir, "etoken-store", "tokens"))
		command.Stdin = strings.NewReader(stdin)
		said := new(transcript)
		command.Stderr = said
		out, err := command.Output()
		if err != nil {
			in.Fatalf("etoken %s: %v\n%s", args[0], err, said)
		}
		return strings.TrimSpace(string(out))
	}
}

// storyteller is an installation as a company had it with SafeNet: an Active
// Directory, a mail server that wants TLS and a login, mails with the seed file.
func storyteller(t *testing.T) (*installation, *directorytest.Samba, *mailtest.Sink) {
	t.Helper()
	samba, sink := directorytest.StartSamba(t), mailtest.StartSink(t, mailtest.StartTLS)
	in := installNeighbours(t)
	in.pages = freePort(t, "tcp")
	in.rewrite("mode = \"create-token\"\nchallenge = true\n", fmt.Sprintf(`listen_https = %q
url = "https://localhost:%d"
[mail]
server = %q
ca_file = %q
user = %q
password = %q
from = "IT Service <otp@ad.test>"
[enrol]
style = "seed-file"
mail_domains = "ad.test"
[[directory]]
name = "ad"
type = "active-directory"
servers = [%q]
ca_file = %q
bind_dn = %q
bind_password = %q
base_dn = %q
realms = [%q, %q]
`, in.pages, in.pages.Port(), sink.Addr, sink.CAFile, sink.User, sink.Password,
		samba.TLSURL, samba.CAFile, samba.BindDN, samba.BindPassword, samba.BaseDN, directorytest.SambaRealm, directorytest.SambaDomain))
	return in, samba, sink
}

var shownKey = regexp.MustCompile(`Activation Key: (\w+)`)

// seedFile writes the seed file of a mail where its user would.
func (in *installation) seedFile(m mailtest.Parsed) string {
	in.Helper()
	if len(m.Attachments) != 1 {
		in.Fatalf("%d attachments in\n%s", len(m.Attachments), m.Text)
	}
	return in.file(m.Attachments[0].Name, string(m.Attachments[0].Data))
}

// The way to a token that SafeNet's users know: the directory password and any four
// digits at the gateway, the seed file by mail, the Activation Key and the Application
// PIN in the token client, then OTP PIN and eToken.
func TestSafeNetStory(t *testing.T) {
	need(t, "pamtester", "samba")
	in, samba, sink := storyteller(t)
	samba.Modify("dn: CN=alice,CN=Users," + samba.BaseDN + "\nchangetype: modify\nreplace: mail\nmail: alice.liddell@ad.test\n")
	in.start()
	in.pam("otp-test")
	in.file("pam.d/otp-test", fmt.Sprintf("auth required pam_radius_auth.so conf=%s/pam_radius.conf max_challenge=6 prompt=Password\n", in.dir))
	login := func() *conversation {
		return in.converse("env", "LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR="+in.dir+"/pam.d", "pamtester", "otp-test", "alice", "authenticate")
	}
	pam := login()
	pam.hears("Password")
	pam.answer(directorytest.Password("alice"))
	pam.hears("Choose any four digits as OTP PIN")
	pam.answer("4711")
	pam.hears("once more")
	pam.answer("4711")
	last := pam.hears("Token Serial")
	key := shownKey.FindStringSubmatch(last)
	contains(t, last, "a...l@ad.test", "OTP PIN and the eToken")

	m := in.mails(sink, 1)[0]
	contains(t, m.Text, "Token Serial", "Application PIN")
	if key == nil || strings.Contains(m.Text+m.HTML, key[1]) || m.To[0] != "alice.liddell@ad.test" {
		t.Fatalf("the Activation Key %v is in the mail to %s, or was not shown:\n%s", key, m.To, m.Text)
	}
	etoken := in.etoken()
	etoken("408916\n408916\n", "activate", "--seed-file", in.seedFile(m), "--activation-key", key[1])
	contains(t, etoken("408916\n", "list"), "alice")
	code := etoken("408916\n", "generate", "--raw")
	pam.answer("4711" + code)
	pam.hears("successfully authenticated")

	again := login()
	again.hears("Password")
	again.answer("4711" + code)
	again.hears("uthentication failure")
	contains(t, in.run("", "token", "list"), "alice", "active")
	in.mails(sink, 2) // and that the token is in use
	if waiting := in.run("", "mail", "list"); strings.Contains(waiting, "alice") {
		t.Errorf("mails wait:\n%s", waiting)
	}
	in.noSecrets("4711", "")
}

// The same at a VPN, by a user who has no address in the directory.
func TestSafeNetStoryAtAVPN(t *testing.T) {
	need(t, "ocserv", "openconnect", "samba")
	if !ownNetwork(t) {
		return
	}
	in, samba, sink := storyteller(t)
	samba.Modify("dn: CN=bob,CN=Users," + samba.BaseDN + "\nchangetype: modify\ndelete: mail\n")
	in.start()
	roads, port := in.ocservServer("")
	vpn := in.converse(append(roads, "openconnect", "--protocol=anyconnect", "--no-dtls", "--script=true", "--cafile", filepath.Join(in.dir, "server.pem"),
		"--user", "bob", "https://"+net.JoinHostPort(homeRoad.gateway, strconv.Itoa(port)))...)
	vpn.hears("assword")
	vpn.answer(directorytest.Password("bob"))
	vpn.hears("OTP PIN")
	vpn.answer("4711")
	vpn.hears("once more")
	vpn.answer("4711")
	vpn.hears("Enter your e-mail address")
	vpn.answer("bob@ad.test")
	key := shownKey.FindStringSubmatch(vpn.hears("Token Serial"))
	if key == nil {
		t.Fatal("no Activation Key was shown")
	}
	etoken := in.etoken()
	etoken("408916\n408916\n", "activate", "--seed-file", in.seedFile(in.mails(sink, 1)[0]), "--activation-key", key[1])
	vpn.answer("4711" + etoken("408916\n", "generate", "--raw"))
	vpn.hears("Configured as")
}
