package seedfile

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
)

// listColumns are the columns of WriteCSV.
var listColumns = []string{"serial", "user", "type", "algorithm", "digits", "period", "t0", "counter", "drift", "valid_from", "valid_until"}

// WriteCSV lists tokens as a CSV file (RFC 4180) without their seeds, one by one, with
// the names of the columns in the first line: serial, user, type, algorithm, digits,
// period (seconds), t0 (Unix seconds), counter, drift (steps), valid_from and
// valid_until (RFC 3339, in UTC). What a type of token does not have is empty.
func WriteCSV(w io.Writer, tokens iter.Seq2[*Token, error]) error {
	out := csv.NewWriter(w)
	err := out.Write(listColumns)
	for t, fault := range tokens {
		if fault != nil {
			return fmt.Errorf("listing tokens: %w", fault)
		}
		if err = out.Write(listRow(t)); err != nil {
			break
		}
	}
	if out.Flush(); err == nil {
		err = out.Error()
	}
	if err != nil {
		return fmt.Errorf("listing tokens: %w", err)
	}
	return nil
}

func listRow(t *Token) []string {
	row := []string{
		string(t.Serial), t.User, t.Type.String(), t.Algorithm.String(), strconv.Itoa(int(t.Digits)),
		"", "", "", "", dateText(t.ValidFrom), dateText(t.ValidUntil),
	}
	if t.Type.Clock() {
		row[5], row[6], row[8] = strconv.Itoa(int(t.Period)), strconv.FormatInt(t.T0, 10), strconv.Itoa(int(t.State.Drift))
	} else {
		row[7] = strconv.FormatUint(t.State.Counter, 10)
	}
	return row
}
