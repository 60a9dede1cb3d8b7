package seedfile

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// safenetDAT reads the .dat files of SafeWord and SafeNet: records of "key: value"
// lines with empty lines between them. A record is a token:
//
//	sccAuthenticatorId: RAINER02
//	sccTokenData: sccKey=HEX;sccMode=T;sccPwLen=6;sccTick=30;crypto=HmacSHA256
//
// Mode E is an event token, mode T a clock token, which counts its steps from the
// year 2000. Signatures are not verified: whose key they are made with is not public.
type safenetDAT struct {
	lines lines
	held  string // the line that ended a record and begins the next one
}

// year2000 is when the steps of the clock tokens of this format begin.
var year2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// datRecord is what is known of a record.
type datRecord struct {
	line         int // where it begins, 0 while it has not
	serial, data string
	cut          bool // the file ends in it, without data or within
	torn         bool // the file may end within its last line
}

func newSafeNetDAT(text *bufio.Reader) *safenetDAT {
	return &safenetDAT{lines: lines{text: text}}
}

func (p *safenetDAT) next() (*Token, error) {
	r, err := p.record()
	switch {
	case err != nil:
		return nil, err
	case r.cut:
		return nil, p.lines.cutOff(fmt.Sprintf("the record that begins in line %d has no whole sccTokenData", r.line))
	case r.torn:
		return nil, p.lines.cutOff("it is no whole sccSignature")
	case r.data == "":
		return nil, &Fault{Line: r.line, Serial: r.serial, Reason: "the token has no sccTokenData"}
	case badSerial(r.serial) != "":
		return nil, &Fault{Line: r.line, Reason: badSerial(r.serial)}
	}
	t, err := datToken(&r)
	if err != nil {
		return nil, &Fault{Line: r.line, Serial: r.serial, Reason: err.Error()}
	}
	return t, nil
}

// record reads up to the end of a record. io.EOF is the end of the file.
func (p *safenetDAT) record() (r datRecord, err error) {
	for {
		line, err := p.line()
		if errors.Is(err, io.EOF) && (r.line > 0 || r.torn) {
			r.cut = r.cut || r.line > 0 && r.data == ""
			return r, nil
		}
		if err != nil {
			return r, err
		}
		key, value, _ := strings.Cut(line, ":")
		ends := line == "" || strings.EqualFold(key, "dn")
		if ends && r.line > 0 {
			p.held = line
			return r, nil
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		r.torn = line != "" && !p.lines.whole && !wholeSignature(key, value)
		if !strings.HasPrefix(line, "#") {
			r.add(key, value, &p.lines)
		}
	}
}

// wholeSignature reports whether a line is a signature to its end, in DER as one of
// DSA is: of no other line can it be told that it was not cut off. Records end with it.
func wholeSignature(key, value string) bool {
	der, err := base64.StdEncoding.DecodeString(value)
	return strings.EqualFold(key, "sccSignature") && err == nil && len(der) > 2 && der[0] == 0x30 && int(der[1]) == len(der)-2
}

// line is the next line, without white space around it.
func (p *safenetDAT) line() (string, error) {
	if line := p.held; line != "" {
		p.held = ""
		return line, nil
	}
	line, err := p.lines.next()
	return strings.TrimSpace(string(line)), err
}

// add takes a line of the record. Keys that are not ours do not begin one.
func (r *datRecord) add(key, value string, at *lines) {
	switch strings.ToLower(key) {
	case "dn":
		if id, ok := strings.CutPrefix(value, "sccAuthenticatorId="); ok {
			r.serial = id
		}
	case "sccauthenticatorid":
		r.serial = value
	case "scctokendata":
		r.data, r.cut = value, !at.whole
	default:
		if !strings.HasPrefix(strings.ToLower(key), "scc") {
			return
		}
	}
	if r.line == 0 {
		r.line = at.number
	}
}

// datToken reads the fields of sccTokenData.
func datToken(r *datRecord) (*Token, error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(r.data, ";") {
		key, value, _ := strings.Cut(field, "=")
		fields[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
	}
	var typ otp.TokenType
	switch strings.ToUpper(fields["sccmode"]) {
	case "E":
		typ = otp.HOTP
	case "T":
		typ = otp.TOTP
	default:
		return nil, errors.New("sccMode is neither E (event) nor T (time)")
	}
	t := newToken(r.line, r.serial, typ)
	var err error
	if t.Seed, err = oath.ParseSeedHex(fields["scckey"]); err != nil {
		return nil, err
	}
	if typ.Clock() {
		t.T0 = year2000
		err = t.setPeriod(fields["scctick"])
	}
	if hash := fields["crypto"]; err == nil && hash != "" {
		err = t.setAlgorithm(hash)
	}
	return t, firstError(err, t.setDigits(fields["sccpwlen"]))
}
