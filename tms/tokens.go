package tms

import (
	"context"
	"encoding/hex"
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
	LockedUntil *time.Time   `json:"locked_until,omitempty"`
	Counter     uint64       `json:"counter"` // the lowest factor not used
	Drift       int          `json:"drift"`   // steps
	Failures    int          `json:"failures"`
	MustResync  bool         `json:"must_resync"`
	Created     time.Time    `json:"created"`
}

func (s *Service) viewToken(t *Token) TokenView {
	v := TokenView{
		Serial: t.Serial, User: t.User, Type: t.Type.String(), Algorithm: t.Algorithm.String(), Digits: int(t.Digits),
		Disabled: t.Disabled, Counter: t.State.Counter, Drift: int(t.State.Drift), Failures: int(t.State.Failures),
		MustResync: t.State.MustResync, Created: t.Created,
	}
	if t.Type.Clock() {
		v.Period, v.T0 = int(t.Period), t.T0
	}
	if until := time.Unix(t.State.LockedUntil, 0); until.After(s.Clock()) {
		v.LockedUntil = &until
	}
	return v
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
	return view, err
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
func assign(t *Token, user string) error {
	if user == "" {
		t.User = ""
		return nil
	}
	name, err := otp.ParseUserName(user)
	if err != nil {
		return invalid("%w", err)
	}
	t.User = name
	return nil
}

// AssignToken gives a token to a user; an empty name takes it back.
func (s *Service) AssignToken(ctx context.Context, c Caller, serial, user string) (TokenView, error) {
	return s.changeToken(ctx, c, "token.assign", serial, assignment(user), func(t *Token) error {
		return assign(t, user)
	})
}

// EnableToken enables or disables a token.
func (s *Service) EnableToken(ctx context.Context, c Caller, serial string, enable bool) (TokenView, error) {
	verb := "token.disable"
	if enable {
		verb = "token.enable"
	}
	return s.changeToken(ctx, c, verb, serial, "", func(t *Token) error {
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

// ResyncToken finds a token's place again by two consecutive codes.
func (s *Service) ResyncToken(ctx context.Context, c Caller, r TokenResync) (TokenView, error) {
	detail := ""
	if r.Rewind {
		detail = "rewind"
	}
	return s.changeToken(ctx, c, "token.resync", r.Serial, detail, func(t *Token) error {
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
// with ErrNotFound.
func (s *Service) Tokens(ctx context.Context, c Caller, f Filter, each func(TokenView) error) error {
	if _, err := s.gate(c, "token.list", string(f.Serial), ""); err != nil {
		return err
	}
	found := false
	err := s.Store.Tokens(ctx, f, func(t *Token) error {
		found = true
		return each(s.viewToken(t))
	})
	if err == nil && !found && f.Serial != "" {
		return fmt.Errorf("token %q: %w", f.Serial, ErrNotFound)
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
	var view TokenView
	err = s.Store.ChangeToken(ctx, parsed, act, func(t *Token) error {
		if !t.Exists {
			return fmt.Errorf("token %q: %w", parsed, ErrNotFound)
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
