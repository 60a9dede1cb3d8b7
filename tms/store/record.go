package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// Record is one entry of the journal.
type Record struct {
	Event   tms.Event // its ID is not part of the encoding
	Changes []Change
}

// Change is the new state of a token. It replaces those of lower revisions.
type Change struct {
	Token int64  // the engine's number of the token, never used for another
	Rev   uint64 // rises by one with each change of the token
	State otp.State
}

// Use is that a rule decided a login. The zero Use is none.
type Use struct {
	Rule uint64 // tms.Rule.ID
	At   int64  // Unix seconds
}

const ( // flags of a login
	flagRepeated = 1 << iota
	flagLockedNow
	flagOwn
	flagsOfLogin = 1<<iota - 1
)

// timeSize is the length of an encoded instant.
const timeSize = 8

// errRecord is what every error of parsing wraps.
var errRecord = errors.New("damaged record")

// AppendRecord appends the encoding of r to dst.
func AppendRecord(dst []byte, r *Record) []byte {
	dst = appendHead(dst, r.Event.Kind, r.Event.At, r.Changes)
	switch e := &r.Event; e.Kind {
	case tms.LoginEvent:
		dst = appendLogin(dst, e.User, e.NAS, e.Station, e.Method, &e.Decision)
		return appendDeciding(dst, e.Rule, e.Trace)
	case tms.ActEvent:
		for _, text := range [...]string{e.Actor, e.Verb, e.Object, e.Act.Detail} {
			dst = appendText(dst, text)
		}
		return dst
	default:
		dst = appendText(dst, e.AccountingNAS)
		dst = appendText(dst, e.Source)
		return appendText(dst, e.Attributes)
	}
}

// AppendLogin appends the record of a decided attempt to dst: what AppendRecord
// appends for the same login, but straight from the attempt.
func AppendLogin(dst []byte, a *otp.Attempt, changes []Change) []byte {
	dst = appendHead(dst, tms.LoginEvent, a.At, changes)
	dst = appendLogin(dst, a.User, a.NAS, a.Station, a.Method, &a.Decision)
	return appendDeciding(dst, a.Rule, a.Trace)
}

func appendHead(dst []byte, kind tms.EventKind, at time.Time, changes []Change) []byte {
	dst = append(dst, byte(kind))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at.UnixNano()))
	dst = binary.AppendUvarint(dst, uint64(len(changes)))
	for i := range changes {
		c := &changes[i]
		dst = binary.AppendUvarint(dst, uint64(c.Token))
		dst = binary.AppendUvarint(dst, c.Rev)
		dst = AppendState(dst, &c.State)
	}
	return dst
}

func appendLogin[T string | []byte](dst []byte, user T, nas string, station T, method otp.Method, d *otp.Decision) []byte {
	dst = appendText(dst, user)
	dst = appendText(dst, nas)
	dst = appendText(dst, station)
	flags := byte(0)
	if d.Repeated {
		flags |= flagRepeated
	}
	if d.LockedNow {
		flags |= flagLockedNow
	}
	if d.Own != otp.Undecided {
		flags |= flagOwn
	}
	dst = append(dst, byte(method), byte(d.Verdict), flags)
	dst = appendText(dst, d.Serial)
	dst = binary.AppendVarint(dst, d.Offset)
	if d.Own != otp.Undecided {
		dst = append(dst, byte(d.Own))
	}
	return dst
}

// appendDeciding ends a login with the rule and the trace, if it has any.
func appendDeciding(dst []byte, rule uint64, trace []byte) []byte {
	if rule == 0 && len(trace) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, rule)
	return appendText(dst, trace)
}

func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// ParseRecord reads a record whole.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	d := decoder{rest: b}
	r.Event.Kind, r.Event.At = d.head()
	r.Changes = d.changes(nil)
	switch e := &r.Event; e.Kind {
	case tms.LoginEvent:
		d.login(&e.Login)
	case tms.ActEvent:
		e.Act = tms.Act{At: e.At, Actor: d.text(), Verb: d.text(), Object: d.text(), Detail: d.text()}
	case tms.AccountingEvent:
		e.Accounting = tms.Accounting{AccountingNAS: d.text(), Source: d.text(), Attributes: bytes.Clone(d.view())}
	default:
		d.bad = true
	}
	if d.bad || len(d.rest) > 0 {
		return Record{}, fmt.Errorf("%w: %d bytes of kind %d do not parse", errRecord, len(b), r.Event.Kind)
	}
	return r, nil
}

// ParseChanges reads of a record only what a replay needs: the changes, which it
// appends to dst, and the use of a rule.
func ParseChanges(dst []Change, b []byte) ([]Change, Use, error) {
	d := decoder{rest: b}
	kind, at := d.head()
	dst = d.changes(dst)
	use := Use{}
	if kind == tms.LoginEvent {
		d.loginKeys()
		if use.Rule, _ = d.deciding(); use.Rule != 0 {
			use.At = at.Unix()
		}
	}
	if d.bad {
		return dst, Use{}, fmt.Errorf("%w: the changes in its %d bytes do not parse", errRecord, len(b))
	}
	return dst, use, nil
}

// decoder reads one value after another. After the first that does not parse
// bad is set and everything is zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) head() (tms.EventKind, time.Time) {
	kind := d.octet()
	return tms.EventKind(kind), d.instant()
}

func (d *decoder) instant() time.Time {
	if len(d.rest) < timeSize {
		d.fail()
		return time.Time{}
	}
	nanoseconds := int64(binary.LittleEndian.Uint64(d.rest))
	d.rest = d.rest[timeSize:]
	return time.Unix(0, nanoseconds)
}

func (d *decoder) changes(dst []Change) []Change {
	for range d.uvarint() {
		c := Change{Token: int64(d.uvarint()), Rev: d.uvarint(), State: d.state()}
		if d.bad {
			break // or a damaged number of changes would go on for ever
		}
		dst = append(dst, c)
	}
	return dst
}

// skipChanges goes past what changes reads.
func (d *decoder) skipChanges() {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		d.uvarint()
		d.uvarint()
		d.state()
	}
}

func (d *decoder) login(l *tms.Login) {
	l.User, l.NAS, l.Station = d.text(), d.text(), d.text()
	l.Method = otp.Method(d.octet())
	l.Decision.Verdict = otp.Verdict(d.octet())
	flags := d.octet()
	l.Decision.Repeated = flags&flagRepeated != 0
	l.Decision.LockedNow = flags&flagLockedNow != 0
	l.Decision.Serial = otp.Serial(d.text())
	l.Decision.Offset = d.varint()
	l.Decision.Own = d.own(flags)
	d.check(flags&^flagsOfLogin == 0)
	var trace []byte
	if l.Rule, trace = d.deciding(); len(trace) > 0 {
		l.Trace = bytes.Clone(trace)
	}
}

// own reads the verdict of our own tokens, if the flags of the login say so.
func (d *decoder) own(flags byte) (own otp.Verdict) {
	if flags&flagOwn != 0 {
		own = otp.Verdict(d.octet())
		d.check(own != otp.Undecided)
	}
	return own
}

// loginKeys reads what a login is found by, and goes past the rest before the rule.
func (d *decoder) loginKeys() (user, nas, serial []byte, verdict, own otp.Verdict) {
	user, nas = d.view(), d.view()
	d.view()  // station
	d.octet() // method
	verdict = otp.Verdict(d.octet())
	flags := d.octet()
	serial = d.view()
	d.varint()
	return user, nas, serial, verdict, d.own(flags)
}

// deciding reads what appendDeciding wrote; the trace is a view.
func (d *decoder) deciding() (rule uint64, trace []byte) {
	if len(d.rest) == 0 {
		return 0, nil
	}
	rule, trace = d.uvarint(), d.view()
	d.check(rule != 0 || len(trace) > 0)
	return rule, trace
}

func (d *decoder) text() string { return string(d.view()) }

// view reads a text without copying it.
func (d *decoder) view() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	text := d.rest[:n]
	d.rest = d.rest[n:]
	return text
}

func (d *decoder) octet() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) fail() { d.rest, d.bad = nil, true }
