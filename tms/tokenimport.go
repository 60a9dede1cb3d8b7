package tms

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"

	"countersign/otp"
)

// TokenRow is a token of a seed file.
type TokenRow struct {
	Line  int // of the file, from 1
	Token otp.Token
	User  otp.UserName // whom the file gives it to, "" nobody
}

// TokenImport says how a seed file is imported.
type TokenImport struct {
	File      string `json:"file"` // its name, for the audit record
	DryRun    bool   `json:"dry_run"`
	KeepGoing bool   `json:"keep_going"` // skip what cannot be imported
	AddUsers  bool   `json:"add_users"`  // add users who are not there, without an OTP PIN
}

// TokenReport is what an import did, or would do.
type TokenReport struct {
	Read      int `json:"read"`
	Imported  int `json:"imported"`  // new ones
	Updated   int `json:"updated"`   // that were there, and have changed
	Unchanged int `json:"unchanged"` // that were there as the file has them
	Skipped   int `json:"skipped"`
	Users     int `json:"users_added"`
	// Stopped: because of what was skipped the import has ended there. Nothing of
	// the file is in the store, or of a large one what is counted.
	Stopped bool          `json:"stopped"`
	Reasons []TokenRemark `json:"reasons,omitempty"` // of the first MaxRemarks that were skipped
	Notes   []TokenRemark `json:"notes,omitempty"`   // about those that were not, at most as many
}

// TokenRemark is something to know about one token of a file.
type TokenRemark struct {
	Line   int        `json:"line"`
	Serial otp.Serial `json:"serial"`
	Text   string     `json:"text"` // never has a seed in it
}

// MaxRemarks is how many remarks of a kind a TokenReport holds.
const MaxRemarks = 1000

const (
	// WholeImport is how many tokens are imported in one transaction at most.
	WholeImport = 10_000
	// tokenChunk is how many tokens of a larger file go into one, of some ten
	// milliseconds: so long a login may have to wait for it.
	tokenChunk = 1000
)

// Stock is what a store has of the tokens and users that some rows name.
type Stock struct {
	// Tokens are those of the rows, in their order. Of one that is not there only the
	// serial is set.
	Tokens []Token
	// Holds is how many tokens a user has, of those who are there.
	Holds map[otp.UserName]int
	// Added are the users that a change adds, without an OTP PIN.
	Added []otp.UserName
}

// TokenImporter is the part of a Store that seed files need.
type TokenImporter interface {
	// ReadStock shows what there is.
	ReadStock(ctx context.Context, rows []TokenRow) (*Stock, error)
	// ChangeStock is ChangeToken for many tokens in one transaction: what change makes
	// of Tokens and Added is written with the Act. It may be called twice, the second
	// time with newer states. Who owns a token that is there already stays so, unless
	// it was nobody; whoever gets one is in Holds or in Added, and has room for it. A
	// serial that two rows have wraps ErrExists.
	ChangeStock(ctx context.Context, rows []TokenRow, change func(*Stock) (Act, error)) error
}

// ImportTokens brings the tokens of a seed file into the store. The function next
// gives one after another and io.EOF at the end; serials must differ.
//
// A token that is there keeps its owner, and with the owner the OTP PIN; whether it
// is disabled; and which codes are used. Seed, settings and validity become those of
// the file (see renew).
//
// Without KeepGoing it is all or nothing: of up to WholeImport tokens in one
// transaction; larger files are written in many, between which logins go on, so a
// DryRun should have shown before that nothing will be skipped. An error comes with
// the report of what was written until then.
func (s *Service) ImportTokens(ctx context.Context, c Caller, o TokenImport, next func() (TokenRow, error)) (TokenReport, error) {
	act, err := s.gate(c, "token.import", "", "")
	if err != nil {
		return TokenReport{}, err
	}
	im := &tokenImport{TokenImport: o, store: s.Store, act: act, next: s.canonicalRows(next), seed: maphash.MakeSeed(), given: map[uint64]uint8{}}
	if err := im.run(ctx); err != nil {
		return im.report, fmt.Errorf("importing tokens: %w", err)
	}
	return im.report, nil
}

// canonicalRows are rows with the names by which users are kept. A directory is not
// asked about each.
func (s *Service) canonicalRows(next func() (TokenRow, error)) func() (TokenRow, error) {
	return func() (TokenRow, error) {
		row, err := next()
		row.User = s.canonical(row.User)
		return row, err
	}
}

// tokenImport is an import on its way.
type tokenImport struct {
	TokenImport
	store  TokenImporter
	act    Act
	next   func() (TokenRow, error)
	ended  bool // next has no more
	report TokenReport
	// given is how many tokens a dry run has given to a user in its chunks before, by
	// a hash of the name: a million users must fit.
	given map[uint64]uint8
	seed  maphash.Seed
}

// run imports the first rows at once if they are all, and the others in chunks.
func (im *tokenImport) run(ctx context.Context) error {
	rows, err := im.take(WholeImport + tokenChunk)
	if err != nil {
		return err
	}
	if len(rows) <= WholeImport && !im.DryRun {
		return im.chunk(ctx, rows)
	}
	for {
		for chunk := range slices.Chunk(rows, tokenChunk) {
			if err := im.chunk(ctx, chunk); err != nil || im.report.Stopped {
				return err
			}
		}
		if im.ended {
			return nil
		}
		if rows, err = im.take(tokenChunk); err != nil {
			return err
		}
	}
}

// take reads so many rows, or as many as there are.
func (im *tokenImport) take(n int) ([]TokenRow, error) {
	rows := make([]TokenRow, 0, min(n, tokenChunk))
	for len(rows) < n && !im.ended {
		row, err := im.next()
		switch {
		case errors.Is(err, io.EOF):
			im.ended = true
		case err != nil:
			return nil, err
		default:
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// errSkipped ends a transaction of which nothing shall be written.
var errSkipped = errors.New("some tokens cannot be imported")

// chunk imports some rows in one transaction.
func (im *tokenImport) chunk(ctx context.Context, rows []TokenRow) error {
	if len(rows) == 0 {
		return nil
	}
	var done TokenReport
	change := func(s *Stock) (Act, error) {
		done = im.plan(rows, s)
		if done.Skipped > 0 && !im.KeepGoing {
			return Act{}, errSkipped
		}
		return im.record(&done), nil
	}
	if im.DryRun {
		stock, err := im.store.ReadStock(ctx, rows)
		if err == nil {
			im.addGiven(rows, stock)
			done = im.plan(rows, stock)
			im.report.add(&done)
		}
		return err
	}
	err := im.store.ChangeStock(ctx, rows, change)
	if errors.Is(err, errSkipped) {
		done = TokenReport{Read: done.Read, Skipped: done.Skipped, Reasons: done.Reasons, Stopped: true}
		err = nil
	}
	if err == nil {
		im.report.add(&done)
	}
	return err
}

// record is the audit record of a transaction.
func (im *tokenImport) record(done *TokenReport) Act {
	act, before := im.act, im.report.Read
	act.Detail = fmt.Sprintf("file %.200q tokens %d to %d: %d imported, %d updated, %d unchanged, %d skipped, %d users added",
		im.File, before+1, before+done.Read, done.Imported, done.Updated, done.Unchanged, done.Skipped, done.Users)
	return act
}

// add adds a report about the rows that follow.
func (r *TokenReport) add(more *TokenReport) {
	r.Read += more.Read
	r.Imported += more.Imported
	r.Updated += more.Updated
	r.Unchanged += more.Unchanged
	r.Skipped += more.Skipped
	r.Users += more.Users
	r.Stopped = r.Stopped || more.Stopped
	r.Reasons = firstRemarks(append(r.Reasons, more.Reasons...))
	r.Notes = firstRemarks(append(r.Notes, more.Notes...))
}

func firstRemarks(remarks []TokenRemark) []TokenRemark {
	return remarks[:min(len(remarks), MaxRemarks)]
}

// plan makes of the stock what the rows want, and reports it.
func (im *tokenImport) plan(rows []TokenRow, stock *Stock) TokenReport {
	report := TokenReport{Read: len(rows)}
	for i := range rows {
		row, before := &rows[i], stock.Tokens[i]
		note, err := im.row(row, &stock.Tokens[i], stock)
		switch {
		case err != nil:
			report.Skipped++
			report.Reasons = firstRemarks(append(report.Reasons, row.remark(err.Error())))
			continue
		case !before.Exists:
			report.Imported++
		case stock.Tokens[i] != before:
			report.Updated++
		default:
			report.Unchanged++
		}
		if note != "" {
			report.Notes = firstRemarks(append(report.Notes, row.remark(note)))
		}
	}
	report.Users = len(stock.Added)
	return report
}

func (r *TokenRow) remark(text string) TokenRemark { return TokenRemark{r.Line, r.Token.Serial, text} }

// row makes of a token what a row wants. With an error, which says why that cannot
// be, the token stays as it is.
func (im *tokenImport) row(r *TokenRow, t *Token, stock *Stock) (note string, err error) {
	if err := r.acceptable(t); err != nil {
		return "", err
	}
	owner := t.User
	switch {
	case owner != "" && r.User != "" && owner != r.User:
		note = fmt.Sprintf("it is %q's and stays so; the file gives it to %q", owner, r.User)
	case owner == "" && r.User != "":
		if owner = r.User; !im.give(owner, stock) {
			return "", im.cannotGive(owner, stock)
		}
	}
	if !t.Exists {
		*t = Token{Exists: true, Token: r.Token, User: owner, Created: im.act.At}
		t.Disabled, t.State = false, otp.State{Counter: r.Token.State.Counter, Drift: r.Token.State.Drift}
		return note, nil
	}
	t.User = owner
	if !t.Seed.Equal(r.Token.Seed) && note == "" {
		note = "it has another seed than before, so the codes it had are worthless"
	}
	renew(&t.Token, r.Token)
	return note, nil
}

// acceptable says why a row cannot become this token, whoever has it.
func (r *TokenRow) acceptable(t *Token) error {
	n := &r.Token
	switch {
	case n.Type == otp.MobilePASS:
		return errors.New("the seed of a MobilePASS token comes from its app: `countersign token add --type mobilepass --activation-code-stdin`")
	case n.Type == otp.CodeList:
		return errors.New("it is a list of codes, and those the server makes by itself")
	case t.Exists && t.Type == otp.CodeList:
		return errors.New("this serial is that of a list of codes")
	case t.Exists && t.Type.Clock() != n.Type.Clock():
		return fmt.Errorf("it is a %v token here and a %v token in the file: remove it first if it is another one, with `countersign token remove`", t.Type, n.Type)
	case n.Type.Clock() && n.Period == 0:
		return errors.New("a clock token without a period")
	case n.T0 > far || n.T0 < -far:
		return fmt.Errorf("T0 %d: its steps begin at no time", n.T0)
	case n.Astray():
		return fmt.Errorf("a drift of %d steps: a clock is not wrong by more than a day", n.State.Drift)
	case n.ValidUntil != 0 && n.ValidUntil <= n.ValidFrom:
		return errors.New("its time ends before it begins")
	}
	return nil
}

// give makes room for one more token of a user, if there is some.
func (im *tokenImport) give(user otp.UserName, stock *Stock) bool {
	holds, there := stock.Holds[user]
	if holds >= otp.MaxTokens || !there && !im.AddUsers {
		return false
	}
	if !there {
		stock.Added = append(stock.Added, user)
	}
	stock.Holds[user] = holds + 1
	if im.DryRun {
		im.given[im.hash(user)]++
	}
	return true
}

// cannotGive says why there is no room.
func (im *tokenImport) cannotGive(user otp.UserName, stock *Stock) error {
	if holds, there := stock.Holds[user]; there {
		return fmt.Errorf("user %q has %d tokens then, and may not have more", user, holds)
	}
	return fmt.Errorf("there is no user %q: add them first, with `countersign user add`, or let the import do it, with --add-users --no-pin", user)
}

// addGiven adds what the chunks before would have given.
func (im *tokenImport) addGiven(rows []TokenRow, stock *Stock) {
	added := map[otp.UserName]bool{}
	for i := range rows {
		user := rows[i].User
		if n := im.given[im.hash(user)]; n > 0 && !added[user] {
			added[user] = true
			stock.Holds[user] += int(n)
		}
	}
}

func (im *tokenImport) hash(user otp.UserName) uint64 { return maphash.String(im.seed, string(user)) }
