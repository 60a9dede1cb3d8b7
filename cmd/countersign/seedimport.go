package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/seedfile"
)

// seedImport is an import of a seed file. The file is read twice: once to find
// everything that is wrong with it, here and at the server, and once to import it.
type seedImport struct {
	*app
	client  *console.Client
	file    *os.File
	how     tms.TokenImport
	options seedfile.Options
	passed  string // what the file has beside tokens, "" nothing
}

func (i *seedImport) run(ctx context.Context) error {
	wanted := i.how.DryRun
	i.how.DryRun = true
	report, err := i.pass(ctx, 0)
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was imported", i.how.File, err)
	}
	if !wanted && (report.Skipped == 0 || i.how.KeepGoing) {
		i.how.DryRun = false
		count := report.Read - report.Skipped
		if report, err = i.pass(ctx, count); err != nil {
			return fmt.Errorf("%s: %w; %s", i.how.File, err, afterwards(count))
		}
	}
	return i.tell(&report)
}

// afterwards says what is in the store after an import of so many tokens that ended
// with an error while they were written.
func afterwards(count int) string {
	if count <= tms.WholeImport {
		return "nothing was imported, unless the answer alone was lost: importing the file again does no harm"
	}
	return "a part of it may have been imported: importing the file again completes it"
}

// tell prints what became of the file.
func (i *seedImport) tell(report *tms.TokenReport) error {
	for _, remark := range report.Notes[:min(len(report.Notes), shownRemarks)] {
		fmt.Fprintf(i.err, "line %d: token %q: note: %s\n", remark.Line, remark.Serial, remark.Text)
	}
	moreRemarks(i.err, len(report.Notes))
	for _, remark := range report.Reasons[:min(len(report.Reasons), shownRemarks)] {
		fmt.Fprintln(i.err, (&seedfile.Fault{Line: remark.Line, Serial: string(remark.Serial), Reason: remark.Text}).Error())
	}
	moreRemarks(i.err, report.Skipped)
	refused := report.Skipped > 0 && !i.how.KeepGoing
	done, added := "imported", "added"
	if i.how.DryRun {
		done, added = "would be imported", "would be added"
	}
	if !refused {
		i.say("%s read: %d %s, %d updated, %d unchanged, %d skipped", counted(report.Read, "token"), report.Imported, done, report.Updated, report.Unchanged, report.Skipped)
		if report.Users > 0 {
			i.say("%s without an OTP PIN %s", counted(report.Users, "user"), added)
		}
	}
	if i.passed != "" {
		i.say("%s", i.passed)
	}
	if err := i.result(struct {
		*tms.TokenReport
		PassedOver string `json:"passed_over,omitempty"`
	}{report, i.passed}); err != nil || !refused {
		return err
	}
	if report.Stopped && report.Imported+report.Updated > 0 {
		return fmt.Errorf("%s cannot be imported, which changed while the file was on its way: %d that come before were", counted(report.Skipped, "token"), report.Imported+report.Updated)
	}
	return fmt.Errorf("nothing was imported, because %d of %s cannot be: mend the file, or import the rest with --keep-going", report.Skipped, counted(report.Read, "token"))
}

// counted is a number of things, such as tokens, in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// shownRemarks is how many remarks of a kind are printed.
const shownRemarks = 20

func moreRemarks(w io.Writer, count int) {
	if count > shownRemarks {
		fmt.Fprintf(w, "and %d more\n", count-shownRemarks)
	}
}

// pass reads the file once and sends what is good of it to the server. The report is
// about all of it. Of a file that has been read before it is known how many tokens it
// has, for the bar.
func (i *seedImport) pass(ctx context.Context, count int) (tms.TokenReport, error) {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return tms.TokenReport{}, fmt.Errorf("reading the seed file: %w", err)
	}
	p := &seedPass{seedImport: i, lines: map[uint64]int{}, hash: maphash.MakeSeed()}
	var source io.Reader = i.file
	if i.how.DryRun {
		p.bar = i.bar("Checking", i.size(), progressbar.OptionShowBytes(true))
		source = &watched{i.file, p.bar}
	} else {
		p.bar = i.bar("Importing", int64(count), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tokens"))
	}
	defer func() { _ = p.bar.Exit() }()
	var err error
	if p.reader, err = seedfile.Open(source, i.options); err != nil {
		return tms.TokenReport{}, withRemedy(err)
	}
	report, err := i.client.ImportTokens(ctx, i.how, p.rows)
	if err == nil {
		_ = p.bar.Finish()
	}
	i.passed = p.reader.PassedOver()
	report.Read += p.faults
	report.Skipped += p.faults
	report.Reasons = inOrder(p.found, report.Reasons)
	return report, withRemedy(err)
}

// size is how many bytes the file has, -1 when that is not known.
func (i *seedImport) size() int64 {
	info, err := i.file.Stat()
	if err != nil {
		return -1
	}
	return info.Size()
}

// withRemedy adds what can be done about an encrypted file.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, seedfile.ErrNoPassword):
		return fmt.Errorf("%w: give --password-stdin", err)
	case errors.Is(err, seedfile.ErrNoPSK):
		return fmt.Errorf("%w: give --psk-stdin", err)
	}
	return err
}

// seedPass is one reading of the file.
type seedPass struct {
	*seedImport
	reader *seedfile.Reader
	bar    *progressbar.ProgressBar
	faults int
	found  []tms.TokenRemark // the first of the faults
	lines  map[uint64]int    // where a serial is, by its hash: a million must fit
	hash   maphash.Seed
}

// rows goes through the tokens of the file that are good.
func (p *seedPass) rows(yield func(*tms.TokenRow, error) bool) {
	for count := 0; ; {
		row, err := p.next()
		if fault := (*seedfile.Fault)(nil); errors.As(err, &fault) {
			p.note(fault)
			if p.how.DryRun || p.how.KeepGoing {
				continue
			}
			err = fmt.Errorf("the file has changed while it was read: %w", err)
		}
		if errors.Is(err, io.EOF) || !yield(row, err) || err != nil {
			return
		}
		if count++; !p.how.DryRun && count%1000 == 0 {
			_ = p.bar.Set(count)
		}
	}
}

// next is the next token, as it is sent. A *seedfile.Fault is about this one.
func (p *seedPass) next() (*tms.TokenRow, error) {
	t, err := p.reader.Next()
	if err != nil {
		return nil, err
	}
	row := &tms.TokenRow{Line: t.Line, Token: t.Token}
	key := maphash.String(p.hash, string(t.Serial))
	if first, twice := p.lines[key]; twice {
		return nil, &seedfile.Fault{Line: t.Line, Serial: string(t.Serial), Reason: fmt.Sprintf("this serial is in line %d already", first)}
	}
	p.lines[key] = t.Line
	if t.User != "" {
		if row.User, err = otp.ParseUserName(t.User); err != nil {
			return nil, &seedfile.Fault{Line: t.Line, Serial: string(t.Serial), Reason: err.Error()}
		}
	}
	return row, nil
}

// note keeps a fault for the report.
func (p *seedPass) note(f *seedfile.Fault) {
	if p.faults++; p.faults <= tms.MaxRemarks {
		p.found = append(p.found, tms.TokenRemark{Line: f.Line, Serial: otp.Serial(f.Serial), Text: f.Reason})
	}
}

// inOrder merges remarks by line.
func inOrder(a, b []tms.TokenRemark) []tms.TokenRemark {
	merged := make([]tms.TokenRemark, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Line <= b[0].Line {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	merged = append(append(merged, a...), b...)
	return merged[:min(len(merged), tms.MaxRemarks)]
}

// watched tells a bar how much has been read.
type watched struct {
	io.Reader
	bar *progressbar.ProgressBar
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	_ = w.bar.Add(n)
	return n, err
}
