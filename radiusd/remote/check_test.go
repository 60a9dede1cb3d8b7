package remote

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

func TestCheck(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	signedBy := func(s packet.Secret, placement packet.Placement) func(*packet.Request) [][]byte {
		return func(r *packet.Request) [][]byte {
			return [][]byte{reply(r, packet.AccessReject, nil, s, placement)}
		}
	}
	for _, test := range []struct {
		name   string
		answer func(*packet.Request) [][]byte
		o      Options
		want   string // a part of the error, none when empty
		report Report
	}{
		{"well", always(packet.AccessReject), Options{}, "", Report{StatusServer: true, Login: packet.AccessReject, MessageAuthenticator: true}},
		{"asks", always(packet.AccessChallenge), Options{}, "", Report{StatusServer: true, Login: packet.AccessChallenge, MessageAuthenticator: true}},
		{"no Status-Server", func(r *packet.Request) [][]byte {
			if r.Code == packet.StatusServer {
				return nil
			}
			return always(packet.AccessReject)(r)
		}, Options{}, "", Report{Login: packet.AccessReject, MessageAuthenticator: true}},
		{"accepts everybody", always(packet.AccessAccept), Options{}, "must not decide logins", Report{StatusServer: true, Login: packet.AccessAccept, MessageAuthenticator: true}},
		{"silent", silence, Options{}, "one of its RADIUS clients", Report{}},
		{"only Status-Server", onlyStatus, Options{}, "no login", Report{StatusServer: true}},
		{"another secret", signedBy(packet.NewSecret([]byte("x")), packet.First), Options{}, "the same secret here and there", Report{}},
		{"unsigned", signedBy(secret(), packet.Off), Options{}, "CVE-2024-3596", Report{StatusServer: true, Login: packet.AccessReject}},
		{"unsigned, and may be", signedBy(secret(), packet.Off), Options{UnsignedReplies: true}, "", Report{StatusServer: true, Login: packet.AccessReject}},
		{"nobody listens", nil, Options{}, "correct its address", Report{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := closed.LocalAddr().String()
			var server *peer
			if test.answer != nil {
				server = newPeer(t, test.answer)
				address = server.address()
			}
			if !test.report.StatusServer || test.report.Login == 0 {
				test.o.Timeout = 300 * time.Millisecond
			}
			k := newKit(t, test.o, address)
			got := k.Check(context.Background(), 0)
			if got.Err == nil != (test.want == "") || got.Err != nil && (!strings.Contains(got.Err.Error(), test.want) || strings.Contains(got.Err.Error(), "\n")) {
				t.Errorf("it says %v", got.Err)
			}
			if got.Latency <= 0 || got.Server != address {
				t.Errorf("%+v", got)
			}
			got.Err, got.Latency, got.Server = nil, 0, ""
			if got != test.report {
				t.Errorf("%+v instead of %+v", got, test.report)
			}
			if !k.States()[0].Up {
				t.Error("it brought the server down")
			}
		})
	}
}
