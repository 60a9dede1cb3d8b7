package store

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// allOfAnInvitation has every field set.
func allOfAnInvitation() tms.Invitation {
	return tms.Invitation{
		Exists: true, ID: tms.InvitationID{1, 2, 3, 4, 5, 6, 7, 8}, User: "zoë", PIN: otp.NewPIN([]byte("PLANTED-PIN")),
		Token: otp.Token{
			Serial: "T1", Type: otp.CodeList, Algorithm: oath.SHA512, Digits: 10, Period: math.MaxUint32, T0: math.MinInt64, Codes: math.MaxUint16,
			ValidFrom: math.MinInt64, ValidUntil: math.MaxInt64, Disabled: true, Seed: oath.NewSeed([]byte("PLANTED-SEED\x00\xff")), State: full,
		},
		Key: tms.NewActivationKey("PLANTED-KEY"), Links: []tms.Hash{{1}, {2}}, Mail: "zoë@example.com", Local: true, By: "root@cli",
		Created: time.Unix(1, 0), Expires: time.Unix(2, 0), Opened: time.Unix(3, 0), Reminded: true, Failures: 9, Mailed: true,
	}
}

func TestInvitationKeepsEverything(t *testing.T) {
	for _, want := range []tms.Invitation{allOfAnInvitation(), {Exists: true, User: "alice", Token: otp.Token{Serial: "T1"}}} {
		b, err := EncodeInvitation(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseInvitation(b)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Token.Seed.Equal(want.Token.Seed) || !got.PIN.Equal(want.PIN) || got.Key.Reveal() != want.Key.Reveal() {
			t.Error("another secret")
		}
		if got.PIN.IsZero() != want.PIN.IsZero() || got.Key.IsZero() != want.Key.IsZero() || got.Token.Seed.IsZero() != want.Token.Seed.IsZero() {
			t.Error("a secret where there was none, or the other way round")
		}
		got.Token.Seed, got.PIN, got.Key = want.Token.Seed, want.PIN, want.Key
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestMailKeepsEverything(t *testing.T) {
	for _, want := range []tms.Mail{{Exists: true}, {
		Exists: true, Kind: tms.LostMail, User: "zoë", Invitation: tms.InvitationID{1, 2, 3, 4, 5, 6, 7, 8}, Serial: "T1", To: "zoë@example.com",
		Link: tms.NewLink("PLANTED-LINK"), Created: time.Unix(1, 0), Due: time.Unix(2, 0), Tries: 3, LastError: "no",
	}} {
		b, err := EncodeMail(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseMail(b)
		if err != nil || got.Link.Reveal() != want.Link.Reveal() || got.Link.IsZero() != want.Link.IsZero() {
			t.Errorf("error %v, or another link", err)
		}
		if got.Link = want.Link; !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestDamagedEnrolment reads what is cut off, and finds no secret in the errors.
func TestDamagedEnrolment(t *testing.T) {
	i := allOfAnInvitation()
	invitation, err := EncodeInvitation(&i)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := EncodeMail(&tms.Mail{Link: tms.NewLink("PLANTED-LINK")})
	if err != nil {
		t.Fatal(err)
	}
	damage := func(text []byte, parse func([]byte) error) {
		damaged := []string{"", "{}", `{"id":"AQIDBAUGBwg="}`}
		for end := range text {
			damaged = append(damaged, string(text[:end]))
		}
		for _, what := range []string{`"links":["`, `"id":"`, `"state":"`, `"invitation":"`} {
			if longer := strings.Replace(string(text), what, what+"AAAA", 1); longer != string(text) {
				damaged = append(damaged, longer)
			}
		}
		for _, text := range damaged {
			if err := parse([]byte(text)); err == nil || strings.Contains(err.Error(), "PLANTED") {
				t.Errorf("%q: error %v", text, err)
			}
		}
	}
	damage(invitation, func(b []byte) error { _, err := ParseInvitation(b); return err })
	damage(mail, func(b []byte) error { _, err := ParseMail(b); return err })
}
