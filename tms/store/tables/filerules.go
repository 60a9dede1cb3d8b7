package tables

import (
	"context"
	"encoding/json"
	"fmt"

	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/store"
)

// SetFileRules implements tms.Store. Logins wait some milliseconds for each
// thousand rules that changed; where none has, for nothing.
func (s *Tables) SetFileRules(ctx context.Context, act tms.Act, rules []exclusions.Rule) error {
	if err := s.engine.Ready(); err != nil {
		return err
	}
	wanted, err := encodeRules(rules)
	if err != nil {
		return err
	}
	var present *presentRules
	err = s.engine.Read(func(c Conn) (err error) { // no login waits for this, and mostly it is all
		present, err = s.readPresentRules(c)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the rules: %w", err)
	}
	if present.same(wanted) {
		return ctx.Err()
	}
	return s.change(ctx, func(w Conn) error { return s.setFileRules(w, present, wanted, &act) })
}

// namedRule is a rule as the table has it.
type namedRule struct{ name, text string }

// encodeRules encodes the rules of the configuration. No two may have one name.
func encodeRules(rules []exclusions.Rule) ([]namedRule, error) {
	encoded := make([]namedRule, len(rules))
	names := make(map[string]bool, len(rules))
	for i := range rules {
		name := rules[i].Name
		if names[name] {
			return nil, invalid("rule %q is there twice: give one of them another name", name)
		}
		names[name] = true
		text, err := encodeRule(&rules[i])
		if err != nil {
			return nil, err
		}
		encoded[i] = namedRule{name, text}
	}
	return encoded, nil
}

// presentRules are the rules of the present revision. When it is still that
// revision after they were read they are all of it.
type presentRules struct {
	revision int64
	order    []int64 // ids of those of the configuration
	byName   map[string]presentRule
}

type presentRule struct {
	id   int64
	file bool
	text string // of those of the configuration
}

func (s *Tables) readPresentRules(c Conn) (*presentRules, error) {
	revision, err := c.Number(s.dialect.ReadNumber, MetaRevision)
	if err != nil {
		return nil, err
	}
	p := &presentRules{revision: revision, byName: map[string]presentRule{}}
	err = c.Query("SELECT id, name, file, CASE WHEN file <> 0 THEN text ELSE '' END FROM rule WHERE to_rev IS NULL", func(r Row) error {
		p.byName[r.Text(1)] = presentRule{r.Integer(0), r.Integer(2) != 0, r.Text(3)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.order, err = readOrder(c, revision)
	return p, err
}

// readOrder returns the ids of the rules of the configuration in a revision.
func readOrder(c Conn, revision int64) (ids []int64, err error) {
	err = c.Query("SELECT ids FROM rule_order WHERE rev <= ? ORDER BY rev DESC LIMIT 1", func(r Row) error {
		return json.Unmarshal([]byte(r.Text(0)), &ids)
	}, revision)
	return ids, err
}

// same reports whether these are the rules of the configuration already.
func (p *presentRules) same(wanted []namedRule) bool {
	if len(wanted) != len(p.order) {
		return false
	}
	for i, id := range p.order {
		if has := p.byName[wanted[i].name]; has.id != id || has.text != wanted[i].text {
			return false
		}
	}
	return true
}

// admits reports why these cannot be the rules of the configuration.
func (p *presentRules) admits(wanted []namedRule) error {
	for _, rule := range wanted {
		if has, there := p.byName[rule.name]; there && !has.file {
			return fmt.Errorf("rule %q %w among those added at run time: remove it there, or give the one in the configuration another name",
				rule.name, tms.ErrExists)
		}
	}
	if all := len(p.byName) - len(p.order) + len(wanted); all > store.MaxRules {
		return tooMany(all)
	}
	return nil
}

// setFileRules makes these the rules of the configuration. The present rules were
// read before, and are read again if they have changed since.
func (s *Tables) setFileRules(w Conn, present *presentRules, wanted []namedRule, act *tms.Act) error {
	revision, err := w.Number(s.dialect.ReadNumber, MetaRevision)
	if err == nil && revision != present.revision {
		present, err = s.readPresentRules(w)
	}
	if err != nil {
		return fmt.Errorf("reading the rules: %w", err)
	}
	if present.same(wanted) {
		return nil
	}
	if err := present.admits(wanted); err != nil {
		return err
	}
	return s.engine.Transaction(w, func(w Conn) error {
		if err := s.replaceFileRules(w, present, wanted, act); err != nil {
			return fmt.Errorf("writing the rules of the configuration: %w", err)
		}
		return s.writeAct(w, act, nil)
	})
}

// replaceFileRules makes a revision with these rules of the configuration. Those
// that have not changed keep their rows.
func (s *Tables) replaceFileRules(w Conn, present *presentRules, wanted []namedRule, act *tms.Act) error {
	revision, err := s.newRevision(w)
	if err != nil {
		return err
	}
	order, missing := present.keep(wanted)
	kept := make(map[int64]bool, len(order))
	for _, id := range order {
		kept[id] = true
	}
	for _, id := range present.order {
		if kept[id] {
			continue
		}
		if err := w.Exec(closeRule, revision, id); err != nil {
			return err
		}
	}
	if err := s.addFileRules(w, wanted, missing, order, revision, act); err != nil {
		return err
	}
	return s.writeOrder(w, revision, order)
}

// keep returns the ids that these rules have already, 0 for those that are
// missing, and the indices of the missing.
func (p *presentRules) keep(wanted []namedRule) (order []int64, missing []int) {
	order = make([]int64, len(wanted))
	for i, rule := range wanted {
		if has := p.byName[rule.name]; has.text == rule.text {
			order[i] = has.id
		} else {
			missing = append(missing, i)
		}
	}
	return order, missing
}

// addFileRules writes the missing rules and puts their ids into the order.
func (s *Tables) addFileRules(w Conn, wanted []namedRule, missing []int, order []int64, revision int64, act *tms.Act) error {
	first, err := s.newIDs(w, MetaRules, len(missing))
	if err != nil {
		return err
	}
	bytes := 0
	in := NewInserter(w, insertRules, ruleColumns)
	for n, i := range missing {
		order[i] = first + int64(n)
		bytes += len(wanted[i].text)
		if err := in.Add(appendRule(in.Args, order[i], true, wanted[i].name, wanted[i].text, revision, act)); err != nil {
			return err
		}
	}
	s.engine.Grew(rulePages + 2*bytes/pageSize)
	return in.Flush()
}

func (s *Tables) writeOrder(w Conn, revision int64, order []int64) error {
	ids, err := json.Marshal(order)
	if err != nil {
		return err
	}
	s.engine.Grew(1 + len(ids)/pageSize)
	return w.Exec("INSERT INTO rule_order (rev, ids) VALUES (?, ?)", revision, string(ids))
}
