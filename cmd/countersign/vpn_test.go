package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms/console"
)

// networkMark is the variable that names the test that has a network of its own.
const networkMark = "COUNTERSIGN_TEST_NETWORK"

// ownNetwork gives a test that calls it first a network, processes and mounts of
// its own: it runs the test again there, in another process, which then gets
// true. The caller that gets false is through. With that process goes everything
// it has started.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkMark) == t.Name() {
		if out, err := exec.Command("sh", "-c", "ip link set lo up && echo 6000 9999 >/proc/sys/net/ipv4/ip_local_port_range").CombinedOutput(); err != nil {
			t.Fatalf("setting up the network: %v\n%s", err, out)
		}
		return true
	}
	need(t, "unshare", "nsenter", "ip")
	if os.Getuid() != 0 {
		t.Fatal("a network of its own needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
		self, "-test.run", "^"+t.Name()+"$", "-test.count", "1")
	command.Env = append(os.Environ(), networkMark+"="+t.Name())
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

// road is a way between the clients and the gateway: who calls the gateway at
// its address there comes from the client's.
type road struct{ client, gateway string }

var (
	branchRoad = road{"10.77.1.2", "10.77.1.1"}
	homeRoad   = road{"10.77.2.2", "10.77.2.1"}
)

// roads builds the roads, their far ends in a second network, and returns the
// words that run a command there. The test itself is in a network of its own.
func (in *installation) roads() []string {
	in.Helper()
	holder := exec.Command("unshare", "--net", "cat") // keeps the namespace until its input ends
	input, err := holder.StdinPipe()
	if err != nil {
		in.Fatal(err)
	}
	said, err := holder.StdoutPipe()
	if err != nil {
		in.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		_ = input.Close()
		_ = holder.Wait()
	})
	// Once it answers it has its namespace.
	if _, err := io.WriteString(input, "ready"); err != nil {
		in.Fatal(err)
	}
	if _, err := io.ReadFull(said, make([]byte, len("ready"))); err != nil {
		in.Fatal(err)
	}
	pid := strconv.Itoa(holder.Process.Pid)
	enter := []string{"nsenter", "--target", pid, "--net"}
	line := "ip link add near type veth peer name far netns PID && ip link set near up && FAR ip link set lo up && FAR ip link set far up"
	for _, r := range []road{branchRoad, homeRoad} {
		line += " && ip address add " + r.gateway + "/24 dev near && FAR ip address add " + r.client + "/24 dev far"
	}
	line = strings.NewReplacer("FAR", strings.Join(enter, " "), "PID", pid).Replace(line)
	if out, err := in.shell(line); err != nil {
		in.Fatalf("%s: %v\n%s", line, err, out)
	}
	return slices.Clip(enter)
}

// spawn starts a program that ends with the test, which is in a network and
// processes of its own.
func (in *installation) spawn(stdin string, line ...string) (*exec.Cmd, *transcript) {
	in.Helper()
	said := new(transcript)
	command := exec.Command(line[0], line[1:]...)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = in.dir, strings.NewReader(stdin), said, said
	if err := command.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		if command.ProcessState == nil { // its children end with the processes of the test's own
			_ = command.Process.Kill()
			_, _ = command.Process.Wait()
		}
		if in.Failed() {
			in.Logf("%s said:\n%s", strings.Join(line, " "), said)
		}
	})
	return command, said
}

// certificate makes a server's key and certificate, which is its own authority,
// for the gateway's addresses: server.key and server.pem.
func (in *installation) certificate() {
	in.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		in.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(branchRoad.gateway), net.ParseIP(homeRoad.gateway)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		in.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		in.Fatal(err)
	}
	in.file("server.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	in.file("server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// gateway is a real gateway that asks us. Its users come over the roads.
type gateway struct {
	name string
	// login logs in and hangs up. It reports whether the gateway let the user in.
	login func(r road, user, passcode string) bool
}

// plugin is the RADIUS plugin of OpenVPN. Captured on the wire:
//
//	Access-Request      User-Name, User-Password, NAS-IP-Address and NAS-Identifier
//	                    (127.0.0.1 and OpenVpn, as configured below), NAS-Port (a
//	                    counter), Service-Type 5, NAS-Port-Type 5, Acct-Session-Id,
//	                    Calling-Station-Id: the client's address and nothing else
//	Accounting-Request  Start and Stop, with the Framed-IP-Address of the tunnel
//
// It sends no Message-Authenticator, CHAP-Password, State or Proxy-State, opens a
// port for each request, and takes an Access-Challenge for a refusal.
const plugin = "/usr/lib/openvpn/radiusplugin.so"

// openVPN starts an OpenVPN server. TCP, because its server sees at once when a
// client has gone.
func (in *installation) openVPN() gateway {
	in.Helper()
	roads, port := in.roads(), freePort(in.T, "tcp").Port()
	in.certificate()
	if err := os.Mkdir(filepath.Join(in.dir, "ccd"), 0o755); err != nil {
		in.Fatal(err)
	}
	values := strings.NewReplacer("DIR", in.dir, "PORT", strconv.Itoa(int(port)), "PLUGIN", plugin, "SECRET", sharedSecret,
		"AUTH", strconv.Itoa(int(in.auth.Port())), "ACCT", strconv.Itoa(int(in.acct.Port())))
	in.file("plugin.conf", values.Replace(`NAS-Identifier=OpenVpn
Service-Type=5
Framed-Protocol=1
NAS-Port-Type=5
NAS-IP-Address=127.0.0.1
OpenVPNConfig=DIR/openvpn.conf
overwriteccfiles=true
nonfatalaccounting=false
server
{
	authport=AUTH
	acctport=ACCT
	name=127.0.0.1
	retry=1
	wait=5
	sharedsecret=SECRET
}
`))
	config := in.file("openvpn.conf", values.Replace(`port PORT
proto tcp4-server
dev tun
ca DIR/server.pem
cert DIR/server.pem
key DIR/server.key
dh none
server 198.18.10.0 255.255.255.0
topology subnet
verify-client-cert none
username-as-common-name
plugin PLUGIN DIR/plugin.conf
client-config-dir DIR/ccd
tmp-dir DIR
status DIR/status.log 1
status-version 1
reneg-sec 0
`))
	_, said := in.spawn("", "openvpn", "--config", config)
	in.await("the OpenVPN server", func() bool { return strings.Contains(said.String(), "Initialization Sequence Completed") })
	return gateway{"OpenVPN", func(r road, user, passcode string) bool {
		credentials := in.file("credentials", user+"\n"+passcode+"\n")
		client, said := in.spawn("", append(roads, "openvpn", "--client", "--dev", "tun", "--proto", "tcp4-client", "--nobind",
			"--remote", r.gateway, strconv.Itoa(int(port)), "--ca", filepath.Join(in.dir, "server.pem"), "--remote-cert-tls", "server",
			"--auth-user-pass", credentials, "--auth-retry", "none")...)
		return in.answer(client, said, "Initialization Sequence Completed", "AUTH_FAILED")
	}}
}

// answer waits until a VPN client has said yes or no, and hangs up.
func (in *installation) answer(client *exec.Cmd, said *transcript, yes, no string) bool {
	in.Helper()
	in.await("the VPN's answer", func() bool {
		return strings.Contains(said.String(), yes) || strings.Contains(said.String(), no)
	})
	_ = client.Process.Signal(syscall.SIGINT)
	_ = client.Wait()
	return strings.Contains(said.String(), yes)
}

func needOpenVPN(t *testing.T) {
	t.Helper()
	need(t, "openvpn")
	if _, err := os.Stat(plugin); err != nil {
		t.Fatalf("%v: scripts/test installs it", err)
	}
}

func TestOpenVPN(t *testing.T) {
	needOpenVPN(t)
	if ownNetwork(t) {
		gatewayLogsIn(t, (*installation).openVPN)
	}
}

// gatewayLogsIn: through a gateway a code is good once, whatever road it comes
// on, and what the gateway tells of its clients arrives.
func gatewayLogsIn(t *testing.T, start func(*installation) gateway) {
	t.Helper()
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	g := start(in)
	if !g.login(branchRoad, "alice", eventPasscode(0)) {
		t.Errorf("the right code was refused:\n%s", in.log)
	}
	if g.login(homeRoad, "alice", eventPasscode(0)) {
		t.Error("the code passed twice")
	}
	if !g.login(homeRoad, "alice", eventPasscode(1)) {
		t.Errorf("the next code was refused:\n%s", in.log)
	}
	var stations []string
	for _, e := range in.events("login") {
		stations = append(stations, e.Station+" "+e.Verdict)
	}
	if got, want := strings.Join(stations, ", "), "10.77.1.2 accepted, 10.77.2.2 replayed, 10.77.2.2 accepted"; got != want {
		t.Errorf("logins: %s, want %s", got, want)
	}
	for _, session := range in.awaitSessions(2, accounting.Closed) {
		if !session.Begun || session.SessionFigures == nil || session.Station != branchRoad.client && session.Station != homeRoad.client {
			t.Errorf("session %+v, want one with a Start and figures of one of our clients", session)
		}
	}
}

// events are those of a kind, the oldest first.
func (in *installation) events(kind string) []console.EventView {
	in.Helper()
	events := decodeLines[console.EventView](in, in.run("", "event", "list", "--json", "--limit", "0"))
	events = slices.DeleteFunc(events, func(e console.EventView) bool { return e.Kind != kind })
	slices.Reverse(events)
	return events
}
