package exclusions

// Source is how the user repository answered. The numbers are stored: new ones
// come at the end.
type Source uint8

const (
	// NotAsked: no directory has to do with the name.
	NotAsked Source = iota
	// Fresh: the directory answered, now or within the cache time.
	Fresh
	// Stale: it does not answer, and an old answer was used.
	Stale
	// Unavailable: it does not answer, and there is no old answer.
	Unavailable
	sourceCount
)

var sources = [sourceCount]string{"not-asked", "fresh", "stale", "unavailable"}

// String is the word: not-asked, fresh, stale or unavailable.
func (s Source) String() string { return wordOf(sources[:], "source", s) }

// Origin is the attribute that told the client's address. The numbers are
// stored: new ones come at the end.
type Origin uint8

// The origins.
const (
	NoOrigin               Origin = iota
	CallingStationID              // "calling-station-id"
	TunnelClientEndpoint          // "tunnel-client-endpoint"
	PaloAltoClientSourceIP        // "palo-alto-client-source-ip"
	CiscoSourceIP                 // "cisco-avpair": ip:source-ip=
	FramedIPAddress               // "framed-ip-address", and Framed-IPv6-Address
	CiscoDeviceMAC                // "cisco-device-mac": mdm-tlv=device-mac=
	LANCOMMAC                     // "lancom-mac"
	originCount
)

var origins = [originCount]string{
	"", "calling-station-id", "tunnel-client-endpoint", "palo-alto-client-source-ip", "cisco-avpair", "framed-ip-address", "cisco-device-mac", "lancom-mac",
}

// String is the attribute's word, such as calling-station-id; NoOrigin has none
// and is "".
func (o Origin) String() string { return wordOf(origins[:], "origin", o) }

// ParseOrigin is the inverse of Origin.String. NoOrigin cannot be written.
func ParseOrigin(s string) (Origin, error) { return parseWord[Origin](origins[:], "attribute", s) }
