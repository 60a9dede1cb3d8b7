package safenet

import "countersign/otp/oath"

// Answer is what the TMS says of a login. It prints as [redacted], for it has the keys of
// the session that begins.
type Answer struct {
	oath.Redacted
	Accepted bool
	// Description is what the TMS says to a refusal, for people; most likely no more
	// than that it is one.
	Description string
	// Behind two pointers: fmt follows one where it meets a verb it does not know.
	success **success
}

func newAnswer(o *outcome) Answer {
	return Answer{Accepted: o.code == codeAccepted, Description: o.description, success: &o.success}
}

// AuthenticatorResponse is the proof for the peer that the TMS knows the passcode (RFC
// 2759 section 8.7), of an accept.
func (a Answer) AuthenticatorResponse() [20]byte { return a.reveal().authenticatorResponse }

// Keys are the MPPE keys as the NAS uses them (RFC 3079 section 3.4), of an accept.
func (a Answer) Keys() (send, recv [16]byte) { return a.reveal().sendKey, a.reveal().recvKey }

// reveal is all zeros of a refusal.
func (a Answer) reveal() success {
	if a.success == nil || *a.success == nil {
		return success{}
	}
	return **a.success
}
