package radiusd

import (
	"bytes"
	"container/list"
	"encoding/base32"
	"io"
	"slices"
	"sync"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// stateOctets is how much chance is in a State, in octets: 32 characters.
const stateOctets = 20

// maxDepth is how many challenges may follow a first one. All are judged by the
// facts and rules of the first packet, which must not be kept for ever.
const maxDepth = 2

// dialog is a login that was asked for the next code by an Access-Challenge. It
// keeps what the first packet told, and nothing that was typed: the user types
// PIN and code again.
type dialog struct {
	state   string
	nas     string
	user    string // the User-Name as it came
	expires time.Duration
	element *list.Element
	inUse   bool // a request that continues it is in flight
	depth   int  // how many dialogs it continues

	station []byte
	rules   *Rules
	plain   bool
	facts   exclusions.Trace // of the request alone, unless plain
}

// dialogs are the dialogs that are open, by State. All are open for the same
// time, so they expire in the order in which they were opened.
type dialogs struct {
	limit int
	keep  time.Duration

	mu      sync.Mutex
	byState map[string]*dialog
	order   list.List // of *dialog
}

func newDialogs(limit int, keep time.Duration) *dialogs {
	return &dialogs{limit: limit, keep: keep, byState: map[string]*dialog{}}
}

// open adds a dialog. When there are too many, the oldest is forgotten.
func (d *dialogs) open(one *dialog, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	if len(d.byState) == d.limit {
		d.remove(d.order.Front().Value.(*dialog))
	}
	if other := d.byState[one.state]; other != nil {
		d.remove(other)
	}
	one.expires = now + d.keep
	one.element = d.order.PushBack(one)
	d.byState[one.state] = one
}

// resume finds the dialog that a request continues, nil when there is none: the
// State is unknown, was used before, or is that of another NAS or user. Until
// end is called nobody else can continue it.
func (d *dialogs) resume(state []byte, nas string, user []byte, now time.Duration) *dialog {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	one := d.byState[string(state)]
	if one == nil || one.inUse || one.nas != nas || one.user != string(user) {
		return nil
	}
	one.inUse = true
	return one
}

// end lets go of a dialog that was resumed. Once the request was answered it is
// over.
func (d *dialogs) end(one *dialog, answered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.inUse = false
	if answered {
		d.remove(one)
	}
}

// len is how many dialogs are open.
func (d *dialogs) len(now time.Duration) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	return len(d.byState)
}

func (d *dialogs) expire(now time.Duration) {
	for first := d.order.Front(); first != nil && first.Value.(*dialog).expires <= now; first = d.order.Front() {
		d.remove(first.Value.(*dialog))
	}
}

// remove forgets a dialog, if that was not done before.
func (d *dialogs) remove(one *dialog) {
	d.order.Remove(one.element)
	if d.byState[one.state] == one {
		delete(d.byState, one.state)
	}
}

// resume lets a request continue the dialog of its State. It is then judged by
// the first packet: by its facts, its rules and its station, for NASes leave
// things out of the second. Without such a dialog it is a login like any other.
func (s *Server) resume(r *request) {
	if r.packet.State == nil || !r.nas.Challenge || r.attempt.Method != otp.PAP {
		return
	}
	r.dialog = s.dialogs.resume(r.packet.State, r.nas.Name, r.packet.UserName, s.since(r.at))
	if r.dialog != nil {
		r.attempt.Station, r.rules, r.plain = r.dialog.station, r.dialog.rules, r.dialog.plain
	}
}

// endDialog ends the dialog that a request continues, if it does. When it gets no
// reply the dialog stays open.
func (r *request) endDialog(answered bool) {
	if r.dialog != nil {
		r.loop.server.dialogs.end(r.dialog, answered)
		r.dialog = nil
	}
}

// challenge writes an Access-Challenge that asks for the next code (RFC 2865
// section 4.4), and opens the dialog. It returns false, and writes nothing, where
// that cannot be.
func (w *responder) challenge(r *request) bool {
	if !r.nas.Challenge || r.attempt.Method != otp.PAP || r.dialog != nil && r.dialog.depth == maxDepth {
		return false
	}
	state, err := w.state()
	if err != nil {
		return false
	}
	w.server.dialogs.open(r.newDialog(state), w.server.since(w.server.clock()))
	w.begin(r, packet.AccessChallenge, r.nas.ReplyMessageAuthenticator)
	w.builder.AddString(packet.State, state)
	if message := w.server.options.ChallengeMessage; message != "" {
		w.builder.AddString(packet.ReplyMessage, message)
	}
	return true
}

// state is a State that nobody can guess. It is plain text, because some NASes
// cut a State at its first zero octet.
func (w *responder) state() (string, error) {
	var b [stateOctets]byte
	_, err := io.ReadFull(w.server.rand, b[:])
	return base32.StdEncoding.EncodeToString(b[:]), err
}

// newDialog is the dialog that starts or goes on with a request. It shares no
// memory with it.
func (r *request) newDialog(state string) *dialog {
	d := &dialog{
		state: state, nas: r.nas.Name, user: string(r.packet.UserName),
		station: bytes.Clone(r.attempt.Station), rules: r.rules, plain: r.plain,
	}
	if r.dialog != nil {
		d.depth = r.dialog.depth + 1
	}
	if t := &r.trace; !r.plain {
		d.facts = exclusions.Trace{
			Login: exclusions.Login{
				At: t.At, NAS: t.NAS, NASAddress: t.NASAddress, NASIPAddress: t.NASIPAddress,
				NASIdentifier: bytes.Clone(t.NASIdentifier), ClientIP: t.ClientIP, ClientMACs: slices.Clone(t.ClientMACs),
			},
			ClientIPFrom: t.ClientIPFrom, MACFrom: t.MACFrom, Mode: t.Mode, Pass: t.Pass, Revision: t.Revision,
		}
	}
	return d
}
