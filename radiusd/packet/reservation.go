package packet

// reservation keeps attributes from being written by a rule.
type reservation struct {
	vendor, first, last uint32
	why                 string
	secret              bool // the value is not shown
}

const (
	ofRequests = "it belongs in requests, and the RFCs have none in an Access-Accept"
	ofServer   = "the server sets it by itself"
	ofPassword = "it holds a password or a key"
	ofVendors  = "it is the frame of vendors' attributes, which have names of their own"
)

// reservations is sorted by vendor and number.
var reservations = []reservation{
	{0, 2, 3, ofPassword, true},    // User-Password, CHAP-Password
	{0, 4, 5, ofRequests, false},   // NAS-IP-Address, NAS-Port
	{0, 24, 24, ofServer, false},   // State
	{0, 26, 26, ofVendors, false},  // Vendor-Specific
	{0, 30, 32, ofRequests, false}, // Called-Station-Id, Calling-Station-Id, NAS-Identifier
	{0, 33, 33, ofServer, false},   // Proxy-State
	{0, 40, 53, ofRequests, false}, // accounting
	{0, 55, 55, ofRequests, false}, // Event-Timestamp
	{0, 60, 61, ofRequests, false}, // CHAP-Challenge, NAS-Port-Type
	{0, 68, 68, ofRequests, false}, // Acct-Tunnel-Connection
	{0, 69, 70, ofPassword, true},  // Tunnel-Password, ARAP-Password
	{0, 77, 77, ofRequests, false}, // Connect-Info
	{0, 79, 80, ofServer, false},   // EAP-Message, Message-Authenticator
	{0, 84, 84, ofPassword, true},  // ARAP-Challenge-Response
	{0, 86, 87, ofRequests, false}, // Acct-Tunnel-Packets-Lost, NAS-Port-Id
	{0, 95, 95, ofRequests, false}, // NAS-IPv6-Address
	{0, 101, 102, ofServer, false}, // Error-Cause, EAP-Key-Name

	{VendorMicrosoft, msCHAPResponse, 6, ofPassword, true}, // MS-CHAP-Response to MS-CHAP-NT-Enc-PW
	{VendorMicrosoft, msMPPEEncryptionPolicy, msMPPEEncryptionTypes, ofServer, false},
	{VendorMicrosoft, 10, msCHAPChallenge, ofServer, false}, // MS-CHAP-Domain, MS-CHAP-Challenge
	{VendorMicrosoft, msCHAPMPPEKeys, msCHAPMPPEKeys, ofPassword, true},
	{VendorMicrosoft, msMPPESendKey, msMPPERecvKey, ofPassword, true},
	{VendorMicrosoft, 19, 20, ofPassword, true}, // MS-Old-ARAP-Password, MS-New-ARAP-Password
	{VendorMicrosoft, msCHAP2Response, msCHAP2Success, ofServer, true},
	{VendorMicrosoft, 27, 27, ofPassword, true}, // MS-CHAP2-CPW
}

// reservationOf returns the reservation of an attribute, nil when there is none.
func reservationOf(n number) *reservation {
	for i := range reservations {
		r := &reservations[i]
		if r.vendor == n.vendor && r.first <= n.attribute && n.attribute <= r.last {
			return r
		}
	}
	return nil
}
