package radiusd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"countersign/exclusions"
	"countersign/otp"
)

// errand is what a login waits for a directory or the Enroller for.
type errand uint8

const (
	noErrand           errand = iota
	findUser                  // who is the user?
	activateToken             // is it the first passcode of the token that the user is invited to?
	verifyForRule             // is the password right? A rule says that no code is needed.
	verifyWithoutToken        // is the password right? The user holds no token.
	answerPrompt              // where does the enrolment go on?
)

// errandQueue is how many logins may wait for each worker.
const errandQueue = 16

// errands are the logins that wait for a directory: in a queue, and those that
// the workers are at.
type errands struct {
	queue   chan *request
	running atomic.Int64
}

func newErrands(workers int) errands { return errands{queue: make(chan *request, workers*errandQueue)} }

// put queues a request. It does not wait; when the queue is full it returns false.
func (e *errands) put(r *request) bool {
	select {
	case e.queue <- r:
		return true
	default:
		return false
	}
}

// len is how many logins wait for a directory.
func (e *errands) len() int { return len(e.queue) + int(e.running.Load()) }

// hire starts the workers, where there is somebody to ask. Fire has them let go
// of whatever they are at.
func (s *Server) hire(ctx context.Context, workers *sync.WaitGroup) (fire func()) {
	ctx, cancel := context.WithCancel(ctx)
	if s.users != nil || s.options.Enroller != nil {
		for range s.options.Errands {
			workers.Go(func() { s.errands.work(ctx, func(r *request) { s.runErrand(ctx, r) }) })
		}
	}
	s.tms.hire(ctx, workers, s.options.BackendLogins)
	return cancel
}

// work is a worker: it runs one errand after the other until ctx is done.
func (e *errands) work(ctx context.Context, run func(*request)) {
	for {
		select {
		case r := <-e.queue:
			e.running.Add(1)
			run(r)
			e.running.Add(-1)
		case <-ctx.Done():
			return
		}
	}
}

// runErrand asks the directory what a login waits for, within what is left of
// its time, and hands the login on. When its time is over nobody waits for it any
// more, and no code is to be burned.
func (s *Server) runErrand(ctx context.Context, r *request) {
	left := s.options.DirectoryTime - s.clock().Sub(r.at)
	if left <= 0 {
		r.leave(directoryBusy, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	why, err := r.run(ctx)
	if why == admitted && ctx.Err() != nil {
		why, err = directoryUnavailable, ctx.Err()
	}
	if why == admitted {
		r.errand = noErrand // it is done
		why = r.forward()
	}
	if why != admitted {
		r.leave(why, err)
	}
}

// run does the errand, and what comes of it: it asks for the user, for the
// password or the Enroller, or for one after the other. The error says why there is
// a reason not to answer.
func (r *request) run(ctx context.Context) (why reason, err error) {
	if r.errand == findUser {
		r.errand = noErrand
		r.identify(r.loop.server.users.Find(ctx, r.attempt.User))
		if why := r.judge(); why != admitted {
			return why, nil
		}
	}
	switch r.errand {
	case activateToken:
		return r.activate(ctx)
	case verifyForRule, verifyWithoutToken:
		return r.runWithPassword(ctx)
	case answerPrompt:
		return r.answer(ctx)
	}
	return admitted, nil
}

// runWithPassword does the errand of a login whose password the directory is to
// verify.
func (r *request) runWithPassword(ctx context.Context) (reason, error) {
	verdict, err := r.verifyPassword(ctx)
	switch {
	case err != nil:
		return directoryUnavailable, err
	case verdict == otp.Undecided:
		return directoryUnavailable, nil
	case r.errand == verifyForRule:
		r.attempt.Preset = verdict
	case verdict == otp.Excluded && !r.passesByPassword():
		return r.lead(ctx)
	default:
		r.attempt.WithoutToken = verdict
	}
	return admitted, nil
}

// passesByPassword reports whether the password is all that is asked of who holds no
// token.
func (r *request) passesByPassword() bool {
	return r.trace.Mode == exclusions.TokenHolders && r.trace.Pass == exclusions.PassDirectoryPassword
}

// verifyPassword has the directory verify the password of the request, unless
// it is known already what comes of it. A login comes here once at most. A
// directory takes an empty password for no login at all and agrees (RFC 4513
// section 5.1.2), so it never sees one. Undecided without an error: it must not be
// asked now.
func (r *request) verifyPassword(ctx context.Context) (otp.Verdict, error) {
	s, a := r.loop.server, &r.attempt
	if len(r.typed) == 0 {
		return otp.WrongPassword, nil
	}
	if instead, ask := s.verifier.AskDirectory(ctx, a); !ask {
		return instead, nil
	}
	verdict, err := s.users.VerifyPassword(ctx, r.identity, r.typed)
	if err == nil && verdict == otp.Undecided {
		err = errNoVerdict
	}
	if err != nil {
		verdict = otp.Undecided
	}
	s.verifier.DirectoryAnswered(a, verdict)
	if verdict == otp.Accepted {
		verdict = otp.Excluded
	}
	return verdict, err
}

var errNoVerdict = errors.New("the user repository has no verdict about a password")

// askDirectory goes on with a login that came back from the store: its user holds
// no token, or typed no code where the directory password will do. It does not
// block.
func (r *request) askDirectory() {
	a := &r.attempt
	r.errand = verifyWithoutToken
	if a.OrPassword {
		r.errand = verifyForRule
	}
	a.AskWithoutToken, a.OrPassword = false, false
	if why := r.forward(); why != admitted {
		r.leave(why, nil)
	}
}
