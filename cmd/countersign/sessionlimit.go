package main

import (
	"fmt"
	"time"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/radiusd"
)

// setLimits makes the bounds of [login] max_sessions and of [[session_limit]].
func (set *ruleset) setLimits(cfg *conf.Config, options exclusions.Options) error {
	set.MaxSessions = cfg.Login.MaxSessions
	if len(cfg.SessionLimits) == 0 {
		return nil
	}
	var err error
	if set.Limits, err = compileSettings(cfg, limitRules(cfg), options); err != nil {
		return err
	}
	for i := range cfg.SessionLimits {
		l := &cfg.SessionLimits[i]
		set.Limit = append(set.Limit, radiusd.SessionLimit{Name: l.Name, PerUser: l.MaxSessions, Total: l.MaxTotal})
	}
	return nil
}

// limitRules are the conditions of [[session_limit]].
func limitRules(cfg *conf.Config) []exclusions.Rule {
	rules := make([]exclusions.Rule, len(cfg.SessionLimits))
	for i := range cfg.SessionLimits {
		l := &cfg.SessionLimits[i]
		rules[i] = exclusions.Rule{Name: l.Name, Criteria: criteria(&l.Criteria)}
	}
	return rules
}

// checkLimits is a conf.Check: it finds what is wrong with values of [[session_limit]].
func checkLimits(cfg *conf.Config, fault func(key, problem, remedy string)) {
	_, faults := exclusions.Compile(limitRules(cfg), ruleOptions(cfg, nil, time.Time{}))
	reportFaults("session_limit", criteriaLists(cfg.SessionLimits, func(l *conf.SessionLimit) *conf.Criteria { return &l.Criteria }), faults, fault)
	for i := range cfg.SessionLimits {
		checkGroups(cfg, fmt.Sprintf("session_limit[%d]", i), &cfg.SessionLimits[i].Criteria, fault)
	}
}
