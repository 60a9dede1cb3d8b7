package tables

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/store"
)

const (
	maxRuleName = 255     // bytes
	maxRuleText = 1 << 20 // bytes of a rule in JSON
)

// ruleRecord is a rule as an administrator changes it.
type ruleRecord struct {
	text string // as the table has it
	tms.Rule
}

// ChangeRule implements tms.Store. The function change must not block, nor call
// the store.
func (s *Tables) ChangeRule(ctx context.Context, name string, act tms.Act, change func(*tms.Rule) error) error {
	return s.change(ctx, func(w Conn) error {
		before, err := s.readRule(w, name)
		if err != nil {
			return fmt.Errorf("reading rule %q: %w", name, err)
		}
		if before.File {
			return fmt.Errorf("rule %q %w in the configuration: change it there", name, tms.ErrExists)
		}
		after := before.Rule
		if err := change(&after); err != nil {
			return err
		}
		after.Name = name
		if !after.Exists && !before.Exists {
			return nil
		}
		text := ""
		if after.Exists {
			if text, err = s.encodeChanged(w, before, &after); err != nil {
				return err
			}
		}
		return s.engine.Transaction(w, func(w Conn) error {
			if err := s.writeRule(w, before, text, &act); err != nil {
				return fmt.Errorf("writing rule %q: %w", name, err)
			}
			return s.writeAct(w, &act, nil)
		})
	})
}

const selectRule = `SELECT r.id, r.file, r.added, r.actor, r.text, u.count, u.last
	FROM rule r LEFT JOIN rule_use u ON u.id = r.id `

// read takes a row of selectRule.
func (r *ruleRecord) read(v Row) error {
	r.text = v.Text(4)
	r.Rule = tms.Rule{
		Exists: true, ID: uint64(v.Integer(0)), File: v.Integer(1) != 0, Added: time.Unix(v.Integer(2), 0), By: v.Text(3),
	}
	if v[5] != nil {
		r.Use = tms.RuleUse{Count: uint64(v.Integer(5)), Last: time.Unix(v.Integer(6), 0)}
	}
	if err := json.Unmarshal([]byte(r.text), &r.Rule.Rule); err != nil {
		return fmt.Errorf("rule number %d is damaged: %w", r.ID, err)
	}
	return nil
}

// readRule reads a rule for a change; of one that does not exist only the name is
// set.
func (s *Tables) readRule(w Conn, name string) (*ruleRecord, error) {
	r := &ruleRecord{Rule: tms.Rule{Rule: exclusions.Rule{Name: name}}}
	if !ruleName(name) {
		return r, nil // there is none
	}
	err := w.Query(selectRule+"WHERE r.name = ? AND r.to_rev IS NULL", r.read, name)
	if err != nil || s.config.Uses == nil {
		return r, err
	}
	read := []tms.Rule{r.Rule}
	s.config.Uses.UpdateUses(read, s.config.Uses.Generation()) // nothing moves within Do
	r.Rule = read[0]
	return r, nil
}

// ruleName reports whether a rule can have this name.
func ruleName(name string) bool {
	return len(name) > 0 && len(name) <= maxRuleName && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}

// encodeRule is a rule as the table has it.
func encodeRule(r *exclusions.Rule) (string, error) {
	if !ruleName(r.Name) {
		return "", invalid("rule name of %d bytes: must be 1 to %d bytes of UTF-8, none of them zero", len(r.Name), maxRuleName)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", invalid("rule %q: %w", r.Name, err)
	}
	if len(text) > maxRuleText {
		return "", invalid("rule %q has %d bytes: make several of it, with no more than %d each", r.Name, len(text), maxRuleText)
	}
	return string(text), nil
}

// encodeChanged encodes what became of a rule, and sees that there is room for a
// new one.
func (s *Tables) encodeChanged(w Conn, before *ruleRecord, after *tms.Rule) (string, error) {
	if !before.Exists {
		count, err := w.Number("SELECT count(*) FROM rule WHERE to_rev IS NULL")
		if err != nil {
			return "", err
		}
		if count >= store.MaxRules {
			return "", tooMany(int(count) + 1)
		}
	}
	return encodeRule(&after.Rule)
}

func tooMany(rules int) error {
	return invalid("%d rules: there may be %d, those of the configuration among them", rules, store.MaxRules)
}

// writeRule writes what became of a rule, "" when it is removed.
func (s *Tables) writeRule(w Conn, before *ruleRecord, text string, act *tms.Act) error {
	if text == before.text {
		return nil
	}
	revision, err := s.newRevision(w)
	if err != nil {
		return err
	}
	s.engine.Grew(rulePages + len(text)/pageSize)
	if before.Exists {
		if err := w.Exec(closeRule, revision, int64(before.ID)); err != nil {
			return err
		}
	}
	if text == "" {
		return nil
	}
	id, err := s.newIDs(w, MetaRules, 1)
	if err != nil {
		return err
	}
	return w.Exec(insertRules(1), appendRule(nil, id, false, before.Name, text, revision, act)...)
}

// pageSize is how large a page is.
const pageSize = 4096

// rulePages is about how many pages change with a rule: table, indexes and meta.
const rulePages = 4

const closeRule = "UPDATE rule SET to_rev = ? WHERE id = ?"

const ruleColumns = 7

// insertRules adds so many rules: the columns of appendRule each.
func insertRules(rows int) string {
	return "INSERT INTO rule (id, name, file, from_rev, added, actor, text) VALUES " + Placeholders(ruleColumns, rows)
}

// appendRule appends the columns of insertRules.
func appendRule(args []driver.Value, id int64, file bool, name, text string, revision int64, act *tms.Act) []driver.Value {
	return append(args, id, name, asNumber(file), revision, act.At.Unix(), act.Actor, text)
}

// newRevision begins the next revision of the rules.
func (s *Tables) newRevision(w Conn) (int64, error) { return s.newIDs(w, MetaRevision, 1) }
