package radiusd

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// NASSeen is what was seen of a NAS, since Since. Counts are of requests that were what
// they should be; those in brackets of logins, without retransmissions.
type NASSeen struct {
	Name        string
	Since, Last time.Time // zero while nothing was seen

	Logins, PAP, CHAP, MSCHAP, MSCHAPv2, NoMethod uint64 // fresh Access-Requests, by method

	// MessageAuthenticators is how many of them carried one that was right, Leading how
	// many of these as the first attribute.
	MessageAuthenticators, Leading uint64

	// Retransmissions is how many Access-Requests were repeats. Repeated is how many
	// logins were repeated at least once; Interval is the shortest time from a request to
	// its first repeat that was seen, IntervalUsual a moving average of these times.
	Retransmissions, Repeated uint64
	Interval, IntervalUsual   time.Duration

	// Challenges is how many Access-Challenges went out, Answered how many came back with
	// a State that is ours, Cut how many with the beginning of one only.
	Challenges, Answered, Cut uint64

	// Of the passwords of PAP that were text: how many are ASCII alone, and how many have
	// other characters, as UTF-8. Unreadable is how many were no text: another charset, or
	// another shared secret.
	ASCII, UTF8, Unreadable uint64

	Accounting     uint64 // Accounting-Requests, without retransmissions
	AccountingLast time.Time
}

// Seen is what was seen of each NAS in the table, by name in order.
func (s *Server) Seen() []NASSeen {
	nases := s.setup.Load().nases.byName
	all := make([]NASSeen, 0, len(nases))
	for _, name := range slices.Sorted(maps.Keys(nases)) {
		all = append(all, nases[name].observed.tell(name))
	}
	return all
}

// Recall adds what was seen before this server, as Seen gave it. NASes that are not in
// the table are ignored.
func (s *Server) Recall(before []NASSeen) {
	nases := s.setup.Load().nases.byName
	for i := range before {
		if n := nases[before[i].Name]; n != nil {
			n.observed.recall(&before[i])
		}
	}
}

// protection is whether a login carried a Message-Authenticator.
type protection uint8

const (
	unprotected protection = iota
	protected
	protectedFirst // it was the first attribute
	protections
)

// charset is what a password of PAP is made of.
type charset uint8

const (
	noPassword charset = iota // another method
	ascii
	unicode
	illegible
	charsets
)

// charsetOf is what readable text is made of.
func charsetOf(text []byte) charset {
	all := byte(0)
	for _, c := range text {
		all |= c
	}
	if all < utf8.RuneSelf {
		return ascii
	}
	return unicode
}

// observations are what was seen of a NAS since the server started. They say nothing about
// a user. All loops note here, so a login costs two atomic additions.
type observations struct {
	first, last atomic.Int64 // Unix nanoseconds
	logins      [otp.NoMethod + 1][protections][charsets]atomic.Uint64

	repeats, repeated atomic.Uint64
	shortest, usual   atomic.Int64 // nanoseconds, 0 while there is none

	challenges, answered, cut atomic.Uint64
	challenged                atomic.Int64 // Unix nanoseconds, when the last went out

	accounting, accountingRepeats atomic.Uint64
	accountingLast                atomic.Int64

	mu     sync.Mutex
	before NASSeen // the counts of Recall
}

// heard notes when a request came that was what it should be, to the second.
func (o *observations) heard(at time.Time) {
	now, last := at.UnixNano(), o.last.Load()
	if now-last < int64(time.Second) {
		return
	}
	if last == 0 {
		o.first.CompareAndSwap(0, now)
	}
	o.last.Store(now)
}

// login notes a login, once its credentials were read.
func (o *observations) login(r *request) {
	how := unprotected
	switch r.packet.MessageAuthenticator {
	case 0:
	case packet.HeaderLength + 2:
		how = protectedFirst
	default:
		how = protected
	}
	o.logins[r.attempt.Method][how][r.charset].Add(1)
}

// repeat notes a repeat, and if it is the first of its request how long after that it came.
func (o *observations) repeat(r *request, first bool, after time.Duration) {
	if !r.isLogin() {
		o.accountingRepeats.Add(1)
		return
	}
	o.repeats.Add(1)
	if first {
		o.repeated.Add(1)
		o.noteInterval(after)
	}
}

// pace is how many intervals the usual one is the average of, about.
const pace = 8

// noteInterval notes the time to a first repeat. When two loops do so at once the average
// may miss one.
func (o *observations) noteInterval(after time.Duration) {
	interval := max(1, int64(after))
	o.shorten(interval)
	if usual := o.usual.Load(); usual == 0 {
		o.usual.Store(interval)
	} else {
		o.usual.Store(max(1, usual+(interval-usual)/pace))
	}
}

func (o *observations) shorten(interval int64) {
	for known := o.shortest.Load(); known == 0 || interval < known; known = o.shortest.Load() {
		if o.shortest.CompareAndSwap(known, interval) {
			return
		}
	}
}

// challenge notes that a challenge goes out.
func (o *observations) challenge(at time.Time) {
	o.challenges.Add(1)
	o.challenged.Store(at.UnixNano())
}

// state notes what became of the State of a login: it opened, or it is the beginning of one.
// What others have made may look like that, so a challenge must have gone out that is open.
func (o *observations) state(r *request, opened bool) {
	options := &r.loop.server.options
	switch {
	case opened:
		o.answered.Add(1)
	case isCut(r.packet.State) && r.at.UnixNano()-o.challenged.Load() <= int64(max(options.ChallengeTime, options.EnrolmentTime)):
		o.cut.Add(1)
	}
}

// account notes a record of accounting.
func (o *observations) account(at time.Time) {
	o.accounting.Add(1)
	o.accountingLast.Store(at.UnixNano())
}

// tell is all of it.
func (o *observations) tell(name string) NASSeen {
	o.mu.Lock()
	seen := o.before
	o.mu.Unlock()
	seen.Name, seen.Since, seen.Last = name, instant(o.first.Load()), instant(o.last.Load())
	o.addLogins(&seen)
	seen.Retransmissions += o.repeats.Load()
	seen.Repeated += o.repeated.Load()
	seen.Interval, seen.IntervalUsual = time.Duration(o.shortest.Load()), time.Duration(o.usual.Load())
	seen.Challenges += o.challenges.Load()
	seen.Answered += o.answered.Load()
	seen.Cut += o.cut.Load()
	seen.Accounting += o.accounting.Load()
	seen.AccountingLast = instant(o.accountingLast.Load())
	return seen
}

// addLogins adds up the logins by each of their properties.
func (o *observations) addLogins(seen *NASSeen) {
	methods := [...]*uint64{
		otp.PAP: &seen.PAP, otp.CHAP: &seen.CHAP, otp.MSCHAP: &seen.MSCHAP, otp.MSCHAPv2: &seen.MSCHAPv2, otp.NoMethod: &seen.NoMethod,
	}
	texts := [charsets]*uint64{noPassword: new(uint64), ascii: &seen.ASCII, unicode: &seen.UTF8, illegible: &seen.Unreadable}
	for method := range o.logins {
		for how := range protections {
			for text := range charsets {
				n := o.logins[method][how][text].Load()
				seen.Logins += n
				*methods[method] += n
				*texts[text] += n
				if how != unprotected {
					seen.MessageAuthenticators += n
				}
				if how == protectedFirst {
					seen.Leading += n
				}
			}
		}
	}
}

// recall adds what was seen before.
func (o *observations) recall(seen *NASSeen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before.add(seen)
	if since := nanoseconds(seen.Since); since != 0 && (o.first.Load() == 0 || since < o.first.Load()) {
		o.first.Store(since)
	}
	later(&o.last, seen.Last)
	later(&o.accountingLast, seen.AccountingLast)
	if seen.Interval > 0 {
		o.shorten(int64(seen.Interval))
	}
	o.usual.CompareAndSwap(0, int64(seen.IntervalUsual))
}

// add adds the counts of another.
func (n *NASSeen) add(other *NASSeen) {
	theirs := other.counts()
	for i, count := range n.counts() {
		*count += *theirs[i]
	}
}

func (n *NASSeen) counts() [17]*uint64 {
	return [...]*uint64{
		&n.Logins, &n.PAP, &n.CHAP, &n.MSCHAP, &n.MSCHAPv2, &n.NoMethod, &n.MessageAuthenticators, &n.Leading,
		&n.Retransmissions, &n.Repeated, &n.Challenges, &n.Answered, &n.Cut, &n.ASCII, &n.UTF8, &n.Unreadable, &n.Accounting,
	}
}

// later moves an instant on, if the other is later.
func later(at *atomic.Int64, other time.Time) {
	at.Store(max(at.Load(), nanoseconds(other)))
}

// nanoseconds is the Unix time of an instant, and instant the inverse; 0 is none.
func nanoseconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

func instant(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}
