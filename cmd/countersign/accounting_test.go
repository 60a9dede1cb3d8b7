package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
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
	"countersign/radiusd/remote/remotetest"
	"countersign/tms/console"
)

// sessions are those in any state, the oldest first.
func (in *installation) sessions() []console.SessionView {
	in.Helper()
	sessions := decodeLines[console.SessionView](in, in.run("", "session", "list", "--state", "all", "--json"))
	slices.Reverse(sessions)
	return sessions
}

// awaitSessions waits until there are so many sessions, all in one state.
func (in *installation) awaitSessions(count int, state accounting.State) []console.SessionView {
	in.Helper()
	var sessions []console.SessionView
	in.await(fmt.Sprintf("%d sessions that are %v", count, state), func() bool {
		sessions = in.sessions()
		return len(sessions) == count && !slices.ContainsFunc(sessions, func(v console.SessionView) bool { return v.State != state.String() })
	})
	return sessions
}

// statuses are the kinds of a session's records, in their order.
func (in *installation) statuses(v *console.SessionView) []string {
	in.Helper()
	var words []string
	for _, r := range decodeLines[recordLine](in, in.run("", "session", "show", v.ID.String(), "--json"))[1:] {
		words = append(words, r.Status)
	}
	return words
}

// decodeLines reads one JSON object a line.
func decodeLines[T any](in *installation, text string) []T {
	in.Helper()
	var all []T
	for line := range strings.Lines(text) {
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			in.Fatalf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// TestOcservAccounting: a real VPN reports Start, Interim-Updates and Stop with octets. It
// keeps the Class to itself, so that which login a session is of is not known.
func TestOcservAccounting(t *testing.T) {
	need(t, "ocserv", "openconnect")
	if !ownNetwork(t) {
		return
	}
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	roads, port := in.ocservServer("stats-report-time = 1\n")
	script := in.file("tunnel", `#!/bin/sh
test "$reason" = connect || exit 0
ip link set "$TUNDEV" up mtu 1200
ip address add "$INTERNAL_IP4_ADDRESS"/32 dev "$TUNDEV"
ip route add 198.18.9.1/32 dev "$TUNDEV"
`)
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	client, said := in.spawn(eventPasscode(0)+"\n", append(roads, "openconnect", "--protocol=anyconnect", "--no-dtls", "--non-inter", "--script="+script,
		"--cafile", filepath.Join(in.dir, "server.pem"), "--user", "alice", "--passwd-on-stdin", "https://"+net.JoinHostPort(branchRoad.gateway, strconv.Itoa(port)))...)
	in.await("the VPN", func() bool { return strings.Contains(said.String(), "Configured as") })
	in.await("octets in an interim update", func() bool {
		// Nobody listens there: each packet brings an ICMP error back.
		_, _ = in.shell(strings.Join(roads, " ") + " bash -c 'echo some octets >/dev/udp/198.18.9.1/9'")
		sessions := in.sessions()
		return len(sessions) == 1 && sessions[0].SessionFigures != nil && sessions[0].InputOctets > 0
	})
	if got := in.sessions()[0].State; got != "open" {
		t.Errorf("the session is %s, want open", got)
	}
	_ = client.Process.Signal(syscall.SIGINT)
	_ = client.Wait()

	session := in.awaitSessions(1, accounting.Closed)[0]
	if session.SessionLogin != nil || session.User != "alice" || session.Station != branchRoad.client || !session.Begun || !session.Address.IsValid() || session.Cause == "" {
		t.Errorf("session %+v", session)
	}
	if session.InputOctets == 0 || session.OutputOctets == 0 {
		t.Errorf("%d octets in and %d out, want some", session.InputOctets, session.OutputOctets)
	}
	kinds := in.statuses(&session)
	if first, last := kinds[0], kinds[len(kinds)-1]; first != "Start" || last != "Stop" || len(kinds) < 3 || slices.ContainsFunc(kinds[1:len(kinds)-1], func(kind string) bool { return kind != "Interim-Update" }) {
		t.Errorf("records %q, want Start, some Interim-Update, Stop", kinds)
	}
	if csv := in.run("", "session", "list", "--state", "closed", "--csv", "--user", "alice"); strings.Count(csv, "\n") != 2 || !strings.Contains(csv, ","+session.Address.String()+",") {
		t.Errorf("as CSV:\n%s", csv)
	}
}

// TestProFTPD: it sends the Class back with two NUL bytes appended.
func TestProFTPD(t *testing.T) {
	need(t, "proftpd", "curl")
	in := installNeighbours(t)
	in.nasKeys = "reply_message_authenticator = \"last\"\n"
	in.write("127.0.0.0/8", sharedSecret, "")
	in.alice("--type", "hotp")
	in.start()
	port := in.proFTPD()
	if out, err := in.shell(fmt.Sprintf("curl -sS --disable-epsv -u alice:%s ftp://127.0.0.1:%d/greeting", eventPasscode(0), port)); err != nil || out != "good morning" {
		t.Fatalf("%v: %q\n%s", err, out, in.log)
	}
	session := in.awaitSessions(1, accounting.Closed)[0]
	if session.SessionLogin == nil || session.Event != in.events("login")[0].ID {
		t.Errorf("the session is not that of the login:\n%s", in.run("", "session", "show", session.ID.String()))
	}
	if session.SessionFigures == nil || session.InputOctets+session.OutputOctets < uint64(len("good morning")) {
		t.Errorf("figures %+v, want those of the file", session.SessionFigures)
	}
	if kinds := in.statuses(&session); !slices.Equal(kinds, []string{"Start", "Stop"}) {
		t.Errorf("records %q", kinds)
	}
}

// proFTPD starts an FTP server with one file, greeting, and returns its port.
func (in *installation) proFTPD() uint16 {
	in.Helper()
	port := freePort(in.T, "tcp").Port()
	home := filepath.Join(in.dir, "ftp")
	in.file("ftp/greeting", "good morning")
	for folder := in.dir; len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) { // its users are not root
		if err := os.Chmod(folder, 0o755); err != nil {
			in.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(home, "greeting"), 0o644); err != nil {
		in.Fatal(err)
	}
	config := in.file("proftpd.conf", strings.NewReplacer("DIR", in.dir, "HOME", home, "PORT", strconv.Itoa(int(port)),
		"AUTH", in.auth.String(), "ACCT", in.acct.String(), "SECRET", sharedSecret).Replace(`ServerName gw
ServerType standalone
ModulePath /usr/lib/proftpd
LoadModule mod_radius.c
DefaultAddress 127.0.0.1
SocketBindTight on
Port PORT
User nobody
Group nogroup
PidFile DIR/proftpd.pid
ScoreboardFile DIR/proftpd.score
DelayTable none
SystemLog DIR/proftpd.log
WtmpLog off
TransferLog none
RequireValidShell off
AuthOrder mod_radius.c
RadiusEngine on
RadiusAuthServer AUTH SECRET 3
RadiusAcctServer ACCT SECRET 3
RadiusNASIdentifier proftpd-gw
RadiusUserInfo 65534 65534 HOME /bin/sh
AuthPAM off
`))
	said := new(transcript)
	command := exec.Command("proftpd", "-n", "-c", config)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if in.Failed() {
			in.Logf("proftpd said:\n%s", said)
		}
	})
	in.await("proftpd", func() bool {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return port
}

// sendAccounting has radclient send a record and demands the answer.
func (in *installation) sendAccounting(lines ...string) {
	in.Helper()
	if out, err := in.shell(fmt.Sprintf("printf '%%s\\n' '%s' | radclient -r 3 -t 5 %s acct %s", strings.Join(lines, "' '"), in.acct, sharedSecret)); err != nil {
		in.Fatalf("%v\n%s\n%s", err, out, in.log)
	}
}

// classOf is the Class that radclient received.
func (in *installation) classOf(received string) string {
	in.Helper()
	_, class, found := strings.Cut(received, "Class = ")
	if !found {
		in.Fatalf("no Class in\n%s", received)
	}
	class, _, _ = strings.Cut(class, "\n")
	return class
}

// dasConfiguration is FreeRADIUS as a gateway that takes Disconnect-Requests, and writes
// down which sessions it was asked to end.
const dasConfiguration = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
max_requests = 1024
log {
  destination = stdout
}
security {
  status_server = no
}
proxy_requests = no
client countersign {
  ipaddr = 127.0.0.0/8
  secret = "$SHARED"
  require_message_authenticator = no
}
modules {
  linelog asked {
    filename = $DIR/asked
    format = "%{Packet-Type} %{User-Name} %{Acct-Session-Id}"
  }
}
server default {
  listen {
    type = coa
    ipaddr = 127.0.0.1
    port = $PORT
  }
  recv-coa {
    asked
  }
  send-coa {
  }
}
`

// TestMaxSessions: who has as many sessions as allowed is refused, without the code being
// used up, until one has ended, which the gateway is asked for.
func TestMaxSessions(t *testing.T) {
	need(t, "radclient", "freeradius")
	das := remotetest.StartConfigured(t, strings.ReplaceAll(dasConfiguration, "$SHARED", sharedSecret), "")
	in := install(t, "[login]\nmax_sessions = 1\n")
	in.extend(fmt.Sprintf("disconnect_port = %d\n", das.Addr.Port()))
	in.alice("--type", "hotp")
	in.start()
	class := in.classOf(in.demand("Access-Accept", "User-Name=alice", "User-Password="+eventPasscode(0)))
	in.sendAccounting("Acct-Status-Type=Start", "Acct-Session-Id=one", "User-Name=alice", "Class="+class)
	in.awaitSessions(1, accounting.Open)
	in.demand("Access-Reject", "User-Name=alice", "User-Password="+eventPasscode(1))
	if out := in.run("", "explain", "--user", "alice", "--last"); !strings.Contains(out, "too_many_sessions") || !strings.Contains(out, "countersign session disconnect") {
		t.Errorf("explained as\n%s", out)
	}
	out := in.run("", "session", "disconnect", "--user", "alice", "--yes")
	if !strings.Contains(out, "the gateway has ended it") {
		t.Errorf("disconnected: %s", out)
	}
	if asked := das.File("asked"); asked != "Disconnect-Request alice one\n" {
		t.Errorf("the gateway was asked to end %q", asked)
	}
	in.sendAccounting("Acct-Status-Type=Stop", "Acct-Session-Id=one", "User-Name=alice", "Class="+class, "Acct-Terminate-Cause=Admin-Reset")
	in.awaitSessions(1, accounting.Closed)
	in.demand("Access-Accept", "User-Name=alice", "User-Password="+eventPasscode(1)) // it was not used up
	in.stop()
	acts := in.run("", "event", "list", "--json", "--limit", "0")
	if !strings.Contains(acts, `"session.disconnect"`) {
		t.Errorf("no act session.disconnect in\n%s", acts)
	}
}

// TestRestartOfAGateway: what it had is over.
func TestRestartOfAGateway(t *testing.T) {
	need(t, "radclient")
	in := install(t, "")
	in.start()
	for _, id := range []string{"a", "b"} {
		in.sendAccounting("Acct-Status-Type=Start", "Acct-Session-Id="+id, "User-Name=alice", "NAS-Identifier=gw")
	}
	in.sendAccounting("Acct-Status-Type=Start", "Acct-Session-Id=c", "User-Name=bob", "NAS-Identifier=other")
	in.awaitSessions(3, accounting.Open)
	in.await("another second", func() bool { return time.Now().Unix() > in.sessions()[2].Heard.Unix() })
	in.sendAccounting("Acct-Status-Type=Accounting-On", "NAS-Identifier=gw")
	in.await("the end of two", func() bool {
		over := 0
		for _, s := range in.sessions() {
			if s.State == "closed" && s.By == "accounting-on" && s.Gateway != "other" {
				over++
			}
		}
		return over == 2
	})
	if open := in.run("", "session", "list", "--json"); strings.Count(open, "\n") != 1 || !strings.Contains(open, `"session_id":"c"`) {
		t.Errorf("open sessions: %s", open)
	}
}
