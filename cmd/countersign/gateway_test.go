package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"layeh.com/radius"

	"countersign/radiusd/accounting"
)

// pam writes what pam_radius needs: its servers and the PAM service.
func (in *installation) pam(service string) {
	in.Helper()
	in.file("pam_radius.conf", fmt.Sprintf("%s %s 5\n", in.auth, sharedSecret))
	in.file(filepath.Join("pam.d", service), strings.ReplaceAll(`auth required pam_radius_auth.so conf=DIR/pam_radius.conf
account required pam_permit.so
session required pam_radius_auth.so conf=DIR/pam_radius.conf
`, "DIR", in.dir))
}

func (in *installation) file(name, text string) string {
	in.Helper()
	path := filepath.Join(in.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		in.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		in.Fatal(err)
	}
	return path
}

// installNeighbours is an installation whose accounting port follows the one
// for logins, as pam_radius takes for granted.
func installNeighbours(t *testing.T) *installation {
	in := install(t, "")
	for {
		in.auth = freePort(t, "udp")
		in.acct = netip.AddrPortFrom(in.auth.Addr(), in.auth.Port()+1)
		if c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(in.acct)); err == nil {
			_ = c.Close()
			break
		}
	}
	in.write("127.0.0.0/8", sharedSecret, "")
	return in
}

func TestPamRadius(t *testing.T) {
	need(t, "pamtester")
	in := installNeighbours(t)
	in.alice("--type", "hotp")
	in.start()
	in.pam("otp-test")
	pamtester := func(passcode string) (string, error) {
		return in.shell(fmt.Sprintf("echo %s | LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=%s/pam.d pamtester -v otp-test alice authenticate acct_mgmt open_session close_session", passcode, in.dir))
	}
	if out, err := pamtester(eventPasscode(0)); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, in.log)
	}
	if out, err := pamtester(eventPasscode(0)); err == nil {
		t.Errorf("the code passed twice:\n%s", out)
	}
	session := in.awaitSessions(1, accounting.Closed)[0]
	if kinds := in.statuses(&session); session.User != "alice" || !slices.Equal(kinds, []string{"Start", "Stop"}) {
		t.Errorf("records %q of %s, want Start and Stop of alice", kinds, session.User)
	}
}

// pam_radius shows its user a second prompt for an Access-Challenge, and sends the
// State back.
func TestPamRadiusChallenge(t *testing.T) {
	need(t, "pamtester")
	in := installNeighbours(t)
	in.nasKeys = "challenge = true\n"
	in.write("127.0.0.0/8", sharedSecret, "")
	in.alice("--type", "hotp")
	in.start()
	in.pam("otp-test")
	pamtester := func(first, second string) (string, error) {
		return in.shell(fmt.Sprintf("printf '%%s\\n%%s\\n' %s %s | LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR=%s/pam.d pamtester -v otp-test alice authenticate", first, second, in.dir))
	}
	if out, err := pamtester(eventPasscode(40), eventPasscode(43)); err == nil {
		t.Errorf("two codes that do not follow each other passed:\n%s", out)
	}
	out, err := pamtester(eventPasscode(50), eventPasscode(51))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, in.log)
	}
	if !strings.Contains(out, "Enter your OTP PIN and the next code of your eToken.") {
		t.Errorf("the user was not asked:\n%s", out)
	}
}

// A real SSH server asks pam_radius, which asks us.
func TestSSH(t *testing.T) {
	need(t, "ssh", "ssh-keygen", "/usr/sbin/sshd")
	if os.Getuid() != 0 {
		t.Fatal("sshd with PAM needs root")
	}
	in := installNeighbours(t)
	account := "countersign-" + strconv.Itoa(os.Getpid())
	in.run("", "user", "add", account, "--pin", "4711")
	in.run("", "token", "add", "--user", account, "--type", "hotp", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes()))
	in.start()
	in.unixAccount(account)
	service := "otp-sshd-" + strconv.Itoa(os.Getpid())
	in.pam(service)
	port := in.sshd(service)

	ssh := func(passcode string) (string, error) {
		askpass := in.file("askpass", "#!/bin/sh\necho "+passcode+"\n")
		if err := os.Chmod(askpass, 0o700); err != nil {
			t.Fatal(err)
		}
		return in.shell(fmt.Sprintf("SSH_ASKPASS=%s SSH_ASKPASS_REQUIRE=force setsid ssh -F none -p %d -o PreferredAuthentications=keyboard-interactive -o NumberOfPasswordPrompts=1 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null %s@127.0.0.1 echo logged-in", askpass, port, account))
	}
	if out, err := ssh(eventPasscode(0)); err != nil || !strings.Contains(out, "logged-in") {
		t.Fatalf("%v\n%s\n%s", err, out, in.log)
	}
	if out, err := ssh(eventPasscode(0)); err == nil {
		t.Errorf("the code passed twice:\n%s", out)
	}
	in.await("the station in the log", func() bool { return strings.Contains(in.log.String(), "station=127.0.0.1") })
	if session := in.awaitSessions(1, accounting.Closed)[0]; session.User != account || session.Station != "127.0.0.1" || !session.Begun {
		t.Errorf("the session of SSH: %+v", session)
	}
}

// unixAccount makes an account for the time of the test.
func (in *installation) unixAccount(name string) {
	in.Helper()
	if out, err := exec.Command("useradd", "-M", "-d", "/tmp", "-s", "/bin/sh", name).CombinedOutput(); err != nil {
		in.Fatalf("useradd: %v\n%s", err, out)
	}
	in.Cleanup(func() { _ = exec.Command("userdel", name).Run() })
	if _, err := user.Lookup(name); err != nil {
		in.Fatal(err)
	}
}

// sshd starts an SSH server whose PAM service is the given one.
func (in *installation) sshd(service string) uint16 {
	in.Helper()
	port := freePort(in.T, "tcp").Port()
	key := filepath.Join(in.dir, "host_key")
	if out, err := in.shell("ssh-keygen -q -t ed25519 -N '' -f " + key); err != nil {
		in.Fatalf("%v\n%s", err, out)
	}
	config := in.file("sshd_config", fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nPidFile none\nUsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive\n", port, key))
	// The PAM service is named after the program; sshd cannot be wrapped, as it
	// starts itself anew, so the service stands in /etc/pam.d for a moment.
	program := filepath.Join(in.dir, service)
	for link, target := range map[string]string{program: "/usr/sbin/sshd", "/etc/pam.d/" + service: filepath.Join(in.dir, "pam.d", service)} {
		if err := os.Symlink(target, link); err != nil {
			in.Fatal(err)
		}
		in.Cleanup(func() { _ = os.Remove(link) })
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		in.Fatal(err)
	}
	said := new(transcript)
	command := exec.Command(program, "-D", "-e", "-f", config)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if in.Failed() {
			in.Logf("sshd said:\n%s", said)
		}
	})
	in.await("sshd", func() bool { return strings.Contains(said.String(), "Server listening on") })
	return port
}

// tshark, which shares no code with us, finds nothing wrong with what we send.
func TestTshark(t *testing.T) {
	need(t, "tshark", "tcpdump", "radclient")
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	stop := in.capture("wire.pcap")
	n := in.nas(in.auth)
	in.login(n, "alice", eventPasscode(0), radius.CodeAccessAccept)
	in.login(n, "alice", eventPasscode(0), radius.CodeAccessReject)
	for counter, method := range []string{"chap", "mschapv2"} {
		in.run(eventPasscode(uint64(1+counter))+"\n", "login", "alice", "--message-authenticator", "--method", method)
	}
	for _, line := range []string{
		"echo 'Message-Authenticator=0x00,Proxy-State=0x01,Proxy-State=0x02' | radclient -r 1 %[1]s status %[3]s",
		"echo 'Acct-Status-Type=Start,Acct-Session-Id=a1,User-Name=alice,Proxy-State=0x03' | radclient -r 1 %[2]s acct %[3]s",
	} {
		if out, err := in.shell(fmt.Sprintf(line, in.auth, in.acct, sharedSecret)); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	stop()
	tshark := fmt.Sprintf("tshark -r wire.pcap -d udp.port==%d,radius -d udp.port==%d,radius -o radius.shared_secret:%s -o radius.validate_authenticator:TRUE",
		in.auth.Port(), in.acct.Port(), sharedSecret)
	out, err := in.shell(tshark + " -Y 'radius.authenticator.invalid==1 || _ws.malformed || _ws.expert.severity >= 6291456' 2>/dev/null")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("tshark complains: %v\n%s", err, out)
	}
	out, err = in.shell(tshark + " -Y 'radius.code' -T fields -e radius.code 2>/dev/null | sort | uniq -c")
	for _, code := range []string{"2", "3", "5"} {
		if !strings.Contains(out, " "+code+"\n") {
			t.Errorf("tshark saw no reply of code %s: %v\n%s", code, err, out)
		}
	}
}

// capture records loopback until the function it returns is called.
func (in *installation) capture(file string) func() {
	in.Helper()
	said := new(transcript)
	command := exec.Command("tcpdump", "-i", "lo", "-Z", "root", "-U", "--immediate-mode", "-w", filepath.Join(in.dir, file),
		fmt.Sprintf("udp port %d or udp port %d", in.auth.Port(), in.acct.Port()))
	command.Stderr = said
	if err := command.Start(); err != nil {
		in.Fatal(err)
	}
	in.await("tcpdump", func() bool { return strings.Contains(said.String(), "listening on") })
	return func() {
		_ = command.Process.Signal(syscall.SIGINT)
		_ = command.Wait()
	}
}
