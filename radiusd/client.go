package radiusd

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"countersign/exclusions"
	"countersign/radiusd/packet"
)

// maxMACs is how many MACs of a client count. Cisco's client tells that of every
// interface the machine has.
const maxMACs = 8

// What stands before the value in a Cisco-AVPair. mdm-tlv=device-public-mac= is
// not read: it repeats that of the interface in use.
var (
	ciscoSourceIP  = []byte("ip:source-ip=")
	ciscoDeviceMAC = []byte("mdm-tlv=device-mac=")
)

// gather reads off the packet what rules judge. What continues a dialog is
// judged by what its first packet told.
func (r *request) gather() {
	r.trace = exclusions.Trace{
		Login: exclusions.Login{
			At: r.at, User: r.attempt.User, NAS: r.nas.Name,
			NASAddress: r.from.addr().Unmap(), NASIdentifier: r.packet.NASIdentifier,
		},
		Mode: r.nas.Mode, Pass: r.loop.server.pass(r.nas), Revision: r.rules.revision(),
		Node: r.loop.server.options.Node,
	}
	if r.nas.TrustNASIPAddress {
		r.trace.NASIPAddress, _ = addressOf(r.packet.NASIPAddress, r.packet.NASIPv6Address)
	}
	if r.dialog != nil {
		r.recall()
		return
	}
	r.gatherClientIP()
	r.gatherMACs()
}

// recall has the facts of a dialog stand for those of the packet.
func (r *request) recall() {
	t, facts := &r.trace, &r.dialog.facts
	t.At = time.Unix(r.dialog.begun, 0)
	t.ClientIP, t.ClientIPFrom = facts.ClientIP, facts.ClientIPFrom
	t.ClientMACs, t.MACFrom, t.MACsLeft = facts.ClientMACs, facts.MACFrom, facts.MACsLeft
	if r.dialog.left&withoutNAS == 0 {
		t.NASAddress, t.NASIPAddress, t.NASIdentifier = facts.NASAddress, facts.NASIPAddress, facts.NASIdentifier
	}
}

// gatherClientIP takes the client's address from the first attribute that has
// one.
func (r *request) gatherClientIP() {
	for _, origin := range r.nas.ClientIPFrom {
		if address, ok := clientIP(&r.packet, origin); ok {
			r.trace.ClientIP, r.trace.ClientIPFrom = address, origin
			return
		}
	}
}

// clientIP reads the client's address from one attribute.
func clientIP(p *packet.Request, from exclusions.Origin) (netip.Addr, bool) {
	switch from {
	case exclusions.CallingStationID:
		return exclusions.ParseClientIP(p.CallingStationID)
	case exclusions.TunnelClientEndpoint:
		return exclusions.ParseClientIP(p.TunnelClientEndpoint)
	case exclusions.PaloAltoClientSourceIP:
		return exclusions.ParseClientIP(p.VendorValue(packet.VendorPaloAlto, packet.PaloAltoClientSourceIP))
	case exclusions.CiscoSourceIP:
		for pair := range p.VendorValues(packet.VendorCisco, packet.CiscoAVPair) {
			if text, found := bytes.CutPrefix(pair, ciscoSourceIP); found {
				return exclusions.ParseClientIP(text)
			}
		}
	case exclusions.FramedIPAddress:
		return addressOf(p.FramedIPAddress, p.FramedIPv6Address)
	}
	return netip.Addr{}, false
}

// addressOf is the IPv4 address in the octets of one attribute or, without them,
// the IPv6 address in those of another.
func addressOf(v4, v6 []byte) (netip.Addr, bool) {
	if v4 == nil {
		v4 = v6
	}
	address, ok := netip.AddrFromSlice(v4)
	return address.Unmap(), ok
}

// gatherMACs takes the client's MACs from all attributes that have one.
func (r *request) gatherMACs() {
	r.trace.ClientMACs = r.macs[:0]
	for _, origin := range r.nas.MACFrom {
		r.addMACs(origin)
		if r.trace.MACFrom == exclusions.NoOrigin && len(r.trace.ClientMACs) > 0 {
			r.trace.MACFrom = origin
		}
	}
}

// addMACs reads the client's MACs from one attribute.
func (r *request) addMACs(from exclusions.Origin) {
	switch p := &r.packet; from {
	case exclusions.CallingStationID:
		r.addMAC(exclusions.ParseMAC(p.CallingStationID))
	case exclusions.CiscoDeviceMAC:
		for pair := range p.VendorValues(packet.VendorCisco, packet.CiscoAVPair) {
			if text, found := bytes.CutPrefix(pair, ciscoDeviceMAC); found {
				r.addMAC(exclusions.ParseMAC(text))
			}
		}
	case exclusions.LANCOMMAC:
		for octets := range p.VendorValues(packet.VendorLANCOM, packet.LANCOMMAC) {
			r.addMAC(exclusions.MACFromOctets(octets))
		}
	}
}

// addMAC adds a MAC, unless it is there; of those that are too many it counts how often
// they were told.
func (r *request) addMAC(mac exclusions.MAC, ok bool) {
	known := r.trace.ClientMACs
	switch {
	case !ok || slices.Contains(known, mac):
	case len(known) < maxMACs:
		r.trace.ClientMACs = append(known, mac)
	default:
		r.trace.MACsLeft++
	}
}
