package radiusd

import (
	"countersign/exclusions"
	"countersign/otp"
)

// relays reports whether the code of a login may be for the TMS to verify.
func (r *request) relays() bool {
	return r.loop.server.tms != nil && (r.nas.Order != otp.LocalOnly || r.rules.ordered())
}

// ordered reports whether there are rules that say who verifies a code.
func (r *Rules) ordered() bool { return r != nil && r.Orders.Len() > 0 }

// assign says who verifies the code of a login that needs one. What answers our own
// question is for our own tokens. In doubt these may accept, and those of a user whose
// codes are the TMS's alone may not, as if the TMS did not answer.
func (r *request) assign() {
	if !r.relays() || r.dialog != nil {
		return
	}
	a := &r.attempt
	order, doubt := r.rules.OrderOf(r.nas.Order, &r.trace.Login)
	if doubt {
		r.unsure, a.Doubtful = true, true
		a.Order, a.TMS, a.WhenDown = otp.LocalThenTMS, otp.TMSUnavailable, otp.Undecided
		return
	}
	a.Order, a.Shadow, a.WhenDown = order, r.rules != nil && r.rules.Shadow, otp.TMSDown
}

// OrderOf is who verifies the code of a login at a NAS of this order; doubt: with the
// groups, which are unknown, it could be another. A name that may be another one of a user
// whom we know otherwise is never for the TMS.
func (r *Rules) OrderOf(nas otp.Order, login *exclusions.Login) (order otp.Order, doubt bool) {
	if alias(login) {
		return otp.LocalOnly, false
	}
	order = nas
	if r.ordered() {
		i, doubt := first(r.Orders, login)
		if doubt {
			return otp.LocalOnly, true
		}
		if i >= 0 {
			order = r.Order[i]
		}
	}
	if order == otp.LocalOnly || r == nil || r.OfTMS == nil {
		return order, false
	}
	if i, doubt := r.OfTMS.Decide(login); i < 0 {
		return otp.LocalOnly, doubt
	}
	return order, false
}

// first is the first of the rules that a login meets, -1 when there is none; doubt: with
// the groups it could be another, also one before it.
func first(list *exclusions.List, login *exclusions.Login) (rule int, doubt bool) {
	if login.GroupsUnknown {
		if _, doubt := list.Matches(nil, login); doubt {
			return -1, true
		}
	}
	return list.Decide(login)
}
