package tms

import (
	"context"
	"errors"
	"iter"

	"countersign/otp"
)

// TokenExport says which tokens are written into a seed file, and how.
type TokenExport struct {
	Format string       `json:"format"` // for the audit record
	User   otp.UserName `json:"user"`   // only theirs; "" all
}

// ExportTokens gives out tokens with their seeds, by serial, for a seed file. Lists of
// codes are left out, and tokens that are disabled or lost, which a seed file cannot
// say: where it is imported they would be good again. Whoever gets the seeds has the
// tokens: they must leave the process encrypted only.
func (s *Service) ExportTokens(ctx context.Context, c Caller, e TokenExport) (iter.Seq2[*Token, error], error) {
	detail := "format=" + e.Format
	if e.User != "" {
		detail += " user=" + string(e.User)
	}
	act, err := s.gate(c, "token.export", "", detail)
	if err != nil {
		return nil, err
	}
	f, err := s.meant(ctx, c, Filter{User: e.User})
	if err != nil {
		return nil, err
	}
	if err := s.Store.Record(ctx, act); err != nil {
		return nil, err
	}
	return func(yield func(*Token, error) bool) {
		err := s.Store.Tokens(ctx, f, func(t *Token) error {
			if t.Type != otp.CodeList && !t.Disabled && !yield(t, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}, nil
}
