package packet

import (
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/rfc3162"
	"layeh.com/radius/rfc6911"
)

// Sizes of a packet and its parts in octets, RFC 2865 section 3 and 5.
const (
	HeaderLength        = 20                     // code, identifier, length, authenticator
	AuthenticatorLength = 16                     // also the length of a Message-Authenticator
	MinLength           = HeaderLength           // a packet without attributes
	MaxLength           = radius.MaxPacketLength // 4096
	MaxValue            = 253                    // the value of one attribute
	MaxPasscode         = 128                    // a passcode in User-Password, RFC 2865 section 5.2
)

// Code is the kind of a packet, RFC 2865 section 3.
type Code uint8

// The codes this server receives and sends.
const (
	AccessRequest      = Code(radius.CodeAccessRequest)
	AccessAccept       = Code(radius.CodeAccessAccept)
	AccessReject       = Code(radius.CodeAccessReject)
	AccountingRequest  = Code(radius.CodeAccountingRequest)
	AccountingResponse = Code(radius.CodeAccountingResponse)
	AccessChallenge    = Code(radius.CodeAccessChallenge)
	StatusServer       = Code(radius.CodeStatusServer) // RFC 5997
)

// String returns the name the RFCs give to c, such as "Access-Request", and
// "Code(99)" for one without a name.
func (c Code) String() string { return radius.Code(c).String() }

// Type is the type of an attribute, RFC 2865 section 5.
type Type uint8

// The attribute types the server and its test NAS name.
const (
	UserName             = Type(rfc2865.UserName_Type)
	UserPassword         = Type(rfc2865.UserPassword_Type)
	CHAPPassword         = Type(rfc2865.CHAPPassword_Type)
	NASIPAddress         = Type(rfc2865.NASIPAddress_Type)
	NASPort              = Type(rfc2865.NASPort_Type)
	ServiceType          = Type(rfc2865.ServiceType_Type)
	FramedIPAddress      = Type(rfc2865.FramedIPAddress_Type)
	ReplyMessage         = Type(rfc2865.ReplyMessage_Type)
	State                = Type(rfc2865.State_Type)
	Class                = Type(rfc2865.Class_Type)
	VendorSpecific       = Type(rfc2865.VendorSpecific_Type)
	SessionTimeout       = Type(rfc2865.SessionTimeout_Type)
	CalledStationID      = Type(rfc2865.CalledStationID_Type)
	CallingStationID     = Type(rfc2865.CallingStationID_Type)
	NASIdentifier        = Type(rfc2865.NASIdentifier_Type)
	ProxyState           = Type(rfc2865.ProxyState_Type)
	AcctStatusType       = Type(rfc2866.AcctStatusType_Type)
	AcctSessionID        = Type(rfc2866.AcctSessionID_Type)
	CHAPChallenge        = Type(rfc2865.CHAPChallenge_Type)
	TunnelClientEndpoint = Type(rfc2868.TunnelClientEndpoint_Type)
	EAPMessage           = Type(rfc2869.EAPMessage_Type)
	Prompt               = Type(rfc2869.Prompt_Type)
	MessageAuthenticator = Type(rfc2869.MessageAuthenticator_Type)
	NASIPv6Address       = Type(rfc3162.NASIPv6Address_Type)
	FramedIPv6Address    = Type(rfc6911.FramedIPv6Address_Type)
)

// Enterprise numbers of vendors (RFC 2865 section 5.26), the first of which
// carries MS-CHAP (RFC 2548), and the vendor types of theirs in which a gateway
// tells of the client.
const (
	VendorMicrosoft = 311

	VendorCisco = 9
	CiscoAVPair = 1 // text such as "ip:source-ip=192.0.2.1" or "mdm-tlv=device-mac=00-00-5e-00-53-01"

	VendorPaloAlto         = 25461
	PaloAltoClientSourceIP = 7 // an address as text

	VendorLANCOM = 2356
	LANCOMMAC    = 2 // 6 octets
)

// The vendor types of RFC 2548 that this package reads and writes.
const (
	msCHAPResponse         = 1
	msCHAPError            = 2
	msMPPEEncryptionPolicy = 7
	msMPPEEncryptionTypes  = 8
	msCHAPChallenge        = 11
	msCHAPMPPEKeys         = 12
	msMPPESendKey          = 16
	msMPPERecvKey          = 17
	msCHAP2Response        = 25
	msCHAP2Success         = 26
)
