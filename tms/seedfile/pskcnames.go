package seedfile

import (
	"encoding/xml"
	"strings"
)

// pskcNames gives elements and attributes the names of the RFC where their case is
// another: privacyIDEA writes all of them in small letters, and the drafts some. The
// decoder that reads it knows no lines, so it knows them.
type pskcNames struct {
	raw   *xml.Decoder
	lines []int // where Key elements begin that are to be read
}

// Token is the next part of the file.
func (n *pskcNames) Token() (xml.Token, error) {
	line := n.line()
	part, err := n.raw.RawToken()
	switch t := part.(type) {
	case xml.StartElement:
		t.Name.Local = pskcName(t.Name.Local)
		for i := range t.Attr {
			t.Attr[i].Name.Local = pskcName(t.Attr[i].Name.Local)
		}
		if t.Name.Local == "Key" {
			n.lines = append(n.lines, line)
		}
		part = t
	case xml.EndElement:
		t.Name.Local = pskcName(t.Name.Local)
		part = t
	}
	return part, err
}

// line is where the reading is, from 1.
func (n *pskcNames) line() int {
	line, _ := n.raw.InputPos()
	return line
}

// pskcName is the RFC's form of a name that begins with a small letter.
func pskcName(name string) string {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return name
	}
	if known, ok := pskcKnown[strings.ToLower(name)]; ok {
		return known
	}
	return name
}

// pskcKnown has all the names that are read, by their small letters.
var pskcKnown = knownNames(`KeyContainer EncryptionKey KeyName DerivedKey MasterKeyName KeyDerivationMethod PBKDF2-params Salt Specified IterationCount
	KeyLength PRF X509Data MACMethod MACAlgorithm MACKey MACKeyReference EncryptionMethod CipherData CipherValue KeyPackage Device DeviceInfo SerialNo
	StartDate ExpiryDate UserId Key Issuer AlgorithmParameters Usage Suite ResponseFormat Data Secret Counter Time TimeInterval TimeDrift PlainValue
	EncryptedValue ValueMAC Policy PINPolicy KeyUsage Extensions
	Version Id KeyId Algorithm KeyAlgorithm Length Encoding Format CheckDigits PINUsageMode HashAlgo`)

func knownNames(names string) map[string]string {
	known := map[string]string{}
	for _, name := range strings.Fields(names) {
		known[strings.ToLower(name)] = name
	}
	return known
}
