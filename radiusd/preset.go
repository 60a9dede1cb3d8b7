package radiusd

import (
	"slices"

	"countersign/exclusions"
)

// PresetConfig is what is known of the requests of a make of gateway: which
// attributes tell the client's address, the first that has one counts, and
// which its MACs.
type PresetConfig struct {
	ClientIPFrom []exclusions.Origin
	MACFrom      []exclusions.Origin
}

// presets are the makes we know, in the order in which they are listed. The
// first has no name: it is for a gateway of which nothing is known. It does not
// read Framed-IP-Address, which in a request is mostly the address that the
// client wants inside of the tunnel (RFC 2865 section 5.8).
var presets = []struct {
	name string
	PresetConfig
}{
	{"", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.CallingStationID, exclusions.TunnelClientEndpoint,
			exclusions.PaloAltoClientSourceIP, exclusions.CiscoSourceIP},
		MACFrom: []exclusions.Origin{exclusions.CallingStationID, exclusions.CiscoDeviceMAC, exclusions.LANCOMMAC},
	}},
	// All three tell the public address.
	{"cisco-asa", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.CiscoSourceIP, exclusions.TunnelClientEndpoint, exclusions.CallingStationID},
		MACFrom:      []exclusions.Origin{exclusions.CiscoDeviceMAC},
	}},
	// The MAC is that of a WLAN client.
	{"fortigate", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.CallingStationID, exclusions.FramedIPAddress},
		MACFrom:      []exclusions.Origin{exclusions.CallingStationID},
	}},
	// GlobalProtect, once it was told to send its attributes.
	{"palo-alto", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.PaloAltoClientSourceIP, exclusions.CallingStationID},
	}},
	// Which it sends is an option of its own.
	{"netscaler", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.CallingStationID, exclusions.TunnelClientEndpoint},
	}},
	// Its Calling-Station-Id is an address and port of the firewall itself.
	{"pfsense-openvpn", PresetConfig{}},
	// OpenVPN with its RADIUS plug-in, and SoftEther, which sends both.
	{"openvpn", PresetConfig{
		ClientIPFrom: []exclusions.Origin{exclusions.CallingStationID, exclusions.TunnelClientEndpoint},
	}},
	// Parallels RAS: what it sends besides name and password is not documented. An
	// address could be that of RAS itself, so none is taken for the client's; a
	// MAC could hardly be.
	{"ras", PresetConfig{MACFrom: []exclusions.Origin{exclusions.CallingStationID}}},
}

// Preset returns what is known of the requests of a make of gateway; false when
// the name is not one of [Presets].
func Preset(name string) (PresetConfig, bool) {
	for _, p := range presets {
		if p.name == name {
			return PresetConfig{slices.Clone(p.ClientIPFrom), slices.Clone(p.MACFrom)}, true
		}
	}
	return PresetConfig{}, false
}

// Presets are the names of all presets. The first is "", that of a gateway of
// which nothing is known.
func Presets() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.name
	}
	return names
}
