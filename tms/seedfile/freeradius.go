package seedfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// radiusParser reads the seeds that FreeRADIUS has for its totp module, in a users
// file or in rows of the table radcheck written as CSV:
//
//	bob  TOTP-Secret := "base32", TOTP-Time-Step := 60
//	id,username,attribute,op,value
//
// TOTP-Key has the bytes themselves, or 0x and hexadecimal digits, and wins over
// TOTP-Secret. TOTP-Time-Offset is how many seconds the token's clock is ahead.
// TOTP-Time-Step and TOTP-OTP-Length are settings of the module there (time_step,
// otp_length) that some sites have made attributes. All that belongs to one user must
// stand together. Other attributes are not read, and users who have only those are
// passed over.
//
// FreeRADIUS has no serials. They are made from the user's name, always the same for
// the same user, so that the file can be imported again: FR and 16 hexadecimal digits.
type radiusParser struct {
	source radiusSource
	held   *radiusItem
	user   radiusUser
	others int // users that were passed over
}

// passed counts the users who have no seed.
func (p *radiusParser) passed() (count int, one, many string) {
	return p.others, "user without a seed", "users without a seed"
}

// radiusSource gives what a file says, in its order. Errors are as those of parser.
type radiusSource interface {
	item() (radiusItem, error)
}

// radiusItem is one attribute of a user.
type radiusItem struct {
	line                   int
	user, attribute, value string
}

// radiusUser is what is known of the user at hand.
type radiusUser struct {
	name  string
	line  int               // of the first attribute below, 0 while there is none
	attrs map[string]string // those of the totp module, by their names in small letters
}

func newFreeRADIUS(text *bufio.Reader, o Options) (parser, error) {
	start, _ := text.Peek(maxLine)
	if !isTable(start) {
		if o.AssignColumn != "" {
			return nil, fmt.Errorf("column %.40q for the user: a users file has no columns", o.AssignColumn)
		}
		return &radiusParser{source: &usersFile{lines: lines{text: text}}}, nil
	}
	table, err := newRadcheck(text, o)
	return &radiusParser{source: table}, err
}

func (p *radiusParser) next() (*Token, error) {
	for {
		item, err := p.item()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return nil, err
		}
		if ended || item.user != p.user.name {
			if p.user.line > 0 {
				if !ended {
					p.held = &item
				}
				return p.user.token() // the end comes again
			}
			p.pass()
		}
		if ended {
			return nil, err
		}
		p.user.name = item.user
		if err := p.user.take(&item); err != nil {
			return nil, err
		}
	}
}

// pass leaves a user who has no seed.
func (p *radiusParser) pass() {
	if p.user.name != "" && p.user.name != "DEFAULT" {
		p.others++
	}
	p.user = radiusUser{}
}

func (p *radiusParser) item() (radiusItem, error) {
	if held := p.held; held != nil {
		p.held = nil
		return *held, nil
	}
	return p.source.item()
}

// take notes an attribute of the totp module.
func (u *radiusUser) take(item *radiusItem) error {
	name := attributeName(item.attribute)
	if !slices.Contains(totpAttributes, name) {
		return nil
	}
	if _, twice := u.attrs[name]; twice {
		return &Fault{Line: item.line, Reason: fmt.Sprintf("user %.80q has a second %s: FreeRADIUS uses only the first", item.user, item.attribute)}
	}
	if u.line == 0 {
		u.line, u.attrs = item.line, map[string]string{}
	}
	u.attrs[name] = item.value
	return nil
}

var totpAttributes = []string{"totp-secret", "totp-key", "totp-time-step", "totp-time-offset", "totp-otp-length"}

// attributeName is the name of an attribute in small letters, without the list it is
// in, and as FreeRADIUS 3 writes it: TOTP-Secret for &control.TOTP.Secret.
func attributeName(name string) string {
	name = strings.TrimPrefix(strings.ToLower(name), "&")
	for _, list := range []string{"control.", "control:"} {
		name = strings.TrimPrefix(name, list)
	}
	return strings.ReplaceAll(name, ".", "-")
}

// token makes a token of what is known of the user, and forgets it.
func (u *radiusUser) token() (*Token, error) {
	known := *u
	*u = radiusUser{}
	name, err := otp.ParseUserName(known.name)
	if err == nil && known.name == "DEFAULT" {
		err = errors.New("DEFAULT is no user, so nobody can be given the seed")
	}
	var t *Token
	if err == nil {
		t = newToken(known.line, radiusSerial(name), otp.TOTP)
		t.User = known.name
		err = t.fillRADIUS(known.attrs)
	}
	if err != nil {
		return nil, &Fault{Line: known.line, Reason: fmt.Sprintf("user %.80q: %v", known.name, err)}
	}
	return t, nil
}

// radiusSerial is the serial for the token of a user.
func radiusSerial(user otp.UserName) string {
	sum := sha256.Sum256([]byte("countersign: totp token of FreeRADIUS\x00" + string(user)))
	return fmt.Sprintf("FR%X", sum[:8])
}

func (t *Token) fillRADIUS(attrs map[string]string) (err error) {
	key, secret := attrs["totp-key"], attrs["totp-secret"]
	switch {
	case key != "":
		t.Seed, err = parseOctets(key)
	case secret != "":
		t.Seed, err = oath.ParseSeedBase32(secret)
	default:
		err = errors.New("there are settings of a token, but no TOTP-Secret beside them: sort the rows by user")
	}
	err = firstError(err, t.setPeriod(attrs["totp-time-step"]), t.setDigits(attrs["totp-otp-length"]))
	if offset := attrs["totp-time-offset"]; err == nil && offset != "" && t.Period > 0 {
		var seconds float64
		if seconds, err = strconv.ParseFloat(offset, 64); err != nil || !(math.Abs(seconds) <= maxPeriod) { // nor NaN
			return errors.New("TOTP-Time-Offset is not a number of seconds")
		}
		t.State.Drift = int32(math.Round(seconds / float64(t.Period)))
	}
	return err
}

// radcheck reads rows of the table radcheck. Without a first line that names them, the
// columns are those of the table, with or without id.
type radcheck struct {
	rows                       *rows
	held                       bool // the row at hand was not given yet
	columns                    int
	user, attribute, op, value int
}

func newRadcheck(text *bufio.Reader, o Options) (*radcheck, error) {
	p := &radcheck{rows: newRows(text)}
	if err := p.rows.next(); errors.Is(err, io.EOF) {
		return nil, errEmpty
	} else if err != nil {
		return nil, err
	}
	h := p.rows.header()
	var err error
	if user, attribute, value := radcheckColumns(h); attribute >= 0 && value >= 0 {
		p.attribute, p.value, p.op, p.columns = attribute, value, h.column("op"), len(p.rows.fields)
		p.user, err = h.userColumn(o.AssignColumn, user, attribute, value)
	} else if first := attributeColumn(p.rows); first > 0 {
		p.attribute, p.op, p.value, p.columns, p.held = first, first+1, first+2, first+3, true
		p.user, err = userColumn(o.AssignColumn, first-1, first, first+2)
	} else {
		err = fmt.Errorf("line %d: the first line must name the columns, among them username, attribute and value", p.rows.number)
	}
	if err == nil && p.user < 0 {
		err = fmt.Errorf("line %d: there is no column username", p.rows.number)
	}
	return p, err
}

func radcheckColumns(h header) (user, attribute, value int) {
	return h.column("username", "user name", "user"), h.column("attribute"), h.column("value")
}

// attributeColumn is where the attribute stands in a row without a header, 0 when it
// is no row of radcheck.
func attributeColumn(r *rows) int {
	for i := 1; i <= 2; i++ {
		name := attributeName(r.field(i))
		known := strings.HasPrefix(name, "totp-") || strings.HasSuffix(name, "-password")
		if known && strings.Trim(r.field(i+1), ":=+") == "" && r.field(i+1) != "" {
			return i
		}
	}
	return 0
}

// looksRadcheck reports whether the first row of a file is of the table radcheck.
func looksRadcheck(r *rows) bool {
	user, attribute, value := radcheckColumns(r.header())
	return user >= 0 && attribute >= 0 && value >= 0 || attributeColumn(r) > 0
}

// isTable reports whether a file begins with rows of radcheck rather than with lines
// of a users file. With tabs such a row looks as one of those lines, too.
func isTable(start []byte) bool {
	r := newRows(bufio.NewReaderSize(bytes.NewReader(start), maxLine))
	if r.next() != nil {
		return false
	}
	users := slices.ContainsFunc(strings.Split(string(start), "\n"), looksUsers)
	return looksRadcheck(r) || len(r.fields) > 1 && !users
}

func (p *radcheck) item() (radiusItem, error) {
	r := p.rows
	if !p.held {
		if err := r.next(); err != nil {
			return radiusItem{}, err
		}
	}
	p.held = false
	switch {
	case r.short(p.columns), r.torn(p.value):
		return radiusItem{}, r.cutOff("it has fewer fields than the first line, or ends with the seed")
	case len(r.fields) <= max(p.attribute, p.value, p.user):
		return radiusItem{}, r.fault("", "the row has only %d fields", len(r.fields))
	}
	item := radiusItem{line: r.number, user: r.field(p.user), attribute: r.field(p.attribute), value: r.field(p.value)}
	if !sets(r.field(p.op)) {
		item.attribute = ""
	}
	return item, nil
}

// sets reports whether an operator gives the attribute a value.
func sets(op string) bool { return strings.Trim(op, ":=+") == "" }

// usersFile reads a users file: a name and what belongs to it, in the same line and in
// those that begin with white space.
type usersFile struct {
	lines lines
	user  string
	items []radiusItem // of the line at hand, not given yet
}

var (
	userPattern = regexp.MustCompile(`^(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))(?:\s|$)`)
	itemPattern = regexp.MustCompile(`^\s*(&?[A-Za-z][\w.:-]*)\s*([:+=!<>~*-]=|=[~*=]|=|<|>|!~|!\*)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"',\s][^,\s]*)\s*(?:,|#.*$|$)`)
)

// looksUsers reports whether a line can be one of a users file: a name, white space
// and an attribute with a value.
func looksUsers(line string) bool {
	match := userPattern.FindString(line)
	item := itemPattern.FindStringSubmatch(line[len(match):])
	return match != "" && match[0] != '#' && item != nil && strings.ContainsAny(item[1], "-.")
}

func (p *usersFile) item() (radiusItem, error) {
	for len(p.items) == 0 {
		raw, err := p.lines.next()
		if err != nil {
			return radiusItem{}, err
		}
		if err := p.read(strings.TrimRight(string(raw), " \t")); err != nil {
			return radiusItem{}, err
		}
	}
	item := p.items[0]
	p.items = p.items[1:]
	return item, nil
}

// read splits a line. What cannot be read is a Fault, or an error at the end of the
// file, and what stands before it in the line still counts.
func (p *usersFile) read(line string) error {
	if text := strings.TrimSpace(line); text == "" || text[0] == '#' || text[0] == '$' {
		return nil
	}
	if line[0] != ' ' && line[0] != '\t' {
		name := userPattern.FindStringSubmatch(line)
		if name == nil {
			return p.unreadable("it does not begin with the name of a user")
		}
		p.user = escapes.ReplaceAllString(name[1], "$1") + name[2]
		line = line[len(name[0]):]
	}
	return p.readItems(line)
}

// readItems splits what stands behind the name.
func (p *usersFile) readItems(line string) error {
	for text := strings.TrimSpace(line); text != "" && text[0] != '#'; text = strings.TrimSpace(line) {
		item := itemPattern.FindStringSubmatch(line)
		if item == nil {
			return p.unreadable("behind the name there is something else than attributes with values")
		}
		if sets(item[2]) {
			p.items = append(p.items, radiusItem{line: p.lines.number, user: p.user, attribute: item[1], value: unquoteValue(item[3])})
		}
		line = line[len(item[0]):]
		if quoted := strings.ContainsAny(item[3][:1], `"'`); line == "" && !quoted && !p.lines.whole {
			return p.lines.cutOff("the value may go on")
		}
	}
	return nil
}

func (p *usersFile) unreadable(why string) error {
	if !p.lines.whole {
		return p.lines.cutOff(why)
	}
	return p.lines.fault("", "%s", why)
}

// unquoteValue takes quotes and backslashes away.
func unquoteValue(value string) string {
	if len(value) < 2 || value[0] != '"' && value[0] != '\'' {
		return value
	}
	return escapes.ReplaceAllString(value[1:len(value)-1], "$1")
}

var escapes = regexp.MustCompile(`\\(.)`)
