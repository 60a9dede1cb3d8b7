package exclusions

import (
	"math"
	"net/netip"
	"slices"
)

// search looks for the rules that a login meets.
type search struct {
	login *Login
	index *index
	best  int32 // the first rule that was met; those behind it do not matter
	doubt bool
	// all collects in found every rule that is met, and best stays behind the last;
	// settle ends the search at the first doubt.
	all, settle bool
	found       []int
}

// Decide returns the index of the first rule that the login meets, -1 when there is
// none. doubt: there is none so far, and with the groups, which are unknown,
// there could be one. It does not allocate.
func (l *List) Decide(login *Login) (rule int, doubt bool) {
	s := search{login: login, best: math.MaxInt32}
	if l.Len() == 0 {
		return -1, false
	}
	s.run(l.index)
	if s.best != math.MaxInt32 {
		return int(s.best), false
	}
	return -1, l.doubts(&s)
}

// Matches appends the indices of all rules that the login meets to dst, in
// order; doubt: as in Decide, another could be among them.
func (l *List) Matches(dst []int, login *Login) (matches []int, doubt bool) {
	if l.Len() == 0 {
		return dst, false
	}
	s := search{login: login, best: math.MaxInt32, all: true, found: dst}
	s.run(l.index)
	mine := s.found[len(dst):]
	slices.Sort(mine)
	matches = s.found[:len(dst)+len(slices.Compact(mine))]
	return matches, l.doubts(&s)
}

// doubts reports whether the search has left a rule in doubt. Those that are
// filed under a group it could not come upon.
func (l *List) doubts(s *search) bool {
	if s.login.GroupsUnknown && !s.doubt {
		s.settle = true
		s.run(l.doubtful)
	}
	return s.doubt
}

// run looks up everything the login tells.
func (s *search) run(x *index) {
	s.index = x
	s.consider(x.always)
	if users := x.words[Users]; len(users) > 0 {
		s.consider(users[string(s.login.User)])
	}
	if tree := &x.spans[ClientMACs]; !tree.empty() {
		for _, mac := range s.login.ClientMACs {
			s.point(tree, macPoint(mac))
		}
	}
	s.address(ClientIPs, s.login.ClientIP)
	s.address(NASAddresses, s.login.NASAddress)
	s.address(NASIPAddresses, s.login.NASIPAddress)
	if identifiers := x.words[NASIdentifiers]; len(identifiers) > 0 {
		s.consider(identifiers[string(s.login.NASIdentifier)])
	}
	s.text(NASes, s.login.NAS)
	s.text(Realms, s.login.Realm)
	if !s.login.GroupsUnknown {
		for _, found := range x.groups.common(s.login.Groups) {
			s.consider(found)
		}
	}
}

// consider judges entries whose key is met, up to the best that is known.
func (s *search) consider(found bucket) {
	for i := range found {
		e := &found[i]
		if e.rule >= s.best {
			return
		}
		switch e.judge(s.login) {
		case Met:
			s.met(e.rule)
		case Unknown:
			s.doubt = true
			if s.settle {
				s.best = -1
			}
		}
	}
}

func (s *search) met(rule int32) {
	if s.all {
		s.found = append(s.found, int(rule))
	} else {
		s.best = rule
	}
}

// judge judges an entry whose key is met.
func (e *entry) judge(login *Login) Standing {
	if e.rest == nil {
		return Met
	}
	if expired(e.rest.expires, login.At) {
		return Expired
	}
	standing := Met
	for _, c := range e.rest.criteria {
		switch c.judge(login) {
		case Missed:
			return Missed
		case Unknown:
			standing = Unknown
		}
	}
	return standing
}

func (s *search) text(kind Kind, text string) {
	if words := s.index.words[kind]; len(words) > 0 {
		s.consider(words[text])
	}
}

func (s *search) address(kind Kind, address netip.Addr) {
	if tree := &s.index.spans[kind]; address.IsValid() && !tree.empty() {
		s.point(tree, addressPoint(address))
	}
}

func (s *search) point(tree *spanTree, p point) {
	for node := tree.find(p); node != (spanNode{}); {
		var found bucket
		found, node = tree.next(node)
		s.consider(found)
	}
}
