package console

import (
	"encoding/json"
	"fmt"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// EventView is what a listing shows of an event: of a login, an act or an
// Accounting-Request, with the fields of the others left out. RenderEvent depends on it.
type EventView struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // login, act or accounting

	User      string `json:"user,omitempty"`
	NAS       string `json:"nas,omitempty"`
	Station   string `json:"station,omitempty"`
	Method    string `json:"method,omitempty"`
	Verdict   string `json:"verdict,omitempty"`
	Serial    string `json:"serial,omitempty"`
	Offset    int64  `json:"offset,omitempty"`
	Repeated  bool   `json:"repeated,omitempty"`
	LockedNow bool   `json:"locked_now,omitempty"`

	// What our own tokens say of a passcode that the TMS has judged, and what it means
	// when they do not agree.
	Own        string `json:"own,omitempty"`
	Difference string `json:"difference,omitempty"`

	// What the trace of a login tells, where there was something to tell.
	Rule       string   `json:"rule,omitempty"`  // by which no code was needed
	Typed      string   `json:"typed,omitempty"` // the user name as it came, when it is not User
	Directory  string   `json:"directory,omitempty"`
	Groups     []string `json:"groups,omitempty"` // those that rules name
	ClientIP   string   `json:"client_ip,omitempty"`
	ClientMACs []string `json:"client_macs,omitempty"`
	Limit      string   `json:"limit,omitempty"`       // of which there were too many sessions
	GroupsLeft uint64   `json:"groups_left,omitempty"` // that rules name, and were too many to be kept
	MACsLeft   uint64   `json:"macs_left,omitempty"`   // that the client told, and were too many to be looked at
	Node       string   `json:"node,omitempty"`        // that decided, where there are several
	Late       bool     `json:"recorded_late,omitempty"`
	TraceFault string   `json:"trace_fault,omitempty"` // why the trace cannot be read

	Actor  string `json:"actor,omitempty"`
	Verb   string `json:"verb,omitempty"`
	Object string `json:"object,omitempty"`
	Detail string `json:"detail,omitempty"`

	Source     string `json:"source,omitempty"`
	Attributes []byte `json:"attributes,omitempty"`
}

// ViewEvent is what a listing shows of an event.
func ViewEvent(e *tms.Event) EventView {
	v := EventView{ID: e.ID.String(), At: e.At}
	switch e.Kind {
	case tms.LoginEvent:
		d := &e.Decision
		v.Kind, v.User, v.NAS, v.Station, v.Method = "login", e.User, e.NAS, e.Station, e.Method.String()
		v.Verdict, v.Serial, v.Offset = d.Verdict.String(), string(d.Serial), d.Offset
		v.Repeated, v.LockedNow = d.Repeated, d.LockedNow
		if d.Own != otp.Undecided {
			v.Own, v.Difference = d.Own.String(), tms.Difference(d)
		}
		v.addTrace(&e.Login)
	case tms.ActEvent:
		v.Kind, v.Actor, v.Verb, v.Object, v.Detail = "act", e.Actor, e.Verb, e.Object, e.Detail
	case tms.AccountingEvent:
		v.Kind, v.NAS, v.Source, v.Attributes = "accounting", e.AccountingNAS, e.Source, e.Attributes
	}
	return v
}

// addTrace adds what the trace of a login tells. One that cannot be read hides
// nothing else.
func (v *EventView) addTrace(l *tms.Login) {
	if len(l.Trace) == 0 {
		return
	}
	t, err := exclusions.ParseTrace(l.Trace)
	if err != nil {
		v.TraceFault = err.Error()
		if l.Rule != 0 {
			v.Rule = fmt.Sprintf("rule number %d", l.Rule)
		}
		return
	}
	v.Rule, v.Typed, v.Directory, v.Groups = t.Rule, string(t.Typed), t.Directory, t.Groups
	if t.ClientIP.IsValid() {
		v.ClientIP = t.ClientIP.String()
	}
	for _, mac := range t.ClientMACs {
		v.ClientMACs = append(v.ClientMACs, mac.String())
	}
	v.GroupsLeft, v.MACsLeft, v.Limit = t.GroupsLeft, t.MACsLeft, limitText(&t.Sessions)
	v.Node, v.Late = t.Node, t.Late
}

// limitText names the limit for which there were too many sessions, "" when there were not.
func limitText(s *exclusions.Sessions) string {
	if s.Most == 0 {
		return ""
	}
	name := s.Limit
	if name == "" {
		name = "max_sessions"
	}
	return fmt.Sprintf("%s: %d of %d", name, s.Open, s.Most)
}

// RenderEvent is an event as an export of the audit log shows it: a JSON object in one
// line, EventView with its time in UTC and without what is said in sentences. Exports are
// compared with it to the byte, in other places and by later versions: it must not change.
func RenderEvent(e *tms.Event) ([]byte, error) {
	v := ViewEvent(e)
	v.At, v.Difference, v.TraceFault = v.At.UTC(), "", ""
	return json.Marshal(v)
}
