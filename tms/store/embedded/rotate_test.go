package embedded

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store/tables"
)

// TestRotateKeysUnderLoad rotates while users log in, PINs and tokens change, and
// the process crashes now and then: every copy must open with the two keys.
func TestRotateKeysUnderLoad(t *testing.T) {
	k := newKit(t)
	const users = 3 * tables.ResealChunk
	k.populate(users, false)
	const invited = tables.ResealChunk + 1
	box := k.enrolment(invited)
	next := newKEK(t, 8)
	steps := 0
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.disturb(ctx, users)
	}()
	err := k.RotateKeys(context.Background(), next, func(done, total int64) {
		if want := int64(2*users + 2*invited + 3); total != want || done > total {
			t.Errorf("progress %d of %d, want of %d", done, total, want)
		}
		k.expect(otp.Accepted, steps, passcode(steps, 0))
		if steps++; steps%3 == 1 {
			o := k.crash()
			o.KEKs = []seal.KEK{next, k.options.KEKs[0]}
			crashed := openKit(t, o)
			k.must(crashed.Check(context.Background()))
			k.must(crashed.RotateKeys(context.Background(), next, nil)) // begun again
			crashed.onlyKey(t, next)
		}
	})
	stop()
	<-ended
	k.must(err)
	k.onlyKey(t, next)

	old := k.options
	k.must(k.Close())
	if _, err := Open(context.Background(), old); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("with the old key: error %v, want %v", err, seal.ErrOpen)
	}
	k.options.KEKs = []seal.KEK{next}
	k = openKit(t, k.options)
	k.must(k.Check(context.Background()))
	k.expect(otp.Replayed, 0, passcode(0, 0))
	k.expect(otp.Accepted, users-1, passcode(users-1, 0))
	if again := k.boxKey(); !bytes.Equal(again, box) {
		t.Error("the box has another key")
	}
	k.opens(linkOf("invited0").Hash(), "invited0")
	k.opens(keyOf("invited200").Hash(), "invited200")
}

// onlyKey expects that everything is sealed under the newest data key and that
// there is no other.
func (k *kit) onlyKey(t *testing.T, kek seal.KEK) {
	t.Helper()
	k.must(k.do(context.Background(), func() error {
		return k.db.writer.Query(`SELECT 'PIN of ' || name, pin FROM user WHERE pin IS NOT NULL
			UNION ALL SELECT 'seed of ' || serial, seed FROM token UNION ALL SELECT 'invitation of ' || name, sealed FROM invitation
			UNION ALL SELECT 'mail ' || id, sealed FROM mail UNION ALL SELECT name, value FROM meta WHERE name IN ('box', 'signer', 'witness')`,
			func(r tables.Row) error {
				if id, _ := seal.KeyID(r.Blob(1)); id != k.keyring.Current() {
					t.Errorf("%s is sealed under key %d, not %d", r.Text(0), id, k.keyring.Current())
				}
				return nil
			})
	}))
	for id := uint32(1); id < k.keyring.Current(); id++ {
		if k.keyring.Retire(id) == nil {
			t.Errorf("data key %d is still there", id)
		}
	}
}

func TestRotateKeysCancelled(t *testing.T) {
	k := newKit(t)
	k.populate(2*tables.ResealChunk, false)
	ctx, cancel := context.WithCancel(context.Background())
	next := newKEK(t, 8)
	if err := k.RotateKeys(ctx, next, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	k.options.KEKs = append(k.options.KEKs, next)
	k = k.reopen()
	k.must(k.Check(context.Background()))
	k.must(k.ChangeUser(context.Background(), "new", tms.Act{At: noon}, func(u *tms.User) error {
		*u = tms.User{Exists: true, PIN: otp.NewPIN([]byte(pin))}
		return nil
	}))
	k.must(k.RotateKeys(context.Background(), next, nil))
	k.onlyKey(t, next)
	if err := k.RotateKeys(context.Background(), seal.KEK{}, nil); err == nil {
		t.Error("the keyring was sealed under no key")
	}
}
