package conf

import (
	"fmt"
	"net/netip"
	"slices"
)

// NAS is a table [[nas]]: a gateway that may ask, or several with one secret.
type NAS struct {
	// Name is what logs and metrics call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Addresses are the source addresses of its packets, each an IP address or
	// a network as "192.0.2.0/24". Of several networks that hold an address
	// the smallest wins. At least one; none may be given twice in the file.
	Addresses []netip.Prefix `toml:"addresses"`

	// Secret is the shared secret, 6 to 256 bytes, wherever it was read from.
	// RFC 2865 section 3 wants at least 16 that nobody can guess.
	Secret Secret `toml:"secret"`

	// SecretFile is a file with the shared secret as its only line. Either it
	// or Secret is in the file, not both. Accounts that are neither its owner
	// nor of its group must have no access.
	SecretFile string `toml:"secret_file"`

	// MessageAuthenticator says whether its requests must carry a
	// Message-Authenticator (RFC 3579 section 3.2, CVE-2024-3596).
	MessageAuthenticator MessageAuthenticator `toml:"message_authenticator" oneof:"auto require off"`

	// ReplyMessageAuthenticator says where replies carry theirs.
	ReplyMessageAuthenticator ReplyMessageAuthenticator `toml:"reply_message_authenticator" oneof:"first last off"`

	// Preset is the make of the gateway, which says where its requests tell the
	// client's address and MACs.
	Preset Preset `toml:"preset" oneof:"'' cisco-asa fortigate palo-alto netscaler pfsense-openvpn openvpn ras"`

	// ClientIPFrom are the attributes that may tell the client's address; the
	// first that has one counts. Nil, when the key is not there, are those of
	// Preset; empty says that this NAS does not tell it. Client addresses and
	// MACs are claims of the gateway: a machine that is excluded by its MAC is
	// excluded for whoever can send that MAC.
	ClientIPFrom []string `toml:"client_ip_from" oneof:"calling-station-id tunnel-client-endpoint palo-alto-client-source-ip cisco-avpair framed-ip-address"`

	// TrustNASIPAddress takes NAS-IP-Address and NAS-IPv6-Address of its
	// requests for true, as of a proxy that several gateways stand behind.
	// Without it rules about them are never met here.
	TrustNASIPAddress bool `toml:"trust_nas_ip_address"`

	// Mode is who needs a token here; "" is that of [login], see [Config.ModeOf].
	Mode Mode `toml:"mode" oneof:"'' mandatory create-token token-holders"`

	// Excluded is what a login gets that needs no code. It has no default: a NAS
	// that an exclusion applies to, or with the mode token-holders, must say it.
	// Rules that were added at run time count as well, also when the file is read
	// anew.
	Excluded Excluded `toml:"excluded" oneof:"'' accept directory-password"`

	// Challenge has a user asked for a second code by an Access-Challenge, where
	// otherwise the login would be refused. Only for gateways that show the user
	// a second prompt.
	Challenge bool `toml:"challenge"`

	// Order is who verifies the codes of its users, where no [[order]] says otherwise; ""
	// is that of [tms], see [Config.OrderOf].
	Order Order `toml:"order" oneof:"'' local tms local-then-tms tms-then-local"`

	// Class says whether an Access-Accept carries a Class by which its accounting tells
	// which login a session belongs to, see [NAS.SendsClass].
	Class ClassPolicy `toml:"class" oneof:"auto send off"`

	// DisconnectPort is the UDP port where it takes Disconnect-Requests (RFC 5176); 0 is
	// that it takes none.
	DisconnectPort int `toml:"disconnect_port" bounds:"0 to 65535"`
}

// ClassPolicy is whether an Access-Accept carries a Class.
type ClassPolicy string

// The policies of NAS.Class.
const (
	ClassAuto ClassPolicy = "auto" // as the preset has it
	ClassSend ClassPolicy = "send"
	ClassOff  ClassPolicy = "off"
)

// SendsClass reports whether an Access-Accept carries a Class of ours. By itself a Cisco
// ASA gets none, because it takes a Class for the name of a group policy.
func (n *NAS) SendsClass() bool {
	return n.Class == ClassSend || n.Class == ClassAuto && n.Preset != PresetCiscoASA
}

// MessageAuthenticator is a policy for the Message-Authenticator of requests.
// When there is one it is verified under each policy.
type MessageAuthenticator string

// The policies of NAS.MessageAuthenticator. Under auto and require a request
// with Proxy-State and without Message-Authenticator is refused.
const (
	MessageAuthenticatorAuto    MessageAuthenticator = "auto"    // required once this NAS has sent one
	MessageAuthenticatorRequire MessageAuthenticator = "require" // required always
	MessageAuthenticatorOff     MessageAuthenticator = "off"     // never required
)

// ReplyMessageAuthenticator is a place in the reply.
type ReplyMessageAuthenticator string

// The places of NAS.ReplyMessageAuthenticator.
const (
	ReplyMessageAuthenticatorFirst ReplyMessageAuthenticator = "first" // before all other attributes
	ReplyMessageAuthenticatorLast  ReplyMessageAuthenticator = "last"  // behind all other attributes
	ReplyMessageAuthenticatorOff   ReplyMessageAuthenticator = "off"   // nowhere
)

// Preset is a make of gateway.
type Preset string

// The makes of NAS.Preset.
const (
	PresetNone           Preset = ""
	PresetCiscoASA       Preset = "cisco-asa" // and FTD
	PresetFortiGate      Preset = "fortigate"
	PresetPaloAlto       Preset = "palo-alto" // GlobalProtect
	PresetNetScaler      Preset = "netscaler"
	PresetPfSenseOpenVPN Preset = "pfsense-openvpn"
	PresetOpenVPN        Preset = "openvpn" // with its RADIUS plug-in
	PresetRAS            Preset = "ras"     // Parallels RAS
)

// Excluded is what a login gets that needs no code.
type Excluded string

// The words of NAS.Excluded.
const (
	ExcludedUnsaid            Excluded = ""
	ExcludedAccept            Excluded = "accept"             // the gateway checks the directory password itself
	ExcludedDirectoryPassword Excluded = "directory-password" // the password of the request is verified in the directory
)

// defaultNAS is a table [[nas]] without keys.
func defaultNAS() NAS {
	return NAS{
		MessageAuthenticator:      MessageAuthenticatorAuto,
		ReplyMessageAuthenticator: ReplyMessageAuthenticatorFirst,
		Class:                     ClassAuto,
		DisconnectPort:            3799,
	}
}

// ModeOf returns who needs a token at a NAS: its own mode or that of [login].
func (c *Config) ModeOf(n *NAS) Mode {
	if n.Mode != "" {
		return n.Mode
	}
	return c.Login.Mode
}

// NASesWithoutExcluded returns the names of the NASes that do not say what an
// excluded login gets although a rule with these criteria applies to them. Nil
// is a criterion that the rule does not have.
func (c *Config) NASesWithoutExcluded(nases, notNASes []string) []string {
	rule := Criteria{NASes: nases, NotNASes: notNASes}
	var names []string
	for i := range c.NAS {
		if n := &c.NAS[i]; n.Excluded == ExcludedUnsaid && rule.appliesTo(n.Name) {
			names = append(names, n.Name)
		}
	}
	return names
}

// verifyNASes reports what is missing of a NAS, and what two of them share.
func (c *Config) verifyNASes(r *report) {
	r.verifyNames("nas", "NAS", "gateway", namesOf(c.NAS, func(n *NAS) string { return n.Name }))
	first := map[netip.Prefix]int{} // to the index of the NAS
	for i := range c.NAS {
		nas, key := &c.NAS[i], joinIndex("nas", i)
		if r.has(key) {
			continue // not a table at all
		}
		if len(nas.Addresses) == 0 {
			r.addMissing(key+".addresses", "the NAS has no address", `name where its packets come from, as addresses = ["192.0.2.10"]`)
		}
		for _, network := range nas.Addresses {
			if other, taken := first[network]; !taken {
				first[network] = i
			} else {
				r.add(key+".addresses", fmt.Sprintf("%s is given already, for the NAS at line %d",
					inShort(network), r.lines.line(joinIndex("nas", other))),
					"leave it out at one of the two places")
			}
		}
		if nas.Secret.hidden == nil && nas.SecretFile == "" && !r.has(key+".secret_file") {
			r.addMissing(key+".secret", "the NAS has no shared secret", `add secret_file = "gateway.secret", a file with the secret as its only line`)
		}
		r.verifyClientIPFrom(key+".client_ip_from", nas)
	}
}

// inShort returns a network as text, one of a single address without its length.
func inShort(network netip.Prefix) string {
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.String()
}

// verifyClientIPFrom reports attributes that are given twice, and one that does
// not tell the client's address.
func (r *report) verifyClientIPFrom(key string, nas *NAS) {
	const callingStationID = "calling-station-id"
	for i, attribute := range nas.ClientIPFrom {
		if attribute != "" && slices.Contains(nas.ClientIPFrom[:i], attribute) {
			r.add(r.element(key, i), fmt.Sprintf("%q is given already", attribute), "leave it out at one of the two places")
		}
		if attribute == callingStationID && nas.Preset == PresetPfSenseOpenVPN {
			r.add(r.element(key, i), "in Calling-Station-Id OpenVPN on pfSense sends the firewall's own address, not the client's",
				"leave it out; client_ip_from = [] if there is no other")
		}
	}
}

// verifyPasses reports each NAS that does not say what a login gets that needs no
// code although there can be such logins, and where passwords are to be verified
// and no directory is there to do it.
func (c *Config) verifyPasses(r *report) {
	noDirectory := len(c.Directories) == 0 && !r.has("directory")
	wantsDirectory := func(key string, wants bool, remedy string) {
		if noDirectory && wants {
			r.addMissing(key, "there is no directory to verify passwords in", "add a [[directory]], or "+remedy)
		}
	}
	wantsDirectory("login.mode", c.Login.Mode == ModeCreateToken, "choose another mode")
	for i := range c.NAS {
		nas, key := &c.NAS[i], joinIndex("nas", i)
		if r.has(key) {
			continue // not a table at all
		}
		wantsDirectory(key+".mode", nas.Mode == ModeCreateToken, "choose another mode")
		wantsDirectory(key+".excluded", nas.Excluded == ExcludedDirectoryPassword,
			`write excluded = "accept" if the gateway verifies the directory password itself`)
		if nas.Excluded == ExcludedUnsaid {
			c.verifyUnsaid(r, key+".excluded", nas)
		}
	}
}

// verifyUnsaid reports a NAS that does not say what a login gets that needs no
// code if there can be such a login.
func (c *Config) verifyUnsaid(r *report, key string, nas *NAS) {
	const remedy = `write excluded = "accept" if the gateway verifies the directory password itself, ` +
		`or excluded = "directory-password" to have it verified here`
	if c.ModeOf(nas) == ModeTokenHolders {
		r.addMissing(key, fmt.Sprintf("in the mode token-holders users without a token need no code, and NAS %q does not say what they get", nas.Name),
			remedy+", or choose another mode")
		return
	}
	for i := range c.Exclusions {
		rule := &c.Exclusions[i]
		if table := joinIndex("exclusion", i); !r.has(table) && rule.appliesTo(nas.Name) {
			r.addMissing(key, fmt.Sprintf("exclusion %q (line %d) applies to NAS %q, which does not say what an excluded login gets",
				rule.Name, r.lines.line(table), nas.Name), remedy+", or keep the rule from it with not_nases")
			return
		}
	}
}
