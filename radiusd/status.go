package radiusd

import "countersign/radiusd/packet"

// serveStatusServer answers a Status-Server at once, on either port (RFC 5997). It is
// not remembered: a repeat is answered again.
func (l *loop) serveStatusServer(r *request) {
	if why := l.admitStatus(r); why != admitted {
		l.drop(r.nas, &r.from, why, nil)
		return
	}
	r.nas.observed.heard(r.at)
	code := packet.AccessAccept
	if l.port == acctPort {
		code = packet.AccountingResponse
	}
	l.direct.begin(r, code, r.nas.ReplyMessageAuthenticator)
	reply, err := l.direct.sign(r)
	if err != nil {
		l.drop(r.nas, &r.from, replyTooLong, err)
		return
	}
	l.server.metrics.replies[code].Inc()
	l.direct.out.add(&r.from, reply)
}

// admitStatus returns the reason to drop a Status-Server, or admitted. It must
// carry a Message-Authenticator, since it has nothing else to show who sent it.
func (l *loop) admitStatus(r *request) reason {
	switch {
	case r.packet.MessageAuthenticator == 0:
		return messageAuthenticatorMissing
	case !l.direct.scratch.VerifyMessageAuthenticator(r.nas.Secret, &r.packet):
		return badMessageAuthenticator
	case !l.server.ready():
		return notReady
	}
	return admitted
}
