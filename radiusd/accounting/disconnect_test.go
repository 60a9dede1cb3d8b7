package accounting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/packet"
	"countersign/radiusd/remote/remotetest"
)

// coaConfiguration is FreeRADIUS as a gateway that ends sessions: those of kay. It has no
// session of lee, none of its own of max, and knows no Event-Timestamp for nan.
const coaConfiguration = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
proxy_requests = no
client server {
  ipaddr = 127.0.0.0/8
  secret = "$SECRET"
  require_message_authenticator = yes
}
modules {
  always ok {
    rcode = ok
  }
  always reject {
    rcode = reject
  }
}
server gateway {
  listen {
    type = coa
    ipaddr = 127.0.0.1
    port = $PORT
  }
  recv-coa {
    if (&User-Name == "kay" && &Acct-Session-Id == "4711" && &NAS-Identifier == "vpn1" && &NAS-IP-Address == 192.0.2.1 && \
      &Framed-IP-Address == 10.8.0.5 && &Calling-Station-Id == "198.51.100.7" && &Event-Timestamp) {
      update reply {
        &Message-Authenticator := 0x00
        &Reply-Message := "bye"
      }
      ok
    }
    elsif (&User-Name == "lee" && &Framed-IPv6-Address == 2001:db8::5 && &NAS-IPv6-Address == 2001:db8::1) {
      update reply {
        &Error-Cause := Session-Context-Not-Found
      }
      reject
    }
    elsif (&User-Name == "nan" && !&Event-Timestamp) {
      ok
    }
    elsif (&User-Name == "nan") {
      update reply {
        &Error-Cause := Unsupported-Attribute
      }
      reject
    }
    else {
      reject
    }
  }
  send-coa {
    ok
  }
}
`

// TestDisconnectFreeRADIUS: its requests are right for another implementation, and so are
// the answers that are believed.
func TestDisconnectFreeRADIUS(t *testing.T) {
	gateway := remotetest.StartConfigured(t, coaConfiguration, "")
	to := Target{gateway.Addr, packet.NewSecret([]byte(remotetest.Secret))}
	kay := &Session{
		ID: Position{17, 3}, User: "kay", Station: "198.51.100.7", Address: netip.MustParseAddr("10.8.0.5"),
		Key:        Key{NAS: "vpn", Gateway: "vpn1 192.0.2.1", SessionID: "4711"},
		NASAddress: netip.MustParseAddr("192.0.2.1"),
	}
	lee := &Session{
		User: "lee", Address: netip.MustParseAddr("2001:db8::5"), NASAddress: netip.MustParseAddr("2001:db8::1"),
		Key: Key{Gateway: "2001:db8::1", SessionID: "1"},
	}
	for _, test := range []struct {
		session *Session
		want    Answer
	}{
		{kay, Answer{true, 0, "Disconnect-ACK: bye"}},
		{lee, Answer{false, 503, "Disconnect-NAK: Session-Context-Not-Found: the gateway has no such session"}},
		{&Session{User: "max"}, Answer{false, 0, "Disconnect-NAK"}},
		{&Session{User: "nan"}, Answer{true, 0, "Disconnect-ACK"}},
	} {
		answer, err := Disconnect(t.Context(), to, test.session)
		if err != nil || answer != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.session.User, answer, err, test.want)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	to.Secret = packet.NewSecret([]byte("another secret"))
	if answer, err := Disconnect(ctx, to, kay); !errors.Is(err, errNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with another secret: %+v, %v", answer, err)
	} else if want := fmt.Sprintf("asking %s to end session 17-3: ", to.Address); !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
}

// TestDisconnectHostapd asks an access point about a session that it does not have.
func TestDisconnectHostapd(t *testing.T) {
	runtime.LockOSThread() // not unlocked: the thread ends with its network namespace
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatalf("making a network namespace: %v: run the tests as root", err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s: scripts/test installs it", name, err, out)
		}
	}
	run("ip", "link", "set", "lo", "up")
	config := filepath.Join(t.TempDir(), "hostapd.conf")
	text := "interface=das0\ndriver=none\nnas_identifier=switch1\nradius_das_port=3799\nradius_das_client=127.0.0.1 secret\n" +
		"radius_das_require_event_timestamp=1\nradius_das_require_message_authenticator=1\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("hostapd")
	if err != nil { // only root has it in its PATH
		path = "/usr/sbin/hostapd"
	}
	process := exec.Command(path, config)
	if err := process.Start(); err != nil {
		t.Fatalf("hostapd: %v: scripts/test installs it", err)
	}
	defer func() { _ = process.Process.Kill(); _ = process.Wait() }()
	to := Target{netip.MustParseAddrPort("127.0.0.1:3799"), packet.NewSecret([]byte("secret"))}
	for gateway, cause := range map[string]uint32{"switch1": 503, "switch2": 403} {
		s := &Session{User: "kay", Station: "00-00-5E-00-53-01", Key: Key{Gateway: gateway, SessionID: "4D2FA1E8C7B6A590"}}
		answer, err := Disconnect(t.Context(), to, s) // repeated until hostapd listens
		if err != nil || answer.Acknowledged || answer.Cause != cause {
			t.Errorf("%s: %+v, %v, want Error-Cause %d", gateway, answer, err, cause)
		}
	}
}

// quick makes the pauses short for a test.
func quick(t *testing.T) {
	dated, undated := datedPauses, undatedPauses
	datedPauses = []time.Duration{30 * time.Millisecond, 30 * time.Millisecond}
	undatedPauses = []time.Duration{30 * time.Millisecond, time.Minute}
	t.Cleanup(func() { datedPauses, undatedPauses = dated, undated })
}

// TestDisconnectRepeats: a request that gets no answer is sent again as it was, and then
// without Event-Timestamp. Answers are not believed that are forged, or of another kind.
func TestDisconnectRepeats(t *testing.T) {
	quick(t)
	nas, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nas.Close()
	secret, other := packet.NewSecret([]byte("secret")), packet.NewSecret([]byte("another"))
	var requests [][]byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, packet.MaxLength)
		for len(requests) < 4 {
			n, from, err := nas.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			requests = append(requests, bytes.Clone(buf[:n]))
			for _, reply := range [][]byte{
				[]byte("noise"),
				answerOf(other, buf[:n], packet.DisconnectACK, 0, packet.Off),
				answerOf(secret, buf[:n], packet.DisconnectACK, 1, packet.Off),
				answerOf(secret, buf[:n], packet.AccessAccept, 0, packet.Off),
			} {
				_, _ = nas.WriteToUDPAddrPort(reply, from)
			}
			if len(requests) == 4 {
				forged := answerOf(secret, buf[:n], packet.DisconnectACK, 0, packet.Off)
				_, _ = nas.WriteToUDPAddrPort(append(forged, 0), from) // padding is allowed
			}
		}
	}()
	to := Target{netip.MustParseAddrPort(nas.LocalAddr().String()), secret}
	answer, err := Disconnect(t.Context(), to, &Session{User: "kay"})
	if err != nil || !answer.Acknowledged {
		t.Fatalf("%+v, %v", answer, err)
	}
	<-done
	if !bytes.Equal(requests[0], requests[1]) || !bytes.Equal(requests[2], requests[3]) || bytes.Equal(requests[0], requests[2]) {
		t.Errorf("requests %x", requests)
	}
	for i, request := range requests {
		var r packet.Request
		var scratch packet.Scratch
		if err := r.Parse(request); err != nil || !scratch.VerifyAccountingRequest(secret, &r) {
			t.Fatalf("request %d: %v", i, err)
		}
		dated := false
		for at := range r.Attributes() {
			dated = dated || at == packet.EventTimestamp
		}
		if dated != (i < 2) {
			t.Errorf("request %d: Event-Timestamp: %v", i, dated)
		}
	}
}

// answerOf is an answer to a request; with a wrong Identifier when off is not 0.
func answerOf(secret packet.Secret, request []byte, code packet.Code, off byte, placement packet.Placement) []byte {
	var b packet.Builder
	b.Begin(code, request[1]+off, nil, placement)
	var scratch packet.Scratch
	reply, err := scratch.Sign(secret, &b, (*[packet.AuthenticatorLength]byte)(request[4:packet.HeaderLength]))
	if err != nil {
		panic(err)
	}
	return reply
}

func TestDisconnectNobodyListens(t *testing.T) {
	quick(t)
	undatedPauses = undatedPauses[:1]
	nas, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := Target{netip.MustParseAddrPort(nas.LocalAddr().String()), packet.NewSecret([]byte("secret"))}
	nas.Close()
	_, err = Disconnect(t.Context(), to, &Session{User: "kay"})
	if err == nil || !strings.Contains(err.Error(), "nothing listens there") {
		t.Error(err)
	}
}

// FuzzDisconnectReply: nothing is believed that has not the secret, and nothing crashes.
func FuzzDisconnectReply(f *testing.F) {
	secret := packet.NewSecret([]byte("secret"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		d := disconnection{secret: secret}
		if err := d.prepare(&Session{User: "kay"}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		d.request[1] = 1
		if answer, ok := d.read(datagram); ok {
			t.Errorf("believed %x: %+v", datagram, answer)
		}
	})
}
