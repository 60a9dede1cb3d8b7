package seedfile

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// What of a PSKC file is read, by the local names that pskcNames gives. Elements with two names had another
// one in the drafts: draft-ietf-keyprov-pskc-02 has Device, KeyId, KeyAlgorithm and
// Usage. Everything is kept as text, so that one bad number is one bad token.

// pskcHeader is what stands before the first package: how values are encrypted
// (RFC 6030 section 6).
type pskcHeader struct {
	line int // where the key is told of, 0 when it is not
	key  pskcEncryptionKey
	mac  *pskcMACMethod
}

// read reads an element of the header.
func (h *pskcHeader) read(d *xml.Decoder, start *xml.StartElement, line int) error {
	switch start.Name.Local {
	case "EncryptionKey":
		h.line = line
		return d.DecodeElement(&h.key, start)
	case "MACMethod":
		h.mac = &pskcMACMethod{}
		return d.DecodeElement(h.mac, start)
	case "MACAlgorithm": // the drafts
		h.mac = &pskcMACMethod{}
		return d.DecodeElement(&h.mac.Algorithm, start)
	}
	return d.Skip()
}

// pskcEncryptionKey tells which key decrypts the values: one that has a name, one
// derived from a password, or one encrypted for a certificate.
type pskcEncryptionKey struct {
	Name    string `xml:"KeyName"`
	Derived *struct {
		Name   string         `xml:"MasterKeyName"`
		Method pskcDerivation `xml:"KeyDerivationMethod"`
	} `xml:"DerivedKey"`
	X509 *struct{} `xml:"X509Data"`
}

// pskcDerivation has the parameters of PBKDF2. In PKCS #5 and in XML Encryption 1.1
// they have the same names.
type pskcDerivation struct {
	Algorithm  string `xml:"Algorithm,attr"`
	Salt       string `xml:"PBKDF2-params>Salt>Specified"`
	Iterations string `xml:"PBKDF2-params>IterationCount"`
	KeyLength  string `xml:"PBKDF2-params>KeyLength"`
	PRF        struct {
		Algorithm string `xml:"Algorithm,attr"`
		Text      string `xml:",chardata"` // where some programs have it
	} `xml:"PBKDF2-params>PRF"`
}

// pskcMACMethod tells which MAC values have, and under which key.
type pskcMACMethod struct {
	Algorithm string             `xml:"Algorithm,attr"`
	Key       *pskcEncryptedData `xml:"MACKey"`
	Reference string             `xml:"MACKeyReference"`
}

// pskcEncryptedData is an encrypted value.
type pskcEncryptedData struct {
	Method struct {
		Algorithm string `xml:"Algorithm,attr"`
	} `xml:"EncryptionMethod"`
	Cipher string `xml:"CipherData>CipherValue"`
}

// pskcPackage is a device with its keys. In the RFC it has one, in the drafts several.
type pskcPackage struct {
	Device pskcDevice `xml:"DeviceInfo"`
	Keys   pskcKeys   `xml:"Key"`
}

// maxKeys is how many keys a package may have. A device has a few.
const maxKeys = 1000

// pskcKeys are the keys of a package.
type pskcKeys []*pskcKey

// UnmarshalXML adds a key.
func (k *pskcKeys) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	if len(*k) == maxKeys {
		return fmt.Errorf("a package has more than %d keys", maxKeys)
	}
	key := &pskcKey{}
	*k = append(*k, key)
	return d.DecodeElement(key, &start)
}

// own tells the keys whose they are and where they begin: the first one of a device
// where the package does.
func (p *pskcPackage) own(line int, lines []int) []*pskcKey {
	for i, key := range p.Keys {
		key.device, key.further, key.line = &p.Device, i > 0, line
		if i > 0 && len(lines) == len(p.Keys) {
			key.line = lines[i]
		}
	}
	return p.Keys
}

type pskcDevice struct {
	Serial string `xml:"SerialNo"`
	Start  string `xml:"StartDate"`
	Expiry string `xml:"ExpiryDate"`
	User   string `xml:"UserId"`
}

// pskcKey is a key with all that belongs to it (RFC 6030 section 4.2).
type pskcKey struct {
	line    int // where it begins
	device  *pskcDevice
	further bool // there was a key of the device before this one

	ID             string          `xml:"Id,attr"`
	DraftID        string          `xml:"KeyId,attr"`
	Algorithm      string          `xml:"Algorithm,attr"`
	DraftAlgorithm string          `xml:"KeyAlgorithm,attr"`
	Issuer         string          `xml:"Issuer"`
	Parameters     pskcParameters  `xml:"AlgorithmParameters"`
	Usage          pskcParameters  `xml:"Usage"`
	Data           pskcData        `xml:"Data"`
	User           string          `xml:"UserId"`
	Policy         pskcPolicy      `xml:"Policy"`
	Extensions     []pskcExtension `xml:"Extensions"`
}

type pskcParameters struct {
	Suite struct {
		Name     string `xml:",chardata"`
		HashAlgo string `xml:"HashAlgo,attr"` // privacyIDEA
	} `xml:"Suite"`
	Response struct {
		Length        string `xml:"Length,attr"`
		Encoding      string `xml:"Encoding,attr"`
		DraftEncoding string `xml:"Format,attr"`
		CheckDigits   string `xml:"CheckDigits,attr"`
	} `xml:"ResponseFormat"`
}

type pskcData struct {
	Secret       pskcValue `xml:"Secret"`
	Counter      pskcValue `xml:"Counter"`
	Time         pskcValue `xml:"Time"`
	TimeInterval pskcValue `xml:"TimeInterval"`
	TimeDrift    pskcValue `xml:"TimeDrift"`
}

// pskcValue is a value in clear or encrypted, or no value.
type pskcValue struct {
	Plain     *string            `xml:"PlainValue"`
	Encrypted *pskcEncryptedData `xml:"EncryptedValue"`
	MAC       string             `xml:"ValueMAC"`
}

// pskcPolicy says what the key may be used for (RFC 6030 section 5).
type pskcPolicy struct {
	Start  string   `xml:"StartDate"`
	Expiry string   `xml:"ExpiryDate"`
	Usages []string `xml:"KeyUsage"`
	PIN    struct {
		Mode string `xml:"PINUsageMode,attr"`
	} `xml:"PINPolicy"`
}

// pskcExtension has what WritePSKC says beyond the RFC.
type pskcExtension struct {
	T0 string `xml:"urn:x-countersign:pskc T0"`
}

// words are the first of texts that says anything.
func words(texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
	return ""
}
