package tms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/radiusd/accounting"
)

// AccountingLog keeps what NASes report.
type AccountingLog interface {
	// AppendAccounting makes a record durable and then calls done. When it returns false the
	// record was not taken, because there is too much to do (radiusd.Accounting).
	AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool
}

// adminReset is the Acct-Terminate-Cause of a session that an administrator has ended (RFC
// 2866 section 5.10), lostService of one that its NAS has lost.
const (
	lostService accounting.Cause = 3
	adminReset  accounting.Cause = 6
)

// contextNotFound is the Error-Cause of a NAS that knows no such session (RFC 5176 section
// 3.5).
const contextNotFound = 503

// CloseSession has a session end here, whose NAS will not report its end: by a Stop of our
// own, which collectors get like one of the NAS's. The NAS is not asked. A session that is
// over wraps ErrInvalid.
func (s *Service) CloseSession(ctx context.Context, c Caller, id string) error {
	act, err := s.gate(c, "session.close", id, "")
	if err != nil {
		return err
	}
	session, err := s.findSession(ctx, id)
	if err != nil {
		return err
	}
	if session.State == accounting.Closed {
		return invalid("session %v of %s at %s is over", session.ID, session.Name(), session.NAS)
	}
	act.Detail = fmt.Sprintf("user=%q nas=%q", session.Name(), session.NAS)
	if err := s.Store.Record(ctx, act); err != nil {
		return err
	}
	return s.endSession(ctx, &session, adminReset)
}

// endSession writes the Stop that the NAS of a session does not send, and waits until it is
// durable.
func (s *Service) endSession(ctx context.Context, session *accounting.Session, cause accounting.Cause) error {
	if s.Accounting == nil {
		return errNoSessions
	}
	now, done := s.Clock(), make(chan error, 1)
	if !s.Accounting.AppendAccounting(now, session.NAS, session.Source, accounting.Ending(session, now, cause), func(err error) { done <- err }) {
		return errors.New("the end of the session was not recorded, because the store has too much to do, or too little space: try again")
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("recording the end of session %v: %w", session.ID, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
