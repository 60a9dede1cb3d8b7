package remote

import (
	"encoding/binary"
	"fmt"

	"countersign/radiusd/packet"
)

// Reply is what a server has answered. It prints as [redacted].
type Reply struct {
	redacted
	// Code is packet.AccessAccept, packet.AccessReject or packet.AccessChallenge.
	Code packet.Code
	// Attributes are those that go to the NAS, encoded (packet.Builder.AddEncoded); doc.go
	// tells which.
	Attributes []byte
	// SendKey and RecvKey are the MPPE keys of an accepted MS-CHAPv2 login, 16 octets, or
	// nil (RFC 2548 sections 2.4.2 and 2.4.3); MSCHAPKeys those of MS-CHAP, 24 octets, or
	// nil (section 2.4.1).
	SendKey, RecvKey, MSCHAPKeys []byte
	// Dialog is what Login.Dialog has to be in the answer to an Access-Challenge, at most
	// 64 octets. A State may be in it, and so it is not for everybody to see.
	Dialog []byte
}

const tunnelPassword packet.Type = 69 // RFC 2868 section 3.5

// treatment is what becomes of an attribute of an Access-Accept.
type treatment uint8

const (
	pass treatment = iota
	drop           // it was for us
	hide           // it is dropped too, because the NAS could not read it
)

// treatments are those of attributes that do not pass.
var treatments = [256]treatment{
	packet.State: drop, packet.ProxyState: drop, packet.MessageAuthenticator: drop, packet.EAPMessage: drop,
	packet.UserPassword: hide, packet.CHAPPassword: hide, tunnelPassword: hide, arapPassword: hide, arapChallengeResponse: hide,
	214: hide, 215: hide, // Ascend-Send-Secret and -Receive-Secret outside of a Vendor-Specific
}

// vendorTreatments are the same for attributes of vendors. Microsoft's are what goes
// with MPPE keys, which the NAS gets anew, and what RFC 2548 hides besides; the others
// are those that FreeRADIUS's dictionaries say are encrypted.
var vendorTreatments = map[uint32]map[byte]treatment{
	packet.VendorMicrosoft: {7: drop, 8: drop, 12: drop, 16: drop, 17: drop, 19: hide, 20: hide},
	161:                    {11: hide},                                   // Motorola
	529:                    {214: hide, 215: hide},                       // Ascend
	831:                    {116: hide, 117: hide, 118: hide, 119: hide}, // Alcatel-Lucent AAA
	packet.VendorLANCOM:    {19: hide, 20: hide},
	4874:                   {58: hide, 59: hide, 60: hide, 61: hide},                                      // Juniper ERX
	5535:                   {58: hide},                                                                    // 3GPP2
	6527:                   {122: hide, 123: hide, 124: hide, 125: hide, 138: hide, 139: hide, 142: hide}, // Alcatel-Lucent SR
	14823:                  {44: hide},                                                                    // Aruba
	24757: { // WiMAX
		5: hide, 10: hide, 12: hide, 14: hide, 15: hide, 19: hide, 40: hide, 66: hide, 67: hide, 70: hide, 75: hide,
		86: hide, 87: hide, 131: hide,
	},
	26928: {3: hide}, // Aerohive
}

// read makes a Reply of what ended an exchange, which is proved to be from the server.
func (s *server) read(x *exchange) (Reply, error) {
	var p packet.Request
	if err := p.Parse(x.reply); err != nil {
		return Reply{}, fmt.Errorf("reading the answer of RADIUS server %s of the TMS: %w", s.address, err)
	}
	r := Reply{Code: p.Code}
	switch p.Code {
	case packet.AccessAccept:
		hidden := 0
		r.Attributes, hidden = passOn(&p)
		hidden += s.openKeys(&r, &p, x)
		s.complain(hidden)
	case packet.AccessChallenge:
		for kind, value := range p.Attributes() {
			if kind == packet.ReplyMessage || kind == packet.Prompt || kind == packet.SessionTimeout {
				r.Attributes = appendAttribute(r.Attributes, kind, value)
			}
		}
		d, err := s.client.states.keep(s.identity, p.State, s.client.clock(), s.client.rand)
		if err != nil {
			return Reply{}, err
		}
		r.Dialog = d
	}
	return r, nil
}

// openKeys opens the MPPE keys of an Access-Accept, and returns how many of them are of
// no use.
func (s *server) openKeys(r *Reply, p *packet.Request, x *exchange) (useless int) {
	t := toolbox.Get().(*tools)
	defer toolbox.Put(t)
	send, recv, legacy, err := t.scratch.OpenMPPEKeys(s.secret, p, &x.authenticator)
	if err != nil || len(send) != len(recv) || send != nil && len(send) != 16 {
		send, recv, useless = nil, nil, 2
	}
	r.SendKey, r.RecvKey, r.MSCHAPKeys = send, recv, legacy
	return useless
}

// complain counts attributes that the NAS does not get, and says so once.
func (s *server) complain(hidden int) {
	if hidden == 0 {
		return
	}
	s.dropped.Add(float64(hidden))
	s.complained.Do(func() {
		s.client.logger.Warn("RADIUS server of the TMS sends attributes that are encrypted for us and not for the NAS; they are left out", "server", s.address)
	})
}

// passOn returns the attributes of an Access-Accept that the NAS gets, and how many it
// does not get because they are hidden.
func passOn(p *packet.Request) (attributes []byte, hidden int) {
	for kind, value := range p.Attributes() {
		switch {
		case kind == packet.VendorSpecific:
			var n int
			attributes, n = passOnVendor(attributes, value)
			hidden += n
		case treatments[kind] == pass:
			attributes = appendAttribute(attributes, kind, value)
		case treatments[kind] == hide:
			hidden++
		}
	}
	return attributes, hidden
}

// passOnVendor appends a Vendor-Specific without what the NAS does not get. Attributes
// of a form of the vendor's own are opaque, and pass.
func passOnVendor(attributes, value []byte) (_ []byte, hidden int) {
	if len(value) < 4 {
		return appendAttribute(attributes, packet.VendorSpecific, value), 0
	}
	dropped := vendorTreatments[binary.BigEndian.Uint32(value)]
	left := make([]byte, 4, len(value))
	copy(left, value)
	rest := value[4:]
	for len(rest) >= 2 && rest[1] >= 2 && int(rest[1]) <= len(rest) {
		switch dropped[rest[0]] {
		case pass:
			left = append(left, rest[:rest[1]]...)
		case hide:
			hidden++
		}
		rest = rest[rest[1]:]
	}
	left = append(left, rest...)
	if len(left) == 4 && len(value) > 4 { // nothing is left
		return attributes, hidden
	}
	return appendAttribute(attributes, packet.VendorSpecific, left), hidden
}

func appendAttribute(attributes []byte, kind packet.Type, value []byte) []byte {
	attributes = append(attributes, byte(kind), byte(2+len(value)))
	return append(attributes, value...)
}
