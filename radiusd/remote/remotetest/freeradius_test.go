package remotetest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
)

func TestFreeRADIUS(t *testing.T) {
	seed := []byte("12345678901234567890")
	server := StartFreeRADIUS(t,
		User{Name: "alice", PIN: "4711", Seed: seed},
		User{Name: "bob", Password: "secret"},
		User{Name: "carol", Password: "first", Asked: "And now?", Second: "second"},
	)
	nas, err := radiustest.Dial(server.Addr, radiustest.NewSecret(Secret), netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	defer nas.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	login := func(user, passcode string, state []byte) radiustest.Reply {
		t.Helper()
		request, err := nas.AccessRequest(user, radiustest.NewSecret(passcode))
		if err != nil {
			t.Fatal(err)
		}
		if state != nil {
			if err := rfc2865.State_Set(request, state); err != nil {
				t.Fatal(err)
			}
		}
		reply, err := nas.Exchange(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	code := oath.TOTP(oath.SHA1, oath.NewSeed(seed), time.Now(), 0, 30, 6)
	asked := login("carol", "first", nil)
	if got := rfc2865.ReplyMessage_GetString(asked.Packet); asked.Code != radius.CodeAccessChallenge || got != "And now?" {
		t.Errorf("the first step: %v %q", asked.Code, got)
	}
	for _, test := range []struct {
		user, passcode string
		state          []byte
		want           radius.Code
	}{
		{"alice", "4711" + code, nil, radius.CodeAccessAccept},
		{"alice", "4712" + code, nil, radius.CodeAccessReject},
		{"alice", "4711000000", nil, radius.CodeAccessReject},
		{"bob", "secret", nil, radius.CodeAccessAccept},
		{"carol", "second", rfc2865.State_Get(asked.Packet), radius.CodeAccessAccept},
		{"carol", "third", rfc2865.State_Get(asked.Packet), radius.CodeAccessReject},
		{"carol", "wrong", nil, radius.CodeAccessReject},
	} {
		if got := login(test.user, test.passcode, test.state); got.Code != test.want {
			t.Errorf("%s: %v, want %v", test.user, got.Code, test.want)
		}
	}
	if n := server.Requests(); n != 8 {
		t.Errorf("%d requests, want 8", n)
	}
}
