package packet

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"layeh.com/radius/dictionary"
)

// Format returns encoded attributes as lines for people, one for each attribute,
// such as "Fortinet-Group-Name = admins" or "Tunnel-Type:1 = VLAN". Values are
// written as [Dictionary.Encode] takes them. An attribute that the dictionary
// does not know has the name FreeRADIUS gives it, "Attr-" and its numbers, and
// hexadecimal digits for a value, as has a value that is not of the attribute's
// type. Passwords and keys are not shown. Any octets may be given: what breaks
// the form of attributes makes one last line.
func (d *Dictionary) Format(attributes []byte) []string {
	var lines []string
	for len(attributes) > 0 {
		if len(attributes) < 2 || attributes[1] < 2 || int(attributes[1]) > len(attributes) {
			return append(lines, fmt.Sprintf("no attribute: 0x%x", attributes))
		}
		value := attributes[2:attributes[1]]
		if Type(attributes[0]) == VendorSpecific {
			lines = append(lines, d.formatVendorSpecific(value)...)
		} else {
			lines = append(lines, d.formatAttribute(number{attribute: uint32(attributes[0])}, value))
		}
		attributes = attributes[attributes[1]:]
	}
	return lines
}

// formatVendorSpecific formats the attributes in a Vendor-Specific, or all of it
// as one if it is not in the form its vendor uses.
func (d *Dictionary) formatVendorSpecific(value []byte) []string {
	if len(value) < 4 {
		return []string{fmt.Sprintf("Attr-26 = 0x%x", value)}
	}
	n, rest := binary.BigEndian.Uint32(value), value[4:]
	if n == 0 { // nobody's, and not to be taken for the RFCs'
		return []string{fmt.Sprintf("Attr-26.0 = 0x%x", rest)}
	}
	v := vendorByNumber(d.vendors, n)
	if v == nil {
		v = &vendor{number: n, typeOctets: 1, lengthOctets: 1}
	}
	var lines []string
	for attribute, octets := range v.attributes(rest) {
		lines = append(lines, d.formatAttribute(number{v.number, attribute}, octets))
		rest = rest[v.typeOctets+v.lengthOctets+len(octets):]
	}
	if len(rest) > 0 || len(lines) == 0 {
		return []string{fmt.Sprintf("Attr-26.%d = 0x%x", v.number, value[4:])}
	}
	return lines
}

// attributes yields the vendor's attributes in the value of a Vendor-Specific
// after the vendor's number, number and value, up to where they break the form.
func (v *vendor) attributes(b []byte) iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		header := v.typeOctets + v.lengthOctets
		for len(b) >= header && len(b) > 0 {
			length := len(b)
			if v.lengthOctets > 0 {
				length = int(readUint(b[v.typeOctets:header]))
			}
			if length < header || length > len(b) || !yield(uint32(readUint(b[:v.typeOctets])), b[header:length]) {
				return
			}
			b = b[length:]
		}
	}
}

// formatAttribute formats one attribute as a line.
func (d *Dictionary) formatAttribute(n number, value []byte) string {
	name := fmt.Sprintf("Attr-%d", n.attribute)
	if n.vendor != 0 {
		name = fmt.Sprintf("Attr-26.%d.%d", n.vendor, n.attribute)
	}
	shown, _ := hexText(value)
	def := d.byNumber[n]
	if def != nil {
		name = def.Name
		if suffix, text, ok := d.valueText(def, value); ok {
			name, shown = name+suffix, text
		}
	}
	if r := reservationOf(n); r != nil && r.secret || def != nil && (def.secret || def.FlagEncrypt.Valid) {
		shown = redacted
	}
	return name + " = " + shown
}

// valueText returns a value as people write it, and ":" and the tag to follow
// the name if there is one. ok is false if it is no value of the type.
func (d *Dictionary) valueText(def *definition, value []byte) (suffix, text string, ok bool) {
	if !def.HasTag() {
		text, ok = d.untaggedText(def, value)
		return "", text, ok
	}
	if len(value) == 0 || value[0] > maxTag {
		text, ok = d.untaggedText(def, value)
		return "", text, ok && def.Type != dictionary.AttributeInteger
	}
	suffix = ":" + strconv.Itoa(int(value[0]))
	if def.Type != dictionary.AttributeInteger {
		text, ok = d.untaggedText(def, value[1:])
		return suffix, text, ok
	}
	if value[0] == 0 {
		suffix = ""
	}
	text, ok = d.untaggedText(def, append([]byte{0}, value[1:]...))
	return suffix, text, ok
}

// untaggedText returns a value without tag as people write it.
func (d *Dictionary) untaggedText(def *definition, value []byte) (string, bool) {
	octets := numberOctets[def.Type]
	if octets == 0 {
		t, known := valueTypes[def.Type]
		if !known {
			return "", false
		}
		return t.text(value)
	}
	if len(value) != octets {
		return "", false
	}
	n := readUint(value)
	for _, v := range slices.Backward(d.values[strings.ToLower(def.Name)]) {
		if v.Number == n {
			return v.Name, true
		}
	}
	return strconv.FormatUint(n, 10), true
}
