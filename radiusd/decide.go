package radiusd

import (
	"bytes"
	"slices"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// decide finds out whether a login needs a code, as far as that can be done
// without waiting, and hands it to the store, or to a worker if a directory has
// to be asked first. Then the request is not the caller's any more; when it
// returns a reason, nobody has taken it.
func (r *request) decide(rules *Rules) reason {
	r.rules, r.errand, r.identity, r.replies, r.pool = rules, noErrand, nil, r.replies[:0], ""
	r.excused, r.late = false, false
	r.resume()
	if r.plain = r.isPlain(); r.plain {
		return r.submitPlain()
	}
	r.gather()
	why := admitted
	switch {
	case !r.concernsUser():
	case r.peek():
		why = r.judge()
	default:
		r.errand = findUser
	}
	if why != admitted {
		return why
	}
	return r.forward()
}

// isPlain reports whether nothing counts but the code, and nothing else is to be recorded.
func (r *request) isPlain() bool {
	return r.loop.server.users == nil && r.nas.Mode == exclusions.Mandatory && r.rules.none() && !r.renamed &&
		!r.relays() && !r.answersOthers() && !r.invited() && !r.exceedsPlainly()
}

// submitPlain hands a login to the store about which nothing but the code counts.
func (r *request) submitPlain() reason {
	if r.classed() && !r.fits(0) {
		return replyTooLong
	}
	return r.submit()
}

// concernsUser reports whether who the user is can matter. It does not to a
// request that is refused anyway. One without a password that can be read may
// pass where nobody looks at it, but not as an answer to an Enroller or the TMS; EAP
// would have to be spoken.
func (r *request) concernsUser() bool {
	switch r.attempt.Preset {
	case otp.Undecided:
		return true
	case otp.NoCredentials, otp.Unreadable:
		return !r.answersOthers() && !r.packet.EAPMessage && r.trace.Pass == exclusions.PassAccept && !r.rules.excludeNobody()
	}
	return false
}

// peek identifies the user, and reports false when a directory has to be asked.
// Without a user repository everybody is who they say.
func (r *request) peek() bool {
	users := r.loop.server.users
	if users == nil {
		// With a realm it may be another name of a user whom the store has without.
		r.trace.Stranger = qualified(r.attempt.User)
		r.attempt.Stranger = r.trace.Stranger
		return true
	}
	identity, source, ok := users.Peek(r.attempt.User, r.at)
	if ok {
		r.identify(identity, source)
	}
	return ok
}

// identify notes who the user is.
func (r *request) identify(identity *exclusions.Identity, source exclusions.Source) {
	r.identity = identity
	r.attempt.User = append(r.user[:0], identity.Name...)
	t := &r.trace
	t.User, t.Realm, t.Directory = r.attempt.User, identity.Realm, identity.Directory
	t.Groups, t.GroupsUnknown, t.Source = identity.Groups, source == exclusions.Unavailable, source
	t.Stranger = identity.Directory == "" && source != exclusions.Unavailable
	r.attempt.Stranger = t.Stranger
}

// judge decides whether the login needs a code, once the user is known. The
// reason to leave it unanswered is that it depends on a directory that does not
// answer.
func (r *request) judge() reason {
	switch {
	case r.identity != nil && r.identity.Disabled:
		r.attempt.Preset = otp.DirectoryDisabled
		return admitted
	case r.answersOthers():
		return r.judgeAnswer()
	}
	return r.judgeLogin()
}

// judgeLogin is judge of a login that begins, and may be one.
func (r *request) judgeLogin() reason {
	rule, doubt := r.rule()
	switch refused := r.attempt.Preset != otp.Undecided; {
	case rule >= 0: // whatever else refuses the login, this explains why it needs no code
		r.trace.Rule, r.attempt.Rule = r.rules.Names[rule], r.rules.IDs[rule]
	case refused && doubt:
		return directoryUnavailable
	case refused:
		return admitted
	}
	if over, why := r.bound(); over {
		return why
	}
	if why := r.matchReplies(); why != admitted {
		return why
	}
	r.demand(rule >= 0, doubt)
	return admitted
}

// demand says what the login has to show, and whether the Enroller sees it first. An
// empty passcode is none. Passes: a rule is met by which no code is needed.
func (r *request) demand(passes, doubt bool) {
	if passes {
		r.exclude()
	}
	invited := r.invited()
	if !passes {
		r.attempt.Doubtful = doubt || r.trace.Source == exclusions.Unavailable
		r.applyMode(invited)
		r.assign()
	}
	if invited && len(r.typed) > 0 {
		r.errand = activateToken
	}
}

// rule is the rule by which no code is needed, -1 when there is none; doubt: with
// the groups, which are unknown, there could be one.
func (r *request) rule() (rule int, doubt bool) {
	if r.trace.Pass == exclusions.NoPass || r.rules.excludeNobody() {
		return -1, false
	}
	if r.trace.Pass == exclusions.PassDirectoryPassword && r.trace.Stranger {
		return -1, false // nobody could verify the password
	}
	return r.rules.Exclusions.Decide(&r.trace.Login)
}

// How many octets the attributes of all conditions that a login meets may take,
// and these with the Proxy-States that go back: a packet has 4096 (RFC 2865 section
// 3), some of them for what else a reply carries.
const (
	maxReplyAttributes = 3500
	maxReplyVariable   = 3750
)

// matchReplies finds the conditions for reply attributes that the login meets. It
// finds a reason not to answer, before a code is burned, when the login could meet
// another, with the groups, because an Access-Accept without its attributes may
// allow more than it should; and when the attributes do not fit.
func (r *request) matchReplies() reason {
	nothing, doubt := r.rules.addNothing(), false
	if !nothing {
		r.replies, doubt = r.rules.Replies.Matches(r.replies, &r.trace.Login)
	}
	switch {
	case doubt:
		return directoryUnavailable
	case (!nothing || r.classed()) && !r.fits(0):
		return replyTooLong
	}
	return admitted
}

// fits reports whether the attributes of these conditions, a Class, and as many octets of
// others have room in a reply.
func (r *request) fits(octets int) bool {
	if r.classed() {
		octets += 2 + maxClass
	}
	for _, i := range r.replies {
		octets += len(r.rules.Attributes[i])
	}
	return octets <= maxReplyAttributes && octets+r.proxyStates() <= maxReplyVariable
}

// proxyStates is how many octets the Proxy-States take.
func (r *request) proxyStates() (octets int) {
	if r.packet.ProxyStates == 0 {
		return 0
	}
	for kind, value := range r.packet.Attributes() {
		if kind == packet.ProxyState {
			octets += 2 + len(value)
		}
	}
	return octets
}

// exclude lets a login pass, as a rule that it meets says. Where that takes the directory password a
// right code does as well, which otherwise the directory would take for a wrong
// password.
func (r *request) exclude() {
	if verdict := excluded(r.trace.Pass, r.attempt.Method); verdict == otp.Excluded {
		r.attempt.Preset, r.excused = verdict, true
	} else {
		r.attempt.OrPassword = true
		r.attempt.Doubtful = r.trace.Source == exclusions.Unavailable
	}
}

// applyMode says what becomes of a user who holds no token. An invitation names the
// user, so who is invited is no stranger to us.
func (r *request) applyMode(invited bool) {
	a, pass := &r.attempt, r.passWithoutToken()
	if pass == exclusions.NoPass {
		if !invited || a.Method == otp.PAP && !r.verifiable() {
			return
		}
		pass, a.Stranger = exclusions.PassDirectoryPassword, false
	}
	a.WithoutToken = excluded(pass, a.Method)
	a.AskWithoutToken = a.WithoutToken == otp.Undecided
}

// passWithoutToken is what lets a user who holds no token go on, NoPass when nothing
// does.
func (r *request) passWithoutToken() exclusions.Pass {
	pass, s := exclusions.NoPass, r.loop.server
	switch r.trace.Mode {
	case exclusions.TokenHolders:
		pass = r.trace.Pass
	case exclusions.CreateToken:
		if s.options.Enroller != nil {
			pass = exclusions.PassDirectoryPassword
		}
	}
	if pass == exclusions.PassDirectoryPassword && !r.verifiable() {
		return exclusions.NoPass
	}
	return pass
}

// verifiable reports whether there is somebody to verify the user's password.
func (r *request) verifiable() bool { return r.loop.server.users != nil && !r.trace.Stranger }

// excluded is the verdict about a login that needs no code, Undecided when the
// directory has to verify the password. The answer of MS-CHAPv2 proves that the
// password is known, which it is not.
func excluded(pass exclusions.Pass, method otp.Method) otp.Verdict {
	switch {
	case pass == exclusions.PassAccept && method != otp.MSCHAPv2:
		return otp.Excluded
	case pass == exclusions.PassDirectoryPassword && method == otp.PAP:
		return otp.Undecided
	}
	return otp.NeedsPAP
}

// forward hands the login to the store, or to a worker.
func (r *request) forward() reason {
	switch {
	case r.errand == noErrand:
		return r.submit()
	case !r.loop.server.errands.put(r):
		return directoryBusy
	}
	return admitted
}

// submit hands the login to the store.
func (r *request) submit() reason {
	if r.attempt.Trace == nil {
		r.record()
	}
	if !r.loop.server.verifier.Submit(&r.attempt) && !r.letIn() {
		return storeBusy
	}
	return admitted
}

// maxTraceGroups is how many groups a trace tells at most; it counts the others.
const maxTraceGroups = 256

// record encodes the trace, where there is something to tell.
func (r *request) record() {
	t := &r.trace
	if r.plain || t.Source == exclusions.NotAsked && t.Mode == exclusions.Mandatory && r.rules.none() && !r.renamed && t.Sessions.Most == 0 {
		r.attempt.Trace = r.loop.server.plainTrace
		return
	}
	if t.User = r.attempt.User; !bytes.Equal(t.User, r.packet.UserName) {
		t.Typed = r.packet.UserName
	}
	r.groups = r.rules.namedGroups(r.groups[:0], t.Groups)
	t.Groups = r.groups[:min(len(r.groups), maxTraceGroups)]
	t.GroupsLeft = uint64(len(r.groups) - len(t.Groups))
	r.encode()
}

func (r *request) encode() {
	r.encoded = r.trace.Append(r.encoded[:0])
	r.attempt.Trace = r.encoded
}

// pass is what a login from a NAS gets that needs no code. No password can be
// verified without a user repository.
func (s *Server) pass(n *nas) exclusions.Pass {
	if n.Excluded == exclusions.PassDirectoryPassword && s.users == nil {
		return exclusions.NoPass
	}
	return n.Excluded
}

// none reports whether there are no rules at all. Rules may be nil, as for all
// methods. That there is a number of sessions for everybody is no rule.
func (r *Rules) none() bool { return r.excludeNobody() && r.addNothing() && r.unlimited() }

func (r *Rules) excludeNobody() bool {
	return r == nil || r.Exclusions == nil || r.Exclusions.Len() == 0
}

func (r *Rules) addNothing() bool { return r == nil || r.Replies == nil || r.Replies.Len() == 0 }

func (r *Rules) revision() uint64 {
	if r == nil {
		return 0
	}
	return r.Revision
}

// namedGroups appends those of the groups that some rule names, each once.
func (r *Rules) namedGroups(dst, groups []string) []string {
	if !r.excludeNobody() {
		dst = r.Exclusions.NamedGroups(dst, groups)
	}
	if !r.addNothing() {
		dst = r.Replies.NamedGroups(dst, groups)
	}
	if r != nil {
		dst = r.Orders.NamedGroups(r.OfTMS.NamedGroups(dst, groups), groups)
		dst = r.Limits.NamedGroups(dst, groups)
	}
	slices.Sort(dst)
	return slices.Compact(dst)
}
