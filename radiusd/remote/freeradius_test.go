package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/otp/oath"
	"countersign/radiusd/packet"
	"countersign/radiusd/remote/remotetest"
)

// freeRADIUS is Debian's FreeRADIUS 3 as a private instance.
type freeRADIUS struct {
	*remotetest.FreeRADIUS
	address string
}

// totpSeed is that of the user tina, whose PIN is 1234.
const totpSeed = "12345678901234567890"

// longState is a State of 200 octets.
var longState = bytes.Repeat([]byte{0x00, 0xff, 's', 't'}, 50)

// startFreeRADIUS starts a server at a free port, until the end of the test. It signs its
// answers if it is told to.
func startFreeRADIUS(t testing.TB, unsigned bool) *freeRADIUS {
	t.Helper()
	sign := "&Message-Authenticator := 0x00"
	if unsigned {
		sign = "&Reply-Message := \"unsigned\""
	}
	config := strings.NewReplacer("$SIGN", sign, "$STATE", fmt.Sprintf("0x%x", longState)).Replace(freeRADIUSConfig)
	server := remotetest.StartConfigured(t, config, freeRADIUSUsers)
	return &freeRADIUS{server, server.Addr.String()}
}

// received returns the users of the Access-Requests that have come.
func (f *freeRADIUS) received() []string { return strings.Fields(f.File("requests")) }

const freeRADIUSUsers = `alice Cleartext-Password := "1234755224"
	Filter-Id := "vpn-users", Class := 0x616c69, Tunnel-Password:1 := "hidden", Cisco-AVPair += "shell:priv-lvl=15"
tina TOTP-Secret := "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", Tmp-String-0 := "1234"
`

const freeRADIUSConfig = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
max_request_time = 30
cleanup_delay = 5
log {
  destination = stdout
}
security {
  reject_delay = 0
  status_server = yes
}
proxy_requests = no
thread pool {
  start_servers = 2
  max_servers = 4
}
client lo {
  ipaddr = 127.0.0.0/8
  secret = "$SECRET"
  require_message_authenticator = yes
}
modules {
  pap {
  }
  chap {
  }
  mschap {
  }
  totp {
  }
  always ok {
    rcode = ok
  }
  always reject {
    rcode = reject
  }
  files {
    filename = $DIR/users
  }
  linelog {
    filename = $DIR/requests
    format = "%{User-Name}"
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = $PORT
  }
  authorize {
    linelog
    update reply {
      $SIGN
    }
    if (&User-Name =~ /^dialog/) {
      update control {
        &Auth-Type := Dialog
      }
    }
    elsif (&User-Name == "tina" && &User-Password =~ /^(....)(......)$/) {
      files
      if (&control:Tmp-String-0 == "%{1}") {
        update {
          &request:TOTP-Password := "%{2}"
          &control:Auth-Type := totp
        }
      }
    }
    else {
      chap
      mschap
      files
      pap
    }
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
    Auth-Type CHAP {
      chap
    }
    Auth-Type MS-CHAP {
      mschap
    }
    totp
    Auth-Type Dialog {
      if (!&State && &User-Password == "1234") {
        update reply {
          &Reply-Message := "Enter your one-time code:"
        }
        if (&User-Name == "dialog-long") {
          update reply {
            &State := $STATE
          }
        }
        else {
          update reply {
            &State := 0x0102030400060708
          }
        }
        update control {
          &Response-Packet-Type := Access-Challenge
        }
        ok
      }
      elsif ((&State == 0x0102030400060708 || &State == $STATE) && &User-Password == "755224") {
        ok
      }
      else {
        reject
      }
    }
  }
}
`

// nas is the secret between the NAS and us.
const nas = "of the NAS"

// radclient has FreeRADIUS's client send a request, and returns it as it came.
func radclient(t *testing.T, attributes string) *packet.Request {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	command := exec.Command("radclient", "-r", "1", "-t", "10", conn.LocalAddr().String(), "auth", nas)
	command.Stdin = strings.NewReader(attributes)
	if err := command.Start(); err != nil {
		t.Fatalf("starting radclient, which scripts/test installs: %v", err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	buf := make([]byte, packet.MaxLength)
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, _, err := conn.ReadFrom(buf)
	r := new(packet.Request)
	if err != nil || r.Parse(buf[:n]) != nil {
		t.Fatalf("radclient sends %x, %v", buf[:n], err)
	}
	return r
}

// fromNAS is the login of a request of a NAS.
func fromNAS(t *testing.T, r *packet.Request) *Login {
	t.Helper()
	l := &Login{UserName: r.UserName, Packet: r}
	if r.UserPassword != nil {
		passcode, err := new(packet.Scratch).UserPassword(nil, packet.NewSecret([]byte(nas)), &r.Authenticator, r.UserPassword)
		if err != nil {
			t.Fatal(err)
		}
		l.Passcode = passcode
	}
	return l
}

// TestFreeRADIUSVerifies logins of every kind.
func TestFreeRADIUSVerifies(t *testing.T) {
	const passcode = "1234755224"
	server := startFreeRADIUS(t, false)
	k := newKit(t, Options{}, server.address)
	want := fmt.Sprintf("%x", attribute(11, []byte("vpn-users")...)) + "1905616c69" + fmt.Sprintf("%x", vendor(9, append([]byte{1, 19}, "shell:priv-lvl=15"...)...))
	for _, credential := range []string{"User-Password", "CHAP-Password", "MS-CHAP-Password"} {
		r := radclient(t, "User-Name=alice\nNAS-IP-Address=192.0.2.1\n"+credential+"="+passcode+"\n")
		got := k.verify(fromNAS(t, r), packet.AccessAccept)
		if fmt.Sprintf("%x", got.Attributes) != want {
			t.Errorf("%s: the NAS gets %x, not %s", credential, got.Attributes, want)
		}
		keys := packet.MSCHAPKeys([]byte(passcode)) // its first 8 octets are of the LM hash, which FreeRADIUS leaves out
		if mschap := r.MSCHAPResponse != nil; mschap != (credential == "MS-CHAP-Password") || mschap && (len(got.MSCHAPKeys) != 24 || !bytes.Equal(got.MSCHAPKeys[8:], keys[8:])) || !mschap && got.MSCHAPKeys != nil {
			t.Errorf("%s: the keys are %x", credential, got.MSCHAPKeys)
		}
		wrong := radclient(t, "User-Name=alice\n"+credential+"=0000755224\n")
		k.verify(fromNAS(t, wrong), packet.AccessReject)
	}
	if n := k.metric(fmt.Sprintf("dropped_attributes_total{server=%q}", server.address)); n != 3 {
		t.Errorf("%v Tunnel-Passwords were dropped", n)
	}

	tina := func(code string) *Login { return pap("tina", "1234"+code) }
	step := time.Now().Unix() / 30
	accepted := false
	for _, offset := range []int64{0, 1} { // the step may end just now
		code := oath.HOTP(oath.SHA1, oath.NewSeed([]byte(totpSeed)), uint64(step+offset), 6)
		reply, err := k.Verify(context.Background(), tina(code))
		accepted = accepted || err == nil && reply.Code == packet.AccessAccept
	}
	if !accepted {
		t.Error("rlm_totp accepts no code")
	}
	k.verify(tina("000000"), packet.AccessReject)
}

// TestFreeRADIUSAndMSCHAPv2: its proof goes to the NAS, and its keys are those that follow
// from the passcode.
func TestFreeRADIUSAndMSCHAPv2(t *testing.T) {
	server := startFreeRADIUS(t, false)
	k := newKit(t, Options{}, server.address)
	r := request(t, packet.AccessRequest, func(_ *packet.Scratch, b *packet.Builder, _ *[16]byte) {
		b.AddString(packet.UserName, "alice")
		b.AddMSCHAP2Response(5, []byte("alice"), []byte("1234755224"), [16]byte{1, 2, 3}, [16]byte{4, 5, 6})
	})
	got := k.verify(fromNAS(t, r), packet.AccessAccept)
	send, recv := packet.MPPEKeys([]byte("1234755224"), r.MSCHAP2Response)
	if !bytes.Equal(got.SendKey, send[:]) || !bytes.Equal(got.RecvKey, recv[:]) {
		t.Errorf("the keys are %x and %x", got.SendKey, got.RecvKey)
	}
	proof := packet.AuthenticatorResponse([]byte("alice"), []byte("1234755224"), r.MSCHAPChallenge, r.MSCHAP2Response)
	success := fmt.Appendf([]byte{26, 45, 5}, "S=%X", proof)
	if !bytes.Contains(got.Attributes, vendor(311, success...)) || bytes.Contains(got.Attributes, []byte{0, 0, 1, 55, 16}) || bytes.Contains(got.Attributes, []byte{0, 0, 1, 55, 7}) {
		t.Errorf("the NAS gets %x", got.Attributes)
	}
}

// TestFreeRADIUSAsks is about dialogs, one with a State that is kept here.
func TestFreeRADIUSAsks(t *testing.T) {
	first, second := startFreeRADIUS(t, false), startFreeRADIUS(t, false)
	k := newKit(t, Options{}, first.address, second.address)
	for _, user := range []string{"dialog", "dialog-long"} {
		asked := k.verify(pap(user, "1234"), packet.AccessChallenge)
		if want := attribute(packet.ReplyMessage, []byte("Enter your one-time code:")...); !bytes.Equal(asked.Attributes, want) {
			t.Errorf("%s: the NAS gets %x", user, asked.Attributes)
		}
		for _, test := range []struct {
			code string
			want packet.Code
		}{{"000000", packet.AccessReject}, {"755224", packet.AccessAccept}} {
			l := pap(user, test.code)
			l.Dialog = asked.Dialog
			k.verify(l, test.want)
		}
	}
	first.Stop()
	l := pap("dialog", "755224")
	l.Dialog = k.servers[0].dialogOf(t, []byte{1, 2, 3, 4, 0, 6, 7, 8})
	if _, err := k.Verify(context.Background(), l); !errors.Is(err, ErrLost) {
		t.Errorf("the answer to a dead server: %v", err)
	}
	if got := second.received(); len(got) != 0 {
		t.Errorf("the other server got %v", got)
	}
}

// dialogOf is a Dialog of the server.
func (s *server) dialogOf(t *testing.T, state []byte) []byte {
	d, err := s.client.states.keep(s.identity, state, start, s.client.rand)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFreeRADIUSDies and comes back: killed, so that the port is closed, and stopped, so that
// it is silent. Every login comes once.
func TestFreeRADIUSDies(t *testing.T) {
	first, second := startFreeRADIUS(t, false), startFreeRADIUS(t, false)
	k := newKit(t, Options{Timeout: 2 * time.Second, Watchdog: 50 * time.Millisecond}, first.address, second.address)
	number := 0
	next := func() *Login {
		number++
		l := pap("alice", "1234755224")
		l.UserName = fmt.Appendf(nil, "alice%d", number)
		return l
	}
	k.verify(next(), packet.AccessReject) // alice1
	first.Stop()
	k.verify(next(), packet.AccessReject) // nobody listens at the first
	k.run()
	first.Start()
	k.waitFor(back, first.address)
	k.verify(next(), packet.AccessReject)

	first.Signal(syscall.SIGSTOP)
	k.waitFor(down, first.address)
	k.verify(next(), packet.AccessReject)
	first.Signal(syscall.SIGCONT)
	k.waitFor(back, first.address)
	k.verify(next(), packet.AccessReject)
	if got := fmt.Sprint(first.received(), second.received()); got != "[alice1 alice3 alice5] [alice2 alice4]" {
		t.Errorf("they received %v", got)
	}
}

// TestFreeRADIUSAnswersLate: a login that waits in a server that is stopped is lost; it
// is answered when the server goes on, and sent to nobody else.
func TestFreeRADIUSAnswersLate(t *testing.T) {
	first, second := startFreeRADIUS(t, false), startFreeRADIUS(t, false)
	k := newKit(t, Options{Timeout: time.Second, Watchdog: 50 * time.Millisecond}, first.address, second.address)
	k.speaks(0)
	first.Signal(syscall.SIGSTOP)
	if _, err := k.Verify(context.Background(), pap("alice", "1234755224")); !errors.Is(err, ErrLost) {
		t.Fatalf("the lost one: %v", err)
	}
	k.verify(pap("bob", "1"), packet.AccessReject)
	first.Signal(syscall.SIGCONT)
	k.run().waitFor(back, first.address)
	k.verify(pap("carol", "1"), packet.AccessReject)
	if n := k.metric(fmt.Sprintf("ignored_replies_total{reason=\"late\",server=%q}", first.address)); n != 1 {
		t.Errorf("%v replies were late", n)
	}
	if got := fmt.Sprint(first.received(), second.received()); got != "[alice carol] [bob]" {
		t.Errorf("they received %v", got)
	}
}

// TestFreeRADIUSChecked with the right secret, with another, and unsigned.
func TestFreeRADIUSChecked(t *testing.T) {
	signed, unsignedOne := startFreeRADIUS(t, false), startFreeRADIUS(t, true)
	k := newKit(t, Options{Timeout: 2 * time.Second}, signed.address, unsignedOne.address)
	if got := k.Check(context.Background(), 0); got.Err != nil || !got.StatusServer || got.Login != packet.AccessReject || !got.MessageAuthenticator {
		t.Errorf("signed: %+v", got)
	}
	if got := k.Check(context.Background(), 1); got.Err == nil || !strings.Contains(got.Err.Error(), "CVE-2024-3596") || !got.StatusServer {
		t.Errorf("unsigned: %+v", got)
	}
	stranger := newKit(t, Options{Timeout: 200 * time.Millisecond, Servers: []Server{{Address: signed.address, Secret: packet.NewSecret([]byte("x"))}}})
	if got := stranger.Check(context.Background(), 0); got.Err == nil || !strings.Contains(got.Err.Error(), "the same shared secret") {
		t.Errorf("another secret: %+v", got)
	}
	for i := range lossesToFall {
		_, err := stranger.Verify(context.Background(), pap("alice", "1234755224"))
		if last := i == lossesToFall-1; err == nil || errors.Is(err, ErrLost) == last {
			t.Errorf("login %d with another secret: %v", i, err)
		}
	}
	lax := newKit(t, Options{UnsignedReplies: true}, unsignedOne.address)
	lax.verify(pap("alice", "1234755224"), packet.AccessAccept)
}
