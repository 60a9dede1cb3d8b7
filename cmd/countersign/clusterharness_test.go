package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/radiusd/radiustest"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/store/postgrestest"
)

// layout says what a cluster is made of.
type layout struct {
	nodes   int
	standby bool   // a synchronous one behind the database
	apart   bool   // each node in a network of its own; the test called ownNetwork
	more    string // settings of all nodes, which begin in [web]
	cluster string // further ones of [cluster]
	nasKeys string // of the NASes
}

// cluster is some nodes on one PostgreSQL, and two NASes that they know: loopback and
// stranger.
type cluster struct {
	*testing.T
	primary, standby *postgrestest.Server
	database         string
	nodes            []*node
	gateway          netip.AddrPort // where requests of loopback come from, any port
	stranger         netip.AddrPort // the same of stranger
}

// node is an installation whose store it has in common with others.
type node struct {
	*installation
	name  string
	enter []string // words that run a command in the node's network
}

// The networks of nodes that live apart: the first is that of the gateways, the other that
// of the database.
const (
	gatewayNet  = "10.78.1."
	databaseNet = "10.78.2."
)

// installCluster makes the database and the configurations, and the tables by way of the
// first node. No node runs yet.
func installCluster(t *testing.T, l layout) *cluster {
	t.Helper()
	c := &cluster{T: t, gateway: netip.MustParseAddrPort("127.0.0.1:0"), stranger: netip.MustParseAddrPort("127.0.9.1:0")}
	listen := "127.0.0.1:0"
	if l.apart {
		c.build(l.nodes)
		c.gateway, c.stranger = netip.MustParseAddrPort(gatewayNet+"1:0"), netip.MustParseAddrPort(gatewayNet+"9:0")
		listen = databaseNet + "1:0"
	}
	c.primary = postgrestest.Start(t, postgrestest.Options{Address: listen})
	c.database = c.primary.CreateDatabase(t)
	if l.standby {
		c.standby = c.primary.Standby(t)
	}
	key := filepath.Join(t.TempDir(), "shared.key")
	if err := seal.CreateKeyFile(key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for i := range l.nodes {
		c.nodes = append(c.nodes, c.install(l, i, key))
	}
	c.nodes[0].run("", "store", "migrate")
	return c
}

// nodeName is the name of a node: a, b, c.
func nodeName(i int) string { return string(rune('a' + i)) }

// install makes the configuration of a node.
func (c *cluster) install(l layout, i int, key string) *node {
	c.Helper()
	n := &node{installation: install(c.T, ""), name: nodeName(i)}
	if l.apart {
		n.enter = []string{"ip", "netns", "exec", n.name}
		at := netip.MustParseAddr(fmt.Sprint(gatewayNet, 10+i))
		n.auth, n.acct, n.metrics = netip.AddrPortFrom(at, 1812), netip.AddrPortFrom(at, 1813), netip.AddrPortFrom(at, 9100)
	}
	n.pages = freePort(c.T, "tcp")
	n.nasKeys = l.nasKeys + fmt.Sprintf("\n[[nas]]\nname = \"stranger\"\naddresses = [%q]\nsecret = %q\n", c.stranger.Addr(), sharedSecret) + l.nasKeys
	n.write(c.gateway.Addr().String(), sharedSecret, fmt.Sprintf("%s\n[store]\ndriver = \"postgres\"\ndsn = %q\npassword_file = %q\nkey_file = %q\n[cluster]\nnode = %q\n%s",
		strings.ReplaceAll(l.more, "PAGES", n.pages.String()), c.dsn(), c.primary.PasswordFile(), key, n.name, l.cluster))
	return n
}

// dsn is the database, wherever it moves.
func (c *cluster) dsn() string {
	var others []*postgrestest.Server
	if c.standby != nil {
		others = append(others, c.standby)
	}
	return c.primary.MultiDSN(c.database, others...) + "&sslmode=disable"
}

// build makes a network for each node, and those of the gateways and of the database, in
// each of which a node has an address. The test itself has the first address of both.
func (c *cluster) build(nodes int) {
	c.Helper()
	var script strings.Builder
	say := func(format string, values ...any) { fmt.Fprintf(&script, format+"\n", values...) }
	say("set -e\nmkdir -p /run/netns\nmount -t tmpfs none /run/netns") // the mounts too are the test's own
	for bridge, network := range map[string]string{"gateways": gatewayNet, "database": databaseNet} {
		say("ip link add %s type bridge\nip address add %s1/24 dev %[1]s\nip link set %[1]s up", bridge, network)
	}
	say("ip address add %s9/24 dev gateways", gatewayNet)
	for i := range nodes {
		name := nodeName(i)
		say("ip netns add %s\nip -n %[1]s link set lo up", name)
		for bridge, network := range map[string]string{"gateways": gatewayNet, "database": databaseNet} {
			say("ip link add %s-%s type veth peer name %[2]s netns %[1]s", name, bridge)
			say("ip link set %s-%s master %[2]s up", name, bridge)
			say("ip -n %s address add %s%d/24 dev %s\nip -n %[1]s link set %[4]s up", name, network, 10+i, bridge)
		}
	}
	if out, err := exec.Command("sh", "-c", script.String()).CombinedOutput(); err != nil {
		c.Fatalf("building the networks: %v\n%s", err, out)
	}
}

// cut takes a node off the network of the database, or puts it back.
func (c *cluster) cut(n *node, off bool) {
	c.Helper()
	state := "up"
	if off {
		state = "down"
	}
	if out, err := exec.Command("ip", "link", "set", n.name+"-database", state).CombinedOutput(); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
}

// start starts nodes and waits until they are ready; all of them if none are named.
func (c *cluster) start(nodes ...*node) {
	c.Helper()
	if len(nodes) == 0 {
		nodes = c.nodes
	}
	for _, n := range nodes {
		n.launch()
	}
	for _, n := range nodes {
		n.await("node "+n.name+" to be ready", func() bool {
			if n.hasEnded() {
				n.Fatalf("node %s has ended:\n%s", n.name, n.log)
			}
			time.Sleep(20 * time.Millisecond) // to ask is not for nothing
			status, _ := n.readyz()
			return status == http.StatusOK
		})
	}
}

// hasEnded reports whether the server has ended by itself.
func (n *node) hasEnded() bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.process.Process.Pid))
	return bytes.Contains(stat, []byte(") Z "))
}

// launch starts the server where the node is, and does not wait.
func (n *node) launch() {
	n.Helper()
	line := append(slices.Clone(n.enter), program(n.T), "--config", n.config, "serve")
	n.process = exec.Command(line[0], line[1:]...)
	n.process.Stdout, n.process.Stderr = n.log, n.log
	n.process.Env = append(os.Environ(), n.environment...)
	if err := n.process.Start(); err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() {
		if strings.Contains(n.log.String(), "DATA RACE") { // of which a process that is killed says nothing more
			n.Errorf("node %s has a data race", n.name)
		}
		if n.process != nil && n.Failed() {
			n.Logf("node %s said:\n%s", n.name, n.log)
		}
		n.kill()
	})
}

// readyz is what /readyz says; 0 while the node does not answer.
func (n *node) readyz() (status int, text string) {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get("http://" + n.metrics.String() + "/readyz")
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}

// dialFrom opens a socket of a gateway to a server.
func dialFrom(server, gateway netip.AddrPort) (*radiustest.NAS, error) {
	return radiustest.Dial(server, radiustest.NewSecret(sharedSecret), gateway)
}

// from is a socket of a gateway to the node.
func (n *node) from(gateway netip.AddrPort) *radiustest.NAS {
	n.Helper()
	nas, err := dialFrom(n.auth, gateway)
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = nas.Close() })
	return nas
}

// count is the sum of all metrics of the node whose lines begin with some text.
func (n *node) count(begin string) int {
	n.Helper()
	sum := 0
	for line := range strings.Lines(n.get("/metrics")) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, begin) {
			var f float64
			if _, err := fmt.Sscan(value, &f); err != nil {
				n.Fatalf("%s: %v", line, err)
			}
			sum += int(f)
		}
	}
	return sum
}

// users adds users with the PIN 4711 and a token each.
func (c *cluster) users(many int, token string) {
	c.Helper()
	var csv strings.Builder
	csv.WriteString("user,pin,serial,type,seed_hex\n")
	for i := range many {
		fmt.Fprintf(&csv, "user%d,4711,S%d,%s,%x\n", i, i, token, userSeed(i))
	}
	c.nodes[0].run(csv.String(), "user", "import", "-")
}

// shown is a passcode that a user shows: the code of their event token at a counter. Its
// station is its own, by which its events are found.
type shown struct{ user, counter int }

func (s shown) name() string    { return fmt.Sprintf("user%d", s.user) }
func (s shown) station() string { return fmt.Sprintf("%d-%d", s.user, s.counter) }

func (s shown) passcode() string {
	return "4711" + oath.HOTP(oath.SHA1, oath.NewSeed(userSeed(s.user)), uint64(s.counter), 6)
}

// loginFrom is a login from a station as a gateway sends it.
func loginFrom(nas *radiustest.NAS, user, passcode, station string) (*radius.Packet, error) {
	request, err := nas.AccessRequest(user, radiustest.NewSecret(passcode))
	if err != nil {
		return nil, err
	}
	return request, rfc2865.CallingStationID_SetString(request, station)
}

// acceptedAt are the NASes and stations from which users were let in, each as often as it
// happened, by the journal as a node shows it. An answer that was given again is no login.
func (n *node) acceptedAt() map[string]int {
	n.Helper()
	times := map[string]int{}
	for _, e := range decodeLines[console.EventView](n.installation, n.run("", "event", "list", "--json", "--limit", "0", "--verdict", "accepted")) {
		if !e.Repeated {
			times[e.NAS+" "+e.Station]++
		}
	}
	return times
}

// status is how it stands with the cluster, as a node tells it.
func (n *node) status() (v tms.ClusterView) {
	n.Helper()
	out, status := n.try("", "cluster", "status", "--json")
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		n.Fatalf("%v: %s", err, out)
	}
	if (status != 0) != (len(v.Faults) > 0) {
		n.Errorf("exit status %d, and the faults %q", status, v.Faults)
	}
	return v
}

// works reports whether a node does some work, and nobody else.
func (n *node) works(work string) bool {
	n.Helper()
	v := n.status()
	i := slices.IndexFunc(v.Leases, func(l tms.ClusterLease) bool { return l.Name == work })
	return i >= 0 && v.Leases[i].Node == n.name && v.Leases[i].Until.After(v.Database.At)
}

// token is a token as a node shows it.
func (n *node) token(serial string) (v tms.TokenView) {
	n.Helper()
	if err := json.Unmarshal([]byte(n.run("", "token", "show", serial, "--json")), &v); err != nil {
		n.Fatal(err)
	}
	return v
}
