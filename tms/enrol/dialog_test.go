package enrol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

var someID = tms.InvitationID{1, 2, 3, 4, 5, 6, 7, 8}

func TestDialogThereAndBack(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	for _, d := range []dialog{
		{step: choosePIN, id: someID, expires: end},
		{step: repeatPIN, id: someID, expires: end, wrong: 4, pin: otp.NewPIN([]byte(strings.Repeat("9", maxPIN)))},
		{step: giveMail, id: someID, expires: end, pin: otp.NewPIN([]byte("äöüß"))},
		{step: giveMail, id: someID, expires: end},
		{step: firstCode, id: someID, expires: end, wrong: 1},
	} {
		b := d.bytes()
		got, err := parseDialog(b)
		if err != nil || got.step != d.step || got.id != d.id || !got.expires.Equal(end) || got.wrong != d.wrong || !got.pin.Equal(d.pin) {
			t.Errorf("%+v, %v", got, err)
		}
		if len(b) > 64 {
			t.Errorf("%d bytes", len(b))
		}
		clear(b)
		if !got.pin.Equal(d.pin) {
			t.Error("the dialog refers to what it was parsed of")
		}
	}
}

func TestDialogPrintsNoPIN(t *testing.T) {
	d := dialog{step: repeatPIN, id: someID, pin: otp.NewPIN([]byte("8315"))}
	c := conversation{dialog: d}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if shown := fmt.Sprintf(verb+verb+verb, d, &d, c); strings.Contains(shown, "8315") || strings.Contains(shown, "38333135") {
			t.Errorf("%s: %s", verb, shown)
		}
	}
}

func TestJunkDialogs(t *testing.T) {
	pin := func(s step) []byte {
		d := dialog{step: s, id: someID, pin: otp.NewPIN([]byte("4711"))}
		return d.bytes()
	}
	none := dialog{step: choosePIN}
	wrong := dialog{step: choosePIN, id: someID, wrong: maxWrong}
	bare := dialog{step: repeatPIN, id: someID}
	odd := dialog{step: repeatPIN, id: someID, pin: otp.NewPIN([]byte("47\x0011"))}
	for i, junk := range [][]byte{
		nil, {1}, make([]byte, headLength), make([]byte, 64), pin(choosePIN), pin(firstCode), pin(0), pin(stepEnd),
		none.bytes(), wrong.bytes(), bare.bytes(), odd.bytes(), append(pin(repeatPIN), make([]byte, maxPIN)...),
	} {
		if d, err := parseDialog(junk); err == nil {
			t.Errorf("%d: %x is taken as %+v", i, junk, d)
		}
	}
}

func TestDialogIDs(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	first := beginDialog("alice", at)
	if first != beginDialog("alice", at.Add(sameDialog-time.Second)) {
		t.Error("soon after it is the same")
	}
	seen := map[tms.InvitationID]bool{
		first: true, beginDialog("bob", at): true, beginDialog("alice", at.Add(sameDialog)): true,
		nextDialog(first): true, nextDialog(nextDialog(first)): true,
	}
	if len(seen) != 5 || seen[tms.InvitationID{}] {
		t.Errorf("%d IDs", len(seen))
	}
}

func FuzzParseDialog(f *testing.F) {
	for _, d := range []dialog{
		{step: choosePIN, id: someID, expires: time.Unix(1_800_000_000, 0)},
		{step: repeatPIN, id: someID, wrong: 2, pin: otp.NewPIN([]byte("4711"))},
		{step: giveMail, id: someID, pin: otp.NewPIN([]byte("pin-ä"))},
		{step: firstCode, id: someID},
	} {
		f.Add(d.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDialog(b)
		if err != nil {
			return
		}
		if again := d.bytes(); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		if d.id.IsZero() || d.wrong >= maxWrong || d.step == repeatPIN && d.pin.IsZero() {
			t.Errorf("%x is taken as %+v", b, d)
		}
	})
}
