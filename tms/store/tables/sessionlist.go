package tables

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"countersign/radiusd/accounting"
)

// Sessions implements accounting.Store. The newest is the one that began last.
func (s *Tables) Sessions(ctx context.Context, f accounting.Filter, each func(*accounting.Session) error) error {
	q := newSessionQuery(&f, s.dialect.Unindexed)
	err := list(ctx, f.Limit, func() (sessions []accounting.Session, err error) {
		for len(sessions) == 0 && err == nil && !q.ended {
			sql, args := q.next()
			err = s.history.ReadHistory(func(c Conn) (err error) {
				sessions, err = readSessions(c, sql, args...)
				return err
			})
			q.read(sessions)
		}
		if err != nil {
			err = fmt.Errorf("listing sessions: %w", err)
		}
		return sessions, err
	}, each)
	return err
}

// What the conditions of partial indexes are; queries are written like them, and so have the
// indexes to be.
const (
	Living  = "state < 3"
	Lasting = "there - started >= 86400000000000"
)

// longTime is how long sessions last that have an index of their own (Lasting).
const longTime = 24 * time.Hour

// sessionQuery lists sessions a page at a time, by when they began. An index leads: that
// of what the filter asks for and few sessions have, else that of when they began. With
// that, those that there were since an instant are listed in two goes: of all that began
// since a day before it, and then of the earlier ones those that lasted longer.
type sessionQuery struct {
	unindexed string // Dialect.Unindexed
	where     []string
	args      []driver.Value
	limit     int

	started, id int64 // of the last one listed
	long        int64 // where the first go ends, 0 for none
	lasting     bool  // it is the second
	ended       bool
}

// ofNAS is the condition for which there is an index by when sessions began too.
const ofNAS = "nas = ?"

func newSessionQuery(f *accounting.Filter, unindexed string) *sessionQuery {
	q := &sessionQuery{unindexed: unindexed, limit: f.Limit, started: math.MaxInt64, id: math.MaxInt64}
	leads := q.choose(f)
	if len(f.States) > 0 {
		q.states(f.States, leads)
	}
	if !f.To.IsZero() {
		q.started = nanoseconds(f.To) - 1
	}
	if f.From.IsZero() {
		return q
	}
	from := nanoseconds(f.From)
	q.where = append(q.where, "there >= ?")
	q.args = append(q.args, from)
	if leads || slices.Contains(q.where, Living) {
		return q
	}
	q.long = from - int64(longTime)
	return q
}

// choose takes over what is to be equal, and reports whether an index leads for which it
// does not matter when sessions began.
func (q *sessionQuery) choose(f *accounting.Filter) (leads bool) {
	if f.ID != (accounting.Position{}) {
		q.where, q.args, leads = append(q.where, "id = ?"), append(q.args, number(f.ID)), true
		q.ended = f.ID.Index > maxIndex // there is no such entry
	}
	for _, c := range []struct {
		column, value string
		index         string // what its index says besides
	}{
		{"who", f.User, ""},
		{"serial", f.Serial, " AND serial <> ''"},
		{"station", f.Station, " AND station <> ''"},
		{"address", addressText(f.Address), " AND address <> ''"},
		{"rule", f.Rule, " AND rule <> ''"},
	} {
		if c.value != "" {
			q.equal(c.column, c.index, c.value, leads)
			leads = true
		}
	}
	if f.NAS != "" {
		q.equal("nas", "", f.NAS, leads || len(f.States) > 0 && !slices.Contains(f.States, accounting.Closed))
	}
	return leads
}

// equal has a column be equal to something, with its index or without.
func (q *sessionQuery) equal(column, index, value string, without bool) {
	if without {
		column, index = q.unindexed+column, ""
	}
	q.where = append(q.where, column+" = ?"+index)
	q.args = append(q.args, value)
}

// states chooses states; of those that have not ended there is an index.
func (q *sessionQuery) states(states []accounting.State, leads bool) {
	if !leads && !slices.Contains(states, accounting.Closed) {
		q.where = append(q.where, Living)
	}
	var numbers []string
	for _, s := range states {
		numbers = append(numbers, fmt.Sprint(uint8(s)))
	}
	slices.Sort(numbers)
	q.where = append(q.where, q.unindexed+"state IN ("+strings.Join(slices.Compact(numbers), ", ")+")")
}

// next is the statement of the next page.
func (q *sessionQuery) next() (sql string, args []driver.Value) {
	where := append(slices.Clone(q.where), "started <= ?", "(started < ? OR id < ?)")
	args = append(slices.Clone(q.args), q.started, q.started, q.id)
	switch {
	case q.lasting:
		where = append(where, Lasting)
		if n := slices.Index(where, ofNAS); n >= 0 {
			where[n] = q.unindexed + ofNAS
		}
	case q.long != 0:
		where, args = append(where, "started >= ?"), append(args, q.long)
	}
	return selectSession + "WHERE " + strings.Join(where, " AND ") + " ORDER BY started DESC, id DESC LIMIT ?", append(args, int64(q.size()))
}

func (q *sessionQuery) size() int {
	if q.limit > 0 {
		return min(q.limit, sessionPage)
	}
	return sessionPage
}

// read goes on behind a page.
func (q *sessionQuery) read(page []accounting.Session) {
	if len(page) > 0 {
		end := &page[len(page)-1]
		q.started, q.id = nanoseconds(end.Started), number(end.ID)
	}
	switch {
	case len(page) == q.size():
	case q.long != 0:
		q.started, q.id = min(q.started, q.long-1), math.MaxInt64
		q.lasting, q.long = true, 0
	default:
		q.ended = true
	}
}
