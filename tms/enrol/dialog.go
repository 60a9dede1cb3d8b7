package enrol

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// step is what a dialog has asked for.
type step uint8

const (
	choosePIN step = iota + 1
	repeatPIN
	giveMail
	firstCode
	stepEnd
)

const (
	maxWrong = 5  // answers of a dialog
	maxPIN   = 32 // bytes that fit in a dialog
)

// dialog is what is known of a dialog between two packets. The gateway keeps it,
// sealed by who passes it on.
type dialog struct {
	step    step
	id      tms.InvitationID // of the invitation that it leads to
	expires time.Time        // to the second
	wrong   uint8            // answers so far
	pin     otp.PIN          // that was chosen
}

// headLength is what a dialog takes without its PIN: step, ID, end, wrong answers.
const headLength = 1 + len(tms.InvitationID{}) + 4 + 1

// bytes is the dialog in at most 64 bytes.
func (d *dialog) bytes() []byte {
	b := make([]byte, 0, headLength+maxPIN)
	b = append(b, byte(d.step))
	b = append(b, d.id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(d.expires.Unix()))
	b = append(b, d.wrong)
	return append(b, d.pin.Bytes()...)
}

var errDialog = errors.New("dialog: not one of ours")

// parseDialog is the inverse of bytes. It copies what it keeps.
func parseDialog(b []byte) (dialog, error) {
	if len(b) < headLength || len(b) > headLength+maxPIN {
		return dialog{}, errDialog
	}
	d := dialog{step: step(b[0]), wrong: b[headLength-1]}
	rest := b[1+copy(d.id[:], b[1:]):]
	d.expires = time.Unix(int64(binary.BigEndian.Uint32(rest)), 0)
	pin := b[headLength:]
	carries := d.step == repeatPIN || d.step == giveMail && len(pin) > 0
	switch {
	case d.step == 0 || d.step >= stepEnd, d.id.IsZero(), d.wrong >= maxWrong, carries != (len(pin) > 0):
		return dialog{}, errDialog
	case carries:
		if _, err := otp.ParsePIN(string(pin), 1); err != nil {
			return dialog{}, errDialog
		}
		d.pin = otp.NewPIN(bytes.Clone(pin))
	}
	return d, nil
}

// sameDialog is the time in which logins of a user that begin a dialog begin the
// same one: several gateways ask at once, and clients come again by themselves.
const sameDialog = 10 * time.Minute

// beginDialog is the ID of the dialog that a user begins.
func beginDialog(user otp.UserName, now time.Time) tms.InvitationID {
	return dialogID(fmt.Appendf(nil, "dialog %d of %s", now.Unix()/int64(sameDialog/time.Second), user))
}

// nextDialog is the ID of the dialog that a user goes on to from another, the same
// each time.
func nextDialog(id tms.InvitationID) tms.InvitationID {
	return dialogID(fmt.Appendf(nil, "dialog after %s", id))
}

func dialogID(text []byte) (id tms.InvitationID) {
	sum := sha256.Sum256(text)
	copy(id[:], sum[:])
	return id
}
