package tables

import (
	"database/sql/driver"
	"fmt"
	"math"
	"net/netip"
	"time"

	"countersign/radiusd/accounting"
)

// sessionColumns are what readSession reads and sessionValues gives, in this order.
const sessionColumns = `id, nas, gateway, session, source, nas_address, nas_port, "user", station, address,
	event, login_at, login, serial, rule, login_nas, pool, state, started, heard, last, ended, cause, ended_by, begun, records,
	figures, time, input_octets, output_octets, input_packets, output_packets`

// saveSession writes a session, new or not. The key is what it was.
const saveSession = "INSERT INTO session (" + sessionColumns + `)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET source = excluded.source, nas_address = excluded.nas_address, nas_port = excluded.nas_port,
	"user" = excluded."user", station = excluded.station, address = excluded.address, event = excluded.event,
	login_at = excluded.login_at, login = excluded.login, serial = excluded.serial, rule = excluded.rule,
	login_nas = excluded.login_nas, pool = excluded.pool, state = excluded.state, started = excluded.started,
	heard = excluded.heard, last = excluded.last, ended = excluded.ended, cause = excluded.cause, ended_by = excluded.ended_by,
	begun = excluded.begun, records = excluded.records, figures = excluded.figures, time = excluded.time,
	input_octets = excluded.input_octets, output_octets = excluded.output_octets,
	input_packets = excluded.input_packets, output_packets = excluded.output_packets`

func sessionValues(s *accounting.Session) []driver.Value {
	l, f := &s.Login, &s.Figures
	return []driver.Value{
		number(s.ID), s.NAS, s.Gateway, s.SessionID, s.Source, addressText(s.NASAddress), s.NASPort, s.User, s.Station, addressText(s.Address),
		l.Event, nanoseconds(l.At), l.User, l.Serial, l.Rule, l.NAS, l.Pool,
		int64(s.State), nanoseconds(s.Started), nanoseconds(s.Heard), nanoseconds(s.Last), nanoseconds(s.Ended), int64(s.Cause), s.By, asNumber(s.Begun), int64(s.Records),
		asNumber(f.Has), int64(f.Time), int64(f.InputOctets), int64(f.OutputOctets), int64(f.InputPackets), int64(f.OutputPackets),
	}
}

// readSession reads a row of sessionColumns.
func readSession(r Row) (s accounting.Session, err error) {
	s = accounting.Session{
		ID: position(r.Integer(0)), Key: accounting.Key{NAS: r.Text(1), Gateway: r.Text(2), SessionID: r.Text(3)},
		Source: r.Text(4), NASPort: r.Text(6), User: r.Text(7), Station: r.Text(8),
		Login: accounting.Login{
			Event: r.Text(10), At: fromNanoseconds(r.Integer(11)), User: r.Text(12), Serial: r.Text(13), Rule: r.Text(14), NAS: r.Text(15), Pool: r.Text(16),
		},
		State: accounting.State(r.Integer(17)), Started: fromNanoseconds(r.Integer(18)), Heard: fromNanoseconds(r.Integer(19)),
		Last: fromNanoseconds(r.Integer(20)), Ended: fromNanoseconds(r.Integer(21)), Cause: accounting.Cause(r.Integer(22)), By: r.Text(23),
		Begun: r.Integer(24) != 0, Records: int(r.Integer(25)),
		Figures: accounting.Figures{
			Has: r.Integer(26) != 0, Time: time.Duration(r.Integer(27)), InputOctets: uint64(r.Integer(28)), OutputOctets: uint64(r.Integer(29)),
			InputPackets: uint64(r.Integer(30)), OutputPackets: uint64(r.Integer(31)),
		},
	}
	if s.NASAddress, err = readAddress(r.Text(5)); err == nil {
		s.Address, err = readAddress(r.Text(9))
	}
	if err != nil {
		err = fmt.Errorf("%w: session %v: %w", ErrUselessHistory, s.ID, err)
	}
	return s, err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func readAddress(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

// nanoseconds is an instant as it is stored: 0 for none, and the first or the last that
// there is for one that is beyond.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanoseconds(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// indexBits are the bits of the number of a position that are its place in the batch.
const indexBits = 16

const maxIndex = 1<<indexBits - 1

// MaxEntries is how many entries a batch of the accounting log can have.
const MaxEntries = maxIndex + 1

// number is a position as one number: in the same order. Of positions that no entry can
// have it is that of the highest below them.
func number(p accounting.Position) int64 {
	if p.Batch > math.MaxInt64>>indexBits {
		return math.MaxInt64
	}
	return int64(p.Batch)<<indexBits | int64(min(p.Index, maxIndex))
}

func position(number int64) accounting.Position {
	return accounting.Position{Batch: uint64(number) >> indexBits, Index: uint32(number & maxIndex)}
}
