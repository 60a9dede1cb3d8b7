package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// token is a token in the store.
type token struct {
	otp.Token
	Name   string // that the user gave it, ""
	Issuer string // whose it is: the company, ""
	User   string // the account there, ""
	// Spent is, of a clock token, the last step whose code the server has burned.
	Spent   int64
	Added   time.Time
	Pending *pending // until the server has taken the first code
}

// pending is what is needed to go on with an activation.
type pending struct {
	Server string // its URL
	Trust  trust
	Key    secret // the Activation Key
	// Sent: a first code went to the server, and no answer came. It may have been
	// right.
	Sent bool
}

// code is what a token shows, and for how long.
type code struct {
	Serial  otp.Serial `json:"serial"`
	Code    string     `json:"code"`
	Seconds int        `json:"seconds,omitempty"` // 0 of an event token: until it is used
}

// next is the code to show at an instant. Of an event token the counter goes on: it
// must be saved before the code is shown.
func (t *token) next(at time.Time) code {
	shown := code{Serial: t.Serial}
	if t.Type.Clock() {
		shown.Code = oath.TOTP(t.Algorithm, t.Seed, at, t.T0, t.Period, int(t.Digits))
		shown.Seconds = t.left(at)
		return shown
	}
	shown.Code = oath.HOTP(t.Algorithm, t.Seed, t.State.Counter, int(t.Digits))
	t.State.Counter++
	return shown
}

// step is the time step of an instant.
func (t *token) step(at time.Time) int64 { return oath.TimeStep(at, t.T0, t.Period) }

// left is how many seconds the code of an instant lives yet, 1 at least.
func (t *token) left(at time.Time) int {
	return int(t.T0 + (t.step(at)+1)*int64(t.Period) - at.Unix())
}

// until is the time until a step begins.
func (t *token) until(step int64, at time.Time) time.Duration {
	return time.Unix(t.T0+step*int64(t.Period), 0).Sub(at)
}

// label is what a user knows the token by.
func (t *token) label() string {
	for _, name := range []string{t.Name, t.Issuer} {
		if name != "" {
			return fmt.Sprintf("%s (%s)", printable(name), t.Serial)
		}
	}
	return string(t.Serial)
}

// state is whether its codes are of use, in a word.
func (t *token) state(at time.Time) string {
	switch {
	case t.Pending != nil:
		return "pending"
	case t.ValidUntil != 0 && at.Unix() >= t.ValidUntil:
		return "ended"
	case !t.Valid(at):
		return "not valid yet"
	}
	return "active"
}

// record is a token as the store has it. It shows the seed, and lives in encode and
// decode only.
type record struct {
	Serial     otp.Serial     `json:"serial"`
	Name       string         `json:"name,omitempty"`
	Issuer     string         `json:"issuer,omitempty"`
	User       string         `json:"user,omitempty"`
	Type       string         `json:"type"`
	Algorithm  string         `json:"algorithm"`
	Digits     uint8          `json:"digits"`
	Period     uint32         `json:"period,omitempty"`
	T0         int64          `json:"t0,omitempty"`
	ValidFrom  int64          `json:"valid_from,omitempty"`
	ValidUntil int64          `json:"valid_until,omitempty"`
	Counter    uint64         `json:"counter,omitempty"`
	Spent      int64          `json:"spent,omitempty"`
	Added      time.Time      `json:"added"`
	Seed       []byte         `json:"seed"`
	Pending    *pendingRecord `json:"pending,omitempty"`
}

// pendingRecord is pending as the store has it.
type pendingRecord struct {
	Server      string `json:"server"`
	Fingerprint string `json:"fingerprint,omitempty"`
	CAFile      string `json:"ca_file,omitempty"`
	Key         []byte `json:"activation_key"`
	Sent        bool   `json:"sent,omitempty"`
}

// encode is the plain text of the store. It is the caller's to wipe.
func encode(tokens []*token) ([]byte, error) {
	records := make([]record, 0, len(tokens))
	for _, t := range tokens {
		r := record{
			Serial: t.Serial, Name: t.Name, Issuer: t.Issuer, User: t.User, Type: t.Type.String(), Algorithm: t.Algorithm.String(),
			Digits: t.Digits, Period: t.Period, T0: t.T0, ValidFrom: t.ValidFrom, ValidUntil: t.ValidUntil,
			Counter: t.State.Counter, Spent: t.Spent, Added: t.Added, Seed: t.Seed.Bytes(),
		}
		if p := t.Pending; p != nil {
			r.Pending = &pendingRecord{p.Server, p.Trust.Fingerprint, p.Trust.CAFile, p.Key.Bytes(), p.Sent}
		}
		records = append(records, r)
	}
	return json.Marshal(records)
}

// errContent is the error of decode, for what it says may not be shown.
var errContent = errors.New("what is in it cannot be understood: a newer etoken may have written it")

// decode is the inverse of encode.
func decode(text []byte) ([]*token, error) {
	var records []record
	if json.Unmarshal(text, &records) != nil {
		return nil, errContent
	}
	tokens := make([]*token, 0, len(records))
	for i := range records {
		t, err := records[i].token()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func (r *record) token() (*token, error) {
	t := &token{Name: r.Name, Issuer: r.Issuer, User: r.User, Spent: r.Spent, Added: r.Added}
	typ, errType := otp.ParseTokenType(r.Type)
	algorithm, errAlgorithm := oath.ParseAlgorithm(r.Algorithm)
	serial, errSerial := otp.ParseSerial(string(r.Serial))
	t.Token = otp.Token{
		Serial: serial, Type: typ, Algorithm: algorithm, Digits: r.Digits, Period: r.Period, T0: r.T0,
		ValidFrom: r.ValidFrom, ValidUntil: r.ValidUntil, Seed: oath.NewSeed(r.Seed), State: otp.State{Counter: r.Counter},
	}
	if errors.Join(errType, errAlgorithm, errSerial) != nil || !possible(&t.Token) {
		return nil, errContent
	}
	if p := r.Pending; p != nil {
		t.Pending = &pending{Server: p.Server, Trust: trust{p.Fingerprint, p.CAFile}, Key: newSecret(p.Key), Sent: p.Sent}
	}
	return t, nil
}

// possible reports whether codes can be computed.
func possible(t *otp.Token) bool {
	const day = 24 * 60 * 60
	return t.Type != otp.CodeList && t.Digits >= oath.MinDigits && t.Digits <= oath.MaxDigits && !t.Seed.IsZero() &&
		(!t.Type.Clock() || t.Period > 0 && t.Period <= day)
}

// matches reports whether a user means this token.
func (t *token) matches(name string) bool {
	return strings.EqualFold(string(t.Serial), name) || t.Name != "" && strings.EqualFold(t.Name, name)
}
