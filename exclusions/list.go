package exclusions

import (
	"time"
)

// List is a compiled list of rules. It does not change and may be used by many
// goroutines. A nil List has no rules.
type List struct {
	rules    []rule
	at       time.Time
	zone     *time.Location
	index    *index     // of all rules that are live
	doubtful *index     // of those of them that index has under a group
	named    groupTable // the groups that live rules name; its buckets are empty
}

// rule is a Rule ready to be judged.
type rule struct {
	index    int32
	expires  time.Time // zero: never
	live     bool      // it was not expired when the list was made
	criteria []criterion
}

// expired reports whether a rule that expires then, or never, has done so.
func expired(expires, at time.Time) bool { return !expires.IsZero() && !at.Before(expires) }

// Options say how rules are read.
type Options struct {
	// FoldUser, FoldRealm and FoldGroup bring a user name, a realm, and a DN or name
	// of a group into the form of Identity; false says that it is none. Lower case
	// when nil.
	FoldUser, FoldRealm, FoldGroup func(string) (string, bool)
	// CanonicalUser is another name for who has a folded user name: the canonical
	// one, as far as the name alone tells it. Both count; nil: there is no other.
	CanonicalUser func(string) string
	// Location is the time zone of windows that name none: UTC when nil.
	Location *time.Location
	// At is the instant from which the list is used: what has expired by then is
	// listed and never looked at.
	At time.Time
	// NASes are the names a criterion about NASes may have; any when nil.
	NASes []string
}

// Compile makes a List of rules; the earlier decides where several match. The
// faults are all that were found; with any the List is nil. The time zones that
// rules name are read from the files of the machine.
func Compile(rules []Rule, o Options) (*List, []Fault) {
	c := newCompiler(o)
	l := &List{rules: make([]rule, len(rules)), at: o.At, zone: c.Location}
	for i := range rules {
		l.rules[i] = c.rule(i, &rules[i])
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	l.build()
	return l, nil
}

// build files the rules that are live.
func (l *List) build() {
	var live, grouped []*rule
	names := map[string]bucket{}
	for i := range l.rules {
		if r := &l.rules[i]; r.live {
			live = append(live, r)
			r.nameGroups(names)
		}
	}
	l.named = newGroupTable(names)
	l.index, grouped = newIndex(live, keyKinds[:])
	l.doubtful, _ = newIndex(grouped, keyKinds[:len(keyKinds)-1]) // all but Groups
}

// nameGroups adds the groups that the rule names.
func (r *rule) nameGroups(names map[string]bucket) {
	for i := range r.criteria {
		if c := &r.criteria[i]; c.Kind == Groups {
			for _, w := range c.words {
				names[w.folded] = nil
			}
		}
	}
}

// Len is how many rules there are, the expired ones among them.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.rules)
}

// NeedsGroups reports whether a rule that has not expired is about groups.
func (l *List) NeedsGroups() bool { return l.Len() > 0 && len(l.named.names) > 0 }

// NamedGroups appends those of the groups, which are sorted, that some rule
// names to dst.
func (l *List) NamedGroups(dst, groups []string) []string {
	if !l.NeedsGroups() {
		return dst
	}
	for name := range l.named.common(groups) {
		dst = append(dst, name)
	}
	return dst
}

// Candidates appends the rules that could be the first which the login meets to dst, in
// order: those in doubt before the first that it meets, and that one, or -1 when it could
// be that there is none. It judges one rule after the other, for lists that are short.
func (l *List) Candidates(dst []int, login *Login) []int {
	for i := range l.Len() {
		switch l.rules[i].judge(login) {
		case Met:
			return append(dst, i)
		case Unknown:
			dst = append(dst, i)
		}
	}
	return append(dst, -1)
}

// judge judges a rule by all of its criteria.
func (r *rule) judge(login *Login) Standing {
	if !r.live || expired(r.expires, login.At) {
		return Expired
	}
	standing := Met
	for i := range r.criteria {
		switch r.criteria[i].judge(login) {
		case Missed:
			return Missed
		case Unknown:
			standing = Unknown
		}
	}
	return standing
}
