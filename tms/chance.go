package tms

import (
	"encoding/base64"
	"fmt"
	"io"
)

// What is made up at random for an invitation.

// keyLetters are those of an ActivationKey. None of them looks like another: there
// is no 0 and O, and no 1, I and l.
const keyLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// newActivationKey makes up an Activation Key of 16 letters.
func newActivationKey(rand io.Reader) (ActivationKey, error) {
	// A byte above the last multiple of the letters would make some likelier.
	const fair = 256 - 256%len(keyLetters)
	key := make([]byte, 0, 16)
	for one := []byte{0}; len(key) < cap(key); {
		if _, err := io.ReadFull(rand, one); err != nil {
			return ActivationKey{}, fmt.Errorf("making an Activation Key: %w", err)
		}
		if n := int(one[0]); n < fair {
			key = append(key, keyLetters[n%len(keyLetters)])
		}
	}
	return NewActivationKey(string(key)), nil
}

// newLink makes up a link of 32 bytes.
func newLink(rand io.Reader) (Link, error) {
	var b [32]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return Link{}, fmt.Errorf("making a link: %w", err)
	}
	return NewLink(base64.RawURLEncoding.EncodeToString(b[:])), nil
}

func newInvitationID(rand io.Reader) (id InvitationID, err error) {
	if _, err = io.ReadFull(rand, id[:]); err != nil {
		err = fmt.Errorf("making the ID of an invitation: %w", err)
	}
	return id, err
}
