package packet

import (
	"bufio"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"layeh.com/radius/dictionary"
)

// freeRADIUS is where the package freeradius-common, which scripts/test
// installs, has its dictionaries.
const freeRADIUS = "/usr/share/freeradius"

func openFile(name string) (io.ReadCloser, error) { return os.Open(name) }

func freeRADIUSFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(freeRADIUS, "dictionary.*"))
	must(t, err)
	if len(names) < 100 {
		t.Fatalf("%d dictionaries in %s; install freeradius-common", len(names), freeRADIUS)
	}
	return names
}

// reference is what FreeRADIUS's dictionaries say, read without our code.
type reference struct {
	attributes map[string][]string // "name vendor number type flags" by name
	values     map[string]bool     // "attribute name number"
}

func readReference(t *testing.T) reference {
	ref := reference{make(map[string][]string), make(map[string]bool)}
	vendors := make(map[string]string)
	for _, name := range freeRADIUSFiles(t) {
		file, err := os.Open(name)
		must(t, err)
		vendor := "0"
		for lines := bufio.NewScanner(file); lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), "#")
			f := append(strings.Fields(line), "", "", "", "", "")
			switch f[0] {
			case "VENDOR":
				vendors[f[1]] = f[2]
			case "BEGIN-VENDOR":
				vendor = vendors[f[1]]
			case "END-VENDOR":
				vendor = "0"
			case "ATTRIBUTE":
				ref.attributes[f[1]] = append(ref.attributes[f[1]], strings.Join([]string{vendor, f[2], strings.ToLower(f[3]), f[4]}, " "))
			case "VALUE":
				ref.values[strings.Join(f[1:4], " ")] = true
			}
		}
		file.Close()
	}
	return ref
}

// TestBuiltinDictionary holds every number and every type of ours against the
// dictionaries of FreeRADIUS.
func TestBuiltinDictionary(t *testing.T) {
	ref := readReference(t)
	ours := map[string]bool{ // the words of RFC 2865 section 5.6
		"Service-Type Login 1": true, "Service-Type Framed 2": true, "Service-Type Administrative 6": true, "Service-Type NAS-Prompt 7": true,
	}
	entries, err := os.ReadDir("dictionary")
	must(t, err)
	checked := 0
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join("dictionary", entry.Name()))
		must(t, err)
		vendor, vendors := "0", make(map[string]string)
		for _, line := range strings.Split(string(text), "\n") {
			line, _, _ := strings.Cut(line, "#")
			f := append(strings.Fields(line), "", "", "", "")
			switch f[0] {
			case "VENDOR":
				vendors[f[1]] = f[2]
			case "BEGIN-VENDOR":
				vendor = vendors[f[1]]
			case "END-VENDOR":
				vendor = "0"
			case "ATTRIBUTE":
				got := strings.Join([]string{vendor, f[2], f[3], f[4]}, " ")
				if !slices.Contains(ref.attributes[f[1]], got) {
					t.Errorf("%s: %s is %q, FreeRADIUS has %q", entry.Name(), f[1], got, ref.attributes[f[1]])
				}
				checked++
			case "VALUE":
				if got := strings.Join(f[1:4], " "); !ref.values[got] && !ours[got] {
					t.Errorf("%s: FreeRADIUS has no VALUE %s", entry.Name(), got)
				}
			}
		}
	}
	if d := NewDictionary(); checked < 500 || checked != len(d.byName) {
		t.Errorf("%d attributes checked of %d", checked, len(d.byName))
	}
}

// TestFreeRADIUSDictionaries: an administrator may load any of them, and all.
func TestFreeRADIUSDictionaries(t *testing.T) {
	for _, name := range freeRADIUSFiles(t) {
		err := NewDictionary().Load(name, openFile)
		if filepath.Base(name) == "dictionary.freeradius.evs5" { // a part of dictionary.freeradius
			if err == nil || !strings.Contains(err.Error(), "vendor FreeRADIUS is not known") {
				t.Errorf("%s: error is %v", name, err)
			}
		} else if err != nil {
			t.Error(err)
		}
	}

	d := NewDictionary()
	must(t, d.Load(filepath.Join(freeRADIUS, "dictionary"), openFile))
	ref := readReference(t)
	unknown := 0
	for name := range ref.attributes {
		if key := strings.ToLower(name); d.byName[key] == nil && d.unwritable[key] == "" {
			unknown++ // DHCP and other files that the main one does not include
		}
	}
	if len(d.byName) < 6500 || unknown > 1500 {
		t.Errorf("%d attributes are known, %d of FreeRADIUS's %d are not", len(d.byName), unknown, len(ref.attributes))
	}
	for _, test := range []struct{ name, value, want string }{ // what is encoded, or the end of an error
		{"Fortinet-Group-Name", "admins", "1a0e 00003044 0108 61646d696e73"},
		{"Tunnel-Type:3", "VLAN", "4006 0300000d"},
		{"Extreme-User-Vlan", "5", "1a0c 00006930 0106 00000005"},
		{"USR-Last-Number-Dialed-Out", "1", "1a0b 000001ad 00000066 31"},   // four octets of type, none of length
		{"Lucent-Max-Shared-Users", "1", "1a0d 000012ee 0002 07 00000001"}, // two octets of type
		{"Alc-Nat-Port-Range", "x", "1a09 0000197f 79 03 78"},              // included by what is included
		{"WiMAX-Beginning-Of-Session", "1", "its vendor's attributes are in a form (format=1,1,c) that Countersign cannot write; leave it out"},
		{"Ruckus-TC-Quota", "1", "it is a part of another attribute, which Countersign cannot write; leave it out"},
		{"Acct-Unique-Session-Id", "1", "its number 1051 is not one that a packet can carry; leave it out"},
		{"Cisco-AVPair:1", "x", "it takes no tag; leave out the colon and what follows"},
	} {
		got, err := d.Encode(test.name, test.value)
		if err != nil {
			if !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("Encode(%s): %v", test.name, err)
			}
			continue
		}
		equal(t, test.name, got, unhex(t, test.want))
	}
}

// samples has a value of each type in the built-in dictionary.
var samples = map[dictionary.AttributeType]string{
	dictionary.AttributeString:     "text",
	dictionary.AttributeOctets:     "0x00ff",
	dictionary.AttributeInteger:    "16777201",
	dictionary.AttributeIPAddr:     "192.0.2.1",
	dictionary.AttributeIPv6Addr:   "2001:db8::1",
	dictionary.AttributeIPv6Prefix: "2001:db8::/48",
	dictionary.AttributeIFID:       "1:2:3:4",
}

// TestRoundTrip encodes a value of every attribute that a rule can give, has
// layeh's parser read it, and formats it again.
func TestRoundTrip(t *testing.T) {
	d := NewDictionary()
	written := 0
	for _, def := range d.byName {
		value, ok := samples[def.Type]
		encoded, err := d.Encode(strings.ToUpper(def.Name), value)
		reserved := reservationOf(def.number) != nil
		if reserved != (err != nil) || !ok && !reserved {
			t.Errorf("%s: %v", def.Name, err)
			continue
		}
		if reserved {
			continue
		}
		written++
		checkWithLayeh(t, def, encoded)
		want := d.byNumber[def.number].Name + " = " + value
		if lines := d.Format(encoded); len(lines) != 1 || lines[0] != want {
			t.Errorf("%s is formatted as %q, want %q", def.Name, lines, want)
		}
	}
	if written < 500 {
		t.Errorf("only %d attributes can be written", written)
	}
}

// TestRadclientReadsOurReplies: FreeRADIUS's client prints what we encode with
// its own dictionaries, attribute by attribute.
func TestRadclientReadsOurReplies(t *testing.T) {
	d := NewDictionary()
	var replies [][]byte // the attributes of each
	var want [][]string
	size := MaxLength
	for _, name := range slices.Sorted(maps.Keys(d.byName)) {
		def := d.byName[name]
		if d.byNumber[def.number] != def || reservationOf(def.number) != nil {
			continue
		}
		encoded, err := d.Encode(name, samples[def.Type])
		must(t, err)
		if size += len(encoded); size > 2000 {
			replies, want, size = append(replies, nil), append(want, nil), len(encoded)
		}
		last := len(replies) - 1
		replies[last] = append(replies[last], encoded...)
		want[last] = append(want[last], d.Format(encoded)...)
	}
	theirs := NewDictionary()
	must(t, theirs.Load(filepath.Join(freeRADIUS, "dictionary"), openFile))
	for i, attributes := range replies {
		got := radclientPrints(t, attributes)
		if len(got) != len(want[i]) {
			t.Fatalf("radclient prints %d attributes, %d were sent: %q", len(got), len(want[i]), got)
		}
		for j, line := range got {
			if line != want[i][j] && !sameNumber(theirs, line, want[i][j]) {
				t.Errorf("radclient prints %q, we %q", line, want[i][j])
			}
		}
	}
}

// sameNumber reports whether two lines give one value to two names of one
// attribute.
func sameNumber(d *Dictionary, a, b string) bool {
	nameA, valueA, _ := strings.Cut(a, " = ")
	nameB, valueB, _ := strings.Cut(b, " = ")
	defA, defB := d.byName[strings.ToLower(nameA)], d.byName[strings.ToLower(nameB)]
	return valueA == valueB && defA != nil && defB != nil && defA.number == defB.number
}

// radclientPrints answers one request of radclient's with these attributes and
// returns what it prints of them. It prints the tag 0 where there is none.
func radclientPrints(t *testing.T, attributes []byte) []string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer conn.Close()
	go func() {
		buf := make([]byte, MaxLength)
		n, from, err := conn.ReadFrom(buf)
		var r Request
		if err != nil || r.Parse(buf[:n]) != nil {
			return
		}
		var b Builder
		b.Begin(AccessAccept, r.Identifier, nil, Last)
		b.AddEncoded(attributes)
		if wire, err := new(Scratch).Sign(NewSecret([]byte("s")), &b, &r.Authenticator); err == nil {
			conn.WriteTo(wire, from)
		}
	}()
	command := exec.Command("radclient", "-x", "-r", "1", "-t", "10", conn.LocalAddr().String(), "auth", "s")
	command.Stdin = strings.NewReader("User-Name = alice\nUser-Password = x\n")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("radclient: %v\n%s", err, output)
	}
	_, reply, _ := strings.Cut(string(output), "Received Access-Accept")
	var lines []string
	for _, line := range strings.Split(reply, "\n") {
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "\t"), " = "); ok && strings.HasPrefix(line, "\t") {
			lines = append(lines, strings.TrimSuffix(name, ":0")+" = "+strings.Trim(value, `"`))
		}
	}
	return lines[:max(0, len(lines)-1)] // the last is the Message-Authenticator
}
