package tms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/otp"
	"countersign/tms/audit"
)

// What is wrong with an act, for callers that answer differently to each. The
// wrapping text names what and how to mend it.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrForbidden = errors.New("not allowed")
	ErrInvalid   = errors.New("not possible")
)

// ErrTooMany says that a user has otp.MaxTokens already. It wraps ErrInvalid.
var ErrTooMany = fmt.Errorf("%w: too many tokens", ErrInvalid)

// Caller is who asks for an act.
type Caller struct {
	Name          string // as the audit record shows it: "root@cli"
	Administrator bool   // may do everything
	// User is a user who may look after what is theirs, at the self-service page.
	User otp.UserName
}

// Options are what a Service works with.
type Options struct {
	Store        Store
	Keeper       Keeper
	Clock        func() time.Time
	Rand         io.Reader         // for serials and seeds; safe for concurrent use
	Policy       func() otp.Policy // for resync and first codes
	MinPINLength func() int
	Rulebook     Rulebook  // nobody is asked about rules when nil
	Directory    Directory // the store has all users when nil
	Explainer    Explainer // nothing can be explained when nil
	// CanonicalUser is the name by which a user is kept, of what a folded name with a
	// realm tells: EXAMPLE\alice and alice@example.com are alice. As it is, when nil.
	CanonicalUser func(name string) string

	// Enrolment keeps invitations and mails; nobody can be invited when it is nil.
	Enrolment       EnrolmentStore
	EnrolmentPolicy func() EnrolmentPolicy // there when Enrolment is

	// Migration keeps who logs in at a TMS; nothing can be done about the way from there
	// when it is nil.
	Migration MigrationStore
	// Behind knows the TMS of the server that runs; nil where none does.
	Behind Behind

	// Sessions keeps what NASes report at UDP 1813; there are no sessions when it is nil.
	// Disconnector ends them, where a server runs that knows the NASes.
	Sessions     Sessions
	Disconnector Disconnector
	// Accounting takes the Stop of a session that we end; none can be ended when it is nil.
	Accounting AccountingLog
	// Audit is the chain of the journal, and Exporter says how it is exported: its Format
	// and its Version.
	Audit    Audit
	Exporter audit.Exporter
	// NASes is what the server that runs has seen of its NASes, and Collectors how it
	// stands with who gets the accounting; nil where none runs.
	NASes      func() []NASSeen
	Collectors func(context.Context) ([]CollectorState, error)
	// NASSettings are those of the configuration, in its order; there when NASes is.
	NASSettings func() []NASSettings
	// Cluster knows the nodes that share the store; nil where it is not one of several.
	Cluster Cluster
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
// record of one who may. Most acts are for administrators alone.
func (s *Service) gate(c Caller, verb, object, detail string) (Act, error) {
	if !c.Administrator {
		return Act{}, forbidden(c, verb)
	}
	return newAct(s.Clock(), c, verb, object, detail), nil
}

// gateOwn is gate for an act that users may do too, on what is theirs. Of whatever
// is somebody else's, or nobody's, they hear the same: it is not there.
func (s *Service) gateOwn(c Caller, owner otp.UserName, verb, object, detail string) (Act, error) {
	act, err := s.gateUser(c, verb, object, detail)
	if err == nil && !c.owns(owner) {
		err = notFound("user", owner)
	}
	return act, err
}

// gateUser is gateOwn for an act that has to find out first whose the object is: it
// asks Caller.owns then.
func (s *Service) gateUser(c Caller, verb, object, detail string) (Act, error) {
	if !c.Administrator && c.User == "" {
		return Act{}, forbidden(c, verb)
	}
	return newAct(s.Clock(), c, verb, object, detail), nil
}

// owns reports whether a caller who passed the gate may look after what is this
// user's.
func (c Caller) owns(user otp.UserName) bool {
	return c.Administrator || c.User != "" && c.User == user
}

func newAct(at time.Time, c Caller, verb, object, detail string) Act {
	return Act{At: at, Actor: c.Name, Verb: verb, Object: object, Detail: detail}
}

func forbidden(c Caller, verb string) error {
	return fmt.Errorf("%s by %q: %w", verb, c.Name, ErrForbidden)
}

// notFound is an ErrNotFound about a thing, such as a user, of that name.
func notFound[T ~string](thing string, name T) error {
	return fmt.Errorf("%s %q: %w", thing, name, ErrNotFound)
}

// userName reads the name of a user, however it is written: as the store has it, as
// the realm in it tells, or as the directory knows it.
func (s *Service) userName(ctx context.Context, c Caller, text string) (otp.UserName, error) {
	name, err := otp.ParseUserName(text)
	if err != nil {
		return "", invalid("%w", err)
	}
	if !c.Administrator && c.User == "" {
		return name, nil // the gate will refuse, and nobody is asked for such a caller
	}
	canonical := s.canonical(name)
	for _, kept := range []otp.UserName{name, canonical} {
		if has, err := s.has(ctx, kept); has || err != nil {
			return kept, err
		}
	}
	if s.Directory == nil {
		return canonical, nil
	}
	if identity, _ := s.Directory.Find(ctx, []byte(name)); identity.Directory != "" {
		return otp.UserName(identity.Name), nil
	}
	return canonical, nil
}

// has reports whether the store has a user.
func (s *Service) has(ctx context.Context, name otp.UserName) (has bool, err error) {
	err = s.Store.Users(ctx, Filter{User: name}, func(*User) error {
		has = true
		return nil
	})
	return has, err
}

// canonical is the name by which a user is kept.
func (s *Service) canonical(name otp.UserName) otp.UserName {
	if s.CanonicalUser == nil || name == "" {
		return name
	}
	return otp.UserName(s.CanonicalUser(string(name)))
}

// meant is a filter with the user's name as it is kept.
func (s *Service) meant(ctx context.Context, c Caller, f Filter) (Filter, error) {
	if f.User == "" {
		return f, nil
	}
	var err error
	f.User, err = s.userName(ctx, c, string(f.User))
	return f, err
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
	f, err := s.meant(ctx, c, f)
	if err != nil {
		return err
	}
	return s.Store.Events(ctx, f, each)
}
