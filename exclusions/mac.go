package exclusions

// MAC is an IEEE 802 MAC-48 address in its lower 48 bits, the first octet highest.
type MAC uint64

const (
	macDigits = 12 // hexadecimal ones
	macOctets = 6
	macBits   = 48
)

// notations are the ways in which gateways and people write a MAC; x is a
// hexadecimal digit of either case. The first is that of RFC 3580 section 3.21.
var notations = [...]string{
	"xx-xx-xx-xx-xx-xx",
	"xx:xx:xx:xx:xx:xx",
	"xxxxxxxxxxxx",
	"xxxxxx-xxxxxx",
	"xxxx.xxxx.xxxx",
	"xxxx-xxxx-xxxx",
}

// ParseMAC reads the MAC of a client from an attribute such as
// Calling-Station-Id, in one of these notations and with nothing around it:
//
//	00-10-A4-23-19-C0  00:10:a4:23:19:c0  0010a42319c0
//	0010a4-2319c0      0010.a423.19c0     0010-A423-19C0
//
// Twelve digits without any separator are a MAC, even if all are decimal and
// might be a telephone number. A name behind the MAC (":SSID") is refused: that
// is what Called-Station-Id has, which names the gateway and not the client. The
// MAC of zeros is refused too: gateways send it that know none.
//
// No text is both a MAC and an address of ParseClientIP. ParseMAC does not
// allocate.
func ParseMAC(b []byte) (MAC, bool) {
	for _, notation := range notations {
		if len(b) != len(notation) {
			continue
		}
		if mac, _, ok := readMAC(notation, b); ok {
			return mac, mac != 0
		}
	}
	return 0, false
}

// MACFromOctets is the MAC of six octets, as LANCOM's attribute has them. Any
// other number is refused, and so is the MAC of zeros.
func MACFromOctets(b []byte) (MAC, bool) {
	if len(b) != macOctets {
		return 0, false
	}
	var mac MAC
	for _, octet := range b {
		mac = mac<<8 | MAC(octet)
	}
	return mac, mac != 0
}

// String returns the MAC as RFC 3580 section 3.21 writes it: 00-10-A4-23-19-C0.
func (m MAC) String() string {
	const hex = "0123456789ABCDEF"
	text := []byte(notations[0])
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == 'x' {
			text[i] = hex[m&15]
			m >>= 4
		}
	}
	return string(text)
}

// readMAC reads text as a MAC in a notation, or as the beginning of one. It
// returns the value of the digits and how many there are.
func readMAC[T string | []byte](notation string, text T) (value MAC, digits int, ok bool) {
	if len(text) > len(notation) {
		return 0, 0, false
	}
	for i := range len(text) {
		if notation[i] != 'x' {
			if text[i] != notation[i] {
				return 0, 0, false
			}
			continue
		}
		digit, ok := hexDigit(text[i])
		if !ok {
			return 0, 0, false
		}
		value = value<<4 | MAC(digit)
		digits++
	}
	return value, digits, true
}

// hexDigit is the value of a hexadecimal digit.
func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
