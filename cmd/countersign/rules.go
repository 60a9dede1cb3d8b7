package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/radiusd/packet"
	"countersign/tms"
	"countersign/tms/directory"
	"countersign/tms/store"
)

// ruleset are the rules at one moment: as the server decides by them, and as
// records, in the same order.
type ruleset struct {
	radiusd.Rules
	records    []tms.Rule
	dictionary *packet.Dictionary
	warnings   []string // of rules that no login meets
}

// rulebook keeps the rules in force. It is the tms.Rulebook.
type rulebook struct {
	parts   *parts
	current atomic.Pointer[ruleset]

	mu  sync.Mutex           // of making the next
	use func(*radiusd.Rules) // has the server use them; nil while there is none
}

// Verify implements tms.Rulebook.
func (b *rulebook) Verify(_ context.Context, r exclusions.Rule) error {
	cfg := b.parts.cfg.Load()
	options := ruleOptions(cfg, b.parts.users, b.parts.clock())
	options.NASes = nasNames(cfg)
	if _, faults := exclusions.Compile([]exclusions.Rule{r}, options); len(faults) > 0 {
		return ruleFaults([]exclusions.Rule{r}, faults)
	}
	if len(cfg.Directories) == 0 && slices.ContainsFunc(r.Criteria, aboutGroups) {
		return fmt.Errorf("rule %q: %s: add one, or leave the groups out", r.Name, noDirectory)
	}
	return unsaid(cfg, &r)
}

// Changed implements tms.Rulebook.
func (b *rulebook) Changed(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	set, err := b.parts.makeRules(ctx, b.parts.cfg.Load())
	if err != nil {
		return err
	}
	b.current.Store(set)
	if b.use != nil {
		b.use(&set.Rules)
	}
	return nil
}

// inForce are the rules in force.
func (b *rulebook) inForce(ctx context.Context) (*ruleset, error) {
	if b.current.Load() == nil {
		if err := b.Changed(ctx); err != nil {
			return nil, err
		}
	}
	return b.current.Load(), nil
}

// take makes a configuration the one in use, and its rules with those of run time
// those in force. adopt is called before anybody else can change either.
func (b *rulebook) take(ctx context.Context, cfg *conf.Config, actor string, adopt func(*ruleset)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.parts.checkRules(ctx, cfg); err != nil { // before anything is changed
		return err
	}
	if err := b.parts.loadRules(ctx, cfg, actor); err != nil {
		return err
	}
	set, err := b.parts.makeRules(ctx, cfg)
	if err != nil {
		return err
	}
	b.parts.cfg.Store(cfg)
	b.current.Store(set)
	adopt(set)
	return nil
}

// warn logs which rules no login meets.
func (b *rulebook) warn(logger *slog.Logger) {
	for _, warning := range b.current.Load().warnings {
		logger.Warn(warning)
	}
}

// loadRules makes the rules of the configuration those of the store.
func (p *parts) loadRules(ctx context.Context, cfg *conf.Config, actor string) error {
	act := tms.Act{At: p.clock(), Actor: actor, Verb: "exclusion.load", Object: "configuration", Detail: fmt.Sprintf("%d rules", len(cfg.Exclusions))}
	err := p.store.SetFileRules(ctx, act, fileRules(cfg))
	if errors.Is(err, tms.ErrExists) {
		return fmt.Errorf("%w: rename the [[exclusion]], or take the other rule away with `countersign exclude remove`", err)
	}
	return err
}

// makeRules makes the ruleset of this moment.
func (p *parts) makeRules(ctx context.Context, cfg *conf.Config) (*ruleset, error) {
	records, revision, err := p.readRules(ctx, 0)
	if err != nil {
		return nil, err
	}
	set, err := newRuleset(cfg, records, ruleOptions(cfg, p.users, p.clock()))
	if err != nil {
		return nil, err
	}
	set.Revision = revision
	return set, nil
}

// newRuleset makes a ruleset of records.
func newRuleset(cfg *conf.Config, records []tms.Rule, options exclusions.Options) (*ruleset, error) {
	set := &ruleset{records: records}
	nases := nasNames(cfg)
	var errs []error
	for i := range records {
		r := &records[i]
		set.Names, set.IDs = append(set.Names, r.Name), append(set.IDs, r.ID)
		if inForce := r.Expires.IsZero() || options.At.Before(r.Expires); inForce {
			warnings, err := outdated(cfg, nases, r)
			set.warnings, errs = append(set.warnings, warnings...), append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	if set.Exclusions, err = compile(records, options); err != nil {
		return nil, err
	}
	if set.dictionary, err = loadDictionary(cfg); err != nil {
		return nil, err
	}
	if err := set.setReplies(cfg, options); err != nil {
		return nil, err
	}
	if err := set.setOrders(cfg, options); err != nil {
		return nil, err
	}
	return set, set.setLimits(cfg, options)
}

// outdated says what Verify would say of a rule that was added when the
// configuration was another one. Only a rule that could let in more logins than
// it was meant for is an error; of one that no login meets it warns.
func outdated(cfg *conf.Config, nases []string, r *tms.Rule) (warnings []string, err error) {
	remedy := fmt.Sprintf("take the rule away with `countersign exclude remove %q` and add it anew", r.Name)
	if r.File { // conf has looked at it, but with a [[directory]] that only a restart takes over
		remedy = "restart the server, which takes over [[directory]] then"
	}
	known := func(nas string) bool { return slices.Contains(nases, nas) }
	for _, c := range r.Criteria {
		switch {
		case c.Kind == exclusions.NASes && c.Not:
			if gone := slices.IndexFunc(c.Values, func(nas string) bool { return !known(nas) }); gone >= 0 {
				return nil, fmt.Errorf("rule %q: not_nases: there is no NAS %q any more, and if it has another name now the rule would apply to it: %s",
					r.Name, c.Values[gone], remedy)
			}
		case c.Kind == exclusions.NASes && !slices.ContainsFunc(c.Values, known):
			warnings = append(warnings, fmt.Sprintf("rule %q: nases: there is no NAS %q any more: no login meets the rule", r.Name, c.Values))
		case c.Kind == exclusions.Groups && c.Not && len(cfg.Directories) == 0:
			return nil, fmt.Errorf("rule %q: not_groups: %s, and without one everybody is in none: %s", r.Name, noDirectory, remedy)
		case c.Kind == exclusions.Groups && len(cfg.Directories) == 0:
			warnings = append(warnings, fmt.Sprintf("rule %q: %s: no login meets the rule", r.Name, noDirectory))
		}
	}
	return warnings, unsaid(cfg, &r.Rule)
}

// checkRules finds out whether the server could use the rules: those of the
// configuration with those that were added at run time. It changes nothing.
func (p *parts) checkRules(ctx context.Context, cfg *conf.Config) error {
	records, _, err := p.readRules(ctx, 0)
	if err != nil {
		return err
	}
	_, err = checkRecords(cfg, records, p.clock())
	return err
}

// checkRecords finds out whether the server could use the rules of the
// configuration together with those of the records that were added at run time.
// It warns of rules that no login meets.
func checkRecords(cfg *conf.Config, records []tms.Rule, at time.Time) (warnings []string, err error) {
	var all []tms.Rule
	taken := map[string]bool{}
	for _, r := range fileRules(cfg) {
		all = append(all, tms.Rule{Exists: true, File: true, Rule: r})
		taken[r.Name] = true
	}
	var errs []error
	for _, r := range records {
		if r.File {
			continue
		}
		if all = append(all, r); taken[r.Name] {
			errs = append(errs, fmt.Errorf("rule %q is in the configuration and was added at run time too: rename the [[exclusion]], or take the other away with `countersign exclude remove %q`", r.Name, r.Name))
		}
	}
	if len(all) > store.MaxRules {
		errs = append(errs, fmt.Errorf("%d rules, %d of them in the configuration: there may be %d; make one of several, or take some away with `countersign exclude remove`",
			len(all), len(cfg.Exclusions), store.MaxRules))
	}
	set, err := newRuleset(cfg, all, ruleOptions(cfg, nil, at)) // whichever directory a name is of, it is no fault
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return set.warnings, nil
}

// readRules reads the rules of a revision from the store; 0 is the present one.
func (p *parts) readRules(ctx context.Context, revision uint64) ([]tms.Rule, uint64, error) {
	var records []tms.Rule
	revision, err := p.store.Rules(ctx, revision, func(r *tms.Rule) error {
		records = append(records, *r)
		return nil
	})
	return records, revision, err
}

// compileRules reads the rules of a revision from the store, and makes of them
// what was in force at an instant.
func (p *parts) compileRules(ctx context.Context, revision uint64, at time.Time) ([]tms.Rule, uint64, *exclusions.List, error) {
	records, revision, err := p.readRules(ctx, revision)
	if err != nil {
		return nil, 0, nil, err
	}
	list, err := compile(records, ruleOptions(p.cfg.Load(), p.users, at))
	return records, revision, list, err
}

func compile(records []tms.Rule, options exclusions.Options) (*exclusions.List, error) {
	rules := make([]exclusions.Rule, len(records))
	for i := range records {
		rules[i] = records[i].Rule
	}
	list, faults := exclusions.Compile(rules, options)
	if len(faults) > 0 {
		return nil, ruleFaults(rules, faults)
	}
	return list, nil
}

// setReplies makes the conditions of [[reply]].
func (set *ruleset) setReplies(cfg *conf.Config, options exclusions.Options) error {
	var err error
	if set.Replies, err = compileSettings(cfg, replyRules(cfg), options); err != nil {
		return err
	}
	for i := range cfg.Replies {
		var encoded []byte
		for _, a := range cfg.Replies[i].Attributes {
			for _, value := range a.Values {
				attribute, err := set.dictionary.Encode(a.Name, value)
				if err != nil {
					return err
				}
				encoded = append(encoded, attribute...)
			}
		}
		set.Attributes = append(set.Attributes, encoded)
	}
	return nil
}

// compileSettings compiles rules that the configuration has, but for the directories of
// which the running server may have others.
func compileSettings(cfg *conf.Config, rules []exclusions.Rule, options exclusions.Options) (*exclusions.List, error) {
	for i := range rules {
		if len(cfg.Directories) == 0 && slices.ContainsFunc(rules[i].Criteria, aboutGroups) {
			return nil, fmt.Errorf("%s: %s: restart the server, which takes over [[directory]] then", rules[i].Name, noDirectory)
		}
	}
	list, faults := exclusions.Compile(rules, options)
	if len(faults) > 0 {
		return nil, ruleFaults(rules, faults)
	}
	return list, nil
}

// unsaid is the error for a rule that applies to a NAS which does not say what an
// excluded login gets.
func unsaid(cfg *conf.Config, r *exclusions.Rule) error {
	var nases, notNASes []string
	for _, c := range r.Criteria {
		switch {
		case c.Kind == exclusions.NASes && c.Not:
			notNASes = append(notNASes, c.Values...)
		case c.Kind == exclusions.NASes:
			nases = append(nases, c.Values...)
		}
	}
	if silent := cfg.NASesWithoutExcluded(nases, notNASes); len(silent) > 0 {
		return fmt.Errorf("rule %q applies to the NAS %q, which does not say what an excluded login gets: write excluded = \"accept\" (the gateway checks the directory password itself) or excluded = \"directory-password\" into its [[nas]], or name other NASes in the rule", r.Name, silent[0])
	}
	return nil
}

// ruleOptions say how rules are read. Users and realms become what identities
// have; users is nil when there is no directory. Windows without a time zone are
// in that of this machine.
func ruleOptions(cfg *conf.Config, users *directory.Repository, at time.Time) exclusions.Options {
	foldRealm := func(realm string) (string, bool) {
		folded, ok := foldUser(realm)
		return users.CanonicalRealm(folded), ok
	}
	return exclusions.Options{
		FoldUser: foldUser, CanonicalUser: canonicalName(cfg, users), FoldRealm: foldRealm, FoldGroup: directory.FoldGroup,
		Location: time.Local, At: at,
	}
}

// canonicalName makes of a folded name the one by which a user is kept.
func canonicalName(cfg *conf.Config, users *directory.Repository) func(string) string {
	if users != nil {
		return users.CanonicalName
	}
	return func(name string) string { return withoutRealm(cfg, name) }
}

// foldUser brings a user name into its canonical form.
func foldUser(name string) (string, bool) {
	folded, err := otp.ParseUserName(name)
	return string(folded), err == nil
}

func nasNames(cfg *conf.Config) []string {
	names := make([]string, len(cfg.NAS))
	for i := range cfg.NAS {
		names[i] = cfg.NAS[i].Name
	}
	return names
}

// fileRules are the [[exclusion]] of the configuration.
func fileRules(cfg *conf.Config) []exclusions.Rule {
	rules := make([]exclusions.Rule, len(cfg.Exclusions))
	for i := range cfg.Exclusions {
		e := &cfg.Exclusions[i]
		rules[i] = exclusions.Rule{Name: e.Name, Owner: e.Owner, Reason: e.Reason, Expires: e.Expires, Criteria: criteria(&e.Criteria)}
	}
	return rules
}

// replyRules are the conditions of [[reply]]. One without criteria is met by
// every login: each is at some time.
func replyRules(cfg *conf.Config) []exclusions.Rule {
	rules := make([]exclusions.Rule, len(cfg.Replies))
	for i := range cfg.Replies {
		r := &cfg.Replies[i]
		rules[i] = exclusions.Rule{Name: cmp.Or(r.Name, fmt.Sprintf("reply %d", i+1)), Criteria: criteria(&r.Criteria)}
		if len(rules[i].Criteria) == 0 {
			rules[i].Criteria = []exclusions.Criterion{{Kind: exclusions.Times, Values: []string{"00:00-24:00"}}}
		}
	}
	return rules
}

func criteria(c *conf.Criteria) []exclusions.Criterion {
	var all []exclusions.Criterion
	for _, one := range c.List() {
		kind, err := exclusions.ParseKind(one.Kind)
		if err != nil {
			panic(err) // conf has no other words; TestEveryCriterionIsKnown
		}
		all = append(all, exclusions.Criterion{Kind: kind, Not: one.Not, Values: one.Values})
	}
	return all
}

// ruleFaults is the error of faults in rules.
func ruleFaults(rules []exclusions.Rule, faults []exclusions.Fault) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = fmt.Errorf("rule %q: %s%s; %s", rules[f.Rule].Name, faultPlace(&rules[f.Rule], f), f.Problem, f.Remedy)
	}
	return errors.Join(errs...)
}

// faultPlace names the criterion of a fault.
func faultPlace(r *exclusions.Rule, f exclusions.Fault) string {
	if f.Criterion < 0 {
		return ""
	}
	c := r.Criteria[f.Criterion]
	if c.Not {
		return "not_" + c.Kind.String() + ": "
	}
	return c.Kind.String() + ": "
}

// checkRules is a conf.Check: it finds what is wrong with values of rules and
// attributes of replies.
func checkRules(cfg *conf.Config, fault func(key, problem, remedy string)) {
	options := ruleOptions(cfg, nil, time.Time{}) // whichever directory a name is of, it is no fault
	_, faults := exclusions.Compile(fileRules(cfg), options)
	reportFaults("exclusion", criteriaLists(cfg.Exclusions, func(e *conf.Exclusion) *conf.Criteria { return &e.Criteria }), faults, fault)
	_, faults = exclusions.Compile(replyRules(cfg), options)
	reportFaults("reply", criteriaLists(cfg.Replies, func(r *conf.Reply) *conf.Criteria { return &r.Criteria }), faults, fault)
	for i := range cfg.Exclusions {
		checkGroups(cfg, fmt.Sprintf("exclusion[%d]", i), &cfg.Exclusions[i].Criteria, fault)
	}
	for i := range cfg.Replies {
		checkGroups(cfg, fmt.Sprintf("reply[%d]", i), &cfg.Replies[i].Criteria, fault)
	}
	if n := len(cfg.Exclusions); n > store.MaxRules {
		fault(fmt.Sprintf("exclusion[%d]", store.MaxRules), fmt.Sprintf("there are %d exclusions, and there may be %d", n, store.MaxRules),
			"make one of several: a criterion may have many values")
	}
	checkReplies(cfg, fault)
}

// reportFaults tells conf.Check of faults in the rules of an array of tables, whose
// criteria are in lists.
func reportFaults(table string, lists [][]conf.Criterion, faults []exclusions.Fault, fault func(key, problem, remedy string)) {
	for _, f := range faults {
		key := fmt.Sprintf("%s[%d]", table, f.Rule)
		if list := lists[f.Rule]; f.Criterion >= 0 && f.Criterion < len(list) {
			key += "." + list[f.Criterion].Key()
			if f.Value >= 0 {
				key += fmt.Sprintf("[%d]", f.Value)
			}
		}
		fault(key, f.Problem, f.Remedy)
	}
}

// checkGroups finds rules about groups that nobody knows.
func checkGroups(cfg *conf.Config, table string, c *conf.Criteria, fault func(key, problem, remedy string)) {
	for _, one := range c.List() {
		if one.Kind == exclusions.Groups.String() && len(cfg.Directories) == 0 {
			fault(table+"."+one.Key(), noDirectory, "add a [[directory]], or leave the groups out")
		}
	}
}

func aboutGroups(c exclusions.Criterion) bool { return c.Kind == exclusions.Groups }

const noDirectory = "there is no [[directory]] that knows groups"

func criteriaLists[T any](rules []T, criteria func(*T) *conf.Criteria) [][]conf.Criterion {
	lists := make([][]conf.Criterion, len(rules))
	for i := range rules {
		lists[i] = criteria(&rules[i]).List()
	}
	return lists
}

// replyLines are the attributes that a login gets with an Access-Accept, for
// people; doubt: there may be more, which depends on groups that are unknown.
func (set *ruleset) replyLines(login *exclusions.Login) (lines []string, doubt bool) {
	matches, doubt := set.Replies.Matches(nil, login)
	for _, i := range matches {
		lines = append(lines, set.dictionary.Format(set.Attributes[i])...)
	}
	return slices.Clip(lines), doubt
}
