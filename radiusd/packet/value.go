package packet

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"layeh.com/radius/dictionary"
)

// valueType is how the values of one type are written by people and in a
// packet. Errors say what a value has to look like. text reports false for
// octets that are no value of the type.
type valueType struct {
	encode func(text string) ([]byte, error)
	text   func(octets []byte) (string, bool)
}

// valueTypes has all types but the numbers, which may have names.
var valueTypes = map[dictionary.AttributeType]valueType{
	dictionary.AttributeString:     {encodeText, textOf},
	dictionary.AttributeOctets:     {encodeOctets, octetsText},
	dictionary.AttributeABinary:    {encodeHex, hexText},
	dictionary.AttributeSigned:     {encodeSigned, signedText},
	dictionary.AttributeDate:       {encodeDate, dateText},
	dictionary.AttributeIPAddr:     {encodeIPv4, ipv4Text},
	dictionary.AttributeIPv6Addr:   {encodeIPv6, ipv6Text},
	dictionary.AttributeIPv4Prefix: {encodeIPv4Prefix, ipv4PrefixText},
	dictionary.AttributeIPv6Prefix: {encodeIPv6Prefix, ipv6PrefixText},
	dictionary.AttributeIFID:       {encodeInterfaceID, interfaceIDText},
	dictionary.AttributeEther:      {encodeMAC, macText},
}

// numberOctets has the sizes of the types that are numbers.
var numberOctets = map[dictionary.AttributeType]int{
	dictionary.AttributeByte:      1,
	dictionary.AttributeShort:     2,
	dictionary.AttributeInteger:   4,
	dictionary.AttributeInteger64: 8,
}

// encodeValue returns the octets of a value, without tag.
func (d *Dictionary) encodeValue(def *definition, value string) ([]byte, error) {
	if octets := numberOctets[def.Type]; octets != 0 {
		return d.encodeNumber(def, value, octets)
	}
	t, ok := valueTypes[def.Type]
	if !ok {
		return nil, fmt.Errorf("it is of type %s and holds other attributes; write those, if they have names", def.Type)
	}
	encoded, err := t.encode(value)
	if err == nil && def.Size.Valid && len(encoded) != def.Size.Int {
		err = fmt.Errorf("the value has %d octets, and %d it must have", len(encoded), def.Size.Int)
	}
	return encoded, err
}

// encodeNumber encodes a number or the name of one.
func (d *Dictionary) encodeNumber(def *definition, value string, octets int) ([]byte, error) {
	n, err := parseNumber(value, 8*octets)
	known := d.values[strings.ToLower(def.Name)]
	if i := lastIndexOf(known, value); err != nil && i >= 0 {
		n, err = known[i].Number, nil
	}
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n>>(8*octets) != 0:
		return nil, fmt.Errorf("%s is too large for its %d bits", value, 8*octets)
	case err == nil:
		return appendUint(nil, n, octets), nil
	}
	return nil, fmt.Errorf("%q is no number%s", value, namesHint(value, known))
}

// lastIndexOf returns where the last value of a name is, -1 if there is none.
func lastIndexOf(values []*dictionary.Value, name string) int {
	for i, v := range slices.Backward(values) {
		if strings.EqualFold(v.Name, name) {
			return i
		}
	}
	return -1
}

// parseNumber reads decimal digits, or hexadecimal ones after 0x.
func parseNumber(text string, bits int) (uint64, error) {
	if digits, ok := cutHex(text); ok {
		return strconv.ParseUint(digits, 16, bits)
	}
	return strconv.ParseUint(text, 10, bits)
}

func cutHex(text string) (digits string, ok bool) {
	if len(text) >= 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		return text[2:], true
	}
	return text, false
}

// encodeText takes what gateways can be trusted with: RFC 2865 section 5 wants
// UTF-8 of at least one octet, and many programs end it at a NUL.
func encodeText(text string) ([]byte, error) {
	switch {
	case text == "":
		return nil, errors.New("the value is empty; write some, or leave the attribute out")
	case !utf8.ValidString(text):
		return nil, errors.New("the value is not UTF-8; save the file as UTF-8")
	case strings.ContainsRune(text, 0):
		return nil, errors.New("the value has a NUL character, where gateways would cut it; remove that")
	}
	return []byte(text), nil
}

// textOf shows text as it is if it can be seen, and else between quotes with
// what cannot be seen escaped.
func textOf(octets []byte) (string, bool) {
	if text := string(octets); visible(text) {
		return text, true
	}
	return strconv.Quote(string(octets)), true
}

// visible reports whether text shows what it is: it is not empty, nor framed by
// spaces, nor looks like what was quoted.
func visible(text string) bool {
	return text != "" && text == strings.TrimSpace(text) && text[0] != '"' && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func encodeOctets(text string) ([]byte, error) {
	if _, ok := cutHex(text); ok {
		return encodeHex(text)
	}
	return encodeText(text)
}

func octetsText(octets []byte) (string, bool) {
	text := string(octets)
	if _, looksHex := cutHex(text); looksHex || !visible(text) {
		return hexText(octets)
	}
	return text, true
}

func encodeHex(text string) ([]byte, error) {
	digits, ok := cutHex(text)
	octets, err := hex.DecodeString(digits)
	if !ok || err != nil || len(octets) == 0 {
		return nil, errors.New("the value is not hexadecimal; write 0x and pairs of digits")
	}
	return octets, nil
}

func hexText(octets []byte) (string, bool) { return "0x" + hex.EncodeToString(octets), true }

func encodeSigned(text string) ([]byte, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no number from %d to %d", text, -1<<31, 1<<31-1)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
}

func signedText(octets []byte) (string, bool) {
	return strconv.Itoa(int(int32(readUint(octets)))), len(octets) == 4
}

func encodeDate(text string) ([]byte, error) {
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err == nil {
		return binary.BigEndian.AppendUint32(nil, uint32(seconds)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Unix() < 0 || at.Unix() > 1<<32-1 {
		return nil, fmt.Errorf("%q is no time from 1970 to 2106; write it as 2026-12-31T18:00:00+01:00, or in seconds since 1970", text)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(at.Unix())), nil
}

func dateText(octets []byte) (string, bool) {
	return time.Unix(int64(readUint(octets)), 0).UTC().Format(time.RFC3339), len(octets) == 4
}

func encodeIPv4(text string) ([]byte, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() {
		return nil, fmt.Errorf("%q is no IPv4 address; write it as 192.0.2.1", text)
	}
	return address.AsSlice(), nil
}

func ipv4Text(octets []byte) (string, bool) {
	address, ok := netip.AddrFromSlice(octets)
	return address.String(), ok && address.Is4()
}

func encodeIPv6(text string) ([]byte, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is6() || address.Zone() != "" {
		return nil, fmt.Errorf("%q is no IPv6 address; write it as 2001:db8::1", text)
	}
	return address.AsSlice(), nil
}

func ipv6Text(octets []byte) (string, bool) {
	address, ok := netip.AddrFromSlice(octets)
	return address.String(), ok && address.Is6()
}

// parsePrefix reads a prefix without bits beyond its length.
func parsePrefix(text, example string, is4 bool) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4() != is4 {
		return prefix, fmt.Errorf("%q is no prefix of that kind; write it as %s", text, example)
	}
	if prefix != prefix.Masked() {
		return prefix, fmt.Errorf("%s has bits beyond its length; write %s", text, prefix.Masked())
	}
	return prefix, nil
}

// encodeIPv4Prefix encodes by RFC 8044 section 3.11.
func encodeIPv4Prefix(text string) ([]byte, error) {
	prefix, err := parsePrefix(text, "192.0.2.0/24", true)
	if err != nil {
		return nil, err
	}
	return append([]byte{0, byte(prefix.Bits())}, prefix.Addr().AsSlice()...), nil
}

func ipv4PrefixText(octets []byte) (string, bool) {
	if len(octets) != 6 {
		return "", false
	}
	return prefixText(octets, netip.AddrFrom4([4]byte(octets[2:])))
}

// encodeIPv6Prefix encodes by RFC 3162 section 2.3, with all of the address,
// since not every NAS takes less.
func encodeIPv6Prefix(text string) ([]byte, error) {
	prefix, err := parsePrefix(text, "2001:db8::/64", false)
	if err != nil {
		return nil, err
	}
	return append([]byte{0, byte(prefix.Bits())}, prefix.Addr().AsSlice()...), nil
}

func ipv6PrefixText(octets []byte) (string, bool) {
	if len(octets) < 2 || len(octets) > 18 {
		return "", false
	}
	var address [16]byte
	copy(address[:], octets[2:])
	return prefixText(octets, netip.AddrFrom16(address))
}

func prefixText(octets []byte, address netip.Addr) (string, bool) {
	prefix := netip.PrefixFrom(address, int(octets[1]))
	return prefix.String(), octets[0] == 0 && prefix.IsValid() && prefix == prefix.Masked()
}

// encodeInterfaceID reads the four groups of RFC 3162 section 2.2.
func encodeInterfaceID(text string) ([]byte, error) {
	groups := strings.Split(text, ":")
	octets := make([]byte, 0, 8)
	for _, group := range groups {
		n, err := strconv.ParseUint(group, 16, 16)
		if err != nil || len(groups) != 4 {
			return nil, fmt.Errorf("%q is no interface identifier; write four groups of hexadecimal digits, as 2:a:b:c", text)
		}
		octets = binary.BigEndian.AppendUint16(octets, uint16(n))
	}
	return octets, nil
}

func interfaceIDText(octets []byte) (string, bool) {
	if len(octets) != 8 {
		return "", false
	}
	return fmt.Sprintf("%x:%x:%x:%x", readUint(octets[:2]), readUint(octets[2:4]), readUint(octets[4:6]), readUint(octets[6:])), true
}

// encodeMAC reads six octets, whatever stands between them.
func encodeMAC(text string) ([]byte, error) {
	mac, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "", ".", "").Replace(text))
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("%q is no MAC; write it as 00:00:5e:00:53:01", text)
	}
	return mac, nil
}

func macText(octets []byte) (string, bool) {
	return strings.ReplaceAll(fmt.Sprintf("% x", octets), " ", ":"), len(octets) == 6
}
