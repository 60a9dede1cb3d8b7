package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
	"countersign/tms/console"
)

func (a *app) sessionShowCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "show SESSION", Short: "Show a session, with its login and its accounting records", Args: oneName,
		Long: "Show all that is known of a session, the login it belongs to, and each of its accounting records with its attributes.\n" +
			"With --json there is a line for the session and then one for each record, as of `countersign session records`.",
		Example: "  countersign session show 17-3",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				v, err := client.Session(ctx, args[0])
				if err != nil {
					return err
				}
				if err := a.showSession(&v); err != nil {
					return err
				}
				r, err := a.newRecords(cfg)
				if err != nil {
					return err
				}
				return client.SessionRecords(ctx, args[0], r.show)
			})
		},
	})
}

// showSession prints all of a session.
func (a *app) showSession(v *console.SessionView) error {
	if a.json {
		return a.result(v)
	}
	a.line("session", fmt.Sprintf("%s, %s", v.ID, v.State))
	user := v.User
	if v.UserName != v.User {
		user += " (User-Name " + v.UserName + ")"
	}
	a.line("user", user)
	a.line("login", loginOfSession(v))
	a.line("NAS", nasOfSession(v))
	a.line("session ID", v.SessionID)
	a.line("station", v.Station)
	a.line("address", addressText(v.Address))
	began := date(v.Started)
	if !v.Begun {
		began += " (reckoned: no Start has come)"
	}
	a.line("began", began)
	a.line("heard of", date(v.Heard))
	if !v.Ended.IsZero() {
		a.line("ended", strings.TrimSuffix(date(v.Ended)+", "+sessionEnd(v), ", "))
	}
	a.line("lasted", lasting(sessionTime(v, a.clock())))
	if f := v.SessionFigures; f != nil {
		a.line("used", fmt.Sprintf("%s in, %s out (%d and %d octets, %d and %d packets)",
			octets(f.InputOctets), octets(f.OutputOctets), f.InputOctets, f.OutputOctets, f.InputPackets, f.OutputPackets))
	}
	a.line("records", fmt.Sprint(v.Records))
	return nil
}

func loginOfSession(v *console.SessionView) string {
	l := v.SessionLogin
	if l == nil {
		return "not known: no Class of ours was in the records"
	}
	text := fmt.Sprintf("%s at %s", l.Event, stamp(l.LoginAt))
	if l.LoginNAS != "" && l.LoginNAS != v.NAS {
		text += ", at another NAS, " + l.LoginNAS
	}
	switch {
	case l.Rule != "":
		text += ", no eToken by rule " + l.Rule
	case l.Serial != "":
		text += ", token " + l.Serial
	}
	if l.Limit != "" {
		text += ", session limit " + l.Limit
	}
	return text + fmt.Sprintf(" (`countersign explain %s` tells more)", l.Event)
}

func nasOfSession(v *console.SessionView) string {
	text := v.NAS
	for _, fact := range []struct{ name, value string }{
		{"gateway", v.Gateway}, {"source address", v.Source}, {"NAS-IP-Address", addressText(v.NASAddress)}, {"port", v.NASPort},
	} {
		if fact.value != "" {
			text += ", " + fact.name + " " + fact.value
		}
	}
	return text
}

func (a *app) sessionRecordsCommand() *cobra.Command {
	var after string
	limit := 0
	c := &cobra.Command{
		Use: "records", Short: "List the accounting records of all sessions, the oldest first", Args: cobra.NoArgs,
		Long: "List the accounting records of all sessions in the order in which they came, without those that gateways have sent twice.\n" +
			"To read on later, give the name of the last record by --after. With --json each is an object: attributes has what was\n" +
			"received, in base64, and named the same as names and values.\n" +
			"\n" +
			"Programs that want every record as it comes are better served by a [[collector]].",
		Example: "  countersign session records --after 17-3 --limit 1000 --json",
		RunE: func(*cobra.Command, []string) error {
			var position accounting.Position
			if after != "" {
				var err error
				if position, err = accounting.ParsePosition(after); err != nil {
					return fmt.Errorf("--after: %w", err)
				}
			}
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				r, err := a.newRecords(cfg)
				if err != nil {
					return err
				}
				t := a.newTable("RECORD", "TIME", "NAS", "STATUS", "USER", "SESSION ID", "STATION", "ADDRESS")
				_, err = client.AccountingRecords(ctx, position, limit, func(v console.RecordView) error { return r.add(t, &v) })
				return t.end(err)
			})
		},
	}
	c.Flags().StringVar(&after, "after", "", "only those after this `record`, such as 17-3")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many; 0: all")
	return a.jsonFlag(c)
}

// records prints accounting records, whose attributes it knows by name.
type records struct {
	app        *app
	dictionary *packet.Dictionary
}

func (a *app) newRecords(cfg *conf.Config) (*records, error) {
	dictionary, err := loadDictionary(cfg)
	return &records{a, dictionary}, err
}

// recordLine is a record as JSON. What has the name of a field in the file of a
// [[collector]] is the same.
type recordLine struct {
	console.RecordView
	Occurred  time.Time `json:"occurred"`
	Status    string    `json:"status"`
	SessionID string    `json:"session_id,omitempty"`
	User      string    `json:"user,omitempty"`
	Named     []string  `json:"named"` // the attributes, by their names
}

// line reads a record. What it does not say is as if it were not there.
func (r *records) line(v *console.RecordView) recordLine {
	l := recordLine{RecordView: *v, Named: r.dictionary.Format(v.Attributes)}
	parsed, _ := accounting.Parse(&accounting.Entry{Position: v.Record, At: v.Received, NAS: v.NAS, Source: v.Source, Attributes: v.Attributes})
	l.Occurred, l.Status, l.SessionID, l.User = parsed.Occurred, parsed.Status.String(), parsed.SessionID, parsed.User
	return l
}

// value is that of the first attribute of a name, "" when there is none.
func (l *recordLine) value(name string) string {
	for _, attribute := range l.Named {
		if value, ok := strings.CutPrefix(attribute, name+" = "); ok {
			return value
		}
	}
	return ""
}

// add prints a record as a row.
func (r *records) add(t *table, v *console.RecordView) error {
	l := r.line(v)
	return t.add(l, l.Record.String(), stamp(l.Received), printable(l.NAS), l.Status, printable(l.User),
		printable(l.SessionID), printable(l.value("Calling-Station-Id")), l.value("Framed-IP-Address"))
}

// show prints all of a record.
func (r *records) show(v console.RecordView) error {
	l := r.line(&v)
	if r.app.json {
		return json.NewEncoder(r.app.out).Encode(l)
	}
	r.app.say("\n%s  %s  %s, from %s", l.Record, stamp(l.Received), l.Status, l.Source)
	for _, attribute := range l.Named {
		r.app.say("  %s", printable(attribute))
	}
	return nil
}
