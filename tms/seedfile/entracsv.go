package seedfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"countersign/otp"
	"countersign/otp/oath"
)

// entraParser reads the CSV file that Microsoft Entra takes for hardware tokens. Its
// first line names the columns, in any order:
//
//	upn, serial number, secret key, time interval, manufacturer, model
//
// All tokens are clock tokens with 6 digits. The secret key is base32, or hexadecimal
// if Options.HexSecrets says so. A column "hash function" or "algorithm" is read, too.
type entraParser struct {
	rows                                 *rows
	columns                              int
	user, serial, secret, interval, hash int
	parseSeed                            func(string) (oath.Seed, error)
}

func newEntra(text *bufio.Reader, o Options) (parser, error) {
	p := &entraParser{rows: newRows(text), parseSeed: oath.ParseSeedBase32}
	if o.HexSecrets {
		p.parseSeed = oath.ParseSeedHex
	}
	if err := p.rows.next(); errors.Is(err, io.EOF) {
		return nil, errEmpty
	} else if err != nil {
		return nil, err
	}
	h := p.rows.header()
	p.columns = len(p.rows.fields)
	p.serial, p.secret = entraColumns(h)
	if p.serial < 0 || p.secret < 0 {
		return nil, fmt.Errorf(`line %d: the first line must name the columns, among them "serial number" and "secret key"`, p.rows.number)
	}
	p.interval, p.hash = h.column("time interval", "timeinterval"), h.column("hash function", "hashfunction", "algorithm")
	var err error
	p.user, err = h.userColumn(o.AssignColumn, h.column("upn", "user", "username", "user principal name"), p.secret)
	return p, err
}

func entraColumns(h header) (serial, secret int) {
	return h.column("serial number", "serialnumber"), h.column("secret key", "secretkey")
}

func (p *entraParser) next() (*Token, error) {
	r := p.rows
	if err := r.next(); err != nil {
		return nil, err
	}
	// A spreadsheet may leave out empty columns at the end, but not these.
	serial := r.field(p.serial)
	switch {
	case r.short(p.columns), r.torn(p.secret):
		return nil, r.cutOff("it has fewer fields than the first line, or ends with the seed")
	case len(r.fields) <= max(p.serial, p.secret):
		return nil, r.fault(serial, "the row has %d fields, but the first line %d", len(r.fields), p.columns)
	case badSerial(serial) != "":
		return nil, r.fault("", "%s", badSerial(serial))
	}
	t := newToken(r.number, serial, otp.TOTP)
	t.User = r.field(p.user)
	var err error
	if t.Seed, err = p.parseSeed(r.field(p.secret)); err == nil {
		err = t.setPeriod(r.field(p.interval))
	}
	if hash := r.field(p.hash); err == nil && hash != "" {
		err = t.setAlgorithm(hash)
	}
	if err != nil {
		return nil, r.fault(serial, "%v", err)
	}
	return t, nil
}
