package packet

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
)

// files are dictionary files by name.
type files map[string]string

func (f files) open(name string) (io.ReadCloser, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func TestLoad(t *testing.T) {
	for _, test := range []struct {
		name  string
		files files // "/etc/d" is loaded
		give  string
		want  string // the attribute in hex, or the end of an error
	}{
		{"an attribute of the RFCs' space", files{"/etc/d": "ATTRIBUTE\tMine 250 string\n"}, "Mine=a", "fa0361"},
		{"comments, empty lines, CR and byte order mark", files{"/etc/d": "\ufeff# x\r\n \t\r\n\t# y\r\nattribute Mine 250 STRING # z\r\n"}, "Mine=a", "fa0361"},
		{"a file without end of line", files{"/etc/d": "ATTRIBUTE Mine 250 string"}, "Mine=a", "fa0361"},
		{"more of a vendor that is known", files{"/etc/d": "BEGIN-VENDOR fortinet\nATTRIBUTE Mine 99 string\nEND-VENDOR FORTINET\n"}, "Mine=a", "1a09000030446303 61"},
		{"a vendor declared again", files{"/etc/d": "VENDOR Fortinet 0x3044\nBEGIN-VENDOR Fortinet\nATTRIBUTE Mine 99 string\nEND-VENDOR Fortinet\n"}, "Mine=a", "1a09000030446303 61"},
		{"a vendor under another name", files{"/etc/d": "VENDOR FG 12356\nBEGIN-VENDOR FG\nATTRIBUTE Mine 99 string\nEND-VENDOR FG\nBEGIN-VENDOR Fortinet\nEND-VENDOR Fortinet\n"}, "Mine=a", "1a09000030446303 61"},
		{"a new definition takes the place", files{"/etc/d": "BEGIN-VENDOR Fortinet\nATTRIBUTE Fortinet-Group-Name 77 integer\nEND-VENDOR Fortinet\n"}, "Fortinet-Group-Name=1", "1a0c00003044 4d06 00000001"},
		{"identical twice", files{"/etc/d": "ATTRIBUTE Mine 250 string\nATTRIBUTE Mine 250 string\n"}, "Mine=a", "fa0361"},
		{"values for an attribute that is known", files{"/etc/d": "VALUE service-type Emperor 0x7f\n"}, "Service-Type=emperor", "0606 0000007f"},
		{"included, relative", files{"/etc/d": "$INCLUDE more/e\nVALUE Mine A 1\n", "/etc/more/e": "$include f\n", "/etc/more/f": "ATTRIBUTE Mine 250 byte\n"}, "Mine=a", "fa0301"},
		{"included, absolute, within a vendor", files{"/etc/d": "BEGIN-VENDOR Cisco\n$INCLUDE /x\nEND-VENDOR Cisco\n", "/x": "ATTRIBUTE Mine 99 byte\n"}, "Mine=1", "1a09000000096303 01"},
		{"included twice", files{"/etc/d": "$INCLUDE e\n$INCLUDE e\n", "/etc/e": "ATTRIBUTE Mine 250 byte\n"}, "Mine=1", "fa0301"},
		{"included if it is there", files{"/etc/d": "$INCLUDE- none\n$INCLUDE- e\n", "/etc/e": "ATTRIBUTE Mine 250 byte\n"}, "Mine=1", "fa0301"},
		{"newer names of types", files{"/etc/d": "ATTRIBUTE Mine 250 uint32\nATTRIBUTE Other 251 ipv4addr array,secret"}, "Other=192.0.2.1", "fb06c0000201"},
		{"flags behind spaces", files{"/etc/d": "ATTRIBUTE Mine 250 string array has_tag"}, "Mine:2=a", "fa040261"},
		{"lengths", files{"/etc/d": "ATTRIBUTE Mine 250 Octets[2]"}, "Mine=ab", "fa046162"},
		{"protocol RADIUS", files{"/etc/d": "PROTOCOL RADIUS 1\nBEGIN-PROTOCOL RADIUS\nATTRIBUTE Mine 250 string\nEND-PROTOCOL RADIUS\n"}, "Mine=a", "fa0361"},

		{"part of an attribute", files{"/etc/d": "ATTRIBUTE Mine 250.1 string"}, "Mine=a", "part of another attribute, which Countersign cannot write; leave it out"},
		{"part of the one before", files{"/etc/d": "ATTRIBUTE Tlv 250 tlv\nATTRIBUTE Mine .1 string"}, "Mine=a", "part of another attribute, which Countersign cannot write; leave it out"},
		{"within BEGIN-TLV", files{"/etc/d": "ATTRIBUTE Tlv 250 tlv\nBEGIN-TLV Tlv\nATTRIBUTE Mine 1 string\nVALUE Mine A x1\nEND-TLV Tlv\n"}, "Mine=a", "part of another attribute, which Countersign cannot write; leave it out"},
		{"within BEGIN", files{"/etc/d": "STRUCT S x 1\nBEGIN S\nMEMBER Mine uint32\nEND S\n"}, "Mine=a", "part of another attribute, which Countersign cannot write; leave it out"},
		{"of a newer type", files{"/etc/d": "ATTRIBUTE Mine 250 combo-ip"}, "Mine=a", "it is of type combo-ip, which Countersign cannot write; leave it out"},
		{"of a newer type with a length", files{"/etc/d": "ATTRIBUTE Mine 250 struct[4]"}, "Mine=a", "it is of type struct[4], which Countersign cannot write; leave it out"},
		{"with a newer flag", files{"/etc/d": "ATTRIBUTE Mine 250 string length=uint16"}, "Mine=a", `it has the flag "length=uint16", which Countersign does not know; leave it out`},
		{"of FreeRADIUS itself", files{"/etc/d": "ATTRIBUTE Mine 250 string virtual"}, "Mine=a", "it is an attribute of FreeRADIUS itself, which no packet carries; leave it out"},
		{"of FreeRADIUS itself by FLAGS", files{"/etc/d": "FLAGS internal\nATTRIBUTE Mine 250 string\nFLAGS !internal\nATTRIBUTE Other 251 string"}, "Mine=a", "it is an attribute of FreeRADIUS itself, which no packet carries; leave it out"},
		{"FLAGS of an included file", files{"/etc/d": "$INCLUDE e\nATTRIBUTE Mine 250 string\n", "/etc/e": "FLAGS internal\n"}, "Mine=a", "fa0361"},
		{"of another protocol", files{"/etc/d": "BEGIN-PROTOCOL DHCPv4\nATTRIBUTE Mine x ninth\nEND-PROTOCOL DHCPv4\n"}, "Mine=a", "it is of another protocol than RADIUS; leave it out"},
		{"number too large", files{"/etc/d": "ATTRIBUTE Mine 256 string"}, "Mine=a", "its number 256 is not one that a packet can carry; leave it out"},
		{"number 0", files{"/etc/d": "ATTRIBUTE Mine 0 string"}, "Mine=a", "its number 0 is not one that a packet can carry; leave it out"},
		{"vendor with continuations", files{"/etc/d": "VENDOR W 24757 format=1,1,c\nBEGIN-VENDOR W\nATTRIBUTE Mine 1 string\nEND-VENDOR W\n"}, "Mine=a", "its vendor's attributes are in a form (format=1,1,c) that Countersign cannot write; leave it out"},
		{"vendor within an extended attribute", files{"/etc/d": "BEGIN-VENDOR Cisco format=Extended-Vendor-Specific-5\nATTRIBUTE Mine 1 string\nEND-VENDOR Cisco\n"}, "Mine=a", "part of another attribute, which Countersign cannot write; leave it out"},
		{"a definition that can be written takes the place", files{"/etc/d": "ATTRIBUTE Mine 256 string\nATTRIBUTE Mine 250 string"}, "Mine=a", "fa0361"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := NewDictionary()
			must(t, d.Load("/etc/d", test.files.open))
			name, value, _ := strings.Cut(test.give, "=")
			got, err := d.Encode(name, value)
			if err != nil {
				if !strings.HasSuffix(err.Error(), test.want) {
					t.Errorf("Encode: %v\nwant %s", err, test.want)
				}
				return
			}
			equal(t, test.give, got, unhex(t, test.want))
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	const start = "reading dictionary /etc/d:"
	for _, test := range []struct {
		name  string
		files files
		want  string
	}{
		{"no file", files{}, "reading dictionary /etc/d: open /etc/d: file does not exist"},
		{"too large", files{"/etc/d": strings.Repeat("#\n", maxDictionaryFile/2) + "#"}, "reading dictionary /etc/d: it has more than 1048576 bytes; take only what is needed of it"},
		{"no keyword", files{"/etc/d": "\n\nSausage\n"}, start + `3: "SAUSAGE" is no keyword of a dictionary; those are ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR and $INCLUDE`},
		{"attribute without type", files{"/etc/d": "ATTRIBUTE X 1\n"}, start + "1: ATTRIBUTE needs a name, a number and a type"},
		{"no number", files{"/etc/d": "ATTRIBUTE X one string\n"}, start + `1: "one" is no number of an attribute`},
		{"no type", files{"/etc/d": "ATTRIBUTE X 1 strng\n"}, start + `1: "strng" is no type of an attribute; the usual ones are string, octets, integer, ipaddr, ipv6addr and date`},
		{"no length", files{"/etc/d": "ATTRIBUTE X 1 octets[0]\n"}, start + `1: "octets[0]" is no type; the length of octets is from 1 to 253`},
		{"defined twice", files{"/etc/d": "ATTRIBUTE X 1 string\n# y\nATTRIBUTE X 1 octets\n"}, start + "3: attribute X is defined for the second time, and differently; remove one"},
		{"value without number", files{"/etc/d": "VALUE X y\n"}, start + "1: VALUE needs the name of an attribute, a name and a number"},
		{"value that is no number", files{"/etc/d": "VALUE X y z\n"}, start + `1: "z" is no number`},
		{"vendor without number", files{"/etc/d": "VENDOR X\n"}, start + "1: VENDOR needs a name and a number"},
		{"vendor 0", files{"/etc/d": "VENDOR X 0\n"}, start + `1: "0" is no number of a vendor; those are from 1 to 16777215`},
		{"vendor too large", files{"/etc/d": "VENDOR X 16777216\n"}, start + `1: "16777216" is no number of a vendor; those are from 1 to 16777215`},
		{"vendor with another number", files{"/etc/d": "VENDOR fortinet 5\n"}, start + "1: vendor fortinet has the number 12356 already, and cannot have 5 too; correct one"},
		{"vendor with another format", files{"/etc/d": "VENDOR X 12356 format=2,1\n"}, start + "1: vendor 12356 has another format already, under the name Fortinet; give it the same"},
		{"vendor without format", files{"/etc/d": "VENDOR X 5 format=3,1\n"}, start + `1: "format=3,1" is no format of a vendor's attributes; write format=1,1 with 1, 2 or 4 octets for the number and 0, 1 or 2 for the length`},
		{"unknown vendor", files{"/etc/d": "BEGIN-VENDOR Sausage\n"}, start + "1: vendor Sausage is not known; declare it before: VENDOR Sausage and its number"},
		{"no vendor", files{"/etc/d": "BEGIN-VENDOR\n"}, start + "1: BEGIN-VENDOR needs the name of a vendor"},
		{"vendor in vendor", files{"/etc/d": "BEGIN-VENDOR Cisco\nBEGIN-VENDOR F5\n"}, start + "2: the attributes of vendor Cisco have not ended yet; write END-VENDOR Cisco before"},
		{"end without begin", files{"/etc/d": "END-VENDOR Cisco\n"}, start + "1: END-VENDOR ends nothing; remove it"},
		{"end of another", files{"/etc/d": "BEGIN-VENDOR Cisco\nEND-VENDOR F5\n"}, start + "2: END-VENDOR Cisco must come first"},
		{"end of another block", files{"/etc/d": "BEGIN-VENDOR Cisco\nBEGIN-TLV X\nEND-VENDOR Cisco\n"}, start + "3: END-TLV X must come first"},
		{"no end", files{"/etc/d": "BEGIN-VENDOR Cisco\n"}, "reading dictionary /etc/d: END-VENDOR Cisco is missing at the end"},
		{"block without name", files{"/etc/d": "BEGIN-TLV\n"}, start + "1: a name must follow, and then a line END-TLV"},
		{"include without name", files{"/etc/d": "$INCLUDE a b\n"}, start + "1: $INCLUDE needs the name of a file, one without spaces"},
		{"include of none", files{"/etc/d": "\n$INCLUDE e\n"}, "reading dictionary /etc/e: open /etc/e: file does not exist (included by /etc/d:2)"},
		{"fault in what is included", files{"/etc/d": "$INCLUDE e\n", "/etc/e": "\n$INCLUDE f\n", "/etc/f": "\n\nX\n"}, `reading dictionary /etc/f:3: "X" is no keyword of a dictionary; those are ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR and $INCLUDE (included by /etc/e:2) (included by /etc/d:1)`},
		{"includes itself", files{"/etc/d": "$INCLUDE ../etc/d\n"}, "reading dictionary /etc/d: it includes itself; remove the $INCLUDE (included by /etc/d:1)"},
		{"include each other", files{"/etc/d": "$INCLUDE e\n", "/etc/e": "$INCLUDE d\n"}, "reading dictionary /etc/d: it includes itself; remove the $INCLUDE (included by /etc/e:1) (included by /etc/d:1)"},
		{"too many files", files{"/etc/d": strings.Repeat("$INCLUDE e\n", maxDictionaryFiles), "/etc/e": ""}, fmt.Sprintf("reading dictionary /etc/e: more than 1000 files are included; include fewer (included by /etc/d:%d)", maxDictionaryFiles)},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := NewDictionary()
			names, vendors := slices.Sorted(maps.Keys(d.byName)), len(d.vendors)
			err := d.Load("/etc/d", test.files.open)
			if err == nil || err.Error() != test.want {
				t.Fatalf("error is %v\nwant %s", err, test.want)
			}
			if !slices.Equal(names, slices.Sorted(maps.Keys(d.byName))) || vendors != len(d.vendors) || len(d.unwritable) != 0 {
				t.Error("the dictionary has changed")
			}
		})
	}
}

// TestIncludesAreBounded: files that include two others each are not read
// without end.
func TestIncludesAreBounded(t *testing.T) {
	tree := make(files)
	for level := range 20 {
		tree[fmt.Sprint(level)] = strings.Repeat(fmt.Sprintf("$INCLUDE %d\n", level+1), 2)
	}
	tree["20"] = ""
	if err := NewDictionary().Load("0", tree.open); err == nil || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("error is %v", err)
	}
}
