package tms

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// ImportColumns are the columns of an import file, named in its first line, in
// any order. Only user is required. A row without anything of a token makes a
// user without one.
var ImportColumns = []string{"user", "pin", "serial", "type", "seed_hex", "algorithm", "digits", "period", "t0", "counter"}

// Import adds a user with a token for each row of a CSV file (RFC 4180) with
// ImportColumns and returns how many. A row without a PIN is refused unless noPIN
// allows it. Import stops at the first bad row with an error that names its line,
// and says how many users are there now.
func (s *Service) Import(ctx context.Context, c Caller, file io.Reader, noPIN bool) (int, error) {
	act, err := s.gate(c, "user.import", "", "")
	if err != nil {
		return 0, err
	}
	rows, err := s.newImporter(file, act)
	if err != nil {
		return 0, err
	}
	rows.noPIN = noPIN
	n, err := s.Store.Import(ctx, act, rows.next)
	if err != nil {
		err = fmt.Errorf("%w (%d users of the file were imported before that)", err, n)
	}
	return n, err
}

// importer reads the rows of an import file.
type importer struct {
	*Service
	act    Act
	reader *csv.Reader
	column map[string]int
	row    []string
	noPIN  bool
}

func (s *Service) newImporter(file io.Reader, act Act) (*importer, error) {
	in := &importer{Service: s, act: act, reader: csv.NewReader(file), column: map[string]int{}}
	in.reader.ReuseRecord = true
	in.reader.TrimLeadingSpace = true
	heading, err := in.reader.Read()
	if err != nil {
		return nil, invalid("import file: reading its first line: %w", err)
	}
	for i, name := range heading {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if !slices.Contains(ImportColumns, name) {
			return nil, invalid("import file: unknown column %.40q; the first line names columns out of %s", name, strings.Join(ImportColumns, ","))
		}
		if _, twice := in.column[name]; twice {
			return nil, invalid("import file: column %q stands there twice", name)
		}
		in.column[name] = i
	}
	if _, ok := in.column["user"]; !ok {
		return nil, invalid("import file: the first line has no column user")
	}
	return in, nil
}

// next is the row function of Store.Import.
func (in *importer) next() (User, Token, bool, error) {
	row, err := in.reader.Read()
	if errors.Is(err, io.EOF) {
		return User{}, Token{}, false, nil
	}
	if err != nil {
		return User{}, Token{}, false, invalid("import file: %w", err)
	}
	in.row = row
	user, token, err := in.parse()
	if err != nil {
		line, _ := in.reader.FieldPos(0)
		return User{}, Token{}, false, fmt.Errorf("import file, line %d: %w", line, err)
	}
	return user, token, true, nil
}

func (in *importer) parse() (User, Token, error) {
	name, err := otp.ParseUserName(in.field("user"))
	if err != nil {
		return User{}, Token{}, invalid("%w", err)
	}
	name = in.canonical(name)
	user := User{Exists: true, Name: name, Created: in.act.At}
	if pin := in.field("pin"); pin != "" {
		if user.PIN, err = otp.ParsePIN(pin, in.MinPINLength()); err != nil {
			return User{}, Token{}, invalid("%w", err)
		}
	} else if !in.noPIN {
		return User{}, Token{}, invalid("user %q has no PIN; --no-pin allows that", name)
	}
	if !in.hasToken() {
		return user, Token{}, nil
	}
	token, err := in.parseToken()
	if err != nil {
		return User{}, Token{}, err
	}
	return user, Token{Exists: true, Token: token, User: name, Created: in.act.At}, nil
}

// hasToken reports whether the row says anything of a token. Then the seed must
// be there too.
func (in *importer) hasToken() bool {
	for _, column := range ImportColumns[2:] {
		if in.field(column) != "" {
			return true
		}
	}
	return false
}

func (in *importer) parseToken() (otp.Token, error) {
	if in.field("seed_hex") == "" {
		return otp.Token{}, invalid("a token without seed_hex")
	}
	seed, err := oath.ParseSeedHex(in.field("seed_hex"))
	if err != nil {
		return otp.Token{}, invalid("%w", err)
	}
	n := NewToken{Serial: in.field("serial"), Type: in.field("type"), Algorithm: in.field("algorithm"), Seed: seed}
	var faults error
	number := func(column string) int64 {
		text := in.field(column)
		if text == "" {
			return 0
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("column %s: %.20q is not a number", column, text))
		}
		return value
	}
	n.Digits, n.Period, n.T0 = int(number("digits")), int(number("period")), number("t0")
	counter := number("counter")
	if faults != nil || counter < 0 {
		return otp.Token{}, invalid("%w", errors.Join(faults, negative(counter)))
	}
	n.Counter = uint64(counter)
	token, err := n.Token()
	if err == nil && token.Serial == "" {
		token.Serial, err = newSerial(in.Rand)
	}
	return token, err
}

func negative(counter int64) error {
	if counter < 0 {
		return fmt.Errorf("counter %d: must not be negative", counter)
	}
	return nil
}

// field is a column of the row, "" when the file does not have it.
func (in *importer) field(column string) string {
	i, ok := in.column[column]
	if !ok {
		return ""
	}
	return strings.TrimSpace(in.row[i])
}
