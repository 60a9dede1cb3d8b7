package packet

// Malformation says what is wrong with a datagram that is refused. It is an
// error and every error of [ParseHeader] and [Request.Parse] is one.
type Malformation uint8

// The faults of a datagram. The set is closed: its words are metric labels.
const (
	wellFormed                    Malformation = iota
	TooShort                                   // fewer octets than a header, or than its Length field says
	BadLengthField                             // a Length field below 20 or above 4096
	BadAttributeLength                         // an attribute that is too short, overruns the packet or has not the length of its type
	DuplicateAttribute                         // a second occurrence of what may occur once
	BadUserPasswordLength                      // not 16 to 128 octets in blocks of 16
	BadCHAPPasswordLength                      // not 17 octets
	BadMSCHAPLength                            // an MS-CHAP challenge or response of the wrong length, or missing its other half
	BadMessageAuthenticatorLength              // not 16 octets
	SeveralCredentials                         // more than one kind of credential in one Access-Request
)

var malformations = [...]struct{ label, text string }{
	wellFormed:                    {"well_formed", "well formed"},
	TooShort:                      {"too_short", "datagram is shorter than its header or its Length field says"},
	BadLengthField:                {"length_field", "Length field is not within 20 to 4096"},
	BadAttributeLength:            {"attribute_length", "an attribute overruns the packet or has a length its type does not have"},
	DuplicateAttribute:            {"duplicate_attribute", "an attribute that may occur once occurs again"},
	BadUserPasswordLength:         {"user_password_length", "User-Password is not 16 to 128 octets in blocks of 16"},
	BadCHAPPasswordLength:         {"chap_password_length", "CHAP-Password is not 17 octets"},
	BadMSCHAPLength:               {"ms_chap_length", "MS-CHAP challenge or response is missing or has the wrong length"},
	BadMessageAuthenticatorLength: {"message_authenticator_length", "Message-Authenticator is not 16 octets"},
	SeveralCredentials:            {"several_credentials", "more than one of User-Password, CHAP-Password, MS-CHAP and EAP-Message"},
}

// String returns the fault as a metric label, such as "duplicate_attribute".
func (m Malformation) String() string { return m.words().label }

// Error returns the fault as a clause for a log line.
func (m Malformation) Error() string { return "malformed packet: " + m.words().text }

func (m Malformation) words() struct{ label, text string } {
	if int(m) < len(malformations) {
		return malformations[m]
	}
	return struct{ label, text string }{"unknown", "unknown fault"}
}
