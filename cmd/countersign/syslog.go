package main

import (
	"context"
	"strconv"
	"strings"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/console"
)

// journal is what a syslogFeed reads.
type journal interface {
	EventsAfter(ctx context.Context, after otp.EventID, most int, each func(*tms.Event) error) error
	LastEvent(ctx context.Context) (otp.EventID, error)
	Checkpoints(ctx context.Context, after uint64, each func(*audit.Checkpoint) error) error
}

// syslogFeed is an audit.Feed of the journal.
type syslogFeed struct{ journal }

// After implements audit.Feed.
func (f syslogFeed) After(ctx context.Context, after audit.Place, most int, each func(*audit.Message) error) error {
	return f.EventsAfter(ctx, otp.EventID(after), most, func(e *tms.Event) error {
		m := syslogMessage(e)
		return each(&m)
	})
}

// Last implements audit.Feed.
func (f syslogFeed) Last(ctx context.Context) (audit.Place, error) {
	id, err := f.LastEvent(ctx)
	return audit.Place(id), err
}

// syslogMessage is what a syslog server gets about an event: of what kind it is, the fields
// of its view that are there, and a line for people.
func syslogMessage(e *tms.Event) audit.Message {
	v := console.ViewEvent(e)
	m := audit.Message{Place: audit.Place(e.ID), At: e.At, Severity: severityOf(e), ID: v.Kind, Text: eventLine(&v)}
	add := func(name, value string) {
		if value != "" {
			m.Params = append(m.Params, audit.Param{Name: name, Value: value})
		}
	}
	flag := func(name string, is bool) {
		if is {
			add(name, "true")
		}
	}
	add("event", v.ID)
	add("verdict", v.Verdict)
	add("user", v.User)
	add("typed", v.Typed)
	add("nas", v.NAS)
	add("station", v.Station)
	add("client_ip", v.ClientIP)
	add("client_mac", strings.Join(v.ClientMACs, " "))
	add("method", v.Method)
	add("serial", v.Serial)
	if v.Offset != 0 {
		add("offset", strconv.FormatInt(v.Offset, 10))
	}
	flag("repeated", v.Repeated)
	flag("locked_now", v.LockedNow)
	add("rule", v.Rule)
	add("own", v.Own)
	add("limit", v.Limit)
	add("actor", v.Actor)
	add("verb", v.Verb)
	add("object", v.Object)
	add("detail", v.Detail)
	add("source", v.Source)
	return m
}

// severityOf is how grave an event is: an error where nothing could be decided, a warning
// where somebody should look, a notice of what users do wrong and administrators do.
func severityOf(e *tms.Event) audit.Severity {
	if e.Kind != tms.LoginEvent {
		return audit.SeverityNotice
	}
	switch verdict := e.Decision.Verdict; {
	case verdict == otp.Undecided || verdict == otp.TMSDown:
		return audit.SeverityError
	case e.Decision.LockedNow:
		return audit.SeverityWarning
	case verdict.Accepts() || onTheWay[verdict.String()] && verdict != otp.NextCode:
		return audit.SeverityInformational
	default:
		return refusals[verdict]
	}
}

// refusals is how grave it is that a user was refused.
var refusals = func() map[otp.Verdict]audit.Severity {
	severities := map[otp.Verdict]audit.Severity{}
	for _, v := range otp.Verdicts() {
		severities[v] = audit.SeverityWarning
	}
	for _, v := range []otp.Verdict{
		otp.WrongPIN, otp.WrongCode, otp.WrongPasscode, otp.NextCode, otp.WrongPassword, otp.PasswordExpired, otp.RefusedByTMS, otp.TooManySessions,
	} {
		severities[v] = audit.SeverityNotice
	}
	return severities
}()
