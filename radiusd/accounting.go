package radiusd

import "countersign/radiusd/packet"

// serveAccountingRequest hands an Accounting-Request to the store (RFC 2866). The
// request is not the loop's any more after that.
func (l *loop) serveAccountingRequest(r *request) {
	if why := l.admitAccounting(r); why != admitted {
		l.drop(r.nas, &r.from, why, nil)
		return
	}
	r.nas.observed.heard(r.at)
	if !l.begin(r) {
		return
	}
	source, attributes := r.from.addr().String(), r.datagram[packet.HeaderLength:]
	if !l.server.accounting.AppendAccounting(r.at, r.nas.Name, source, attributes, r.recorded) {
		l.abandon(r, storeBusy)
	}
}

// admitAccounting returns the reason to drop an Accounting-Request, or admitted.
func (l *loop) admitAccounting(r *request) reason {
	switch {
	case !l.direct.scratch.VerifyAccountingRequest(r.nas.Secret, &r.packet):
		return badRequestAuthenticator
	case r.packet.MessageAuthenticator != 0 && !l.direct.verifyAccountingMA(r):
		return badMessageAuthenticator
	case !hasStatusType(&r.packet):
		return acctStatusTypeMissing
	}
	return admitted
}

// hasStatusType reports whether there is an Acct-Status-Type. One that nobody knows is kept
// and answered like any other: it means something to somebody.
func hasStatusType(p *packet.Request) bool {
	if p.AcctStatusType() != 0 {
		return true
	}
	for kind := range p.Attributes() {
		if kind == packet.AcctStatusType {
			return true
		}
	}
	return false
}

// verifyAccountingMA verifies a Message-Authenticator in an Accounting-Request:
// it was made before the Request Authenticator, with zeros in its place.
func (w *responder) verifyAccountingMA(r *request) bool {
	authenticator := r.packet.Authenticator
	r.packet.Authenticator = [packet.AuthenticatorLength]byte{}
	ok := w.scratch.VerifyMessageAuthenticator(r.nas.Secret, &r.packet)
	r.packet.Authenticator = authenticator
	return ok
}

// writeAccounting writes the Accounting-Response, now that the record is durable. It
// carries a Message-Authenticator when the request did.
func (w *responder) writeAccounting(r *request) {
	r.nas.observed.account(r.at)
	placement := packet.Off
	if r.packet.MessageAuthenticator != 0 {
		placement = r.nas.ReplyMessageAuthenticator
	}
	w.begin(r, packet.AccountingResponse, placement)
}
