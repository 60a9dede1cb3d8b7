package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"countersign/tms/console"
)

// jsonFlag adds --json to a command that lists.
func (a *app) jsonFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON, one object a line")
	return c
}

// table prints items in columns, or as JSON lines under --json.
type table struct {
	app     *app
	columns *tabwriter.Writer
	heading []string // until it is printed
}

func (a *app) newTable(heading ...string) *table {
	return &table{app: a, columns: tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0), heading: heading}
}

// add prints an item: its JSON form, or the cells of its row.
func (t *table) add(item any, cells ...string) error {
	if t.app.json {
		return json.NewEncoder(t.app.out).Encode(item)
	}
	t.row(cells...)
	return nil
}

func (t *table) row(cells ...string) {
	t.head()
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.columns, strings.Join(cells, "\t"))
}

// head prints the heading, before the first row.
func (t *table) head() {
	if !t.app.json && t.heading != nil {
		fmt.Fprintln(t.columns, strings.Join(t.heading, "\t"))
		t.heading = nil
	}
}

// end ends a table with how the listing ended. What has come is shown whatever
// went wrong then; when nothing has come and nothing went wrong, the heading.
func (t *table) end(err error) error {
	if err == nil {
		t.head()
	}
	return errors.Join(t.columns.Flush(), err)
}

// say prints a sentence that is left out under --json.
func (a *app) say(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// result prints the record an act left behind, under --json only.
func (a *app) result(v any) error {
	if !a.json {
		return nil
	}
	return json.NewEncoder(a.out).Encode(v)
}

// bar is a bar that shows on a terminal how far a long act is, and nothing elsewhere.
// A total of -1 is not known.
func (a *app) bar(what string, total int64, more ...progressbar.Option) *progressbar.ProgressBar {
	options := append(more, progressbar.OptionSetDescription(what), progressbar.OptionSetWidth(40), progressbar.OptionThrottle(100*time.Millisecond))
	f, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return progressbar.NewOptions64(total, append(options, progressbar.OptionSetWriter(io.Discard))...)
	}
	return progressbar.NewOptions64(total, append(options, progressbar.OptionSetWriter(f), progressbar.OptionOnCompletion(func() { fmt.Fprintln(f) }))...)
}

// showProgress shows the progress that a server tells.
func (a *app) showProgress(p console.Progress) {
	if a.shown == nil {
		a.shown = a.bar("", cmp.Or(p.Total, -1))
	}
	if _ = a.shown.Set64(p.Done); p.Done >= p.Total && p.Total > 0 {
		a.shown = nil
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
