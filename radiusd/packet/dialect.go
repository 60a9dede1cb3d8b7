package packet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dialect is the state of a translation, line by line, of what the versions of
// FreeRADIUS have into what layeh's parser knows.
type dialect struct {
	vendor   *vendor // whose attributes follow, nil for those of the RFCs
	blocks   []block // that are open, the innermost last
	internal bool    // by FLAGS, up to the end of the file
}

// block is a part of a file between BEGIN-something and END-something.
type block struct {
	keyword string // what ends it
	name    string
	why     string // its attributes cannot be written; empty if they can
}

// Why an attribute of a file cannot be written.
const (
	withinAnother = "it is a part of another attribute, which Countersign cannot write"
	notRADIUS     = "it is of another protocol than RADIUS"
	ofFreeRADIUS  = "it is an attribute of FreeRADIUS itself, which no packet carries"
)

// translate emits a line for the parser, passes over one that has nothing
// Countersign could write, and returns an error for one it does not understand.
func (l *loader) translate(at position, keyword string, args []string) error {
	switch keyword {
	case "ATTRIBUTE":
		return l.attribute(at, args)
	case "VALUE":
		return l.value(at, args)
	case "VENDOR":
		return l.vendorLine(at, args)
	case "DEFINE", "STRUCT", "MEMBER":
		if len(args) > 0 {
			l.passOver(args[0], withinAnother)
		}
		return nil
	case "FLAGS":
		l.internal = slices.Contains(args, "internal") // until "FLAGS !internal"
		return nil
	case "PROTOCOL", "ENUM", "ALIAS":
		return nil
	}
	return l.translateBlock(at, keyword, args)
}

// translateBlock is translate for what begins or ends a block.
func (l *loader) translateBlock(at position, keyword string, args []string) error {
	switch keyword {
	case "BEGIN-VENDOR":
		return l.beginVendor(at, args)
	case "BEGIN-TLV":
		return l.begin("END-TLV", withinAnother, args)
	case "BEGIN":
		return l.begin("END", withinAnother, args)
	case "BEGIN-PROTOCOL":
		return l.beginProtocol(args)
	case "END-VENDOR", "END-TLV", "END-PROTOCOL", "END":
		return l.end(at, keyword, args)
	}
	return fmt.Errorf("%q is no keyword of a dictionary; those are ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR and $INCLUDE", keyword)
}

// passOver notes that an attribute exists, and why it cannot be written.
func (l *loader) passOver(name, why string) { l.unwritable[strings.ToLower(name)] = why }

// inert returns why what stands here cannot be written, "" if it can.
func (l *loader) inert() string {
	if l.internal {
		return ofFreeRADIUS
	}
	for _, b := range l.blocks {
		if b.why != "" {
			return b.why
		}
	}
	return ""
}

// attribute translates "ATTRIBUTE name number type [flags]".
func (l *loader) attribute(at position, args []string) error {
	if len(args) < 3 {
		return errors.New("ATTRIBUTE needs a name, a number and a type")
	}
	if why := l.inert(); why != "" {
		l.passOver(args[0], why)
		return nil
	}
	number, numberWhy, err := l.attributeNumber(args[1])
	if err != nil {
		return err
	}
	kind, typeWhy, err := attributeType(args[2])
	if err != nil {
		return err
	}
	f := attributeFlags(args[3:])
	if why := cmp.Or(numberWhy, typeWhy, f.why); why != "" {
		l.passOver(args[0], why)
		return nil
	}
	if f.secret {
		l.secret[strings.ToLower(args[0])] = true
	}
	l.emit(at, "ATTRIBUTE", args[0], number, kind, f.String())
	return nil
}

// attributeNumber reads the number of an attribute. One with dots is that of an
// attribute within another.
func (l *loader) attributeNumber(text string) (number, why string, err error) {
	if strings.Contains(text, ".") {
		return "", withinAnother, nil
	}
	n, err := parseNumber(text, 32)
	if err != nil {
		return "", "", fmt.Errorf("%q is no number of an attribute", text)
	}
	octets := 1
	if l.vendor != nil {
		octets = l.vendor.typeOctets
	}
	if n == 0 || n>>(8*octets) != 0 {
		return "", fmt.Sprintf("its number %d is not one that a packet can carry", n), nil
	}
	return strconv.FormatUint(n, 10), "", nil
}

// typeNames has the types that layeh's parser knows, by the names of all
// versions of FreeRADIUS.
var typeNames = map[string]string{
	"string": "string", "text": "string",
	"octets": "octets", "abinary": "abinary",
	"byte": "byte", "uint8": "byte",
	"short": "short", "uint16": "short",
	"integer": "integer", "uint32": "integer",
	"integer64": "integer64", "uint64": "integer64",
	"signed": "signed", "int32": "signed",
	"date":   "date",
	"ipaddr": "ipaddr", "ipv4addr": "ipaddr", "ipv6addr": "ipv6addr",
	"ipv4prefix": "ipv4prefix", "ipv6prefix": "ipv6prefix",
	"ifid": "ifid", "ether": "ether", "ethernet": "ether",
	"vsa": "vsa", "tlv": "tlv",
}

// otherTypes are those of FreeRADIUS that layeh's parser does not know.
var otherTypes = []string{
	"attribute", "bool", "combo-ip", "combo-ip-prefix", "comboip", "evs", "extended", "float32", "float64", "group",
	"int8", "int16", "int64", "long-extended", "size", "struct", "time_delta", "union", "vendor",
}

// attributeType translates the name of a type.
func attributeType(text string) (kind, why string, err error) {
	lower := strings.ToLower(text)
	if kind, ok := typeNames[lower]; ok {
		return kind, "", nil
	}
	if size, ok := strings.CutPrefix(lower, "octets["); ok {
		n, err := strconv.Atoi(strings.TrimSuffix(size, "]"))
		if err != nil || n < 1 || n > MaxValue {
			return "", "", fmt.Errorf("%q is no type; the length of octets is from 1 to %d", text, MaxValue)
		}
		return fmt.Sprintf("octets[%d]", n), "", nil
	}
	if name, _, _ := strings.Cut(lower, "["); slices.Contains(otherTypes, name) {
		return "", fmt.Sprintf("it is of type %s, which Countersign cannot write", text), nil
	}
	return "", "", fmt.Errorf("%q is no type of an attribute; the usual ones are string, octets, integer, ipaddr, ipv6addr and date", text)
}

// flags are those of an attribute.
type flags struct {
	tagged, encrypted, secret bool
	why                       string // the attribute cannot be written
}

// attributeFlags reads the flags of an attribute, separated by commas or spaces.
func attributeFlags(fields []string) (f flags) {
	for flag := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		lower := strings.ToLower(flag)
		name, _, _ := strings.Cut(lower, "=")
		switch {
		case lower == "", lower == "array", lower == "concat": // an attribute may occur several times anyway
		case lower == "has_tag":
			f.tagged = true
		case name == "encrypt":
			f.encrypted = true
		case lower == "secret":
			f.secret = true
		case lower == "virtual", lower == "internal":
			f.why = ofFreeRADIUS
		default:
			f.why = fmt.Sprintf("it has the flag %q, which Countersign does not know", flag)
		}
	}
	return f
}

// String returns the flags that layeh's parser is to know.
func (f flags) String() string {
	switch {
	case f.tagged && f.encrypted:
		return "has_tag,encrypt=2"
	case f.tagged:
		return "has_tag"
	case f.encrypted:
		return "encrypt=2" // whichever method it is, it is not written
	}
	return ""
}

// value translates "VALUE attribute name number".
func (l *loader) value(at position, args []string) error {
	if len(args) < 3 {
		return errors.New("VALUE needs the name of an attribute, a name and a number")
	}
	if l.inert() != "" || l.unwritable[strings.ToLower(args[0])] != "" {
		return nil
	}
	n, err := parseNumber(args[2], 64)
	if err != nil {
		return fmt.Errorf("%q is no number", args[2])
	}
	if n>>32 == 0 { // layeh's parser has no larger ones
		l.emit(at, "VALUE", args[0], args[1], strconv.FormatUint(n, 10))
	}
	return nil
}

// vendorLine translates "VENDOR name number [format=t,l[,c]]". A vendor that is
// known already may be declared again, and under another name.
func (l *loader) vendorLine(at position, args []string) error {
	if len(args) < 2 {
		return errors.New("VENDOR needs a name and a number")
	}
	v := &vendor{name: args[0], typeOctets: 1, lengthOctets: 1}
	n, err := parseNumber(args[1], 24)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no number of a vendor; those are from 1 to %d", args[1], 1<<24-1)
	}
	v.number = uint32(n)
	if err := v.setFormat(args[2:]); err != nil {
		return err
	}
	key := strings.ToLower(v.name)
	if known := l.vendors[key]; known != nil && known.number != v.number {
		return fmt.Errorf("vendor %s has the number %d already, and cannot have %d too; correct one", v.name, known.number, v.number)
	}
	if known := vendorByNumber(l.vendors, v.number); known != nil {
		if known.typeOctets != v.typeOctets || known.lengthOctets != v.lengthOctets {
			return fmt.Errorf("vendor %d has another format already, under the name %s; give it the same", v.number, known.name)
		}
		v = known
	}
	l.vendors[key] = v
	return nil
}

// vendorByNumber returns the vendor of a number, nil when there is none.
func vendorByNumber(vendors map[string]*vendor, number uint32) *vendor {
	for _, v := range vendors {
		if v.number == number {
			return v
		}
	}
	return nil
}

// setFormat reads "format=t,l", the octets of type and length, and ",c" for an
// octet that tells of continuations.
func (v *vendor) setFormat(flags []string) error {
	for _, flag := range flags {
		text, ok := strings.CutPrefix(strings.ToLower(flag), "format=")
		text, continued := strings.CutSuffix(text, ",c")
		if !ok || len(text) != 3 || text[1] != ',' || !strings.Contains("124", text[:1]) || !strings.Contains("012", text[2:]) {
			return fmt.Errorf("%q is no format of a vendor's attributes; write format=1,1 with 1, 2 or 4 octets for the number and 0, 1 or 2 for the length", flag)
		}
		v.typeOctets, v.lengthOctets = int(text[0]-'0'), int(text[2]-'0')
		if continued {
			v.unwritable = "its vendor's attributes are in a form (" + flag + ") that Countersign cannot write"
		}
	}
	return nil
}

// beginVendor translates "BEGIN-VENDOR name", and declares a vendor to the
// parser that only the dictionary before knew.
func (l *loader) beginVendor(at position, args []string) error {
	if len(args) == 0 {
		return errors.New("BEGIN-VENDOR needs the name of a vendor")
	}
	v := l.vendors[strings.ToLower(args[0])]
	switch {
	case v == nil:
		return fmt.Errorf("vendor %s is not known; declare it before: VENDOR %s and its number", args[0], args[0])
	case l.vendor != nil:
		return fmt.Errorf("the attributes of vendor %s have not ended yet; write END-VENDOR %s before", l.vendor.name, l.vendor.name)
	case len(args) > 1:
		return l.begin("END-VENDOR", withinAnother, args)
	case v.unwritable != "":
		return l.begin("END-VENDOR", v.unwritable, args)
	}
	if !l.declared[v.name] {
		l.declared[v.name] = true
		l.emit(at, "VENDOR", v.name, strconv.FormatUint(uint64(v.number), 10), fmt.Sprintf("format=%d,%d", v.typeOctets, v.lengthOctets))
	}
	l.emit(at, "BEGIN-VENDOR", v.name)
	l.vendor = v
	return l.begin("END-VENDOR", "", args)
}

func (l *loader) beginProtocol(args []string) error {
	why := notRADIUS
	if len(args) > 0 && strings.EqualFold(args[0], "RADIUS") {
		why = ""
	}
	return l.begin("END-PROTOCOL", why, args)
}

// begin opens a block.
func (l *loader) begin(end, why string, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("a name must follow, and then a line %s", end)
	}
	l.blocks = append(l.blocks, block{keyword: end, name: args[0], why: why})
	return nil
}

// end closes the innermost block.
func (l *loader) end(at position, keyword string, args []string) error {
	if len(l.blocks) == 0 {
		return fmt.Errorf("%s ends nothing; remove it", keyword)
	}
	b := l.blocks[len(l.blocks)-1]
	if b.keyword != keyword || len(args) > 0 && !strings.EqualFold(args[0], b.name) {
		return fmt.Errorf("%s %s must come first", b.keyword, b.name)
	}
	l.blocks = l.blocks[:len(l.blocks)-1]
	if keyword == "END-VENDOR" && b.why == "" {
		l.emit(at, "END-VENDOR", l.vendor.name)
		l.vendor = nil
	}
	return nil
}
