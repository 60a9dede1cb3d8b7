package embedded

import (
	"context"
	"fmt"
	"slices"

	"countersign/tms"
)

// Rules implements tms.Store. Rows of rules stay, so a listing sees one revision
// from its first page to its last, whatever changes meanwhile; only the uses go
// on. A revision that is still to come wraps ErrNotFound.
func (s *Store) Rules(ctx context.Context, revision uint64, each func(*tms.Rule) error) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	revision, ids, err := s.readRevision(revision)
	if err != nil {
		return 0, fmt.Errorf("listing the rules: %w", err)
	}
	return revision, list(ctx, 0, func() ([]tms.Rule, error) {
		page := ids[:min(listPage, len(ids))]
		ids = ids[len(page):]
		rules, err := s.readRules(page)
		if err != nil {
			return nil, fmt.Errorf("listing the rules of revision %d: %w", revision, err)
		}
		return rules, nil
	}, each)
}

// readRevision returns the number of a revision, 0 being the present one, and the
// ids of its rules in their order.
func (s *Store) readRevision(wanted uint64) (revision uint64, ids []int64, err error) {
	err = s.read(func(c *conn) error {
		present, err := c.number(readMeta, metaRevision)
		if err != nil {
			return err
		}
		if wanted > uint64(present) {
			return fmt.Errorf("revision %d: %w: the present one is %d", wanted, tms.ErrNotFound, present)
		}
		number := present
		if wanted > 0 {
			number = int64(wanted)
		}
		revision = uint64(number)
		if ids, err = readOrder(c, number); err != nil {
			return err
		}
		files := len(ids)
		err = c.query(selectAdded, func(r row) error { ids = append(ids, r.integer(0)); return nil }, number, number, number)
		slices.Sort(ids[files:])
		return err
	})
	return revision, ids, err
}

// selectAdded finds the rules of a revision that were added at run time, in two
// ranges of index rule_added: what is still there, and what has gone since.
const selectAdded = `SELECT id FROM rule WHERE file = 0 AND to_rev IS NULL AND from_rev <= ? UNION ALL
	SELECT id FROM rule WHERE file = 0 AND to_rev > ? AND from_rev <= ?`

// readRules reads a page of rules.
func (s *Store) readRules(ids []int64) ([]tms.Rule, error) {
	for {
		generation := s.uses.generation()
		rules := make([]tms.Rule, 0, len(ids))
		err := s.read(func(c *conn) error {
			for _, id := range ids {
				var r ruleRecord
				if err := c.query(selectRule+"WHERE r.id = ?", r.read, id); err != nil {
					return err
				}
				if !r.Exists {
					return fmt.Errorf("rule number %d is missing", id)
				}
				rules = append(rules, r.Rule)
			}
			return nil
		})
		if err != nil || s.uses.update(rules, generation) {
			return rules, err
		}
	}
}
