package radiusd

import (
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// Sealer seals dialogs. Servers that share one go on with each other's dialogs, also
// after a restart. It is safe for concurrent use.
type Sealer interface {
	// Seal appends value to dst, at most 32 octets longer, so that nobody else can
	// read or change it. It opens in the same context only.
	Seal(dst, value, context []byte) ([]byte, error)
	// Open appends to dst what Seal has sealed. The error says that it was not.
	Open(dst, sealed, context []byte) ([]byte, error)
}

// dialogKind is what a dialog is about. The numbers are in States, which other
// versions of the server may have to open.
type dialogKind uint8

const (
	nextCodeDialog  dialogKind = 1 // PIN and next code were asked for
	enrolmentDialog dialogKind = 2 // the Enroller asks
	tmsDialog       dialogKind = 3 // the TMS asks
)

// maxDepth is how many challenges may follow a first one of the same kind. All are
// judged by the facts of the first packet, which must not count for ever.
var maxDepth = [...]uint8{nextCodeDialog: 2, enrolmentDialog: 31, tmsDialog: 15}

// dialog is a login that was answered by an Access-Challenge. It keeps what the first
// packet told, and of what was typed nothing but what the Enroller wants back. It is
// nowhere but in the State that the NAS sends back.
type dialog struct {
	kind    dialogKind
	left    byte  // what was left out: withoutNAS, withoutStation
	depth   uint8 // how many of its kind it continues
	begun   int64 // when the first packet came, in Unix seconds
	expires int64 // the same, when it is over
	station []byte
	facts   exclusions.Trace // of the NAS and the client
	kept    []byte           // the Dialog of the last Prompt, or BackendReply
	opened  []byte           // the memory of station and kept
}

// over reports whether it is too late to go on.
func (d *dialog) over(at time.Time) bool { return at.Unix() >= d.expires }

// forget wipes what the Enroller or the Backend had it keep.
func (d *dialog) forget() { clear(d.opened) }

// resume lets a request continue the dialog of its State. It is then judged by what
// the first packet told, and counts for the station of that, for NASes leave things out
// of the second. Without such a dialog it is a login like any other.
func (r *request) resume() {
	r.dialog = nil
	if r.packet.State == nil || r.loop.server.options.States == nil {
		return
	}
	d := r.open()
	r.nas.observed.state(r, d != nil)
	switch {
	case d == nil:
		return
	case d.kind == enrolmentDialog: // whatever it is, it is no password
		r.resumeEnrolment(d)
	case d.kind == tmsDialog: // nor is this
		r.resumeTMS(d)
	case !r.nas.Challenge || r.attempt.Method != otp.PAP || d.over(r.at):
		return
	}
	r.dialog = d
	if d.left&withoutStation == 0 {
		r.attempt.Station = d.station
	}
}

// enrols reports whether a request answers what an Enroller asked.
func (r *request) enrols() bool { return r.dialog != nil && r.dialog.kind == enrolmentDialog }

// answersOthers reports whether a request answers what an Enroller or the TMS asked. That
// it has to was decided by the first packet.
func (r *request) answersOthers() bool { return r.enrols() || r.answersTMS() }

// mayAsk reports whether a request may be answered by a challenge.
func (r *request) mayAsk(kind dialogKind) bool {
	if !r.nas.Challenge || r.loop.server.options.States == nil || r.attempt.Method != otp.PAP {
		return false
	}
	return r.dialog == nil || r.dialog.kind != kind || r.dialog.depth < maxDepth[kind]
}

// newDialog is the dialog that starts, or goes on, with a request. It refers to its
// memory.
func (r *request) newDialog(kind dialogKind, kept []byte) *dialog {
	if r.plain {
		r.gather()
	}
	o, t := &r.loop.server.options, &r.trace
	d := &dialog{kind: kind, begun: t.At.Unix(), station: r.attempt.Station, kept: kept}
	d.facts = exclusions.Trace{
		Login: exclusions.Login{
			NASAddress: t.NASAddress, NASIPAddress: t.NASIPAddress, NASIdentifier: t.NASIdentifier,
			ClientIP: t.ClientIP, ClientMACs: t.ClientMACs,
		},
		ClientIPFrom: t.ClientIPFrom, MACFrom: t.MACFrom, MACsLeft: t.MACsLeft,
	}
	now, before := r.loop.server.clock(), r.dialog
	switch {
	case kind != enrolmentDialog:
		d.expires = now.Add(o.ChallengeTime).Unix()
	case r.enrols():
		d.expires = before.expires
	default:
		d.expires = now.Add(o.EnrolmentTime).Unix()
	}
	if before != nil && before.kind == kind {
		d.depth = before.depth + 1
	}
	return d
}

// challenge writes an Access-Challenge that asks for the next code (RFC 2865
// section 4.4). It returns false, and writes nothing, where that cannot be.
func (w *responder) challenge(r *request) bool {
	if !r.mayAsk(nextCodeDialog) || r.seal(r.newDialog(nextCodeDialog, nil)) != nil {
		return false
	}
	w.ask(r, w.server.options.ChallengeMessage)
	return true
}

// prompt writes an Access-Challenge that asks what the Enroller wants to know. The
// Prompt attribute says whether it may be seen (RFC 2869 section 5.10).
func (w *responder) prompt(r *request) {
	w.ask(r, r.message)
	echo := [4]byte{}
	if r.echo {
		echo[3] = 1
	}
	w.builder.Add(packet.Prompt, echo[:])
}

// maxAsked is how many octets a challenge takes besides what the TMS gives.
const maxAsked = 2 * (2 + packet.MaxValue)

// relay writes an Access-Challenge that asks what the TMS wants to know, in its own words
// if it has any.
func (w *responder) relay(r *request) {
	message := w.server.options.ChallengeMessage
	if says(r.reply.Attributes, packet.ReplyMessage) {
		message = ""
	}
	w.ask(r, message)
	w.builder.AddEncoded(r.reply.Attributes)
}

// says reports whether there is one of a kind among encoded attributes.
func says(attributes []byte, kind packet.Type) bool {
	for len(attributes) >= 2 && attributes[1] >= 2 && int(attributes[1]) <= len(attributes) {
		if packet.Type(attributes[0]) == kind {
			return true
		}
		attributes = attributes[attributes[1]:]
	}
	return false
}

// ask begins an Access-Challenge with the State of the request.
func (w *responder) ask(r *request, message string) {
	w.begin(r, packet.AccessChallenge, r.nas.ReplyMessageAuthenticator)
	w.builder.Add(packet.State, r.state)
	w.addMessage(message)
}
