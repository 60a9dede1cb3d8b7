package seedfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unsafe"

	"countersign/otp"
	"countersign/otp/oath"
)

// Token is a token as a seed file has it. What the file does not say is what is
// usual for the type: 6 digits, 30 seconds, SHA-1.
type Token struct {
	otp.Token
	User string // whom the file gives it to, as written; "" nobody
	Line int    // where it begins in the file, from 1
}

// Format names a kind of seed file.
type Format string

// The formats. Auto, as the empty one, finds out by content.
const (
	Auto        Format = "auto"
	PSKC        Format = "pskc"
	SafeNetXML  Format = "safenet-xml"
	SafeNetDAT  Format = "safenet-dat"
	OATHCSV     Format = "oath-csv"
	YubicoCSV   Format = "yubico-csv"
	EntraCSV    Format = "entra-csv"
	PrivacyIDEA Format = "privacyidea"
	LinOTP      Format = "linotp"
	FreeRADIUS  Format = "freeradius"
)

// Formats are the names of all formats, Auto first.
var Formats = []Format{Auto, PSKC, SafeNetXML, SafeNetDAT, OATHCSV, YubicoCSV, EntraCSV, PrivacyIDEA, LinOTP, FreeRADIUS}

// MACPolicy says what becomes of a PSKC file in which the MAC of a value is wrong.
type MACPolicy uint8

const (
	// MACHard: the file is read no further, and nothing of it should be kept.
	MACHard MACPolicy = iota
	// MACSoft: the token with the wrong MAC is a Fault.
	MACSoft
	// MACNone: MACs are not looked at.
	MACNone
)

// Secret is a password or a key: a view of bytes somebody else keeps. It prints as
// [redacted].
type Secret struct {
	oath.Redacted
	data *byte // fmt shows a slice even where it calls no methods, of this the address
	n    int
}

// NewSecret makes a view of b, which must not change while the Secret is in use.
func NewSecret(b []byte) Secret { return Secret{data: unsafe.SliceData(b), n: len(b)} }

// ParsePSK reads a pre-shared key of hexadecimal digits, white space allowed: 16 to 32
// bytes. The error does not show it.
func ParsePSK(text string) (Secret, error) {
	key, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(key) < 16 || len(key) > 32 {
		return Secret{}, errors.New("the pre-shared key must be 32 to 64 hexadecimal digits, which is 16 to 32 bytes")
	}
	return NewSecret(key), nil
}

// IsZero reports whether there is none.
func (s Secret) IsZero() bool { return s.n == 0 }

func (s Secret) bytes() []byte { return unsafe.Slice(s.data, s.n) }

// Errors of the reading of an encrypted file. They are about the whole file.
var (
	// ErrNoKey: the file is encrypted, and the password or key that it needs was not
	// given. It is either ErrNoPassword or ErrNoPSK.
	ErrNoKey = errors.New("the file is encrypted")
	// ErrNoPassword: Options.Password is needed.
	ErrNoPassword = fmt.Errorf("%w under a password", ErrNoKey)
	// ErrNoPSK: Options.PSK is needed.
	ErrNoPSK = fmt.Errorf("%w under a pre-shared key", ErrNoKey)
	// ErrWrongKey: the password or key does not open the file. A file that was changed
	// on its way looks the same.
	ErrWrongKey = errors.New("the password or key is wrong, or the file was changed")
)

// Options say how a file is to be read. The zero value reads every file that is
// not encrypted.
type Options struct {
	Format   Format
	Password Secret // of an encrypted PSKC file
	PSK      Secret // the bytes of the pre-shared key of an encrypted PSKC file
	// AssignColumn names the column of a CSV file that has the user; "" is the one
	// that the format has for it.
	AssignColumn string
	HexSecrets   bool // seeds of an Entra CSV file are hexadecimal, not base32
	MAC          MACPolicy
}

// Fault is what is wrong with one token of a file.
type Fault struct {
	Line   int    // from 1
	Serial string // as written, "" when there is none
	Reason string // never has a seed in it
}

// Error is line, serial and reason.
func (f *Fault) Error() string {
	if f.Serial == "" {
		return fmt.Sprintf("line %d: %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: token %.80q: %s", f.Line, f.Serial, f.Reason)
}

// parser reads the tokens of one format. The serial is as written; Reader.Next
// normalizes it. Errors are as those of Reader.Next.
type parser interface {
	next() (*Token, error)
}

// Reader reads the tokens of a file.
type Reader struct {
	format Format
	parser parser
	err    error // that ended the reading
}

// Open begins to read a seed file. The error says that its format is not known, or
// what is missing to read it.
func Open(r io.Reader, o Options) (*Reader, error) {
	text := newText(r)
	format := o.Format
	if format == "" || format == Auto {
		var err error
		if format, err = detect(text); err != nil {
			return nil, err
		}
	}
	p, err := newParser(format, text, o)
	if err != nil {
		return nil, err
	}
	return &Reader{format: format, parser: p}, nil
}

// Format is the format of the file.
func (r *Reader) Format() Format { return r.format }

// passer is a parser that passes over what has no seed and is nothing wrong.
type passer interface {
	// passed is how many there were until now, and what one or many of them are called.
	passed() (count int, one, many string)
}

// PassedOver says how many users or keys of the file were passed over until now because
// they have no seed, as "12 users without a seed passed over"; "" when there were none.
func (r *Reader) PassedOver() string {
	p, ok := r.parser.(passer)
	if !ok {
		return ""
	}
	switch count, one, many := p.passed(); count {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("1 %s passed over", one)
	default:
		return fmt.Sprintf("%d %s passed over", count, many)
	}
}

// Next is the next token of the file, and io.EOF is the end. A *Fault is about one
// token, and reading can go on. With any other error the file cannot be read
// further: it names the line, and comes again with every call.
func (r *Reader) Next() (*Token, error) {
	if r.err != nil {
		return nil, r.err
	}
	t, err := r.parser.next()
	if err != nil {
		fault := (*Fault)(nil)
		if !errors.As(err, &fault) {
			r.err = err
		} else if looksSecret(fault.Serial) {
			fault.Serial = ""
		}
		return nil, err
	}
	serial := string(t.Serial)
	if looksSeed(serial) {
		return nil, &Fault{Line: t.Line, Reason: "the serial looks like a seed: are the columns swapped?"}
	}
	if t.Serial, err = otp.ParseSerial(serial); err == nil {
		err = check(&t.Token)
	}
	if err != nil && looksSecret(serial) {
		return nil, &Fault{Line: t.Line, Reason: "the token is none, and its serial looks like a seed: are the columns swapped?"}
	}
	if err != nil {
		return nil, &Fault{Line: t.Line, Serial: serial, Reason: err.Error()}
	}
	return t, nil
}

const (
	minSeed, maxSeed = 8, 128 // bytes, as in package oath
	maxPeriod        = 24 * 60 * 60
	maxCounter       = 1 << 62
)

// check finds what no token of ours can be, whatever the format. Errors do not
// show the seed.
func check(t *otp.Token) error {
	switch n := t.Seed.Len(); {
	case n == 0:
		return errors.New("it has no seed")
	case n < minSeed || n > maxSeed:
		return fmt.Errorf("the seed has %d bytes, but must have %d to %d", n, minSeed, maxSeed)
	case t.Digits < 6 || t.Digits > 10:
		return fmt.Errorf("%d digits: a code has 6 to 10", t.Digits)
	case t.Type.Clock() && (t.Period == 0 || t.Period > maxPeriod):
		return fmt.Errorf("period %d: a code lives 1 to %d seconds", t.Period, maxPeriod)
	case t.State.Counter >= maxCounter:
		return fmt.Errorf("counter %d: too large", t.State.Counter)
	case t.Astray():
		return fmt.Errorf("a drift of %d steps: a clock is not wrong by more than a day", t.State.Drift)
	}
	return nil
}
