package seedfile

import (
	"bufio"
	"errors"
	"regexp"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// oathParser reads OATH CSV, in the dialects of privacyIDEA and of LinOTP:
//
//	serial, seed[, hotp|totp[, digits[, counter|step[, hash]]]]
//
// The seed is hexadecimal. The fifth column is the counter of an event token, the
// time step of a clock token. Without a hash in the sixth the length of the seed says
// which it is. A file whose first line is "# version: 2" has user, resolver and realm
// before the serial.
type oathParser struct {
	rows   *rows
	linotp bool // the fifth column is no counter
	serial int  // the column of the serial, from 0
	user   int  // the column of the user, or -1
	begun  bool
	fields int // of the row before
}

var versionTwo = regexp.MustCompile(`^#\s*version:\s*2\s*(\r?\n|$)`)

func newOATH(text *bufio.Reader, o Options, linotp bool) (parser, error) {
	p := &oathParser{rows: newRows(text), linotp: linotp}
	user := -1
	if first, _ := text.Peek(64); versionTwo.Match(first) {
		p.serial, user = 3, 0
	}
	var err error
	p.user, err = userColumn(o.AssignColumn, user, p.serial+1)
	return p, err
}

func (p *oathParser) next() (*Token, error) {
	for {
		if err := p.rows.next(); err != nil {
			return nil, err
		}
		heading := !p.begun && p.heading()
		p.begun = true
		if !heading {
			return p.token()
		}
	}
}

// heading reports whether the row at hand names the columns, as those that people
// made by hand often do.
func (p *oathParser) heading() bool {
	return namesSeed(p.rows.field(p.serial + 1))
}

// namesSeed reports whether a field is the name of the column of the seed.
func namesSeed(field string) bool {
	name := columnName(field)
	return strings.Contains(name, "seed") || strings.Contains(name, "key") || strings.Contains(name, "secret")
}

func (p *oathParser) token() (*Token, error) {
	r := p.rows
	serial, seed := r.field(p.serial), r.field(p.serial+1)
	last := len(r.fields) - 1
	switch {
	case r.short(p.fields):
		return nil, r.cutOff("it has fewer fields than the one before")
	case r.torn(p.serial + 1), r.torn(last) && r.field(last) == "":
		return nil, r.cutOff("it ends with the seed, or behind a comma")
	}
	p.fields = len(r.fields)
	typ, ok := oathType(r.field(p.serial + 2))
	if !ok {
		return nil, r.fault(serial, "%s", badType(r.field(p.serial+2)))
	}
	if bad := badSerial(serial); bad != "" {
		return nil, r.fault("", "%s", bad)
	}
	t := newToken(r.number, serial, typ)
	if err := p.fill(t, seed); err != nil {
		return nil, r.fault(serial, "%v", err)
	}
	t.User = r.field(p.user)
	return t, nil
}

func (p *oathParser) fill(t *Token, seed string) (err error) {
	if seed == "" {
		return errors.New("the token has no seed")
	}
	if t.Seed, err = oath.ParseSeedHex(seed); err != nil {
		return err
	}
	factor := p.rows.field(p.serial + 4)
	if p.linotp && !t.Type.Clock() {
		factor = ""
	}
	return firstError(t.setDigits(p.rows.field(p.serial+3)), t.setFactor(factor), t.setAlgorithm(p.hash()))
}

// hash is the sixth column, "" when it has no name of a hash: that may be a user.
func (p *oathParser) hash() string {
	column := p.serial + 5
	if name := p.rows.field(column); column != p.user {
		return name
	}
	return ""
}

// oathType reads the word for a type of token. LinOTP says hmac for hotp.
func oathType(word string) (otp.TokenType, bool) {
	switch strings.ToLower(word) {
	case "", "hotp", "hmac":
		return otp.HOTP, true
	case "totp":
		return otp.TOTP, true
	}
	return 0, false
}

// looksOATH reports whether a row can be one of OATH CSV. In version 2 the serial and
// the seed stand further behind.
func looksOATH(fields []string) bool {
	if len(fields) > 4 && len(fields[4]) >= 16 && isHex(fields[4]) {
		return true
	}
	if fields[0] == "" {
		return false
	}
	return len(fields[1]) >= 4 && isHex(fields[1]) || namesSeed(fields[1])
}
