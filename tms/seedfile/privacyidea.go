package seedfile

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What privacyIDEA exports, by pi-tokenjanitor find export, has one of four formats.
// PSKC is read as every PSKC file. The others are:
//
//	csv   owner@realm, serial, seed, type, digits[, time step]
//	yaml  a list of maps, in which privacyIDEA says all it knows of a token
//	pi    the same as JSON, encrypted under a key that the export printed (Fernet)
//
// The realm of an owner is left out, for it is a word of privacyIDEA and no part of
// the name that the user types; the owner n/a is nobody. A csv does not say counter
// and hash: an event token of it needs a resync, and the length of the seed says which
// hash it is. The pi format is the default there and is the one to use here.
func newPrivacyIDEA(text *bufio.Reader, o Options) (parser, error) {
	start, _ := text.Peek(maxLine)
	kind := privacyIDEAKind(string(start))
	if kind != "" && o.AssignColumn != "" {
		return nil, fmt.Errorf("column %.40q for the user: this export of privacyIDEA has no columns", o.AssignColumn)
	}
	switch kind {
	case "pi":
		return newFernet(text, o)
	case "json":
		return newPrivacyIDEAJSON(text)
	case "yaml":
		return &privacyIDEAYAML{lines: lines{text: text}}, nil
	}
	user, err := userColumn(o.AssignColumn, 0, 2)
	return &privacyIDEACSV{rows: newRows(text), user: user}, err
}

// privacyIDEAKind tells the formats of privacyIDEA apart, "" when it is none of those
// that begin in a way of their own.
func privacyIDEAKind(start string) string {
	start = strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(start), "---"), " \r\n")
	switch {
	case strings.HasPrefix(start, fernetMark):
		return "pi"
	case jsonList.MatchString(start):
		return "json"
	case strings.HasPrefix(start, "- "):
		return "yaml"
	}
	return ""
}

var jsonList = regexp.MustCompile(`^\[\s*[{\]]`)

// privacyIDEACSV reads the csv export. Its last row has no line end.
type privacyIDEACSV struct {
	rows *rows
	user int
}

func (p *privacyIDEACSV) next() (*Token, error) {
	r := p.rows
	if err := r.next(); err != nil {
		return nil, err
	}
	typ, ok := oathType(r.field(3))
	fields := 5 // at least
	if ok && typ.Clock() {
		fields = 6
	}
	switch {
	case r.short(fields), r.torn(fields-1) && r.field(fields-1) == "":
		return nil, r.cutOff(fmt.Sprintf("a row has %d fields", fields))
	case !ok || r.field(3) == "":
		return nil, r.fault(r.field(1), "%s", badType(r.field(3)))
	case badSerial(r.field(1)) != "":
		return nil, r.fault("", "%s", badSerial(r.field(1)))
	}
	t := newToken(r.number, r.field(1), typ)
	t.User = privacyIDEAOwner(r.field(p.user))
	if err := p.fill(t); err != nil {
		return nil, r.fault(string(t.Serial), "%v", err)
	}
	return t, nil
}

func (p *privacyIDEACSV) fill(t *Token) (err error) {
	if t.Seed, err = parseSeed(p.rows.field(2)); err != nil {
		return err
	}
	step := p.rows.field(5)
	if step == "None" || !t.Type.Clock() {
		step = ""
	}
	return firstError(t.setDigits(p.rows.field(4)), t.setAlgorithm(""), t.setPeriod(step))
}

// privacyIDEAOwner is the login name of login@realm.
func privacyIDEAOwner(owner string) string {
	if strings.EqualFold(owner, "n/a") {
		return ""
	}
	if at := strings.LastIndexByte(owner, '@'); at > 0 {
		return owner[:at]
	}
	return owner
}

// looksPrivacyIDEA reports whether a row can be one of the csv export: the type stands
// one field further behind than in OATH CSV, where a number has this place.
func looksPrivacyIDEA(fields []string) bool {
	if len(fields) < 4 || fields[3] == "" {
		return false
	}
	_, ok := oathType(fields[3])
	return ok
}

// privacyIDEAToken makes a token of what a yaml or pi export says of one. The keys of
// the maps within it have "info." or "user." before them.
func privacyIDEAToken(said map[string]string, line int) (*Token, error) {
	word := cmp.Or(said["type"], said["tokentype"])
	typ, ok := oathType(word)
	serial := said["serial"]
	switch {
	case badSerial(serial) != "":
		return nil, &Fault{Line: line, Reason: badSerial(serial)}
	case !ok || word == "":
		return nil, &Fault{Line: line, Serial: serial, Reason: badType(word)}
	}
	t := newToken(line, serial, typ)
	if t.User = said["user.login"]; t.User == "" {
		t.User = privacyIDEAOwner(said["owner"])
	}
	if err := t.fillPrivacyIDEA(said); err != nil {
		return nil, &Fault{Line: line, Serial: serial, Reason: err.Error()}
	}
	return t, nil
}

func (t *Token) fillPrivacyIDEA(said map[string]string) (err error) {
	if t.Seed, err = parseSeed(said["otpkey"]); err != nil {
		return err
	}
	setting := func(key string) string { return cmp.Or(said[key], said["info."+key]) }
	if t.Type.Clock() {
		err = firstError(t.setPeriod(setting("timeStep")), t.setTimeShift(setting("timeShift")))
	} else {
		err = t.setCounter(cmp.Or(said["counter"], said["count"]))
	}
	hash := cmp.Or(setting("hashlib"), setting("_hashlib"), "sha1")
	err = firstError(err, t.setAlgorithm(hash), t.setDigits(said["otplen"]))
	if err == nil {
		t.ValidFrom, err = privacyIDEATime(setting("validity_period_start"))
	}
	if err == nil {
		t.ValidUntil, err = privacyIDEATime(setting("validity_period_end"))
	}
	return err
}

// setTimeShift reads how many seconds the clock of the token is ahead. Of tokens that
// count from the year 2000 it has these 30 years in it.
func (t *Token) setTimeShift(text string) error {
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(math.Abs(seconds) <= 2*float64(year2000)) { // nor NaN
		return errors.New("the time shift is not a number of seconds")
	}
	if seconds < -float64(year2000)/2 {
		t.T0 = year2000
		seconds += float64(year2000)
	}
	if t.Period > 0 {
		t.State.Drift = int32(math.Round(seconds / float64(t.Period)))
	}
	return nil
}

// privacyIDEATime is an instant in Unix seconds, 0 for "", and before 1970 the second
// after its beginning.
func privacyIDEATime(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{"2006-01-02T15:04-0700", "2006-01-02T15:04:05-0700", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return max(at.Unix(), 1), nil
		}
	}
	return 0, errors.New("the validity period has a time that is not understood")
}

// privacyIDEAYAML reads the yaml export: no YAML in general, but the block style in
// which privacyIDEA writes it, where a token begins with a dash and what is within a
// map is indented by two more spaces.
type privacyIDEAYAML struct {
	lines lines
	held  string // the line with which the next token begins
}

// maxEntries is how much there may be to say of one token.
const maxEntries = 1000

func (p *privacyIDEAYAML) next() (*Token, error) {
	said, begin, within := map[string]string{}, 0, ""
	for size := 0; ; {
		line, err := p.line()
		if errors.Is(err, io.EOF) && begin > 0 {
			return p.last(said, begin)
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, "- ") {
			if begin > 0 {
				p.held = line
				break
			}
			begin, line = p.lines.number, "  "+line[2:]
		}
		if begin == 0 {
			continue
		}
		if size += len(line); size > maxPackage || len(said) > maxEntries {
			return nil, fmt.Errorf("line %d: the token that begins in line %d has more than %d bytes or %d entries", p.lines.number, begin, maxPackage, maxEntries)
		}
		within = yamlEntry(said, line, within)
	}
	return privacyIDEAToken(said, begin)
}

// last makes the token with which the file ends.
func (p *privacyIDEAYAML) last(said map[string]string, begin int) (*Token, error) {
	if !p.lines.whole || said["serial"] == "" || said["otpkey"] == "" {
		return nil, p.lines.cutOff(fmt.Sprintf("the token that begins in line %d is not whole", begin))
	}
	return privacyIDEAToken(said, begin)
}

func (p *privacyIDEAYAML) line() (string, error) {
	if line := p.held; line != "" {
		p.held = ""
		return line, nil
	}
	line, err := p.lines.next()
	return strings.TrimRight(string(line), " "), err
}

// yamlEntry adds what a line says, and returns the key of the map that is open behind
// it. Lists and the second lines of long texts are of no use here.
func yamlEntry(said map[string]string, line, within string) string {
	text := strings.TrimLeft(line, " ")
	indent := len(line) - len(text)
	key, value, ok := strings.Cut(text, ":")
	if !ok || indent > 4 || strings.HasPrefix(text, "- ") {
		return within
	}
	if indent <= 2 {
		within = key
	} else {
		key = innerKey(within, key)
	}
	said[key] = yamlScalar(strings.TrimSpace(value))
	return within
}

// innerKey is how a key within a map within a token is called.
func innerKey(within, key string) string {
	if within == "user" {
		return "user." + key
	}
	return "info." + key
}

// yamlScalar is a value without its quotes.
func yamlScalar(value string) string {
	switch {
	case value == "null" || value == "~":
		return ""
	case len(value) > 1 && value[0] == '\'' && value[len(value)-1] == '\'':
		return strings.ReplaceAll(value[1:len(value)-1], "''", "'")
	case len(value) > 1 && value[0] == '"':
		if text, err := strconv.Unquote(value); err == nil {
			return text
		}
	}
	return value
}
