package tms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// TokenView is what a listing shows of a token.
type TokenView struct {
	Serial      otp.Serial   `json:"serial"`
	User        otp.UserName `json:"user,omitempty"`
	Type        string       `json:"type"`
	Algorithm   string       `json:"algorithm"`
	Digits      int          `json:"digits"`
	Period      int          `json:"period,omitempty"` // seconds, clock tokens only
	T0          int64        `json:"t0,omitempty"`     // Unix seconds, clock tokens only
	Disabled    bool         `json:"disabled"`
	Lost        bool         `json:"lost"` // reported lost, or revoked
	LockedUntil *time.Time   `json:"locked_until,omitempty"`
	Counter     uint64       `json:"counter"` // the lowest factor not used
	Drift       int          `json:"drift"`   // steps
	Failures    int          `json:"failures"`
	MustResync  bool         `json:"must_resync"`
	Codes       int          `json:"codes,omitempty"` // left on a list of codes
	ValidFrom   *time.Time   `json:"valid_from,omitempty"`
	ValidUntil  *time.Time   `json:"valid_until,omitempty"` // the end is not part of it
	Enrolled    bool         `json:"enrolled"`              // it came of an invitation
	Created     time.Time    `json:"created"`
	Learned     bool         `json:"learned,omitempty"`   // its user came by it because it showed the code that the TMS accepted
	Agreed      int          `json:"agreed,omitempty"`    // logins that the TMS accepted and the token showed the code of
	Disagreed   int          `json:"disagreed,omitempty"` // logins since then that only one of the two would have accepted
}

func (s *Service) viewToken(t *Token) TokenView {
	v := TokenView{
		Serial: t.Serial, User: t.User, Type: t.Type.String(), Algorithm: t.Algorithm.String(), Digits: int(t.Digits),
		Disabled: t.Disabled, Counter: t.State.Counter, Drift: int(t.State.Drift), Failures: int(t.State.Failures),
		MustResync: t.State.MustResync, ValidFrom: instant(t.ValidFrom), ValidUntil: instant(t.ValidUntil),
		Enrolled: t.Enrolled, Lost: t.Lost, Created: t.Created,
		Learned: t.Learned, Agreed: int(t.State.Agreed), Disagreed: int(t.State.Disagreed),
	}
	if t.Type.Clock() {
		v.Period, v.T0 = int(t.Period), t.T0
	}
	if t.Type == otp.CodeList && t.State.Counter < uint64(t.Codes) {
		v.Codes = int(uint64(t.Codes) - t.State.Counter)
	}
	if until := time.Unix(t.State.LockedUntil, 0); until.After(s.Clock()) {
		v.LockedUntil = &until
	}
	return v
}

// instant is a bound of a token's time, nil when there is none.
func instant(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	at := time.Unix(unix, 0)
	return &at
}

// NewToken is what AddToken needs. Zero values are the type's usual ones.
type NewToken struct {
	Serial    string    `json:"serial"` // made up when empty
	User      string    `json:"user"`   // nobody when empty
	Type      string    `json:"type"`   // totp
	Algorithm string    `json:"algorithm"`
	Digits    int       `json:"digits"`  // 6
	Period    int       `json:"period"`  // seconds, 30
	T0        int64     `json:"t0"`      // Unix seconds
	Counter   uint64    `json:"counter"` // the first counter not used
	Seed      oath.Seed `json:"-"`
	// ValidFrom and ValidUntil bound the time in which codes are accepted, to the
	// second; the end is not part of it. Zero is no bound.
	ValidFrom  time.Time `json:"valid_from,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
}

// usualPeriod is how many seconds a code of nearly all clock tokens lives. Said
// of an event token it is harmless: scripts give it for every token.
const usualPeriod = 30

// Token turns what was asked for into a token, with all faults in one error.
func (n *NewToken) Token() (otp.Token, error) {
	var faults []string
	note := func(err error) {
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	typ, err := otp.ParseTokenType(orWord(n.Type, "totp"))
	note(err)
	if typ == otp.CodeList {
		note(fmt.Errorf("token type %q: must be totp, hotp or mobilepass; lists of codes the server makes by itself", typ))
	}
	usual := "sha1"
	if typ == otp.MobilePASS {
		usual = "sha256"
	}
	algorithm, err := oath.ParseAlgorithm(orWord(n.Algorithm, usual))
	note(err)
	t := otp.Token{
		Type: typ, Algorithm: algorithm, Digits: uint8(orNumber(n.Digits, 6)), Seed: n.Seed,
		State: otp.State{Counter: n.Counter},
	}
	if typ.Clock() {
		t.Period, t.T0 = uint32(orNumber(n.Period, usualPeriod)), n.T0
	}
	note(n.checkFigures(typ))
	note(n.setTime(&t))
	if n.Serial != "" {
		t.Serial, err = otp.ParseSerial(n.Serial)
		note(err)
	}
	if faults != nil {
		return t, invalid("token: %s", strings.Join(faults, "; "))
	}
	return t, nil
}

// checkFigures checks what has bounds. The seed's length is checked where it is
// parsed; here it must only be there.
func (n *NewToken) checkFigures(typ otp.TokenType) error {
	switch digits := orNumber(n.Digits, 6); {
	case n.Seed.IsZero():
		return fmt.Errorf("a seed is missing")
	case digits < 6 || digits > 10:
		return fmt.Errorf("%d digits: a code has 6 to 10", digits)
	case typ == otp.MobilePASS && (digits != 6 || n.Algorithm != "" && !strings.EqualFold(n.Algorithm, "sha256")):
		return fmt.Errorf("a MobilePASS token always has 6 digits and sha256")
	case !typ.Clock() && (orNumber(n.Period, usualPeriod) != usualPeriod || n.T0 != 0):
		return fmt.Errorf("another period than %d and T0 are for totp tokens only", usualPeriod)
	case typ.Clock() && n.Counter != 0:
		return fmt.Errorf("a counter is for hotp and mobilepass tokens only")
	case n.Counter >= 1<<62:
		return fmt.Errorf("counter %d: too large", n.Counter)
	case n.Period < 0 || n.Period > 24*60*60:
		return fmt.Errorf("period %d: a code lives 1 to 86400 seconds", n.Period)
	}
	return nil
}

// setTime sets the time in which the codes are accepted.
func (n *NewToken) setTime(t *otp.Token) error {
	if !n.ValidFrom.IsZero() {
		t.ValidFrom = n.ValidFrom.Unix()
	}
	if !n.ValidUntil.IsZero() {
		t.ValidUntil = n.ValidUntil.Unix()
	}
	switch {
	case t.ValidFrom < 0:
		return fmt.Errorf("valid from %s: must not be before 1970", date(n.ValidFrom))
	case !n.ValidUntil.IsZero() && t.ValidUntil <= t.ValidFrom:
		return fmt.Errorf("valid until %s: must be after it begins, and after 1970", date(n.ValidUntil))
	}
	return nil
}

// date is an instant as it is written (RFC 3339).
func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// AddToken adds a token, and assigns it when a user is named.
func (s *Service) AddToken(ctx context.Context, c Caller, n NewToken) (TokenView, error) {
	token, err := n.Token()
	if err != nil {
		return TokenView{}, err
	}
	if token.Serial == "" {
		if token.Serial, err = newSerial(s.Rand); err != nil {
			return TokenView{}, err
		}
	}
	if n.User, err = s.holderName(ctx, c, n.User); err != nil {
		return TokenView{}, err
	}
	act, err := s.gate(c, "token.add", string(token.Serial), assignment(n.User))
	if err != nil {
		return TokenView{}, err
	}
	var view TokenView
	err = s.Store.ChangeToken(ctx, token.Serial, act, func(t *Token) error {
		if t.Exists {
			return fmt.Errorf("token %q %w", token.Serial, ErrExists)
		}
		*t = Token{Exists: true, Token: token, Created: act.At}
		if err := assign(t, n.User); err != nil {
			return err
		}
		view = s.viewToken(t)
		return nil
	})
	return view, s.withDirectory(ctx, n.User, err)
}

// NewSeed makes up a seed, as long as the output of the token's hash function:
// 20, 32 or 64 bytes (RFC 4226 section 4, RFC 6238 section 5.1).
func NewSeed(rand io.Reader, a oath.Algorithm) (oath.Seed, error) {
	length := 20
	switch a {
	case oath.SHA256:
		length = 32
	case oath.SHA512:
		length = 64
	}
	seed := make([]byte, length)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return oath.Seed{}, fmt.Errorf("making a seed: %w", err)
	}
	return oath.NewSeed(seed), nil
}

// newSerial makes up a serial of 16 hexadecimal digits.
func newSerial(rand io.Reader) (otp.Serial, error) {
	var b [8]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("making a serial: %w", err)
	}
	return otp.ParseSerial(hex.EncodeToString(b[:]))
}

// assignment is the detail of an act that gives a token to a user.
func assignment(user string) string {
	if user == "" {
		return ""
	}
	return "user=" + strings.ToLower(user)
}

// assign gives a token to a user, or to nobody. That the user exists, and has
// room for one more, is the store's to know: it refuses the change when not.
//
// Whose token was lost is its present user's matter: to anybody else it is a disabled
// one.
func assign(t *Token, user string) error {
	name := otp.UserName("")
	if user != "" {
		var err error
		if name, err = otp.ParseUserName(user); err != nil {
			return invalid("%w", err)
		}
	}
	if t.User != name {
		t.User, t.Lost, t.Revoked = name, false, false
	}
	return nil
}

// holderName is userName, of nobody too.
func (s *Service) holderName(ctx context.Context, c Caller, user string) (string, error) {
	if user == "" {
		return "", nil
	}
	name, err := s.userName(ctx, c, user)
	return string(name), err
}

// AssignToken gives a token to a user; an empty name takes it back.
func (s *Service) AssignToken(ctx context.Context, c Caller, serial, user string) (TokenView, error) {
	user, err := s.holderName(ctx, c, user)
	if err != nil {
		return TokenView{}, err
	}
	there := false
	view, err := s.changeToken(ctx, c, "token.assign", serial, assignment(user), func(t *Token) error {
		there = true
		return assign(t, user)
	})
	if there {
		err = s.withDirectory(ctx, user, err)
	}
	return view, err
}

// withDirectory adds to the error that the store does not have a user what is to be
// done when a directory has.
func (s *Service) withDirectory(ctx context.Context, user string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	name, bad := otp.ParseUserName(user)
	if bad != nil {
		return err
	}
	identity, _ := s.identity(ctx, name)
	if identity == nil {
		return err
	}
	return fmt.Errorf("%w here, only in the directory %q: add the user first, with `countersign user add %q`", err, identity.Directory, identity.Name)
}

// EnableToken enables or disables a token. One that was lost and is enabled is found.
func (s *Service) EnableToken(ctx context.Context, c Caller, serial string, enable bool) (TokenView, error) {
	verb := "token.disable"
	if enable {
		verb = "token.enable"
	}
	return s.changeToken(ctx, c, verb, serial, "", func(t *Token) error {
		if enable && t.Lost {
			return invalid("token %q was reported lost, or revoked: if it was found, take it into stock with `countersign token assign %s --nobody`, enable it and give it out anew", t.Serial, t.Serial)
		}
		t.Disabled = !enable
		return nil
	})
}

// UnlockToken ends a token's lock and forgets its failures.
func (s *Service) UnlockToken(ctx context.Context, c Caller, serial string) (TokenView, error) {
	return s.changeToken(ctx, c, "token.unlock", serial, "", func(t *Token) error {
		t.State.Failures, t.State.LockedUntil = 0, 0
		return nil
	})
}

// TokenResync is what ResyncToken needs.
type TokenResync struct {
	Serial string `json:"serial"`
	First  string `json:"first"`
	Second string `json:"second"`
	Rewind bool   `json:"rewind"` // as otp.Resync has it
}

// ResyncToken finds a token's place again by two consecutive codes. Users may do it
// with theirs, but not rewind it.
func (s *Service) ResyncToken(ctx context.Context, c Caller, r TokenResync) (TokenView, error) {
	serial, err := otp.ParseSerial(r.Serial)
	if err != nil {
		return TokenView{}, invalid("%w", err)
	}
	act, err := s.gateUser(c, "token.resync", string(serial), "")
	switch {
	case err != nil:
		return TokenView{}, err
	case r.Rewind && !c.Administrator:
		return TokenView{}, forbidden(c, "token.resync with rewind")
	case r.Rewind:
		act.Detail = "rewind"
	}
	return s.applyToToken(ctx, c, serial, act, func(t *Token) error {
		if t.Type == otp.CodeList {
			return invalid("%q is a list of codes, which cannot be out of step", serial)
		}
		if err := otp.Resync(&t.Token, r.First, r.Second, r.Rewind, s.Clock(), s.Policy()); err != nil {
			return invalid("%w", err)
		}
		return nil
	})
}

// RemoveToken removes a token for good.
func (s *Service) RemoveToken(ctx context.Context, c Caller, serial string) error {
	_, err := s.changeToken(ctx, c, "token.remove", serial, "", func(t *Token) error {
		t.Exists = false
		return nil
	})
	return err
}

// Tokens lists tokens by serial; a Filter with a Serial shows that one or fails
// with ErrNotFound. Users may list theirs, by a Filter with their name.
func (s *Service) Tokens(ctx context.Context, c Caller, f Filter, each func(TokenView) error) error {
	_, err := s.gate(c, "token.list", string(f.Serial), "")
	if f.User != "" {
		_, err = s.gateOwn(c, f.User, "token.list", string(f.Serial), "")
	}
	if err != nil {
		return err
	}
	if f, err = s.meant(ctx, c, f); err != nil {
		return err
	}
	found := false
	err = s.Store.Tokens(ctx, f, func(t *Token) error {
		if !c.owns(t.User) {
			return nil
		}
		found = true
		return each(s.viewToken(t))
	})
	if err == nil && !found && f.Serial != "" {
		return notFound("token", f.Serial)
	}
	return err
}

// changeToken changes a token that must be there.
func (s *Service) changeToken(ctx context.Context, c Caller, verb, serial, detail string, change func(*Token) error) (TokenView, error) {
	parsed, err := otp.ParseSerial(serial)
	if err != nil {
		return TokenView{}, invalid("%w", err)
	}
	act, err := s.gate(c, verb, string(parsed), detail)
	if err != nil {
		return TokenView{}, err
	}
	return s.applyToToken(ctx, c, parsed, act, change)
}

// applyToToken changes a token that must be there, and the caller's to look after.
func (s *Service) applyToToken(ctx context.Context, c Caller, serial otp.Serial, act Act, change func(*Token) error) (TokenView, error) {
	var view TokenView
	err := s.Store.ChangeToken(ctx, serial, act, func(t *Token) error {
		if !t.Exists || !c.owns(t.User) {
			return notFound("token", serial)
		}
		if err := change(t); err != nil {
			return err
		}
		view = s.viewToken(t)
		return nil
	})
	return view, err
}

func orWord(word, usual string) string {
	if word == "" {
		return usual
	}
	return word
}

func orNumber(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}
