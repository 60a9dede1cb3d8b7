package seedfile

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// yubicoParser reads the log of Yubico's personalization tool in both of its formats:
//
//	OATH-HOTP, time, slot, public id, , key, , , , , , digits, ...   (traditional)
//	serial, public id, 0, key, access code, time,                    (Yubico)
//
// The key is hexadecimal, the public id modhex. The serials are those that
// privacyIDEA and LinOTP make of such rows: UBOM, the number that the public id is or
// the serial of the device, and the slot, which is X where the row does not say it. The
// counter is 0, for the rows have none: a key that was used needs a resync. A key that
// types its public id before the code must be told not to.
//
// Rows of keys with a static password or a Yubico OTP, which is no code of the OATH
// kind, are passed over.
type yubicoParser struct {
	rows   *rows
	user   int
	others int // rows that were passed over
}

// passed counts the keys that are no tokens of ours.
func (p *yubicoParser) passed() (count int, one, many string) {
	return p.others, "key without an OATH-HOTP seed", "keys without an OATH-HOTP seed"
}

// The fields of a whole row, at least.
const (
	traditionalFields = 12
	yubicoFields      = 6
)

func newYubico(text *bufio.Reader, o Options) (parser, error) {
	user, err := userColumn(o.AssignColumn, -1)
	return &yubicoParser{rows: newRows(text), user: user}, err
}

func (p *yubicoParser) next() (*Token, error) {
	for {
		if err := p.rows.next(); err != nil {
			return nil, err
		}
		switch word := strings.ToLower(p.rows.field(0)); {
		case word == "logging start", word == "static password: scan code":
			continue
		case allDigits(word):
			if t, err := p.yubico(); t != nil || err != nil {
				return t, err
			}
		default:
			if t, err := p.traditional(word); t != nil || err != nil {
				return t, err
			}
		}
		p.others++
	}
}

// traditional reads a row of the traditional format, nil when it is to be passed over.
func (p *yubicoParser) traditional(word string) (*Token, error) {
	r := p.rows
	switch {
	case r.short(traditionalFields):
		return nil, r.cutOff("a row has more fields")
	case word == "yubico otp", word == "static password":
		return nil, nil
	case word != "oath-hotp":
		return nil, r.fault("", "it is no row of a Yubico log: it begins neither with OATH-HOTP nor with a serial")
	case r.field(3) == "":
		return nil, r.fault("", "the token has no serial, because the row has no public id")
	}
	number, err := modhexNumber(r.field(3))
	if err != nil {
		return nil, r.fault(r.field(3), "%v", err)
	}
	return p.token(fmt.Sprintf("UBOM%08d_%s", number, r.field(2)), 5, r.field(11))
}

// yubico reads a row of the Yubico format, nil when it is to be passed over. There a
// private id is that of a Yubico OTP, and none at all means a static password.
func (p *yubicoParser) yubico() (*Token, error) {
	r := p.rows
	switch {
	case r.short(yubicoFields):
		return nil, r.cutOff("a row has more fields")
	case r.field(2) != "0":
		return nil, nil
	}
	return p.token("UBOM"+r.field(0)+"_X", 3, "")
}

func (p *yubicoParser) token(serial string, key int, digits string) (*Token, error) {
	if bad := badSerial(serial); bad != "" {
		return nil, p.rows.fault("", "%s", bad)
	}
	if p.user == key {
		return nil, p.rows.fault(serial, "column %d for the user: there are the seeds", key+1)
	}
	t := newToken(p.rows.number, serial, otp.HOTP)
	t.User = p.rows.field(p.user)
	var err error
	if t.Seed, err = oath.ParseSeedHex(p.rows.field(key)); err == nil && digits != "0" {
		err = t.setDigits(digits)
	}
	if err != nil {
		return nil, p.rows.fault(serial, "%v", err)
	}
	return t, nil
}

// modhexNumber is the number that a public id is: hexadecimal with the letters that
// are at the same place on most keyboards.
func modhexNumber(id string) (uint64, error) {
	digits := []byte(strings.ToLower(id))
	for i, c := range digits {
		digit := strings.IndexByte("cbdefghijklnrtuv", c)
		if digit < 0 {
			return 0, fmt.Errorf("the public id is not modhex")
		}
		digits[i] = "0123456789abcdef"[digit]
	}
	number, err := strconv.ParseUint(string(digits), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("the public id is too long")
	}
	return number, nil
}

// looksYubico reports whether a row can be one of a Yubico log. In OATH CSV there are
// no such third field, and no time behind the seed.
func looksYubico(fields []string) bool {
	switch word := strings.ToLower(fields[0]); {
	case word == "logging start", word == "static password: scan code":
		return true
	case word == "oath-hotp", word == "yubico otp", word == "static password":
		return len(fields) >= yubicoFields
	case allDigits(word) && len(fields) >= yubicoFields:
		private := fields[2] == "" || isHex(fields[2]) // in OATH CSV there is the type
		return private && strings.Count(fields[5], ":") == 2 && strings.Contains(fields[5], "-")
	}
	return false
}
