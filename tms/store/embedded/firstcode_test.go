package embedded

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// enrolKit is a kit with the acts over it.
type enrolKit struct {
	*kit
	at time.Time
}

var root = tms.Caller{Name: "root@test", Administrator: true}

func (k *enrolKit) service() *tms.Service {
	return tms.NewService(tms.Options{
		Store: k.Store, Enrolment: k.Store, Clock: func() time.Time { return k.at }, Rand: k.options.Rand, Policy: otp.DefaultPolicy,
		EnrolmentPolicy: func() tms.EnrolmentPolicy {
			return tms.EnrolmentPolicy{Valid: time.Hour, PIN: otp.PINPolicy{MinLength: 4}}
		},
	})
}

// invited invites a user and returns the token to be.
func (k *enrolKit) invited(user, kind string) otp.Token {
	k.Helper()
	_, err := k.service().Invite(context.Background(), root, tms.NewInvitation{User: user, Type: kind, NoMail: true, PIN: otp.NewPIN([]byte(pin))})
	k.must(err)
	return k.invitation(user).Token
}

// passcodeAt is what the user types when the token shows the code of a factor.
func passcodeAt(token *otp.Token, factor uint64) otp.Passcode {
	return otp.NewPasscode([]byte(pin + oath.HOTP(token.Algorithm, token.Seed, factor, int(token.Digits))))
}

// logsIn expects a verdict.
func (k *enrolKit) logsIn(user string, p otp.Passcode, want otp.Verdict) {
	k.Helper()
	verdict, err := k.Verify(context.Background(), &otp.Attempt{At: k.at, User: []byte(user), NAS: "vpn", Passcode: p})
	if verdict != want || err != nil {
		k.Errorf("login of %s: %v, %v; want %v", user, verdict, err, want)
	}
}

// activates shows a first code.
func (k *enrolKit) activates(user string, p otp.Passcode, want otp.FirstCode) {
	k.Helper()
	found, err := k.service().ActivateByPasscode(context.Background(), root, otp.UserName(user), p)
	if found != want || err != nil && !errors.Is(err, tms.ErrNotFound) {
		k.Errorf("first code of %s: %v, %v; want %v", user, found, err, want)
	}
}

// TestRestoreLetsNoUsedFirstCodePass restores a backup of before tokens were activated
// and used: by the invitations in it no code passes again, neither as a first one nor
// as that of the login that comes after it.
func TestRestoreLetsNoUsedFirstCodePass(t *testing.T) {
	k := &enrolKit{newKit(t), noon}
	app, device := k.invited("app", "totp"), k.invited("device", "hotp")
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(t.Context(), backup, nil))
	k.activates("app", passcodeAt(&app, step(noon)), otp.Shown)
	k.logsIn("app", passcodeAt(&app, step(noon)), otp.Accepted)
	k.activates("device", passcodeAt(&device, 0), otp.Shown)
	for n := range uint64(6) {
		k.logsIn("device", passcodeAt(&device, n), otp.Accepted)
	}
	k.must(k.Close())
	o := k.options
	o.Clock = func() time.Time { return noon }
	k.must(Restore(t.Context(), backup, o.Path, o, otp.DefaultPolicy()))
	k.kit = openKit(t, o)

	for n := range uint64(8) {
		k.activates("device", passcodeAt(&device, n), otp.NotShown)
	}
	last := step(noon) + uint64(otp.DefaultPolicy().Window) + 1
	for factor := step(noon) - 2; factor <= last; factor++ {
		k.activates("app", passcodeAt(&app, factor), otp.NotShown)
	}
	k.at = time.Unix(int64(last+1)*30, 0)
	k.activates("app", passcodeAt(&app, last+1), otp.Shown)
	// Had a kill come now, before the login is decided, nothing would be open either.
	k.logsIn("app", passcodeAt(&app, last), otp.Replayed)
	k.logsIn("app", passcodeAt(&app, last+1), otp.Accepted)
}
