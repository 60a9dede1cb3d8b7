package radiusd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// consultations are the logins that the Backend is asked about. Their queue and workers
// are their own, so that a slow TMS holds up nobody else.
type consultations struct {
	errands // those that wait, and those that workers are at
	backend Backend
	guard   *guard
	shared  *sharedGuard // stands for the guard where there are several servers
	breaker *breaker
	metrics *tmsMetrics
}

// newConsultations is nil where there is no Backend.
func newConsultations(o *Options) *consultations {
	if o.Backend == nil {
		return nil
	}
	return &consultations{
		errands: newErrands(o.BackendLogins), backend: o.Backend, guard: newGuard(o), shared: newSharedGuard(o),
		breaker: newBreaker(o),
		metrics: newTMSMetrics(),
	}
}

// hire starts the workers, and who looks after the breaker; they end with ctx.
func (t *consultations) hire(ctx context.Context, workers *sync.WaitGroup, n int) {
	if t == nil {
		return
	}
	for range n {
		workers.Go(func() { t.work(ctx, func(r *request) { r.consultation(ctx) }) })
	}
	workers.Go(func() { t.breaker.watch(ctx) })
}

// consult goes on with a login that the TMS is to verify: with what came of it when it was
// shown a moment ago, else by a worker. It does not block. When it returns a reason, nobody
// has taken the login.
func (r *request) consult() reason {
	t := r.loop.server.tms
	if t.shared != nil {
		r.shownKey, r.claimedOver = t.shared.key(r), false
		t.claim(r, unseen)
		return admitted
	}
	r.sum = t.guard.key(r)
	return r.sighted(t.guard.begin(r.sum, r.sinceStart(), r.mayAsk(tmsDialog)))
}

// sighted goes on with a login of which this is known: when it is nothing it is shown.
func (r *request) sighted(saw sighting) reason {
	switch saw {
	case showing: // it may be the same login under another Identifier
		return tmsInFlight
	case sawAccepted:
		return r.settle(otp.Replayed)
	case sawRefused:
		return r.hear(otp.TMSRefused)
	case sawQuestion:
		return r.settle(otp.CannotAsk)
	case sawNothing:
		return r.hear(otp.TMSUnavailable)
	}
	switch t := r.loop.server.tms; {
	case !t.breaker.closed():
		r.saw(unseen)
		return r.hear(otp.TMSUnavailable)
	case !r.queue():
		r.saw(unseen)
		return tmsBusy
	}
	return admitted
}

// queue has a worker show the login, unless too many wait already: of each loop half of
// what may be in flight, so that there is room for logins that are not the TMS's.
func (r *request) queue() bool {
	l := r.loop
	if l.consulting.Add(1) <= max(1, int64(l.server.options.MaxInFlight/2)) && l.server.tms.put(r) {
		return true
	}
	l.consulting.Add(-1)
	return false
}

// saw tells the guard what came of a login.
func (r *request) saw(what sighting) {
	if t := r.loop.server.tms; t.shared != nil {
		t.shared.settle(r.shownKey, what, t.guard.keep[what])
	} else {
		t.guard.settle(r.sum, what, r.sinceStart())
	}
}

func (r *request) sinceStart() time.Duration {
	s := r.loop.server
	return s.since(s.clock())
}

// consultation is what a worker does: it shows a login to the Backend and hands it on.
func (r *request) consultation(ctx context.Context) {
	defer r.loop.consulting.Add(-1)
	if why, err := r.show(ctx); why != admitted {
		r.leave(why, err)
	}
}

// show shows a login to the Backend, within what is left of its time, and goes on with the
// answer. When its time is over, or the NAS has used the Identifier again, nobody waits for
// it any more, and no code is to be burned.
func (r *request) show(ctx context.Context) (reason, error) {
	s, t := r.loop.server, r.loop.server.tms
	left := s.options.BackendTime - s.clock().Sub(r.at)
	switch {
	case left <= 0:
		r.saw(unseen)
		return tmsBusy, nil
	case !r.loop.duplicates.awaits(r.slot, r.generation):
		r.saw(unseen)
		return superseded, nil
	}
	done, closed := t.breaker.admit()
	if !closed {
		r.saw(unseen)
		return r.hear(otp.TMSUnavailable), nil
	}
	reply, err := r.verify(ctx, left)
	done(counted(ctx, &reply, err, left > s.options.BackendTime/2))
	switch {
	case ctx.Err() != nil && err != nil: // the server stops
		r.saw(sawNothing)
		return tmsUnavailable, err
	case err != nil:
		if errors.Is(err, ErrNotShown) {
			r.shown = false
			r.saw(unseen)
		} else {
			r.saw(sawNothing)
		}
		r.loop.complain(r.nas, &r.from, tmsFailed, err)
		return r.hear(otp.TMSUnavailable), nil
	}
	return r.heed(&reply)
}

// verify has the Backend verify the login, and counts how that ended.
func (r *request) verify(ctx context.Context, left time.Duration) (BackendReply, error) {
	s, t := r.loop.server, r.loop.server.tms
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	login, asked := r.login(), s.clock()
	reply, err := t.backend.Verify(ctx, &login)
	if err == nil {
		err = reply.fault()
	}
	if r.shown = err != nil || !reply.unasked(); r.shown {
		t.metrics.answered(reply.Verdict, err, s.clock().Sub(asked))
	}
	return reply, err
}

// login is what the Backend is told.
func (r *request) login() BackendLogin {
	a := &r.attempt
	l := BackendLogin{
		At: r.at, User: otp.UserName(a.User), Identity: r.identity, NAS: r.nas.Name, Method: a.Method,
		Passcode: a.Passcode, Packet: &r.packet, Doubtful: a.Doubtful, MayAsk: r.mayAsk(tmsDialog),
	}
	if r.answersTMS() {
		l.Dialog = r.dialog.kept
	}
	return l
}

// Backends that break their word.
var (
	errUnknownAnswer = errors.New("the answer is neither yes nor no nor a question")
	errLongDialog    = fmt.Errorf("a dialog of more than %d octets", maxKept)
)

// answers are the verdicts of a Backend.
var answers = []otp.Verdict{otp.AcceptedByTMS, otp.RefusedByTMS, otp.AskedByTMS, otp.NeedsPAP}

// fault is why a reply cannot be understood.
func (b *BackendReply) fault() error {
	switch {
	case !slices.Contains(answers, b.Verdict), b.Unasked && b.Verdict != otp.RefusedByTMS && b.Verdict != otp.NeedsPAP:
		return errUnknownAnswer
	case len(b.Dialog) > maxKept:
		return errLongDialog
	}
	return nil
}

// counted is what the breaker is told. Nothing is learned from a login that the TMS was
// not shown, and from one that the server's end has cut off, or its time, when too little of
// that was left.
func counted(ctx context.Context, reply *BackendReply, err error, enough bool) error {
	switch {
	case err == nil && reply.unasked(),
		err != nil && ctx.Err() != nil,
		!enough && errors.Is(err, context.DeadlineExceeded):
		return errNotCounted
	}
	return err
}

// heed goes on with the answer of the Backend.
func (r *request) heed(reply *BackendReply) (reason, error) {
	r.reply = reply
	switch {
	case reply.Verdict == otp.AskedByTMS:
		return r.relay(reply)
	case reply.unasked():
		r.saw(unseen)
	case reply.Verdict == otp.RefusedByTMS:
		r.saw(sawRefused)
	default:
		r.saw(sawAccepted)
	}
	switch reply.Verdict {
	case otp.NeedsPAP:
		r.loop.complain(r.nas, &r.from, tmsMethod, nil)
		return r.settle(otp.NeedsPAP), nil
	case otp.RefusedByTMS:
		return r.hear(otp.TMSRefused), nil
	}
	if !r.fits(len(reply.Attributes)) {
		return replyTooLong, nil
	}
	return r.hear(otp.TMSAccepted), nil
}

// hear goes on with a login of which the TMS says this: the store decides.
func (r *request) hear(answer otp.TMSAnswer) reason {
	r.attempt.TMS = answer
	return r.submit()
}

// settle has a verdict recorded. In doubt nobody is refused.
func (r *request) settle(v otp.Verdict) reason {
	if r.attempt.Doubtful && !v.Accepts() {
		return directoryUnavailable
	}
	r.attempt.Preset = v
	return r.submit()
}

// relay has a question of the TMS put to the user. What was answered by one is not
// remembered: the first passcode of such a login may be the same every time.
func (r *request) relay(reply *BackendReply) (reason, error) {
	if !r.mayAsk(tmsDialog) {
		r.saw(sawQuestion)
		r.loop.complain(r.nas, &r.from, tmsQuestion, nil)
		return r.settle(otp.CannotAsk), nil
	}
	r.saw(sawAsked)
	if err := r.seal(r.newDialog(tmsDialog, reply.Dialog)); err != nil {
		return undecided, fmt.Errorf("asking user %q what the TMS wants to know: %w", r.attempt.User, err)
	}
	if !r.fits(len(reply.Attributes) + maxAsked) {
		return replyTooLong, nil
	}
	return r.hear(otp.TMSAsked), nil
}

// answersTMS reports whether a request answers what the TMS asked.
func (r *request) answersTMS() bool { return r.dialog != nil && r.dialog.kind == tmsDialog }

// resumeTMS says what becomes of an answer to what the TMS asked: it is shown to the TMS,
// or nobody. When it comes too late it is refused, because as a passcode it would count as
// a wrong one.
func (r *request) resumeTMS(d *dialog) {
	a, s := &r.attempt, r.loop.server
	switch {
	case a.Preset != otp.Undecided:
	case d.over(r.at), s.tms == nil:
		a.Preset = otp.RefusedByTMS
	case a.Method != otp.PAP:
		a.Preset = otp.NeedsPAP
	}
}

// judgeAnswer is judge of an answer to what others asked.
func (r *request) judgeAnswer() reason {
	if over, why := r.bound(); over {
		return why
	}
	if r.enrols() {
		return r.judgeEnrolment()
	}
	a := &r.attempt
	if alias(&r.trace.Login) { // nobody knows any more who that is
		a.Preset = otp.RefusedByTMS
		return admitted
	}
	a.Doubtful = r.trace.Source == exclusions.Unavailable
	a.Answer, a.WhenDown = true, otp.TMSDown
	return r.matchReplies()
}
