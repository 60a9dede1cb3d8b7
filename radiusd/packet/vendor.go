package packet

import (
	"encoding/binary"
	"iter"
)

// VendorValue returns the first value of a vendor's attribute in r, nil when it
// is absent. An empty value is empty, not nil.
func (r *Request) VendorValue(vendor uint32, vendorType byte) []byte {
	for value := range r.VendorValues(vendor, vendorType) {
		return value
	}
	return nil
}

// VendorValues yields the values of a vendor's attribute in the order of the
// packet. The attributes of a vendor are in the form of RFC 2865 section 5.26,
// one or several in a Vendor-Specific; where one breaks that form, the rest of
// its Vendor-Specific is passed over. The values alias the datagram. After a
// Parse that failed there are none. It does not allocate, and costs next to
// nothing for a packet without a Vendor-Specific.
func (r *Request) VendorValues(vendor uint32, vendorType byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if r.vendorSpecific != 0 {
			walkVendor(r.packet[r.vendorSpecific:], vendor, vendorType, yield)
		}
	}
}

// walkVendor yields the values of a vendor's attribute among attributes, which
// are well formed.
func walkVendor(attributes []byte, vendor uint32, vendorType byte, yield func([]byte) bool) {
	for ; len(attributes) > 0; attributes = attributes[attributes[1]:] {
		value := attributes[2:attributes[1]:attributes[1]]
		if Type(attributes[0]) != VendorSpecific || len(value) < 4 || binary.BigEndian.Uint32(value) != vendor {
			continue
		}
		for rest := value[4:]; len(rest) >= 2 && rest[1] >= 2 && int(rest[1]) <= len(rest); rest = rest[rest[1]:] {
			if rest[0] == vendorType && !yield(rest[2:rest[1]:rest[1]]) {
				return
			}
		}
	}
}
