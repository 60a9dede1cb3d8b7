package radiusd

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/radiusd/packet"
)

// attr is an attribute of a test's packet.
type attr struct {
	kind  packet.Type
	value string
}

func attrVendor(vendor uint32, kind byte, value string) attr {
	head := []byte{byte(vendor >> 24), byte(vendor >> 16), byte(vendor >> 8), byte(vendor), kind, byte(2 + len(value))}
	return attr{packet.VendorSpecific, string(head) + value}
}

func cisco(value string) attr { return attrVendor(packet.VendorCisco, packet.CiscoAVPair, value) }

// gathered is a request of a NAS as it is when the facts were read off it.
func gathered(t *testing.T, nas NASConfig, attributes ...attr) *request {
	t.Helper()
	b := newBench(t, nil)
	o := order{code: packet.AccessRequest}
	for _, a := range attributes {
		o = o.adding(a.kind, a.value)
	}
	r := b.auth.pool.make()
	from := newPeer(netip.MustParseAddrPort("[::ffff:192.0.2.10]:40000"))
	nas.Name, nas.Secret, nas.Prefixes = "gateway", secret, prefixes("192.0.2.0/24")
	r.arrive(table(t, nil, nas).byName["gateway"], &from, b.build(o), b.time())
	if err := r.packet.Parse(r.datagram); err != nil {
		t.Fatal(err)
	}
	r.gather()
	return r
}

// preset is the NASConfig of a make.
func preset(t *testing.T, name string) NASConfig {
	t.Helper()
	p, ok := Preset(name)
	if !ok {
		t.Fatalf("no preset %q", name)
	}
	return NASConfig{ClientIPFrom: p.ClientIPFrom, MACFrom: p.MACFrom}
}

func station(value string) attr { return attr{packet.CallingStationID, value} }

func tunnel(value string) attr { return attr{packet.TunnelClientEndpoint, value} }

func framed(octets ...byte) attr { return attr{packet.FramedIPAddress, string(octets)} }

const testMAC = "00-10-A4-23-19-C0"

var (
	framed6  = attr{packet.FramedIPv6Address, string(netip.MustParseAddr("2001:db8::7").AsSlice())}
	paloAlto = attrVendor(packet.VendorPaloAlto, packet.PaloAltoClientSourceIP, "198.51.100.9")
	lancom   = attrVendor(packet.VendorLANCOM, packet.LANCOMMAC, "\x00\x10\xa4\x23\x19\xc0")
)

// presetFacts are what is read off packets by each preset.
var presetFacts = map[string]struct {
	preset     string
	attributes []attr
	ip         string
	ipFrom     exclusions.Origin
	macs       string
	macFrom    exclusions.Origin
}{
	"nothing":                       {"", nil, "", 0, "", 0},
	"generic address":               {"", []attr{station("198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"generic address and port":      {"", []attr{station("198.51.100.7:5123")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"generic IPv6":                  {"", []attr{station("2001:db8::7")}, "2001:db8::7", exclusions.CallingStationID, "", 0},
	"generic mapped":                {"", []attr{station("::ffff:198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"generic MAC":                   {"", []attr{station("0010.a423.19c0")}, "", 0, testMAC, exclusions.CallingStationID},
	"generic neither":               {"", []attr{station("UserAuthType:PW")}, "", 0, "", 0},
	"generic unspecified":           {"", []attr{station("0.0.0.0")}, "", 0, "", 0},
	"generic tunnel":                {"", []attr{tunnel("\x00198.51.100.8")}, "198.51.100.8", exclusions.TunnelClientEndpoint, "", 0},
	"generic tunnel without tag":    {"", []attr{tunnel("198.51.100.8")}, "198.51.100.8", exclusions.TunnelClientEndpoint, "", 0},
	"generic Palo Alto":             {"", []attr{paloAlto}, "198.51.100.9", exclusions.PaloAltoClientSourceIP, "", 0},
	"generic Cisco":                 {"", []attr{cisco("ip:source-ip=198.51.100.6")}, "198.51.100.6", exclusions.CiscoSourceIP, "", 0},
	"generic LANCOM":                {"", []attr{lancom}, "", 0, testMAC, exclusions.LANCOMMAC},
	"generic Framed-IP-Address":     {"", []attr{framed(10, 0, 0, 1), framed6}, "", 0, "", 0},
	"MAC, then the tunnel":          {"", []attr{station("0010a42319c0"), tunnel("198.51.100.8")}, "198.51.100.8", exclusions.TunnelClientEndpoint, testMAC, exclusions.CallingStationID},
	"the order of the preset":       {"", []attr{tunnel("198.51.100.8"), station("198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"the same MAC twice":            {"", []attr{lancom, station(testMAC)}, "", 0, testMAC, exclusions.CallingStationID},
	"ASA":                           {"cisco-asa", []attr{station("198.51.100.7"), tunnel("198.51.100.8"), cisco("mdm-tlv=device-platform=win"), cisco("mdm-tlv=device-mac=00-10-a4-23-19-c0"), cisco("mdm-tlv=device-public-mac=00-10-a4-23-19-c1"), cisco("mdm-tlv=device-mac=00-10-a4-23-19-c2"), cisco("ip:source-ip=198.51.100.6")}, "198.51.100.6", exclusions.CiscoSourceIP, testMAC + " 00-10-A4-23-19-C2", exclusions.CiscoDeviceMAC},
	"ASA, address only":             {"cisco-asa", []attr{station("198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"ASA, bad address in the pair":  {"cisco-asa", []attr{cisco("ip:source-ip=x"), station("198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"FortiGate":                     {"fortigate", []attr{station("198.51.100.7"), framed(10, 0, 0, 1)}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"FortiGate, framed":             {"fortigate", []attr{station(testMAC), framed(10, 0, 0, 1)}, "10.0.0.1", exclusions.FramedIPAddress, testMAC, exclusions.CallingStationID},
	"FortiGate, framed IPv6":        {"fortigate", []attr{framed6}, "2001:db8::7", exclusions.FramedIPAddress, "", 0},
	"FortiGate, an address to come": {"fortigate", []attr{framed(255, 255, 255, 254), framed6}, "2001:db8::7", exclusions.FramedIPAddress, "", 0},
	"FortiGate, none to come":       {"fortigate", []attr{framed(255, 255, 255, 255)}, "", 0, "", 0},
	"FortiGate, framed nothing":     {"fortigate", []attr{framed(0, 0, 0, 0)}, "", 0, "", 0},
	"Palo Alto":                     {"palo-alto", []attr{station("198.51.100.7"), paloAlto}, "198.51.100.9", exclusions.PaloAltoClientSourceIP, "", 0},
	"NetScaler":                     {"netscaler", []attr{tunnel("198.51.100.8")}, "198.51.100.8", exclusions.TunnelClientEndpoint, "", 0},
	"pfSense":                       {"pfsense-openvpn", []attr{station("192.0.2.1:1194"), framed(10, 0, 0, 1)}, "", 0, "", 0},
	"OpenVPN":                       {"openvpn", []attr{station("198.51.100.7")}, "198.51.100.7", exclusions.CallingStationID, "", 0},
	"RAS":                           {"ras", []attr{station("198.51.100.7")}, "", 0, "", 0},
	"RAS, MAC":                      {"ras", []attr{station(testMAC)}, "", 0, testMAC, exclusions.CallingStationID},
}

func TestFactsByPreset(t *testing.T) {
	for name, c := range presetFacts {
		t.Run(name, func(t *testing.T) {
			r := gathered(t, preset(t, c.preset), c.attributes...)
			ip := ""
			if r.trace.ClientIP.IsValid() {
				ip = r.trace.ClientIP.String()
			}
			if ip != c.ip || r.trace.ClientIPFrom != c.ipFrom {
				t.Errorf("client address %q from %q, want %q from %q", ip, r.trace.ClientIPFrom, c.ip, c.ipFrom)
			}
			if macs := strings.Trim(fmt.Sprint(r.trace.ClientMACs), "[]"); macs != c.macs || r.trace.MACFrom != c.macFrom {
				t.Errorf("MACs %q from %q, want %q from %q", macs, r.trace.MACFrom, c.macs, c.macFrom)
			}
		})
	}
}

func TestEightMACsCount(t *testing.T) {
	var attributes []attr
	for i := range 20 {
		attributes = append(attributes, cisco(fmt.Sprintf("mdm-tlv=device-mac=0010.a423.19%02x", i/2)))
	}
	r := gathered(t, preset(t, "cisco-asa"), attributes...)
	want := make([]exclusions.MAC, maxMACs)
	for i := range want {
		want[i] = 0x0010a4231900 + exclusions.MAC(i)
	}
	if !slices.Equal(r.trace.ClientMACs, want) {
		t.Errorf("MACs %v, want %v", r.trace.ClientMACs, want)
	}
}

func TestFactsOfTheNAS(t *testing.T) {
	v4 := attr{packet.NASIPAddress, "\xc6\x33\x64\x01"}
	v6 := attr{packet.NASIPv6Address, string(netip.MustParseAddr("2001:db8::1").AsSlice())}
	id := attr{packet.NASIdentifier, "vpn-1"}
	for name, c := range map[string]struct {
		trusted    bool
		attributes []attr
		want       string
	}{
		"not trusted": {false, []attr{v4, v6, id}, ""},
		"trusted":     {true, []attr{v6, v4, id}, "198.51.100.1"},
		"trusted, v6": {true, []attr{v6, id}, "2001:db8::1"},
		"no claim":    {true, []attr{id}, ""},
	} {
		r := gathered(t, NASConfig{TrustNASIPAddress: c.trusted}, c.attributes...)
		got := ""
		if r.trace.NASIPAddress.IsValid() {
			got = r.trace.NASIPAddress.String()
		}
		if got != c.want {
			t.Errorf("%s: NAS-IP-Address %q, want %q", name, got, c.want)
		}
		if r.trace.NASAddress != netip.MustParseAddr("192.0.2.10") || string(r.trace.NASIdentifier) != "vpn-1" || r.trace.NAS != "gateway" {
			t.Errorf("%s: source %s, NAS-Identifier %q, NAS %q", name, r.trace.NASAddress, r.trace.NASIdentifier, r.trace.NAS)
		}
	}
}

func TestPresets(t *testing.T) {
	names := Presets()
	if len(names) == 0 || names[0] != "" {
		t.Fatalf("presets %q, want that without a name first", names)
	}
	for _, name := range names {
		p, ok := Preset(name)
		if !ok {
			t.Fatalf("no preset %q", name)
		}
		for _, from := range slices.Concat(p.ClientIPFrom, p.MACFrom) {
			if from.String() == "" {
				t.Errorf("preset %q has an attribute without a word", name)
			}
		}
		for i := range p.ClientIPFrom {
			p.ClientIPFrom[i] = exclusions.NoOrigin // changes nothing for others
		}
	}
	if p, _ := Preset(""); p.ClientIPFrom[0] != exclusions.CallingStationID {
		t.Error("a preset can be changed")
	}
	if _, ok := Preset("Cisco"); ok {
		t.Error("there is a preset of an unknown name")
	}
}

// TestGatheringDoesNotAllocate, whatever a gateway sends.
func TestGatheringDoesNotAllocate(t *testing.T) {
	nas := preset(t, "")
	nas.ClientIPFrom = append([]exclusions.Origin{exclusions.FramedIPAddress}, nas.ClientIPFrom...)
	slices.Reverse(nas.ClientIPFrom)
	mac, _ := hex.DecodeString("0010a42319c0")
	r := gathered(t, nas, attr{packet.CallingStationID, "00:10:a4:23:19:c0"}, cisco("mdm-tlv=device-mac=00-0c-29-74-9d-e8"),
		cisco("ip:source-ip=x"), attrVendor(packet.VendorLANCOM, packet.LANCOMMAC, string(mac)),
		attrVendor(packet.VendorPaloAlto, packet.PaloAltoClientSourceIP, "2001:db8::7"), attr{packet.FramedIPAddress, "\x0a\x00\x00\x01"})
	if n := testing.AllocsPerRun(100, r.gather); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
