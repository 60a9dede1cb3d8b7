package seedfile

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// PSKCOptions say how WritePSKC encrypts.
type PSKCOptions struct {
	Rand io.Reader // where keys and initialization vectors come from
	// Iterations of PBKDF2, 0 for the usual 600000. A password that nobody has made up,
	// such as an Activation Key, needs no more than 1000.
	Iterations int
}

const (
	usualIterations = 600_000
	minIterations   = 1000 // RFC 8018 section 4.2
	saltLength      = 16   // bytes
)

// WritePSKC writes tokens as a PSKC file (RFC 6030) in which the seeds are encrypted
// with AES-256-CBC under a key that PBKDF2 with HMAC-SHA-256 derives from the password,
// each with an HMAC-SHA-256. The rest can be read by everybody: serials, users,
// counters. A MobilePASS token becomes what it computes, hotp with SHA-256; T0, for
// which the RFC has no element, is an extension that other programs pass over. What has
// been burned of a clock token is not written.
//
// The tokens come one by one, so any number of them can be written. A list of codes
// cannot: it is an error, as is one that the sequence yields.
func WritePSKC(w io.Writer, tokens iter.Seq2[*Token, error], password Secret, o PSKCOptions) error {
	p, err := newPSKCWriter(w, password, o)
	if err != nil {
		return fmt.Errorf("writing PSKC: %w", err)
	}
	for t, err := range tokens {
		if err == nil {
			err = p.token(t)
		}
		if err != nil {
			return fmt.Errorf("writing PSKC: %w", err)
		}
	}
	p.line(0, "</pskc:KeyContainer>")
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("writing PSKC: %w", err)
	}
	return nil
}

// pskcWriter writes a PSKC file. It holds keys, so it prints as [redacted].
type pskcWriter struct {
	oath.Redacted
	out   *bufio.Writer
	rand  io.Reader
	block cipher.Block
	mac   hash.Hash
}

// newPSKCWriter derives the key, makes one for the MACs, and writes the header.
func newPSKCWriter(w io.Writer, password Secret, o PSKCOptions) (*pskcWriter, error) {
	if o.Iterations == 0 {
		o.Iterations = usualIterations
	}
	switch {
	case password.IsZero():
		return nil, errors.New("a password is missing: seeds are never written in clear")
	case o.Iterations < minIterations || o.Iterations > maxIterations:
		return nil, fmt.Errorf("%d iterations of PBKDF2: it must be %d to %d", o.Iterations, minIterations, maxIterations)
	}
	random := make([]byte, saltLength+sha256.Size)
	if _, err := io.ReadFull(o.Rand, random); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	salt, macKey := random[:saltLength], random[saltLength:]
	key, err := pbkdf2.Key(sha256.New, string(password.bytes()), salt, o.Iterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	p := &pskcWriter{out: bufio.NewWriterSize(w, 64<<10), rand: o.Rand, block: block, mac: hmac.New(sha256.New, macKey)}
	return p, p.header(salt, o.Iterations, macKey)
}

// The elements of the file. Salt and what follows it have no name space, as in figure 7
// of the RFC.
const (
	pskcStart = `<?xml version="1.0" encoding="UTF-8"?>
<pskc:KeyContainer xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:pkcs5="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Version="1.0">
  <pskc:EncryptionKey>
    <xenc11:DerivedKey>
      <xenc11:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2">
        <pkcs5:PBKDF2-params>
          <Salt><Specified>%s</Specified></Salt>
          <IterationCount>%d</IterationCount>
          <KeyLength>%d</KeyLength>
          <PRF Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/>
        </pkcs5:PBKDF2-params>
      </xenc11:KeyDerivationMethod>
    </xenc11:DerivedKey>
  </pskc:EncryptionKey>
  <pskc:MACMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256">
    <pskc:MACKey>%s</pskc:MACKey>
  </pskc:MACMethod>
`
	pskcEncrypted = `<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/><xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData>`
)

func (p *pskcWriter) header(salt []byte, iterations int, macKey []byte) error {
	encrypted, _, err := p.encrypt(macKey)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, pskcStart, base64.StdEncoding.EncodeToString(salt), iterations, sha256.Size, encrypted)
	return err
}

// encrypt makes the elements of an encrypted value, and its MAC in base64.
func (p *pskcWriter) encrypt(plain []byte) (elements, mac string, err error) {
	var iv [aes.BlockSize]byte
	if _, err := io.ReadFull(p.rand, iv[:]); err != nil {
		return "", "", fmt.Errorf("making an initialization vector: %w", err)
	}
	data := encryptCBC(p.block, iv[:], plain)
	p.mac.Reset()
	p.mac.Write(data)
	return fmt.Sprintf(pskcEncrypted, base64.StdEncoding.EncodeToString(data)), base64.StdEncoding.EncodeToString(p.mac.Sum(nil)), nil
}

// token writes a key package.
func (p *pskcWriter) token(t *Token) error {
	if err := check(&t.Token); err != nil {
		return fmt.Errorf("token %q: %w", t.Serial, err)
	}
	algorithm := "hotp"
	switch t.Type {
	case otp.TOTP:
		algorithm = "totp"
	case otp.CodeList:
		return fmt.Errorf("token %q: a list of codes is no token of a seed file", t.Serial)
	}
	encrypted, mac, err := p.encrypt(t.Seed.Bytes())
	if err != nil {
		return err
	}
	serial := escape(string(t.Serial))
	p.line(1, "<pskc:KeyPackage>")
	p.line(2, "<pskc:DeviceInfo><pskc:SerialNo>%s</pskc:SerialNo></pskc:DeviceInfo>", serial)
	p.line(2, `<pskc:Key Id="%s" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:%s">`, serial, algorithm)
	p.line(3, `<pskc:AlgorithmParameters><pskc:Suite>HMAC-%s</pskc:Suite><pskc:ResponseFormat Length="%d" Encoding="DECIMAL"/></pskc:AlgorithmParameters>`,
		strings.ToUpper(t.Algorithm.String()), t.Digits)
	p.line(3, "<pskc:Data>")
	p.line(4, "<pskc:Secret><pskc:EncryptedValue>%s</pskc:EncryptedValue><pskc:ValueMAC>%s</pskc:ValueMAC></pskc:Secret>", encrypted, mac)
	p.factor(t)
	p.line(3, "</pskc:Data>")
	if t.User != "" {
		p.line(3, "<pskc:UserId>%s</pskc:UserId>", escape(t.User))
	}
	p.policy(t)
	if t.Type.Clock() && t.T0 != 0 {
		p.line(3, `<pskc:Extensions><c:T0 xmlns:c="urn:x-countersign:pskc">%d</c:T0></pskc:Extensions>`, t.T0)
	}
	p.line(2, "</pskc:Key>")
	p.line(1, "</pskc:KeyPackage>")
	return nil
}

// factor writes where the moving factor of the token is.
func (p *pskcWriter) factor(t *Token) {
	if !t.Type.Clock() {
		p.line(4, "<pskc:Counter><pskc:PlainValue>%d</pskc:PlainValue></pskc:Counter>", t.State.Counter)
		return
	}
	p.line(4, "<pskc:TimeInterval><pskc:PlainValue>%d</pskc:PlainValue></pskc:TimeInterval>", t.Period)
	p.line(4, "<pskc:TimeDrift><pskc:PlainValue>%d</pskc:PlainValue></pskc:TimeDrift>", t.State.Drift)
}

// policy writes the time in which the token is valid.
func (p *pskcWriter) policy(t *Token) {
	p.line(3, "<pskc:Policy>")
	if t.ValidFrom != 0 {
		p.line(4, "<pskc:StartDate>%s</pskc:StartDate>", dateText(t.ValidFrom))
	}
	if t.ValidUntil != 0 {
		p.line(4, "<pskc:ExpiryDate>%s</pskc:ExpiryDate>", dateText(t.ValidUntil))
	}
	p.line(4, "<pskc:KeyUsage>OTP</pskc:KeyUsage>")
	p.line(3, "</pskc:Policy>")
}

// line writes a line. The buffer keeps an error until Flush.
func (p *pskcWriter) line(depth int, format string, values ...any) {
	_, _ = p.out.WriteString(strings.Repeat("  ", depth))
	_, _ = fmt.Fprintf(p.out, format, values...)
	_ = p.out.WriteByte('\n')
}

// escape makes text fit for XML.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// dateText is a time of Unix seconds as xs:dateTime, "" for none.
func dateText(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}
