package tables

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"countersign/tms"
)

// Rules implements tms.Store. Rows of rules stay, so a listing sees one revision
// from its first page to its last, whatever changes meanwhile; only the uses go
// on. A revision that is still to come wraps ErrNotFound.
func (s *Tables) Rules(ctx context.Context, revision uint64, each func(*tms.Rule) error) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	revision, ids, err := s.readRevision(revision)
	if err != nil {
		return 0, fmt.Errorf("listing the rules: %w", err)
	}
	return revision, list(ctx, 0, func() ([]tms.Rule, error) {
		page := ids[:min(ListPage, len(ids))]
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
func (s *Tables) readRevision(wanted uint64) (revision uint64, ids []int64, err error) {
	err = s.engine.Read(func(c Conn) error {
		present, err := c.Number(s.dialect.ReadNumber, MetaRevision)
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
		err = c.Query(selectAdded, func(r Row) error { ids = append(ids, r.Integer(0)); return nil }, number, number, number)
		slices.Sort(ids[files:])
		return err
	})
	return revision, ids, err
}

// selectAdded finds the rules of a revision that were added at run time, in two
// ranges of index rule_added: what is still there, and what has gone since.
const selectAdded = `SELECT id FROM rule WHERE file = 0 AND to_rev IS NULL AND from_rev <= ? UNION ALL
	SELECT id FROM rule WHERE file = 0 AND to_rev > ? AND from_rev <= ?`

// selectRules reads a page of rules.
var selectRules = selectRule + "WHERE r.id IN " + Placeholders(ListPage, 1)

// readRules reads a page of rules.
func (s *Tables) readRules(ids []int64) ([]tms.Rule, error) {
	uses := s.config.Uses
	if uses == nil {
		return s.readRuleRows(ids)
	}
	for {
		generation := uses.Generation()
		rules, err := s.readRuleRows(ids)
		if err != nil || uses.UpdateUses(rules, generation) {
			return rules, err
		}
	}
}

func (s *Tables) readRuleRows(ids []int64) ([]tms.Rule, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args, place := make([]driver.Value, ListPage), make(map[int64]int, len(ids))
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)] // the last one fills what is left
	}
	for i, id := range ids {
		place[id] = i
	}
	rules := make([]tms.Rule, len(ids))
	err := s.engine.Read(func(c Conn) error {
		return c.Query(selectRules, func(v Row) error {
			var r ruleRecord
			err := r.read(v)
			rules[place[v.Integer(0)]] = r.Rule
			return err
		}, args...)
	})
	for i := range rules {
		if err == nil && !rules[i].Exists {
			err = fmt.Errorf("rule number %d is missing", ids[i])
		}
	}
	return rules, err
}
