//go:build !race

package packet

import "testing"

// TestReadingTheClientAllocatesNothing: neither parsing nor a walk over a
// vendor's values, to the end or not, costs the collector anything.
func TestReadingTheClientAllocatesNothing(t *testing.T) {
	wire := gatewayRequest(t)
	var r Request
	octets := 0
	allocations := testing.AllocsPerRun(100, func() {
		if r.Parse(wire) != nil {
			t.Fatal("refused")
		}
		for value := range r.VendorValues(VendorCisco, CiscoAVPair) {
			octets += len(value)
		}
		octets += len(r.VendorValue(VendorPaloAlto, PaloAltoClientSourceIP)) + len(r.VendorValue(VendorCisco, CiscoAVPair))
	})
	if allocations != 0 || octets == 0 {
		t.Errorf("%v allocations for %d octets", allocations, octets)
	}
}
