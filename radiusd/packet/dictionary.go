package packet

import (
	"embed"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"layeh.com/radius/dictionary"
)

// Dictionary knows attributes by name, for the replies an administrator writes
// down: their numbers, the types of their values and the names of values. After
// the last Load it may be used by many goroutines.
type Dictionary struct {
	byName     map[string]*definition // by name in lower case
	byNumber   map[number]*definition
	values     map[string][]*dictionary.Value // by the attribute's name in lower case
	vendors    map[string]*vendor             // by name in lower case; aliases too
	unwritable map[string]string              // why an attribute that a file has cannot be written, by name in lower case
}

// definition is one attribute.
type definition struct {
	*dictionary.Attribute
	number
	vendor *vendor // nil for one of the RFCs
	secret bool    // its value is not shown
}

// number is what identifies an attribute in a packet. The vendor is 0 for an
// attribute of the RFCs.
type number struct{ vendor, attribute uint32 }

// vendor says how a vendor's attributes are framed: the octets of type and
// length, 1 and 1 in the form of RFC 2865 section 5.26.
type vendor struct {
	name                     string
	number                   uint32
	typeOctets, lengthOctets int
	unwritable               string // why, if none of its attributes can be written
}

//go:embed dictionary
var builtin embed.FS

// NewDictionary returns a dictionary of the attributes that a reply usually
// carries: those of the RFCs and those of the usual gateways. Load adds others.
func NewDictionary() *Dictionary {
	d := emptyDictionary()
	const folder = "dictionary"
	files, err := builtin.ReadDir(folder)
	for _, file := range files {
		if err == nil {
			err = d.Load(path.Join(folder, file.Name()), func(name string) (io.ReadCloser, error) { return builtin.Open(name) })
		}
	}
	if err != nil {
		panic("packet: reading the built-in dictionary: " + err.Error()) // TestBuiltinDictionary reads the same files
	}
	return d
}

func emptyDictionary() *Dictionary {
	return &Dictionary{
		byName:     make(map[string]*definition),
		byNumber:   make(map[number]*definition),
		values:     make(map[string][]*dictionary.Value),
		vendors:    make(map[string]*vendor),
		unwritable: make(map[string]string),
	}
}

// Encode returns the attribute of the given name with the given value as it
// stands in a packet, for [Builder.AddEncoded]: type, length and value, for a
// vendor's attribute all of a Vendor-Specific. The name is not case-sensitive.
// Where RFC 2868 has the attribute tagged, ":" and the tag, 0 to 31, may follow
// it, as in "Tunnel-Type:1"; without a tag there is none, and 0 in a number.
//
// What the value may be depends on the type:
//
//	string      text of at most 253 octets, 247 in a vendor's attribute, and one less with a tag
//	octets      0x and pairs of hexadecimal digits, or text
//	integer     a number from 0 (byte, short, integer and integer64 have 8, 16, 32 and
//	            64 bits), 0x and hexadecimal digits, or a name the dictionary has for it
//	signed      a number, 32 bits with a sign
//	date        a time as RFC 3339 has it, or seconds since 1970
//	ipaddr      192.0.2.1            ipv4prefix  192.0.2.0/24
//	ipv6addr    2001:db8::1          ipv6prefix  2001:db8::/64
//	ifid        2:a:b:c              ether       00:00:5e:00:53:01
//
// An error tells the attribute, what is wrong and how to mend it. Among them: a
// name that is not known, with names like it; a value that does not fit (it is
// never cut or split); an attribute that only requests carry, that the server
// sets by itself, or that holds a password or a key.
func (d *Dictionary) Encode(name, value string) ([]byte, error) {
	plain, tag, err := splitTag(name)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", name, err)
	}
	def, err := d.writable(plain)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", name, err)
	}
	octets, err := d.encodeValue(def, value)
	if err == nil {
		octets, err = def.addTag(octets, tag)
	}
	if err == nil {
		octets, err = def.frame(octets)
	}
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", def.Name, err)
	}
	return octets, nil
}

// untaggedName is the tag of a name without one.
const untaggedName = -1

// splitTag takes the tag off a name.
func splitTag(name string) (plain string, tag int, err error) {
	plain, text, tagged := strings.Cut(name, ":")
	if !tagged {
		return plain, untaggedName, nil
	}
	tag, err = strconv.Atoi(text)
	if err != nil || tag < 0 || tag > maxTag {
		return plain, 0, fmt.Errorf("%q is no tag; write a number from 0 to %d after the colon, or no colon", text, maxTag)
	}
	return plain, tag, nil
}

// writable finds the attribute of a name that a rule may write.
func (d *Dictionary) writable(name string) (*definition, error) {
	key := strings.ToLower(name)
	if why, ok := d.unwritable[key]; ok {
		return nil, fmt.Errorf("%s; leave it out", why)
	}
	def, ok := d.byName[key]
	if !ok {
		return nil, d.unknown(key)
	}
	if r := reservationOf(def.number); r != nil {
		return nil, fmt.Errorf("%s; leave it out", r.why)
	}
	if def.FlagEncrypt.Valid {
		return nil, fmt.Errorf("its value is encrypted anew for each request, which the fixed value of a rule cannot be; leave it out")
	}
	return def, nil
}

// addTag puts the tag before a value. RFC 2868 sections 3.1 to 3.10: in a number
// it takes the place of the first of four octets and is 0 if unused; text whose
// first octet could be taken for a tag must have one.
func (def *definition) addTag(value []byte, tag int) ([]byte, error) {
	switch {
	case !def.HasTag() && tag == untaggedName:
		return value, nil
	case !def.HasTag():
		return nil, fmt.Errorf("it takes no tag; leave out the colon and what follows")
	case def.Type == dictionary.AttributeInteger:
		if value[0] != 0 {
			return nil, fmt.Errorf("the number is too large beside a tag; %d is the largest", 1<<24-1)
		}
		value[0] = byte(max(tag, 0))
		return value, nil
	case tag == untaggedName && (len(value) == 0 || value[0] > maxTag):
		return value, nil
	}
	return append([]byte{byte(max(tag, 0))}, value...), nil
}

// frame puts type and length before a value, and the vendor's around that.
func (def *definition) frame(value []byte) ([]byte, error) {
	overhead := 0
	if def.vendor != nil {
		overhead = 4 + def.vendor.typeOctets + def.vendor.lengthOctets
	}
	if len(value) > MaxValue-overhead {
		return nil, fmt.Errorf("the value has %d octets, and %d fit; shorten it, or write several values", len(value), MaxValue-overhead)
	}
	if def.vendor == nil {
		return append([]byte{byte(def.attribute), byte(2 + len(value))}, value...), nil
	}
	framed := []byte{byte(VendorSpecific), byte(2 + overhead + len(value))}
	framed = binary.BigEndian.AppendUint32(framed, def.vendor.number)
	framed = appendUint(framed, uint64(def.attribute), def.vendor.typeOctets)
	framed = appendUint(framed, uint64(def.vendor.typeOctets+def.vendor.lengthOctets+len(value)), def.vendor.lengthOctets)
	return append(framed, value...), nil
}

// appendUint appends the lowest octets of n, the highest of them first.
func appendUint(b []byte, n uint64, octets int) []byte {
	for shift := 8 * (octets - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// readUint reads a number of up to eight octets.
func readUint(b []byte) uint64 {
	var n uint64
	for _, octet := range b {
		n = n<<8 | uint64(octet)
	}
	return n
}
