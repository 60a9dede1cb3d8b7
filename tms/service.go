package tms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/otp"
)

// What is wrong with an act, for callers that answer differently to each. The
// wrapping text names what and how to mend it.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrForbidden = errors.New("not allowed")
	ErrInvalid   = errors.New("not possible")
)

// Caller is who asks for an act.
type Caller struct {
	Name          string // as the audit record shows it: "root@cli"
	Administrator bool   // may do everything; others may do nothing yet
}

// Options are what a Service works with.
type Options struct {
	Store        Store
	Keeper       Keeper
	Clock        func() time.Time
	Rand         io.Reader         // for serials and seeds; safe for concurrent use
	Policy       func() otp.Policy // for resync
	MinPINLength func() int
	Rulebook     Rulebook  // nobody is asked about rules when nil
	Directory    Directory // the store has all users when nil
	Explainer    Explainer // nothing can be explained when nil
}

// Keeper looks after the store as a whole. Progress may be nil.
type Keeper interface {
	// Backup returns a consistent copy of the store, made while logins go on,
	// and its length in bytes. The caller closes it.
	Backup(ctx context.Context) (io.ReadCloser, int64, error)
	// RotateKeys makes a new key-encryption key and a new data key and seals
	// every seed and PIN anew.
	RotateKeys(ctx context.Context, progress func(done, total int64)) error
}

// Service performs acts. It is safe for concurrent use.
type Service struct{ Options }

// NewService joins the parts.
func NewService(o Options) *Service { return &Service{o} }

// gate is the one way in: it refuses a caller who may not, and makes the audit
// record of one who may.
func (s *Service) gate(c Caller, verb, object, detail string) (Act, error) {
	if !c.Administrator {
		return Act{}, fmt.Errorf("%s by %q: %w", verb, c.Name, ErrForbidden)
	}
	return Act{At: s.Clock(), Actor: c.Name, Verb: verb, Object: object, Detail: detail}, nil
}

// invalid is an ErrInvalid with its reason.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Backup returns a copy of the store and its length in bytes. The caller closes
// it.
func (s *Service) Backup(ctx context.Context, c Caller) (io.ReadCloser, int64, error) {
	act, err := s.gate(c, "store.backup", "", "")
	if err != nil {
		return nil, 0, err
	}
	if err := s.Store.Record(ctx, act); err != nil {
		return nil, 0, err
	}
	return s.Keeper.Backup(ctx)
}

// RotateKeys makes new keys and seals everything anew.
func (s *Service) RotateKeys(ctx context.Context, c Caller, progress func(done, total int64)) error {
	act, err := s.gate(c, "key.rotate", "", "")
	if err != nil {
		return err
	}
	if err := s.Store.Record(ctx, act); err != nil {
		return err
	}
	return s.Keeper.RotateKeys(ctx, progress)
}

// Events lists what happened, the newest first.
func (s *Service) Events(ctx context.Context, c Caller, f Filter, each func(*Event) error) error {
	if _, err := s.gate(c, "event.list", "", ""); err != nil {
		return err
	}
	return s.Store.Events(ctx, f, each)
}
