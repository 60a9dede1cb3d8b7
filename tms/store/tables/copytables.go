package tables

import (
	"database/sql/driver"
	"fmt"
	"strings"
)

// copiedTable is a table that every engine has, as a copy takes it along.
type copiedTable struct {
	name    string
	part    CopyPart
	columns []copiedColumn // the first of them are the primary key
	keys    int            // so many
	heavy   string         // the column that may be large; empty when rows are all small
}

type copiedColumn struct {
	name     string
	kind     columnKind
	nullable bool
}

type columnKind int

const (
	integerColumn columnKind = iota
	textColumn
	blobColumn
)

// copiedTables are all tables of a store, in the order in which they are copied, but for
// what a store makes anew: the index by which the journal is searched, and what an
// engine has for its own work. CopyStore.Derive knows about further columns.
var copiedTables = []copiedTable{
	newCopied(RecordsPart, "user", "id", "name:text pin:blob? disabled created unentitled home", ""),
	newCopied(RecordsPart, "token", "id", "serial:text user_id? type algorithm digits period t0 seed:blob disabled created codes valid_from valid_until enrolled", ""),
	newCopied(RecordsPart, "state", "token_id", "rev state:blob", ""),
	newCopied(RecordsPart, "rule", "id", "name:text file from_rev to_rev? added actor:text text:text", "text"),
	newCopied(RecordsPart, "rule_order", "rev", "ids:text", "ids"),
	newCopied(RecordsPart, "rule_use", "id", "batch count last", ""),
	newCopied(RecordsPart, "invitation", "id", "name:text sealed:blob", "sealed"),
	newCopied(RecordsPart, "opener", "hash:blob", "invitation_id", ""),
	newCopied(RecordsPart, "mail", "id", "name:text due sealed:blob", "sealed"),
	newCopied(RecordsPart, "tms_seen", "name:text", "last", ""),
	newCopied(RecordsPart, "nas_seen", "nas:text", "", ""),
	newCopied(RecordsPart, "note", "kind:text name:text", "value:blob", "value"),
	newCopied(RecordsPart, "checkpoint", "batch", "at chain:blob signature:blob", ""),
	newCopied(RecordsPart, "accounting", "batch", "records:blob", "records"),
	newCopied(RecordsPart, "journal", "batch", "records:blob chain:blob?", "records"),

	newCopied(HistoryPart, "session", "id", `nas:text gateway:text session:text source:text nas_address:text nas_port:text user:text station:text
		address:text event:text login_at login:text serial:text rule:text login_nas:text pool:text state started heard last ended cause ended_by:text
		begun records figures time input_octets output_octets input_packets output_packets`, ""),
	newCopied(HistoryPart, "entry", "session fingerprint:blob", "id", ""),
	newCopied(HistoryPart, "repeat", "id", "", ""),
	newCopied(HistoryPart, "taken", "batch", "number last", ""),
}

// newCopied reads columns: name, then after a colon what it has (an integer if it does not
// say), then ? if it may be NULL.
func newCopied(part CopyPart, name, key, others, heavy string) copiedTable {
	t := copiedTable{name: name, part: part, keys: len(strings.Fields(key)), heavy: heavy}
	kinds := map[string]columnKind{"": integerColumn, "text": textColumn, "blob": blobColumn}
	for _, word := range strings.Fields(key + " " + others) {
		word, nullable := strings.CutSuffix(word, "?")
		column, kind, _ := strings.Cut(word, ":")
		t.columns = append(t.columns, copiedColumn{column, kinds[kind], nullable})
	}
	return t
}

// values are the values of a row, in the same types whatever the database.
func (t *copiedTable) values(row Row) ([]driver.Value, error) {
	values := make([]driver.Value, len(t.columns))
	for i := range t.columns {
		var err error
		if values[i], err = t.columns[i].value(row[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (c *copiedColumn) value(v driver.Value) (driver.Value, error) {
	switch v := v.(type) {
	case nil:
		if c.nullable {
			return nil, nil
		}
	case int64:
		if c.kind == integerColumn {
			return v, nil
		}
	case string:
		if c.kind == textColumn {
			return v, nil
		}
	case []byte:
		switch {
		case v == nil && c.nullable:
			return nil, nil
		case c.kind == textColumn: // of a database whose text has to be UTF-8
			return string(v), nil
		case c.kind == blobColumn:
			return append([]byte{}, v...), nil
		}
	}
	return nil, fmt.Errorf("column %s has a value of type %T", c.name, v)
}

// names are the quoted names of columns.
func names(columns []copiedColumn) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = `"` + c.name + `"`
	}
	return strings.Join(quoted, ", ")
}

// key is the table with no columns but its primary key.
func (t *copiedTable) key() *copiedTable {
	return &copiedTable{name: t.name, part: t.part, columns: t.columns[:t.keys], keys: t.keys}
}

// from is the rows of the table whose key is after one and up to another. nil is no bound.
func (t *copiedTable) from(after, upTo []driver.Value) (sql string, args []driver.Value) {
	sql = ` FROM "` + t.name + `"`
	key, places := "("+names(t.columns[:t.keys])+")", placesOf(t.keys)
	if after != nil {
		sql += " WHERE " + key + " > " + places
	}
	if upTo != nil && after != nil {
		sql += " AND " + key + " <= " + places
	} else if upTo != nil {
		sql += " WHERE " + key + " <= " + places
	}
	return sql, append(append(args, after...), upTo...)
}

// placesOf is (?, ?) for so many values.
func placesOf(values int) string {
	return "(" + strings.TrimSuffix(strings.Repeat("?, ", values), ", ") + ")"
}

// CopiedColumns are the columns of the tables of a part that are copied, as "table.column".
func CopiedColumns(part CopyPart) map[string]bool {
	known := map[string]bool{}
	for i := range copiedTables {
		for _, c := range copiedTables[i].columns {
			if t := &copiedTables[i]; t.part == part {
				known[t.name+"."+c.name] = true
			}
		}
	}
	return known
}
