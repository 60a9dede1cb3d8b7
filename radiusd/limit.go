package radiusd

import (
	"countersign/exclusions"
	"countersign/otp"
)

// LimitOf is what bounds the sessions of a login's user; doubt: with the groups, which are
// unknown, it could be something else.
func (r *Rules) LimitOf(login *exclusions.Login) (limit SessionLimit, doubt bool) {
	if r == nil {
		return SessionLimit{}, false
	}
	i, doubt := -1, false
	if r.Limits.Len() > 0 {
		i, doubt = first(r.Limits, login)
	}
	return r.limit(i), doubt
}

// limit is the limit at a place of Limits, -1 for logins that meet none.
func (r *Rules) limit(i int) SessionLimit {
	if i < 0 {
		return SessionLimit{PerUser: r.MaxSessions}
	}
	return r.Limit[i]
}

// exceeded tells by which of its bounds a user may have no more sessions; zero when they
// may.
func (l *SessionLimit) exceeded(s Sessions, user []byte) exclusions.Sessions {
	if l.PerUser > 0 {
		if open := s.OpenOf(user); open >= l.PerUser {
			return exclusions.Sessions{Limit: l.Name, Open: uint64(open), Most: uint64(l.PerUser)}
		}
	}
	if l.Total > 0 {
		if open := s.OpenIn(l.Name); open >= l.Total {
			return exclusions.Sessions{Limit: l.Name, Together: true, Open: uint64(open), Most: uint64(l.Total)}
		}
	}
	return exclusions.Sessions{}
}

// exceedsPlainly reports whether the user of a login about which nothing but the code
// counts has too many sessions.
func (r *request) exceedsPlainly() bool {
	sessions := r.loop.server.options.Sessions
	if sessions == nil || r.rules == nil || r.rules.MaxSessions <= 0 || r.attempt.Preset != otp.Undecided {
		return false
	}
	return sessions.OpenOf(r.attempt.User) >= r.rules.MaxSessions
}

// bound notes which limit the session will count for that a login asks for, and refuses
// the login when there are too many. It reports whether nothing more is to be done.
func (r *request) bound() (over bool, why reason) {
	sessions := r.loop.server.options.Sessions
	if sessions == nil || r.rules == nil {
		return false, admitted
	}
	if r.trace.GroupsUnknown {
		return r.boundInDoubt(sessions)
	}
	limit, _ := r.rules.LimitOf(&r.trace.Login)
	r.pool, r.trace.Sessions = limit.Name, limit.exceeded(sessions, r.attempt.User)
	if r.trace.Sessions.Most > 0 {
		r.attempt.Preset = otp.TooManySessions
		return true, admitted
	}
	return false, admitted
}

// boundInDoubt is bound while neither the groups nor the other names of the user are
// known. A login that each limit allows that could be its own goes on, so that a right
// code is accepted as long as few have sessions. Any other is left unanswered: in doubt
// nobody is refused.
func (r *request) boundInDoubt(sessions Sessions) (over bool, why reason) {
	candidates := r.rules.Limits.Candidates(nil, &r.trace.Login)
	for _, i := range candidates {
		limit := r.rules.limit(i)
		if limit.exceeded(sessions, r.attempt.User).Most > 0 {
			return true, directoryUnavailable
		}
	}
	if len(candidates) == 1 {
		r.pool = r.rules.limit(candidates[0]).Name
	}
	return false, admitted
}

// unlimited reports whether there are no limits but the one of all users.
func (r *Rules) unlimited() bool { return r == nil || r.Limits.Len() == 0 }
