package tms

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
)

// printed is a value as it could come to be printed.
func printed(t *testing.T, values ...any) string {
	t.Helper()
	var out strings.Builder
	text, lines := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range values {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		fmt.Fprintf(&out, "%v %+v\n", []any{v}, struct{ Value any }{v})
		text.Info("x", "value", v)
		lines.Info("x", "value", v)
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(encoded)
	}
	return out.String()
}

// secrets are the texts that may not be printed, by what they are. Of what is hidden
// as bytes each way to write bytes is one.
func secrets(i *Invitation, link Link, pin otp.PIN, codes []string) map[string]string {
	found := map[string]string{
		"Activation Key": i.Key.Reveal(), "link": link.Reveal(), "PIN": string(pin.Bytes()), "link in hex": hex.EncodeToString([]byte(link.Reveal())),
	}
	seed := i.Token.Seed.Bytes()
	found["seed"] = string(seed)
	found["seed in hex"] = hex.EncodeToString(seed)
	found["seed in base32"] = base32.StdEncoding.EncodeToString(seed)
	found["seed in base64"] = base64.StdEncoding.EncodeToString(seed)
	found["seed in decimals"] = strings.Trim(fmt.Sprint(seed), "[]")
	for n, code := range codes {
		found[fmt.Sprint("code ", n)] = code
	}
	return found
}

// Nothing that opens an invitation, and no PIN, seed or code, is in an audit record,
// an error, or anything that can be printed.
func TestSecretsOfEnrolmentAreNotPrinted(t *testing.T) {
	const plain = "zq7Kx2"
	pin := otp.NewPIN([]byte(plain))
	s, m := serving()
	issued, err := s.Invite(ctx, root, NewInvitation{User: "alice", Mail: "alice@example.com", PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	i := m.invite["alice"]
	said := printed(t, issued, i, m.mails, NewInvitation{PIN: pin}, Activation{PIN: pin, Seed: i.Token.Seed}, Holder{Invitation: i, Mails: m.mails})
	listed := []any{}
	note := func(v any, err error) { listed = append(listed, v, err) }
	fail := func(err error) {
		if err == nil {
			t.Error("no error")
		}
		listed = append(listed, err)
	}
	again, err := s.Invite(ctx, root, NewInvitation{User: "alice", ID: i.ID, PIN: pin})
	note(again, err)
	note(nil, s.RemindInvitation(ctx, root, "alice", i.ID))
	_, err = s.OpenInvitation(ctx, Caller{Name: "mallory"}, issued.Link)
	fail(err)
	opened, err := s.OpenInvitation(ctx, root, issued.Link)
	note(opened, err)
	_, err = s.OpenInvitation(ctx, root, issued.Link)
	fail(err)
	note(s.InvitationByKey(ctx, root, issued.Key))
	_, err = s.InvitationByKey(ctx, root, NewActivationKey(issued.Link.Reveal()))
	fail(err)
	_, err = s.Activate(ctx, root, Activation{User: "alice", PIN: pin, Code: shows(i.Token, 0)})
	fail(err)
	_, err = s.Activate(ctx, root, Activation{User: "alice", Code: shows(i.Token, 10)})
	fail(err)
	_, err = s.ActivateByPasscode(ctx, Caller{}, "alice", otp.NewPasscode([]byte(plain+shows(i.Token, 0))))
	fail(err)
	note(s.Activate(ctx, root, Activation{User: "alice", Code: shows(i.Token, 0)}))
	codes, err := s.CreateRecoveryCodes(ctx, root, "alice")
	note(codes, err)
	listed = append(listed, &codes, []Codes{codes})
	fail(s.ChoosePIN(ctx, root, "nobody", pin))
	note(nil, s.ChoosePIN(ctx, root, "alice", pin))
	lost, err := s.LoseToken(ctx, root, string(issued.Serial))
	note(lost, err)
	note(nil, s.Mails(ctx, root, Filter{}, func(v MailView) error { note(v, nil); return nil }))
	note(nil, s.Invitations(ctx, root, Filter{}, func(v InvitationView) error { note(v, nil); return nil }))
	note(nil, s.Tokens(ctx, root, Filter{User: "alice"}, func(v TokenView) error { note(v, nil); return nil }))
	said += printed(t, listed...) + printed(t, m.acts, m.mails, m.invite["alice"])
	for _, e := range listed {
		if err, ok := e.(error); ok {
			said += err.Error()
		}
	}
	for what, secret := range secrets(&i, issued.Link, pin, codes.List) {
		if at := strings.Index(said, secret); at >= 0 {
			t.Errorf("%s: ...%s", what, said[max(0, at-120):at+len(secret)])
		}
	}
	if !strings.Contains(said, oath.Redaction) || !strings.Contains(said, "alice@example.com") {
		t.Error("nothing was printed")
	}
	if len(m.acts) < 7 {
		t.Errorf("recorded %s", m.verbs())
	}
}

// What was hidden can be had by the one it is for.
func TestWhatIsHiddenIsThere(t *testing.T) {
	link, key := NewLink("abc"), NewActivationKey("")
	if link.Reveal() != "abc" || link.IsZero() || !key.IsZero() || (Link{}).Reveal() != "" || !(Link{}).IsZero() {
		t.Error("hidden from everybody")
	}
	if link.Hash() != NewLink("abc").Hash() || link.Hash() == NewLink("abd").Hash() {
		t.Error("another hash")
	}
	if id := (InvitationID{1, 0xAB}); id.String() != "01ab000000000000" || id.IsZero() || !(InvitationID{}).IsZero() {
		t.Error(id)
	}
	if !errors.Is(ErrWrongCode, ErrInvalid) || !errors.Is(ErrOutOfStep, ErrInvalid) {
		t.Error("codes that are wrong are not the caller's mistake")
	}
}
