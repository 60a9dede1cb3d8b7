package store

import (
	"countersign/tms"
)

func selected(f *tms.Filter, e *tms.Event) bool {
	k := keysOf(e)
	return k.Selected(f)
}

// keysOf are what ParseKeys reads from the record of an event.
func keysOf(e *tms.Event) Keys {
	k := Keys{At: e.At.UnixNano()}
	switch e.Kind {
	case tms.LoginEvent:
		k.User, k.Serial, k.NAS = []byte(e.User), []byte(e.Decision.Serial), []byte(e.NAS)
		k.Verdict, k.Differs = e.Decision.Verdict, differs(e.Decision.Verdict, e.Decision.Own)
	case tms.ActEvent:
		k.User, k.Serial = []byte(e.Object), []byte(e.Object)
	case tms.AccountingEvent:
		k.NAS = []byte(e.AccountingNAS)
	}
	return k
}
