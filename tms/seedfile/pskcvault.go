package seedfile

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"countersign/otp/oath"
)

const (
	// maxIterations of PBKDF2 take seconds; more would only keep a machine busy.
	maxIterations = 5_000_000
	maxDerivedKey = 32 // bytes, the longest key of a cipher
)

// flaw is what is wrong with one value. Other errors of a vault are about the file.
type flaw string

func (f flaw) Error() string { return string(f) }

// pskcVault decrypts the values of a container and verifies their MACs. It holds
// keys, so it prints as [redacted].
type pskcVault struct {
	oath.Redacted
	policy   MACPolicy
	key      Secret
	noKey    error     // why there is no key
	sealed   bool      // the file says that it is encrypted
	mac      hash.Hash // nil: values have no MAC, or it is not looked at
	opened   bool      // something was decrypted, so the key is right
	verified bool      // a MAC was right
}

// newPSKCVault finds the keys that the header tells of. A key that is missing is an
// error when the file says that it is encrypted; else it is when a value is.
func newPSKCVault(h *pskcHeader, o Options) (*pskcVault, error) {
	v := &pskcVault{policy: o.MAC, sealed: h.line > 0}
	if err := v.findKey(&h.key, o); err != nil {
		return nil, err
	}
	if h.mac == nil || h.mac.Algorithm == "" || v.policy == MACNone {
		return v, nil // with AES key wrap python-pskc writes a MAC of no algorithm
	}
	return v, v.findMAC(h.mac)
}

func (v *pskcVault) findKey(k *pskcEncryptionKey, o Options) error {
	switch {
	case k.Derived != nil:
		if o.Password.IsZero() {
			return fmt.Errorf("%w%s, which is missing", ErrNoPassword, named(k.Derived.Name))
		}
		key, err := k.Derived.Method.derive(o.Password)
		v.key = NewSecret(key)
		return err
	case k.X509 != nil:
		v.noKey = errors.New("the file is encrypted for a certificate, which is not supported: ask for one under a password or a pre-shared key")
	case o.PSK.IsZero():
		v.noKey = fmt.Errorf("%w%s, which is missing", ErrNoPSK, named(k.Name))
	default:
		v.key = o.PSK
	}
	return nil
}

// named is how a name of a key is told, if it has one.
func named(name string) string {
	if name = strings.TrimSpace(name); name == "" {
		return ""
	}
	return fmt.Sprintf(" called %.60q", name)
}

// findMAC finds which MAC the values have. Its key is encrypted as they are; where
// there is none it is that of the values (RFC 6030 section 6.1.1).
func (v *pskcVault) findMAC(m *pskcMACMethod) error {
	newHash := findHMAC(m.Algorithm)
	if newHash == nil {
		return fmt.Errorf("the MAC %.60q is not known; a policy that does not look at MACs reads the file all the same", m.Algorithm)
	}
	if m.Reference != "" {
		return fmt.Errorf("the key of the MACs%s is not in the file; a policy that does not look at MACs reads it all the same", named(m.Reference))
	}
	key := v.key
	if m.Key != nil {
		plain, _, err := v.decrypt(m.Key)
		if err != nil {
			return err
		}
		key = NewSecret(plain)
	}
	v.mac = hmac.New(newHash, key.bytes())
	return nil
}

// derive derives the key from a password (RFC 6030 section 6.3, RFC 8018 section 5.2).
func (d *pskcDerivation) derive(password Secret) ([]byte, error) {
	if shortName(d.Algorithm) != "pbkdf2" {
		return nil, fmt.Errorf("a key is derived from the password by %.60q, which is not supported, only PBKDF2 is", d.Algorithm)
	}
	salt, err := decodeBase64(d.Salt)
	if err != nil || len(salt) == 0 {
		return nil, errors.New("PBKDF2 has no salt that can be read")
	}
	iterations, ok := atMost(d.Iterations, maxIterations)
	if !ok {
		return nil, fmt.Errorf("PBKDF2 with %.20q iterations: it must be 1 to %d", d.Iterations, maxIterations)
	}
	length, ok := atMost(d.KeyLength, maxDerivedKey)
	if !ok {
		return nil, fmt.Errorf("PBKDF2 with a key of %.20q bytes: it must be 1 to %d", d.KeyLength, maxDerivedKey)
	}
	prf := findHMAC(words(d.PRF.Algorithm, d.PRF.Text, "hmac-sha1"))
	if prf == nil {
		return nil, fmt.Errorf("PBKDF2 with %.60q, which is not supported, only HMAC with SHA-1 or SHA-2 is", words(d.PRF.Algorithm, d.PRF.Text))
	}
	return pbkdf2.Key(prf, string(password.bytes()), salt, iterations, length)
}

// atMost is a number from 1 to most.
func atMost(text string, most int) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n >= 1 && n <= most
}

// open is the plain text of an encrypted value, if its MAC is right.
func (v *pskcVault) open(value *pskcValue) ([]byte, error) {
	plain, data, err := v.decrypt(value.Encrypted)
	if err != nil {
		return nil, err
	}
	c, _ := findCipher(value.Encrypted.Method.Algorithm)
	if c.integrity && value.MAC == "" {
		return plain, nil
	}
	if v.mac == nil && value.MAC == "" && v.policy != MACNone {
		return nil, v.unprotected()
	}
	if err := v.verify(value.MAC, data, plain); err != nil {
		return nil, v.bad(err)
	}
	return plain, nil
}

// unprotected is the error of a value that has no MAC. CBC alone does not notice a
// change, and who changes a file can take its MACs out as well.
func (v *pskcVault) unprotected() error {
	const text = "an encrypted value: it has no MAC, so a change would go unnoticed; a policy that does not look at MACs reads it all the same"
	if v.policy == MACSoft {
		return flaw(text)
	}
	return errors.New(text)
}

// decrypt decrypts a value without a look at its MAC, and returns what was encrypted as
// well.
func (v *pskcVault) decrypt(e *pskcEncryptedData) (plain, data []byte, err error) {
	if v.noKey != nil {
		return nil, nil, v.noKey
	}
	c, err := findCipher(e.Method.Algorithm)
	if err != nil {
		return nil, nil, err
	}
	block, err := c.blockOf(v.key)
	if err != nil {
		return nil, nil, err
	}
	if data, err = decodeBase64(e.Cipher); err != nil {
		return nil, nil, v.bad(err)
	}
	if plain, err = c.mode(block, data); err != nil {
		return nil, nil, v.bad(err)
	}
	v.opened = true
	return plain, data, nil
}

// verify verifies a MAC: of what was encrypted (RFC 6030 section 6.2), or of the plain
// text, as the drafts had it.
func (v *pskcVault) verify(text string, data, plain []byte) error {
	if v.policy == MACNone || v.mac == nil && text == "" {
		return nil
	}
	if v.mac == nil {
		return errors.New("it has a MAC, but the file does not say of which kind")
	}
	if text == "" {
		return errors.New("its MAC is missing")
	}
	mac, err := decodeBase64(text)
	if err != nil || !hmac.Equal(mac, v.sum(data)) && !hmac.Equal(mac, v.sum(plain)) {
		return errors.New("its MAC is wrong")
	}
	v.verified = true
	return nil
}

func (v *pskcVault) sum(data []byte) []byte {
	v.mac.Reset()
	v.mac.Write(data)
	return v.mac.Sum(nil)
}

// bad says what a bad value is: a flaw of its token, or the end of the reading. As long
// as nothing was right the key is to blame.
func (v *pskcVault) bad(err error) error {
	switch {
	case v.policy == MACHard && !v.verified, !v.opened:
		return fmt.Errorf("an encrypted value: %w: %w", err, ErrWrongKey)
	case v.policy == MACHard:
		return fmt.Errorf("an encrypted value: %w: the file was changed", err)
	}
	return flaw(fmt.Sprintf("an encrypted value: %v", err))
}

// integer is a value that is a number of at most so many bits: decimal, or of an
// encrypted one the bytes of the number, most significant first. No value is 0.
func (v *pskcVault) integer(name string, value *pskcValue, bits int) (int64, error) {
	text, shown := "", ""
	switch {
	case value.Plain != nil:
		text = strings.TrimSpace(*value.Plain)
		shown = fmt.Sprintf(" %.20q", text)
	case value.Encrypted != nil:
		plain, err := v.open(value)
		if err != nil {
			return 0, err
		}
		text = decimal(plain) // not shown: it may be a seed in the wrong place
	default:
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, flaw(fmt.Sprintf("%s%s: it must be a decimal number of at most %d bits", name, shown, bits))
	}
	return n, nil
}

// decimal is the number that a decrypted value is. Most programs encrypt its digits,
// python-pskc its bytes.
func decimal(plain []byte) string {
	digits := strings.TrimPrefix(string(plain), "-")
	if strings.Trim(digits, "0123456789") == "" || len(plain) > 8 {
		return string(plain)
	}
	var n uint64
	for _, b := range plain {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n, 10)
}

// secret is the seed, nil when there is none. One in clear in an encrypted file is
// nobody's who had the key.
func (v *pskcVault) secret(value *pskcValue) ([]byte, error) {
	switch {
	case value.Plain != nil && value.Encrypted != nil:
		return nil, flaw("its seed is there twice, in clear and encrypted")
	case value.Plain != nil && v.sealed:
		return nil, flaw("its seed is in clear, in a file that is encrypted")
	case value.Plain != nil:
		seed, err := decodeBase64(*value.Plain)
		if err != nil {
			return nil, flaw("the seed is not base64")
		}
		return seed, nil
	case value.Encrypted != nil:
		return v.open(value)
	}
	return nil, nil
}

var errBase64 = errors.New("it is not base64")

// decodeBase64 reads base64 with white space between the characters. The error shows
// none of them.
func decodeBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}
