package tables

import (
	"database/sql/driver"

	"countersign/otp"
)

// Row is a row of a result. Its methods give zero for NULL.
type Row []driver.Value

// Integer is the integer in column i.
func (r Row) Integer(i int) int64 { n, _ := r[i].(int64); return n }

// Text is the text in column i, which may be kept as bytes.
func (r Row) Text(i int) string {
	switch v := r[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Blob are the bytes in column i.
func (r Row) Blob(i int) []byte { b, _ := r[i].([]byte); return b }

// TokenRow is a token as the tables have it, with its latest state.
type TokenRow struct {
	ID  int64
	Rev uint64
	otp.Token
}

// UserRow is a user with their tokens, in the order of their ids.
type UserRow struct {
	Name     string
	Disabled bool
	Home     otp.Home
	PIN      []byte
	Tokens   []TokenRow
}
