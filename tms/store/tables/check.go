package tables

import (
	"context"
	"fmt"

	"countersign/tms"
	"countersign/tms/audit"
)

// CheckRows reads the whole store: that everything sealed opens, that every rule parses, and
// that the chain of the journal is whole and signed by the key that signs it. The error names
// the first fault.
func (s *Tables) CheckRows(ctx context.Context) error {
	if err := s.checkRules(ctx); err != nil {
		return err
	}
	if err := s.Users(ctx, tms.Filter{}, func(*tms.User) error { return nil }); err != nil {
		return err
	}
	if err := s.Tokens(ctx, tms.Filter{}, func(*tms.Token) error { return nil }); err != nil {
		return err
	}
	if err := s.checkEnrolment(ctx); err != nil {
		return err
	}
	return s.checkChain(ctx)
}

// checkRules reads the rules of all revisions.
func (s *Tables) checkRules(ctx context.Context) error {
	last := int64(0)
	for rows := ListPage; rows == ListPage; {
		rows = 0
		err := s.engine.Read(func(c Conn) error {
			return c.Query(selectRule+"WHERE r.id > ? ORDER BY r.id LIMIT ?", func(v Row) error {
				rows, last = rows+1, v.Integer(0)
				return new(ruleRecord).read(v)
			}, last, int64(ListPage))
		})
		if err != nil {
			return err
		}
	}
	_, err := s.Rules(ctx, 0, func(*tms.Rule) error { return nil })
	return err
}

// checkChain verifies the journal by the key that signs it.
func (s *Tables) checkChain(ctx context.Context) error {
	report, err := audit.Verify(ctx, s, audit.VerifyOptions{Key: s.signer.public})
	if err == nil && !report.OK() {
		err = fmt.Errorf("the journal: %s", report.Faults[0].Text)
	}
	return err
}
