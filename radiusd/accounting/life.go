package accounting

import "time"

// What of two times of one NAS is "at the same time". Times that it stamps (Stamped) are
// exact to the second. Of the others we know when the record came, and a NAS that repeats
// a request without saying so delays it by the time of its repeats.
const (
	stampedSlack   = 2 * time.Second
	unstampedSlack = time.Minute
)

func (r *Record) slack() time.Duration {
	if r.Stamped {
		return stampedSlack
	}
	return unstampedSlack
}

// begin is when the session of r began, as r tells: false when it does not.
func (r *Record) begin() (time.Time, bool) {
	if r.Status == Start {
		return r.Occurred, true
	}
	at := r.Occurred.Add(-r.Time)
	return at, r.Time > 0 && !at.Before(earliest)
}

// since is since when the session of r was there, at the latest.
func (r *Record) since() time.Time {
	if at, told := r.begin(); told {
		return at
	}
	return r.Occurred
}

// begins is a session that begins with r.
func begins(r *Record) *Session {
	s := &Session{
		ID:    r.Position,
		Key:   Key{NAS: r.NAS, Gateway: r.Gateway, SessionID: r.SessionID},
		State: Open,
	}
	s.Started = r.since()
	return s
}

// choose finds the session that r belongs to among those of its NAS and Acct-Session-Id,
// the newest first: nil when it is another.
func choose(sessions []*Session, r *Record) *Session {
	var later *Session // the one after the one that is looked at, if r may be of it
	for _, s := range sessions {
		switch {
		case s.another(r):
			return later
		case !r.Occurred.Before(s.Started.Add(-r.slack())):
			return s
		}
		// What happened before its beginning is of an older session, or of this one if
		// there is none: its beginning was reckoned, or the clock of its NAS was set back.
		if later = s; s.differs(r) || s.Begun && r.Status == Start {
			later = nil
		}
	}
	return later
}

// another reports whether r tells of a session that began after s was over, with the same
// Acct-Session-Id.
func (s *Session) another(r *Record) bool {
	begin, told := r.begin()
	switch {
	case !told:
		return false
	case r.Status == Start:
		return s.anotherStart(r, begin)
	}
	return s.anotherLife(r, begin)
}

// anotherStart is another for a Start. While the session is Open, only another user or
// machine tells it from the repeat of a NAS that says Start again, such as when the user
// roams; else the time does, and these where both happened at the same time.
func (s *Session) anotherStart(r *Record, begin time.Time) bool {
	if s.differs(r) {
		if s.ended() {
			return begin.Sub(s.lived()) >= -stampedSlack && begin.After(s.Started)
		}
		return begin.After(s.Started.Add(stampedSlack))
	}
	restarted := s.restarted() && !begin.Before(s.Ended)
	return restarted || s.State != Open && begin.After(s.lived().Add(r.slack()))
}

// anotherLife is another for a record with figures: they began anew.
func (s *Session) anotherLife(r *Record, begin time.Time) bool {
	if s.State == Closed {
		if r.Status == Stop && r.Figures == s.Figures { // repeated long after
			return false
		}
		end := s.lived()
		return begin.After(end.Add(r.slack())) ||
			r.Time < s.Time && !begin.Before(end.Add(-stampedSlack)) && r.Occurred.After(end.Add(r.slack()))
	}
	return r.Time < s.Time && begin.After(s.Started.Add(s.Time+r.slack()))
}

// ended reports whether the NAS itself said that s is over.
func (s *Session) ended() bool { return s.State == Closed && s.By == "" }

// restarted reports whether s is over because the NAS started again.
func (s *Session) restarted() bool { return s.By == byOn || s.By == byOff }

// lived is until when s lived for certain.
func (s *Session) lived() time.Time {
	if s.ended() {
		return s.Ended
	}
	return s.Last
}

// differs reports whether r is about another user or machine than s.
func (s *Session) differs(r *Record) bool {
	return s.User != "" && r.User != "" && s.User != r.User ||
		s.Station != "" && r.Station != "" && s.Station != r.Station ||
		s.Login.Event != "" && r.login != "" && s.Login.Event != r.login
}

// add makes s know what r tells. It does not matter in which order the records of a
// session are added, as far as they agree on who its user is and the like.
func (s *Session) add(r *Record) {
	s.Records++
	s.identify(r)
	s.date(r)
	switch r.Status {
	case Stop:
		s.stop(r)
	case InterimUpdate:
		s.speak(r)
	}
	s.Figures.raise(&r.Figures)
	if s.By == byReuse {
		s.Ended = s.Last
	}
}

// identify takes over whose session it is: what the newest record says, and where that
// says nothing, what others do.
func (s *Session) identify(r *Record) {
	newest := !r.Occurred.Before(s.Last)
	replace(&s.User, r.User, newest)
	replace(&s.Station, r.Station, newest)
	replace(&s.NASPort, r.NASPort, newest)
	replace(&s.NASAddress, r.NASAddress, newest)
	replace(&s.Address, r.Address, newest)
	replace(&s.Source, r.Source, !r.At.Before(s.Heard))
}

// replace sets a field to a value that is there, if it is newer or there was none.
func replace[T comparable](field *T, value T, newer bool) {
	var none T
	if value != none && (newer || *field == none) {
		*field = value
	}
}

// date takes over when things happened.
func (s *Session) date(r *Record) {
	switch since := r.since(); {
	case r.Status == Start:
		s.start(since)
	case !s.Begun && since.Before(s.Started):
		s.Started = since
	}
	s.Last = latest(s.Last, r.Occurred)
	s.Heard = latest(s.Heard, r.At)
}

// start takes over when s began, as a Start says, unless that was after its end: then the
// Start came late without saying so. Of several the first is right.
func (s *Session) start(began time.Time) {
	late := s.ended() && began.After(s.Ended)
	if !late && (!s.Begun || began.Before(s.Started)) {
		s.Started = began
	}
	s.Begun = true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stop ends s. Of several Stops that with the longest time is right, and the first of
// these.
func (s *Session) stop(r *Record) {
	if s.ended() && (r.Time < s.Time || r.Time == s.Time && !r.Occurred.Before(s.Ended)) {
		return
	}
	s.State, s.Ended, s.By = Closed, r.Occurred, ""
	if r.Cause != 0 {
		s.Cause = r.Cause
	}
}

// speak is for an Interim-Update: a session that speaks is Open, unless it has ended
// before. After a Stop nothing opens it again, but after an Accounting-On or -Off what
// happened later does.
func (s *Session) speak(r *Record) {
	if s.State == Stale || s.restarted() && r.Occurred.After(s.Ended) {
		s.State, s.Ended, s.By = Open, time.Time{}, ""
	}
}

// Who ended a session that had no Stop.
const (
	byOn    = "accounting-on"
	byOff   = "accounting-off"
	byReuse = "reuse"
)

// reuse ends a session whose Acct-Session-Id came to stand for another.
func (s *Session) reuse() {
	s.State, s.Ended, s.By = Closed, s.Last, byReuse
}

// endsWith reports whether an Accounting-On or -Off ends s: it lives, is of that gateway,
// and all that was told of it happened before.
func (s *Session) endsWith(r *Record) bool {
	return s.State != Closed && s.Started.Before(r.Occurred) && !s.Last.After(r.Occurred) &&
		parseGateway(s.Gateway).agrees(parseGateway(r.Gateway))
}

// restart ends s with an Accounting-On or -Off, which is not one of its records.
func (s *Session) restart(r *Record) {
	s.State, s.Ended, s.By = Closed, r.Occurred, byOn
	if r.Status == AccountingOff {
		s.By = byOff
	}
}

// raise takes over the larger of each: the counters of a session only grow. A NAS that
// tells no Gigawords and has sent more than 4 GiB begins again at zero. How often is not
// known, so what is kept then is the most that was told: at least so much it was.
func (f *Figures) raise(other *Figures) {
	f.Has = f.Has || other.Has
	f.Time = max(f.Time, other.Time)
	f.InputOctets = max(f.InputOctets, other.InputOctets)
	f.OutputOctets = max(f.OutputOctets, other.OutputOctets)
	f.InputPackets = max(f.InputPackets, other.InputPackets)
	f.OutputPackets = max(f.OutputPackets, other.OutputPackets)
}
