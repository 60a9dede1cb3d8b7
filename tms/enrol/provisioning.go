package enrol

import (
	"encoding/base32"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/boombuler/barcode/qr"
	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"countersign/otp"
	"countersign/otp/oath"
)

// Provisioning is what an authenticator app needs to become a token. It holds
// the seed and prints as [redacted]; URI shows it. The key is two pointers away,
// because fmt follows one of an unexported field.
type Provisioning struct {
	oath.Redacted
	key **pquerna.Key
}

// algorithms are pquerna's names of ours.
var algorithms = map[oath.Algorithm]pquerna.Algorithm{
	oath.SHA1: pquerna.AlgorithmSHA1, oath.SHA256: pquerna.AlgorithmSHA256, oath.SHA512: pquerna.AlgorithmSHA512,
}

// Provision makes the provisioning of a token for a user. The issuer is the
// name the app shows beside the code, without a colon. A clock token whose T0
// is not 1970 cannot be described by a URI.
func Provision(issuer string, user otp.UserName, t *otp.Token) (Provisioning, error) {
	if t.Type.Clock() {
		if t.T0 != 0 {
			return Provisioning{}, fmt.Errorf("token %q counts from T0 %d: an otpauth URI cannot say that", t.Serial, t.T0)
		}
		key, err := totp.Generate(totp.GenerateOpts{
			Issuer: issuer, AccountName: string(user), Period: uint(t.Period), Secret: t.Seed.Bytes(),
			Digits: pquerna.Digits(t.Digits), Algorithm: algorithms[t.Algorithm],
		})
		return provisioning(key, t, err)
	}
	key, err := hotp.Generate(hotp.GenerateOpts{
		Issuer: issuer, AccountName: string(user), Secret: t.Seed.Bytes(),
		Digits: pquerna.Digits(t.Digits), Algorithm: algorithms[t.Algorithm],
	})
	if err == nil {
		// The format demands the counter; the library leaves it out.
		key, err = pquerna.NewKeyFromURL(key.String() + "&counter=" + strconv.FormatUint(t.State.Counter, 10))
	}
	return provisioning(key, t, err)
}

func provisioning(key *pquerna.Key, t *otp.Token, err error) (Provisioning, error) {
	if err != nil {
		return Provisioning{}, fmt.Errorf("provisioning token %q: %w", t.Serial, err)
	}
	return Provisioning{key: &key}, nil
}

// URI is the otpauth:// URI. It holds the seed.
func (p Provisioning) URI() string { return (*p.key).String() }

// WriteQR draws the QR code with half-block characters, two rows a line, dark
// on light whatever the colours of the terminal, with the quiet zone of four
// modules that ISO/IEC 18004 demands.
func (p Provisioning) WriteQR(w io.Writer) error {
	code, err := qr.Encode((*p.key).String(), qr.M, qr.Auto)
	if err != nil {
		return fmt.Errorf("drawing the QR code: %w", err)
	}
	const quiet = 4
	size := code.Bounds().Dx()
	dark := func(x, y int) bool {
		if x < 0 || y < 0 || x >= size || y >= size {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	halves := map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(halves[[2]bool{dark(x, y), dark(x, y+1)}])
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// ParseURI reads an otpauth:// URI, as a token client does, and returns the
// token and the account name in it.
func ParseURI(uri string) (otp.Token, string, error) {
	u, err := url.Parse(strings.TrimSpace(uri))
	if err != nil || u.Scheme != "otpauth" {
		return otp.Token{}, "", fmt.Errorf("otpauth URI: it must begin with otpauth://totp/ or otpauth://hotp/")
	}
	key, err := pquerna.NewKeyFromURL(u.String())
	if err != nil {
		return otp.Token{}, "", fmt.Errorf("otpauth URI: it cannot be read")
	}
	typ, err := otp.ParseTokenType(key.Type())
	if err != nil || typ == otp.MobilePASS {
		return otp.Token{}, "", fmt.Errorf("otpauth URI: type %.20q is neither totp nor hotp", key.Type())
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(key.Secret(), "=")))
	if err != nil || len(seed) == 0 {
		return otp.Token{}, "", fmt.Errorf("otpauth URI: its secret is not base32")
	}
	algorithm, err := oath.ParseAlgorithm(key.Algorithm().String())
	if err != nil || key.Digits() < 6 || key.Digits() > 10 || key.Period() < 1 || key.Period() > 86400 {
		return otp.Token{}, "", fmt.Errorf("otpauth URI: algorithm, digits or period are not ones we know")
	}
	query := u.Query()
	for _, name := range []string{"counter", "period", "digits"} { // wrong ones the library takes for missing
		if _, err := strconv.ParseUint(query.Get(name), 10, 62); err != nil && query.Has(name) {
			return otp.Token{}, "", fmt.Errorf("otpauth URI: its %s is not a number", name)
		}
	}
	counter, _ := strconv.ParseUint(query.Get("counter"), 10, 62) // 0 when there is none
	t := otp.Token{Type: typ, Algorithm: algorithm, Digits: uint8(key.Digits()), Seed: oath.NewSeed(seed)}
	if typ.Clock() {
		t.Period = uint32(key.Period())
	} else {
		t.State.Counter = counter
	}
	return t, key.AccountName(), nil
}
