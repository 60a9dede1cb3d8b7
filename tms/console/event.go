package console

import (
	"fmt"
	"time"

	"countersign/tms"
)

// EventView is what a listing shows of an event: of a login, an act or an
// Accounting-Request, with the fields of the others left out.
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

	Actor  string `json:"actor,omitempty"`
	Verb   string `json:"verb,omitempty"`
	Object string `json:"object,omitempty"`
	Detail string `json:"detail,omitempty"`

	Source     string `json:"source,omitempty"`
	Attributes []byte `json:"attributes,omitempty"`
}

func viewEvent(e *tms.Event) EventView {
	v := EventView{ID: fmt.Sprintf("%d-%d", e.ID.Batch, e.ID.Index), At: e.At}
	switch e.Kind {
	case tms.LoginEvent:
		d := &e.Decision
		v.Kind, v.User, v.NAS, v.Station, v.Method = "login", e.User, e.NAS, e.Station, e.Method.String()
		v.Verdict, v.Serial, v.Offset = d.Verdict.String(), string(d.Serial), d.Offset
		v.Repeated, v.LockedNow = d.Repeated, d.LockedNow
	case tms.ActEvent:
		v.Kind, v.Actor, v.Verb, v.Object, v.Detail = "act", e.Actor, e.Verb, e.Object, e.Detail
	case tms.AccountingEvent:
		v.Kind, v.NAS, v.Source, v.Attributes = "accounting", e.AccountingNAS, e.Source, e.Attributes
	}
	return v
}
