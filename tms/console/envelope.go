package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// envelope is a request on the wire. Secrets stand beside the request and not
// in it, because their types print [redacted], also as JSON.
type envelope struct {
	Request json.RawMessage `json:"request"`
	PIN     []byte          `json:"pin,omitempty"`
	Seed    []byte          `json:"seed,omitempty"`
}

// The requests of the verbs whose act takes no record of tms.
type (
	nameRequest   struct{ Name string }
	serialRequest struct{ Serial string }
	assignRequest struct{ Serial, User string }
	listRequest   struct {
		User, Serial, Source string
		Limit                int
		// Of event.list: only logins that TMS and own tokens did not agree about; the name of
		// a NAS, a verdict, the event to go on after, and a time.
		Differing            bool
		NAS, Verdict, Before string
		From, To             time.Time
	}
	reportRequest struct{ Within time.Duration }
	// explainRequest is an Event that was, or a login that was not.
	explainRequest struct {
		Event string
		tms.ExplainRequest
	}
)

// message is one line of an answer.
type message struct {
	Item     json.RawMessage `json:"item,omitempty"`
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *wireError      `json:"error,omitempty"`
}

// Progress is how far a long act is. Total is 0 while it is not known.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// wireError is an error on the wire; kind says which sentinel it wraps.
type wireError struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// kinds is the one ladder from errors to words.
var kinds = []struct {
	kind     string
	sentinel error
}{
	{"not_found", tms.ErrNotFound},
	{"exists", tms.ErrExists},
	{"forbidden", tms.ErrForbidden},
	{"invalid", tms.ErrInvalid},
}

func toWire(err error) *wireError {
	for _, k := range kinds {
		if errors.Is(err, k.sentinel) {
			return &wireError{k.kind, err.Error()}
		}
	}
	return &wireError{"failed", err.Error()}
}

// remoteError has the text of the server's error and wraps its sentinel.
type remoteError struct {
	text     string
	sentinel error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.sentinel }

func fromWire(w *wireError) error {
	for _, k := range kinds {
		if k.kind == w.Kind {
			return &remoteError{w.Text, k.sentinel}
		}
	}
	return errors.New(w.Text)
}

// filter turns what was asked for into a Filter.
func (r listRequest) filter() (tms.Filter, error) {
	f := tms.Filter{Limit: r.Limit, Source: r.Source, Differing: r.Differing, NAS: r.NAS, From: r.From, To: r.To}
	if f.Limit < 0 {
		return f, fmt.Errorf("%w: limit %d: must not be negative; 0 is all", tms.ErrInvalid, f.Limit)
	}
	var err error
	if r.User != "" {
		if f.User, err = otp.ParseUserName(r.User); err != nil {
			return f, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
		}
	}
	if r.Serial != "" {
		if f.Serial, err = otp.ParseSerial(r.Serial); err != nil {
			return f, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
		}
	}
	if r.Before != "" {
		if f.Before, err = otp.ParseEventID(r.Before); err != nil {
			return f, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
		}
	}
	f.Verdict, err = readVerdict(r.Verdict)
	return f, err
}

// readVerdict reads a verdict to choose by; "" is any.
func readVerdict(word string) (otp.Verdict, error) {
	if word == "" {
		return otp.Undecided, nil
	}
	v, err := otp.ParseVerdict(word)
	if err == nil && v == otp.Undecided {
		err = errors.New("verdict undecided: cannot be chosen")
	}
	if err != nil {
		return v, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
	}
	return v, nil
}

// verdictWord is the inverse of readVerdict.
func verdictWord(v otp.Verdict) string {
	if v == otp.Undecided {
		return ""
	}
	return v.String()
}

func (e *envelope) pin() otp.PIN    { return otp.NewPIN(e.PIN) }
func (e *envelope) seed() oath.Seed { return oath.NewSeed(e.Seed) }
