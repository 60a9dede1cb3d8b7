package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// challenger asks with a State, and accepts who comes with it.
func challenger(state []byte) func(*packet.Request) [][]byte {
	return func(r *packet.Request) [][]byte {
		switch {
		case r.Code == packet.StatusServer:
			return always(packet.AccessAccept)(r)
		case r.State == nil || !bytes.Equal(r.State, state):
			attributes := attribute(packet.ReplyMessage, []byte("Next code:")...)
			if state != nil {
				attributes = append(attributes, attribute(packet.State, state...)...)
			}
			attributes = append(attributes, attribute(packet.Prompt, 0, 0, 0, 1)...)
			attributes = append(attributes, attribute(packet.Class, 1)...)
			attributes = append(attributes, attribute(packet.SessionTimeout, 0, 0, 0, 60)...)
			return [][]byte{reply(r, packet.AccessChallenge, attributes, secret(), packet.First)}
		}
		return always(packet.AccessAccept)(r)
	}
}

func TestDialog(t *testing.T) {
	for _, state := range [][]byte{[]byte("s"), {}, bytes.Repeat([]byte("s"), 55), bytes.Repeat([]byte("s"), 56), bytes.Repeat([]byte{0, 255}, 126)} {
		t.Run(fmt.Sprint(len(state)), func(t *testing.T) {
			first, second := newPeer(t, challenger(state)), newPeer(t, always(packet.AccessReject))
			k := newKit(t, Options{}, first.address(), second.address())
			asked := k.verify(pap("bob", "1234"), packet.AccessChallenge)
			want := "12 0c4e65787420636f64653a 4c0600000001 1b060000003c"
			if got := fmt.Sprintf("%x", asked.Attributes); got != strings.ReplaceAll(want, " ", "") {
				t.Errorf("the NAS gets %s", got)
			}
			if len(asked.Dialog) > maxDialog {
				t.Errorf("the Dialog has %d octets", len(asked.Dialog))
			}
			l := pap("bob", "755224")
			l.Dialog = asked.Dialog
			if got := k.verify(l, packet.AccessAccept); got.Dialog != nil {
				t.Error("an accept has a Dialog")
			}
			if n := len(second.received(t, packet.AccessRequest)); n != 0 {
				t.Errorf("the other server got %d", n)
			}
		})
	}
}

// TestDialogWithoutState: the server knows by itself where it was.
func TestDialogWithoutState(t *testing.T) {
	server := newPeer(t, func(r *packet.Request) [][]byte { return always(packet.AccessChallenge)(r) })
	k := newKit(t, Options{}, server.address())
	l := pap("bob", "755224")
	l.Dialog = k.verify(pap("bob", "1234"), packet.AccessChallenge).Dialog
	server.change(always(packet.AccessAccept))
	k.verify(l, packet.AccessAccept)
	if r := server.received(t, packet.AccessRequest)[1]; r.State != nil {
		t.Errorf("the State is %q", r.State)
	}
}

// TestDialogsThatCannotGoOn go to no server.
func TestDialogsThatCannotGoOn(t *testing.T) {
	var now atomic.Int64
	o := Options{Clock: func() time.Time { return start.Add(time.Duration(now.Load())) }}
	first, second := newPeer(t, challenger(make([]byte, 200))), newPeer(t, always(packet.AccessReject))
	k := newKit(t, o, first.address(), second.address())
	long := k.verify(pap("bob", "1234"), packet.AccessChallenge).Dialog
	fails := func(what string, k *kit, dialog []byte) {
		t.Helper()
		l := pap("bob", "755224")
		l.Dialog = dialog
		before := len(first.received(t, packet.AccessRequest))
		if _, err := k.Verify(context.Background(), l); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
		if len(first.received(t, packet.AccessRequest)) != before || len(second.received(t, packet.AccessRequest)) != 0 {
			t.Errorf("%s was sent", what)
		}
	}
	fails("one of another list of servers", newKit(t, o, second.address()), long)
	fails("one from before a restart", newKit(t, o, first.address(), second.address()), long)
	fails("none", k, []byte{})
	fails("another kind", k, append([]byte{9}, long[1:]...))
	stolen := identityOf(second.address())
	fails("of another server", k, append(append([]byte{namedState}, stolen[:]...), long[dialogHeader:]...))
	k.servers[0].judge(errNotReceived, 0)
	fails("while the server is down", k, long)
	k.servers[0].probe(context.Background())
	k.servers[0].probe(context.Background())
	k.servers[0].probe(context.Background())
	now.Store(int64(stateTime + 1))
	fails("too old", k, long)
	now.Store(0)
	l := pap("bob", "755224")
	l.Dialog = long
	k.verify(l, packet.AccessAccept)
}

// TestStatesAreBounded has the oldest make way.
func TestStatesAreBounded(t *testing.T) {
	var st states
	server := identityOf("a:1")
	var dialogs []dialog
	for i := range maxStates + 10 {
		b, err := st.keep(server, bytes.Repeat([]byte{byte(i)}, 100), start, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		d, ok := parseDialog(b)
		if !ok {
			t.Fatal("it cannot be read")
		}
		dialogs = append(dialogs, d)
	}
	if len(st.kept) != maxStates || len(st.order) != maxStates {
		t.Errorf("%d are kept", len(st.kept))
	}
	for i, d := range dialogs {
		state, ok := st.of(d, start)
		if ok != (i >= 10) || ok && !bytes.Equal(state, bytes.Repeat([]byte{byte(i)}, 100)) {
			t.Fatalf("number %d: %v", i, ok)
		}
	}
	if _, err := st.put(server, nil, start.Add(stateTime+1), rand.Reader); err != nil || len(st.kept) != 1 {
		t.Errorf("later %d are kept, %v", len(st.kept), err)
	}
}
