package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
)

// orders are the configuration's words in those of otp.
var orders = map[conf.Order]otp.Order{
	conf.OrderLocal:        otp.LocalOnly,
	conf.OrderTMS:          otp.TMSOnly,
	conf.OrderLocalThenTMS: otp.LocalThenTMS,
	conf.OrderTMSThenLocal: otp.TMSThenLocal,
}

// setOrders makes the conditions of [[order]] and of tms.user_repository.
func (set *ruleset) setOrders(cfg *conf.Config, options exclusions.Options) error {
	if !cfg.TMS.Exists() {
		return nil
	}
	var err error
	if set.Orders, err = compileSettings(cfg, orderRules(cfg), options); err != nil {
		return err
	}
	for i := range cfg.Orders {
		set.Order = append(set.Order, orders[cfg.Orders[i].Order])
	}
	set.Shadow = cfg.TMS.Shadow
	if rule := repositoryRule(cfg); len(rule) > 0 {
		set.OfTMS, err = compileSettings(cfg, rule, options)
	}
	return err
}

// orderRules are the conditions of [[order]].
func orderRules(cfg *conf.Config) []exclusions.Rule {
	rules := make([]exclusions.Rule, len(cfg.Orders))
	for i := range cfg.Orders {
		o := &cfg.Orders[i]
		rules[i] = exclusions.Rule{Name: cmp.Or(o.Name, fmt.Sprintf("order %d", i+1)), Criteria: criteria(&o.Criteria)}
	}
	return rules
}

// repositoryRule is met by the users of tms.user_repository; there is none when these
// are all. All realms of a directory are the same to a rule.
func repositoryRule(cfg *conf.Config) []exclusions.Rule {
	kind, name := cfg.TMS.Repository()
	criterion := exclusions.Criterion{Kind: exclusions.Realms, Values: []string{name}}
	switch kind {
	case "realm":
	case "group":
		criterion.Kind = exclusions.Groups
	case "directory":
		for i := range cfg.Directories {
			if d := &cfg.Directories[i]; d.Name == name {
				criterion.Values = d.Realms
			}
		}
	default:
		return nil
	}
	return []exclusions.Rule{{Name: "tms.user_repository", Criteria: []exclusions.Criterion{criterion}}}
}

// checkOrders is a conf.Check: it finds what is wrong with values of [[order]] and of
// tms.user_repository.
func checkOrders(cfg *conf.Config, fault func(key, problem, remedy string)) {
	options := ruleOptions(cfg, nil, time.Time{})
	_, faults := exclusions.Compile(orderRules(cfg), options)
	reportFaults("order", criteriaLists(cfg.Orders, func(o *conf.OrderRule) *conf.Criteria { return &o.Criteria }), faults, fault)
	for i := range cfg.Orders {
		checkGroups(cfg, fmt.Sprintf("order[%d]", i), &cfg.Orders[i].Criteria, fault)
	}
	if kind, name := cfg.TMS.Repository(); kind == "realm" && len(cfg.Directories) > 0 && !slices.ContainsFunc(cfg.Directories, func(d conf.Directory) bool {
		return slices.ContainsFunc(d.Realms, func(realm string) bool { return strings.EqualFold(realm, name) })
	}) {
		fault("tms.user_repository", fmt.Sprintf("no [[directory]] has the realm %q, so nobody would belong to the TMS", name), "write a realm that one has in realms")
	}
	_, faults = exclusions.Compile(repositoryRule(cfg), options)
	for _, f := range faults {
		fault("tms.user_repository", f.Problem, f.Remedy)
	}
}
