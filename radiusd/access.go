package radiusd

import (
	"unicode/utf8"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// serveAccessRequest turns an Access-Request into an attempt and hands it to the
// verifier, or to a worker who asks a directory first. The request is not the
// loop's any more after that.
func (l *loop) serveAccessRequest(r *request) {
	if why := r.nas.admit(&l.direct.scratch, &r.packet); why != admitted {
		l.drop(r.nas, &r.from, why, nil)
		return
	}
	if r.nas.shows(&r.packet) {
		l.server.remember(r.nas)
	}
	r.nas.observed.heard(r.at)
	if !l.begin(r) {
		return
	}
	r.readCredentials(&l.direct.scratch)
	if l.keyer != nil && r.attempt.Preset == otp.Undecided {
		r.attempt.Login = r.loginKey(l.keyer)
	}
	r.nas.observed.login(r)
	if r.attempt.Preset == otp.Unreadable && r.packet.MessageAuthenticator == 0 {
		l.complain(r.nas, &r.from, unreadable, nil)
	}
	if why := r.decide(l.rules); why != admitted {
		l.abandon(r, why)
	}
}

// readCredentials fills in the attempt. A request that cannot be one has its
// verdict already, so that it is refused and recorded like any other.
func (r *request) readCredentials(scratch *packet.Scratch) {
	a := &r.attempt
	*a = otp.Attempt{At: r.at, NAS: r.nas.Name, Station: r.packet.CallingStationID, Waiter: r}
	user, ok := otp.AppendUserName(r.user[:0], r.packet.UserName)
	a.User = r.loop.server.withoutRealm(user)
	r.charset = noPassword
	r.renamed = len(a.User) != len(user) || !ok && len(r.packet.UserName) > 0
	switch {
	case r.packet.UserPassword != nil:
		r.readPAP(scratch)
	case r.packet.CHAPPassword != nil:
		r.readProof(otp.CHAP)
	case r.packet.MSCHAPResponse != nil:
		r.readProof(otp.MSCHAP)
	case r.packet.MSCHAP2Response != nil:
		r.readProof(otp.MSCHAPv2)
	default: // nothing, or EAP, which we do not speak
		a.Method, a.Preset = otp.NoMethod, otp.NoCredentials
	}
	if !ok {
		a.Preset = otp.BadUserName
	}
}

func (r *request) readPAP(scratch *packet.Scratch) {
	a := &r.attempt
	a.Method = otp.PAP
	passcode, err := scratch.UserPassword(r.passcode[:0], r.nas.Secret, &r.packet.Authenticator, r.packet.UserPassword)
	r.typed, a.Passcode = passcode, otp.NewPasscode(passcode)
	if r.charset = charsetOf(passcode); err != nil || !a.Passcode.Readable() {
		a.Preset, r.charset = otp.Unreadable, illegible
	}
}

func (r *request) readProof(method otp.Method) {
	r.proof.method = method
	r.attempt.Method, r.attempt.Challenge = method, &r.proof
}

// loginKey stands for the login, whatever server it comes to and under whatever Identifier:
// the NAS, the user, the station, what was typed or proved, and the dialog it belongs to.
func (r *request) loginKey(k *otp.Keyer) otp.LoginKey {
	k.AddString(r.nas.Name)
	k.Add(r.attempt.User)
	k.Add(r.packet.CallingStationID)
	k.Add(r.packet.State)
	r.addProof(k)
	return k.Sum()
}

// addProof adds what was typed or proved, and how.
func (r *request) addProof(k *otp.Keyer) {
	p := &r.packet
	method := [1]byte{byte(r.attempt.Method)}
	k.Add(method[:])
	switch r.attempt.Method {
	case otp.PAP:
		k.Add(r.typed)
	case otp.CHAP:
		id, challenge, response, _ := p.CHAP()
		number := [1]byte{id}
		k.Add(number[:])
		k.Add(challenge)
		k.Add(response)
	default:
		k.Add(p.MSCHAPChallenge)
		k.Add(p.MSCHAPResponse)
		k.Add(p.MSCHAP2Response)
	}
}

// writeAccess writes the reply that the verdict asks for.
func (w *responder) writeAccess(r *request) {
	switch verdict := r.attempt.Decision.Verdict; {
	case verdict.Accepts():
		w.accept(r)
	case verdict == otp.NextCode && w.challenge(r):
	case verdict == otp.Enrolling:
		w.prompt(r)
	case verdict == otp.AskedByTMS:
		w.relay(r)
	default:
		w.reject(r)
	}
}

// accept writes an Access-Accept. Session keys are made of the passcode, so a
// login that needed none gets none.
func (w *responder) accept(r *request) {
	w.begin(r, packet.AccessAccept, r.nas.ReplyMessageAuthenticator)
	for _, i := range r.replies {
		w.builder.AddEncoded(r.rules.Attributes[i])
	}
	switch r.attempt.Decision.Verdict {
	case otp.Accepted:
		w.addMSCHAP(r)
	case otp.AcceptedByTMS:
		w.addTMS(r)
	}
	w.addClass(r) // the last Class: a gateway may take the first for the name of a group
}

// addTMS adds what the TMS gives: attributes, and the session keys, which it alone can
// make.
func (w *responder) addTMS(r *request) {
	reply, secret, authenticator := r.reply, r.nas.Secret, &r.packet.Authenticator
	w.builder.AddEncoded(reply.Attributes)
	switch {
	case r.attempt.Method == otp.MSCHAP && len(reply.MSCHAPKeys) == 24:
		w.scratch.AddMSCHAPKeys(&w.builder, secret, authenticator, [24]byte(reply.MSCHAPKeys))
	case r.attempt.Method == otp.MSCHAPv2 && len(reply.SendKey) == 16 && len(reply.RecvKey) == 16:
		w.scratch.AddMPPEKeys(&w.builder, secret, authenticator, w.salt(), [16]byte(reply.SendKey), [16]byte(reply.RecvKey))
	}
}

// addMSCHAP adds what an MS-CHAP login is to get besides.
func (w *responder) addMSCHAP(r *request) {
	switch r.attempt.Method {
	case otp.MSCHAP:
		w.scratch.AddMSCHAPKeys(&w.builder, r.nas.Secret, &r.packet.Authenticator, packet.MSCHAPKeys(r.proof.passcode()))
	case otp.MSCHAPv2:
		w.acceptMSCHAP2(r)
	}
}

// acceptMSCHAP2 adds the proof that we know the passcode too (RFC 2759 section
// 5), and the session keys (RFC 3079 section 3).
func (w *responder) acceptMSCHAP2(r *request) {
	response, passcode := r.packet.MSCHAP2Response, r.proof.passcode()
	w.builder.AddMSCHAP2Success(response[0],
		packet.AuthenticatorResponse(r.packet.UserName, passcode, r.packet.MSCHAPChallenge, response))
	send, recv := packet.MPPEKeys(passcode, response)
	w.scratch.AddMPPEKeys(&w.builder, r.nas.Secret, &r.packet.Authenticator, w.salt(), send, recv)
}

// reject writes an Access-Reject, the same whatever the verdict was, but for a
// message to those who hold no token if there is one, or if an Enroller has one.
func (w *responder) reject(r *request) {
	w.begin(r, packet.AccessReject, r.nas.ReplyMessageAuthenticator)
	w.addMessage(w.rejection(r))
	switch r.attempt.Method {
	case otp.MSCHAP:
		w.builder.AddMSCHAPError(r.packet.MSCHAPResponse[0])
	case otp.MSCHAPv2:
		w.builder.AddMSCHAPError(r.packet.MSCHAP2Response[0])
	}
}

// rejection is the Reply-Message of a refusal. Who is unknown and who holds no
// token get the same.
func (w *responder) rejection(r *request) string {
	message := ""
	switch r.attempt.Decision.Verdict {
	case otp.UnknownUser, otp.NoToken, otp.TokenCreated:
		message = w.server.options.NoTokenMessage
	case otp.Invited, otp.EnrolmentRefused:
		message = r.message
	}
	if message == "" {
		return w.server.options.RejectMessage
	}
	return message
}

// maxMessages is how many Reply-Messages a text may take.
const maxMessages = 3

// addMessage adds a text as Reply-Message, as several if it is too long for one (RFC
// 2865 section 5.18). Each is text by itself.
func (w *responder) addMessage(text string) {
	for range maxMessages {
		if text == "" {
			return
		}
		n := fitting(text)
		w.builder.AddString(packet.ReplyMessage, text[:n])
		text = text[n:]
	}
}

// fitting is how many bytes of a text go into one attribute, whole characters.
func fitting(text string) int {
	if len(text) <= packet.MaxValue {
		return len(text)
	}
	for n := packet.MaxValue; n > packet.MaxValue-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n
		}
	}
	return packet.MaxValue
}
