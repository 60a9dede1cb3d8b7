package main

import (
	"encoding/csv"
	"errors"
	"strconv"
	"strings"
	"time"

	"countersign/tms/console"
)

// sessionColumns are the columns of the CSV form of sessions: the names of the JSON form.
var sessionColumns = []string{
	"id", "state", "user", "user_name", "nas", "gateway", "session_id", "source", "nas_address", "nas_port", "station", "address",
	"started", "heard", "last", "ended", "cause", "by", "begun", "records",
	"seconds", "input_octets", "output_octets", "input_packets", "output_packets",
	"event", "login_at", "login_nas", "serial", "rule", "session_limit",
}

// sessionCSV prints sessions as CSV.
type sessionCSV struct {
	out    *csv.Writer
	headed bool
}

func (a *app) newSessionCSV() *sessionCSV { return &sessionCSV{out: csv.NewWriter(a.out)} }

func (c *sessionCSV) add(v console.SessionView) error {
	if err := c.head(); err != nil {
		return err
	}
	row := sessionRow(&v)
	for i := range row {
		row[i] = harmless(row[i])
	}
	return c.out.Write(row)
}

// head prints the names of the columns, before the first row.
func (c *sessionCSV) head() error {
	if c.headed {
		return nil
	}
	c.headed = true
	return c.out.Write(sessionColumns)
}

// end ends the listing with how it went.
func (c *sessionCSV) end(err error) error {
	if err == nil {
		err = c.head()
	}
	c.out.Flush()
	return errors.Join(err, c.out.Error())
}

// sessionRow has the cells of sessionColumns.
func sessionRow(v *console.SessionView) []string {
	row := []string{
		v.ID.String(), v.State, v.User, v.UserName, v.NAS, v.Gateway, v.SessionID, v.Source, addressText(v.NASAddress), v.NASPort, v.Station, addressText(v.Address),
		csvTime(v.Started), csvTime(v.Heard), csvTime(v.Last), csvTime(v.Ended), v.Cause, v.By, strconv.FormatBool(v.Begun), strconv.Itoa(v.Records),
	}
	figures := make([]string, 5)
	if f := v.SessionFigures; f != nil {
		figures[0] = strconv.FormatInt(f.Seconds, 10)
		for i, n := range []uint64{f.InputOctets, f.OutputOctets, f.InputPackets, f.OutputPackets} {
			figures[i+1] = strconv.FormatUint(n, 10)
		}
	}
	login := make([]string, 6)
	if l := v.SessionLogin; l != nil {
		login = []string{l.Event, csvTime(l.LoginAt), l.LoginNAS, l.Serial, l.Rule, l.Limit}
	}
	return append(append(row, figures...), login...)
}

// csvTime is a time in RFC 3339, in UTC; empty when there is none.
func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// harmless is a cell that no spreadsheet takes for a formula: what may be one gets a '
// before it, and what begins with a ' one more, so that nothing is lost.
func harmless(cell string) string {
	if cell != "" && (strings.ContainsRune("=+-@'", rune(cell[0])) || cell[0] < ' ') {
		return "'" + cell
	}
	return cell
}
