package main

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ocserv starts an ocserv. Captured on the wire:
//
//	Access-Request      User-Name, User-Password, NAS-IP-Address: the gateway's own
//	                    address that the client called, NAS-Identifier as configured
//	                    below, Service-Type 8, NAS-Port-Type 0, Connect-Info: the
//	                    client program, Calling-Station-Id: the client's address and
//	                    nothing else
//	Accounting-Request  Start, Interim-Update and Stop with Acct-Terminate-Cause; all
//	                    but Start have the Framed-IP-Address of the tunnel
//
// It sends no Message-Authenticator, shows an Access-Challenge as another prompt,
// and returns its State up to the first NUL byte.
func (in *installation) ocserv() gateway {
	in.Helper()
	roads, port := in.ocservServer("")
	return gateway{"ocserv", func(r road, user, passcode string) bool {
		client, said := in.spawn(passcode+"\n", append(roads, "openconnect", "--protocol=anyconnect", "--no-dtls", "--non-inter", "--script=true",
			"--cafile", filepath.Join(in.dir, "server.pem"), "--user", user, "--passwd-on-stdin", "https://"+net.JoinHostPort(r.gateway, strconv.Itoa(port)))...)
		return in.answer(client, said, "Configured as", "Failed to complete authentication")
	}}
}

// ocservServer starts the server, with more settings. It returns what to run clients with,
// and its port.
func (in *installation) ocservServer(more string) (roads []string, port int) {
	in.Helper()
	roads, port = in.roads(), int(freePort(in.T, "tcp").Port())
	in.certificate()
	values := strings.NewReplacer("DIR", in.dir, "PORT", strconv.Itoa(port), "AUTH", in.auth.String(), "ACCT", in.acct.String())
	in.file("radcli-servers", "127.0.0.1 "+sharedSecret+"\n")
	in.file("radcli.conf", values.Replace(`nas-identifier ocserv-gw
authserver AUTH
acctserver ACCT
servers DIR/radcli-servers
dictionary /etc/radcli/dictionary
default_realm
radius_timeout 5
radius_retries 2
bindaddr *
`))
	config := in.file("ocserv.conf", values.Replace(`auth = "radius[config=DIR/radcli.conf]"
acct = "radius[config=DIR/radcli.conf]"
tcp-port = PORT
run-as-user = root
run-as-group = root
socket-file = DIR/ocserv.sock
use-occtl = false
pid-file = DIR/ocserv.pid
server-cert = DIR/server.pem
server-key = DIR/server.key
isolate-workers = false
max-clients = 8
max-same-clients = 8
keepalive = 300
try-mtu-discovery = false
auth-timeout = 60
cookie-timeout = 30
device = vpns
predictable-ips = false
ipv4-network = 198.18.9.0
ipv4-netmask = 255.255.255.0
cisco-client-compat = true
tls-priorities = "NORMAL:%SERVER_PRECEDENCE"
`)+more)
	_, said := in.spawn("", "ocserv", "--foreground", "--debug", "2", "--config", config)
	in.await("ocserv", func() bool { return strings.Contains(said.String(), "initialized") })
	return roads, port
}

func TestOcserv(t *testing.T) {
	need(t, "ocserv", "openconnect")
	if ownNetwork(t) {
		gatewayLogsIn(t, (*installation).ocserv)
	}
}
