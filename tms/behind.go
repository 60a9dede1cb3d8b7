package tms

import (
	"context"
	"fmt"
	"time"
)

// BehindView is how it stands with the TMS behind a running server.
type BehindView struct {
	Address string    `json:"address"` // the URL of the OTP service; "" when it is RADIUS servers
	State   string    `json:"state"`   // of the circuit breaker: closed, open or half-open
	Since   time.Time `json:"since"`
	// LastError is the last one, which may be of long ago; "" when there was none.
	LastError string       `json:"last_error,omitempty"`
	Servers   []BehindPeer `json:"servers,omitempty"` // the RADIUS servers, in their order
	Doubts    []Doubt      `json:"doubts,omitempty"`  // by user
}

// BehindPeer is a RADIUS server behind this one.
type BehindPeer struct {
	Address string    `json:"address"`
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`
}

// Doubt is a user of whose last login at the TMS nothing was learned though a
// token here shows the code.
type Doubt struct {
	User    string    `json:"user"`
	At      time.Time `json:"at"`
	Why     string    `json:"why"`
	Serials []string  `json:"serials"` // of the tokens that show the code
}

// Behind knows the TMS of a running server.
type Behind interface {
	Behind() BehindView
}

// BehindState tells how it stands with the TMS. The error wraps ErrNotFound where no
// server with a TMS runs.
func (s *Service) BehindState(_ context.Context, c Caller) (BehindView, error) {
	if _, err := s.gate(c, "tms.state", "", ""); err != nil {
		return BehindView{}, err
	}
	if s.Behind == nil {
		return BehindView{}, fmt.Errorf("no server with a TMS runs: %w: start it, or add [tms] to the configuration and restart it", ErrNotFound)
	}
	return s.Behind.Behind(), nil
}
