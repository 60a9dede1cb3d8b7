package postgres

import (
	"encoding/binary"
	"fmt"

	"countersign/otp"
	"countersign/tms/store"
)

// The statements that make a group durable, in a transaction by itself. An entry wins if the
// row of its token still has the revision and the stamp that it was decided by: then that row
// and those of other tokens change, its records go into the journal, and the rules that decided
// are counted. What has no row wins always. Rows are taken in the order of tokens, then those
// of rules, and the head of the journal last, because whoever has it keeps all others waiting
// until the commit.
//
// burnStatement and burnFurther wait for rows that another transaction has: a group of another
// node has them for as long as a commit takes. burnUnlocked does not: such an entry loses. That
// costs the server more, so it is for when a row stays locked. It still waits for rows of rules
// and the head, which every group takes; and for those of further tokens, but who has one of
// them has the row of the account's first token too.
//
// Most groups change no further tokens and count no rules. They need not pay for that: a tenth
// of the server's time.
//
// They return the number of the batch and the places of the entries that won, in the order of
// their records. Without a record there is no batch, and the number is NULL.
//
// Place 0 is nobody's. It is in the conditions that look for a place among the winners so that
// they are looked up in a hash table, and not one by one.
const (
	burnStatement = burnFrom + asked + burnOf + burnBatch + "0" + burnRest
	burnFurther   = burnFrom + asked + burnOf + burnOthers + burnBatch + othersDone + burnRest
	burnUnlocked  = burnFrom + `(
		SELECT e.* FROM ` + asked + `
		JOIN state l ON l.token_id = e.token AND l.rev = e.rev AND l.stamp = e.before FOR NO KEY UPDATE OF l SKIP LOCKED
	) e` + burnOf + burnOthers + burnBatch + othersDone + burnRest
)

// asked are the entries of a group.
const asked = `unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bigint[], $9::bytea[], $10::bigint[])
		WITH ORDINALITY e (token, rev, before, newer, stamp, state, key, verdict, records, count, place)`

const burnFrom = `WITH burned AS (
	UPDATE state s SET rev = e.newer, stamp = e.stamp, state = e.state,
		last_key = CASE WHEN e.key IS NULL THEN s.last_key ELSE e.key END,
		last_at = CASE WHEN e.key IS NULL THEN s.last_at ELSE ` + databaseNow + ` END,
		last_verdict = CASE WHEN e.key IS NULL THEN s.last_verdict ELSE e.verdict END
	FROM `

const burnOf = `
	WHERE s.token_id = e.token AND s.rev = e.rev AND s.stamp = e.before
	RETURNING e.place, e.records, e.count
)`

const burnOthers = `, further AS (
	UPDATE state s SET rev = f.rev, state = f.state
	FROM unnest($13::bigint[], $14::bigint[], $15::bigint[], $16::bytea[]) f (place, token, rev, state)
	WHERE s.token_id = f.token AND (f.place = 0 OR f.place IN (SELECT place FROM burned))
	RETURNING 1
), used AS (
	INSERT INTO rule_use AS r (id, batch, count, last)
	SELECT u.rule, 0, count(*), max(u.at) FROM unnest($17::bigint[], $18::bigint[], $19::bigint[]) u (place, rule, at)
	WHERE u.place = 0 OR u.place IN (SELECT place FROM burned)
	GROUP BY u.rule ORDER BY u.rule
	ON CONFLICT (id) DO UPDATE SET count = r.count + excluded.count, last = greatest(r.last, excluded.last)
	RETURNING 1
)`

// othersDone has the statement wait for what burnOthers changes, before it takes the head.
const othersDone = "(SELECT count(*) FROM further) + (SELECT count(*) FROM used)"

const burnBatch = `, batch AS MATERIALIZED (
	SELECT $11::bytea || coalesce(string_agg(records, ''::bytea), ''::bytea) AS records,
		$12::bigint + coalesce(sum(count), 0)::bigint AS count,
		array_agg(place) AS won,
		`

const burnRest = ` AS others
	FROM burned
), linked AS (
	UPDATE head h SET number = h.number + 1, total = h.total + b.count,
		chain = sha256('` + chainContext + `'::bytea || h.chain || int8send(h.number + 1) || b.records)
	FROM batch b WHERE h.id = 1 AND b.count > 0 AND b.others >= 0
	RETURNING h.number, h.total, h.chain, b.records
), written AS (
	INSERT INTO journal (batch, records, chain, total) SELECT number, records, chain, total FROM linked
)
SELECT linked.number, batch.won FROM batch LEFT JOIN linked ON true`

// databaseNow is the clock of the database in microseconds, at the begin of a statement.
const databaseNow = "(SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint)"

// The parameters of the statements.
const (
	ofToken = iota
	ofRev
	ofBefore
	ofNewer
	ofStamp
	ofState
	ofKey
	ofVerdict
	ofRecords
	ofCount
	ofFree
	ofFreed
	burnParameters // of burnStatement; those of the others go on
	ofFurtherPlace = iota - 1
	ofFurtherToken
	ofFurtherRev
	ofFurtherState
	ofUsePlace
	ofUseRule
	ofUseAt
	allParameters
)

// burnWriter encodes groups as parameters of the statements, in memory that it uses again.
type burnWriter struct {
	arrays  [allParameters]array
	values  [allParameters][]byte
	formats [allParameters]int16
	free    []byte
	freed   [8]byte
	state   []byte
}

// plain reports whether burnStatement does for the group.
func (w *burnWriter) plain() bool {
	return w.arrays[ofFurtherPlace].count == 0 && w.arrays[ofUsePlace].count == 0
}

// write encodes a group.
func (w *burnWriter) write(g *group) {
	g.sort()
	w.begin()
	for _, i := range g.order {
		w.entry(&g.entries[i])
	}
	for _, u := range g.uses {
		w.arrays[ofUsePlace].integer(g.placeOf(u.entry))
		w.arrays[ofUseRule].integer(int64(u.Rule))
		w.arrays[ofUseAt].integer(u.At)
	}
	for i := range w.arrays {
		w.values[i] = w.arrays[i].end()
	}
	w.free = append(store.BeginBatch(w.free[:0]), g.free...)
	binary.BigEndian.PutUint64(w.freed[:], uint64(g.freed))
	w.values[ofFree], w.values[ofFreed] = w.free, w.freed[:]
}

func (w *burnWriter) begin() {
	for i := range w.arrays {
		oid := uint32(oidInt8)
		switch i {
		case ofState, ofKey, ofRecords, ofFurtherState:
			oid = oidBytea
		}
		w.arrays[i].begin(oid)
	}
	for i := range w.formats {
		w.formats[i] = binaryFormat
	}
}

// entry encodes the next entry.
func (w *burnWriter) entry(e *entry) {
	a := &w.arrays
	a[ofToken].integer(e.token)
	a[ofRev].integer(int64(e.rev))
	a[ofBefore].integer(e.before)
	a[ofNewer].integer(int64(e.newer))
	a[ofStamp].integer(e.stamp)
	w.state = store.AppendState(w.state[:0], &e.state)
	a[ofState].bytes(w.state)
	if e.key == (otp.LoginKey{}) {
		a[ofKey].null()
	} else {
		a[ofKey].bytes(e.key[:])
	}
	a[ofVerdict].integer(int64(e.verdict))
	a[ofRecords].bytes(e.records)
	a[ofCount].integer(int64(e.count))
	for i := range e.further {
		c := &e.further[i]
		a[ofFurtherPlace].integer(e.place)
		a[ofFurtherToken].integer(c.Token)
		a[ofFurtherRev].integer(int64(c.Rev))
		w.state = store.AppendState(w.state[:0], &c.State)
		a[ofFurtherState].bytes(w.state)
	}
}

// array is an array of one dimension in the binary format of PostgreSQL (array_send in its
// source).
type array struct {
	oid   uint32 // of the elements
	count uint32
	b     []byte
}

// arrayHead is the size of what is before the elements: dimensions, whether there are
// NULLs, type, length, lower bound, 4 bytes each.
const arrayHead = 20

func (a *array) begin(oid uint32) {
	a.oid, a.count = oid, 0
	a.b = append(a.b[:0], make([]byte, arrayHead)...)
}

func (a *array) integer(n int64) {
	a.count++
	a.b = binary.BigEndian.AppendUint32(a.b, 8)
	a.b = binary.BigEndian.AppendUint64(a.b, uint64(n))
}

func (a *array) bytes(b []byte) {
	a.count++
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(len(b)))
	a.b = append(a.b, b...)
}

func (a *array) null() {
	a.count++
	a.b[7] = 1
	a.b = append(a.b, 0xff, 0xff, 0xff, 0xff)
}

// end returns the array, which has no dimension if it is empty.
func (a *array) end() []byte {
	head := a.b[:arrayHead]
	binary.BigEndian.PutUint32(head[8:], a.oid)
	if a.count == 0 {
		binary.BigEndian.PutUint32(head, 0)
		return a.b[:12]
	}
	binary.BigEndian.PutUint32(head, 1)
	binary.BigEndian.PutUint32(head[12:], a.count)
	binary.BigEndian.PutUint32(head[16:], 1)
	return a.b
}

// integers reads an array of bigint that has no NULLs; nil is empty.
func integers(dst []int64, b []byte) ([]int64, error) {
	if b == nil || len(b) == 12 {
		return dst, nil
	}
	if len(b) < arrayHead || (len(b)-arrayHead)%12 != 0 || int(binary.BigEndian.Uint32(b[12:])) != (len(b)-arrayHead)/12 {
		return dst, fmt.Errorf("the database answers with an array of %d bytes that does not parse", len(b))
	}
	for b = b[arrayHead:]; len(b) > 0; b = b[12:] {
		dst = append(dst, int64(binary.BigEndian.Uint64(b[4:])))
	}
	return dst, nil
}
