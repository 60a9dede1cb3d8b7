package collector

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"time"

	"countersign/radiusd/accounting"
)

// line is a record in a file. What it does not say is left out; Attributes have all of it.
type line struct {
	Received      time.Time           `json:"received"`
	Occurred      time.Time           `json:"occurred"`
	NAS           string              `json:"nas"`
	Source        string              `json:"source"`
	Record        accounting.Position `json:"record"`
	Status        string              `json:"status"`
	SessionID     string              `json:"session_id,omitempty"`
	User          string              `json:"user,omitempty"`
	NASAddress    netip.Addr          `json:"nas_address,omitzero"`
	NASIdentifier string              `json:"nas_identifier,omitempty"`
	NASPort       string              `json:"nas_port,omitempty"`
	Station       string              `json:"station,omitempty"`
	Address       netip.Addr          `json:"address,omitzero"`
	*usage
	Cause      string `json:"terminate_cause,omitempty"`
	Attributes []byte `json:"attributes"` // in base64
}

// usage is what a session has used, where the record tells.
type usage struct {
	Seconds       int64  `json:"session_seconds"`
	InputOctets   uint64 `json:"input_octets"`
	OutputOctets  uint64 `json:"output_octets"`
	InputPackets  uint64 `json:"input_packets"`
	OutputPackets uint64 `json:"output_packets"`
}

// writeLine writes a record. Text that is not UTF-8 is mended, but in the attributes.
func writeLine(b *bytes.Buffer, e *accounting.Entry) {
	r, _ := accounting.Parse(e) // with an error, r is what could be read
	l := line{
		Received: e.At.UTC(), Occurred: r.Occurred.UTC(), NAS: e.NAS, Source: e.Source, Record: e.Position, Status: r.Status.String(),
		SessionID: r.SessionID, User: r.User, NASAddress: r.NASAddress, NASIdentifier: r.NASIdentifier, NASPort: r.NASPort,
		Station: r.Station, Address: r.Address, Cause: r.Cause.String(), Attributes: e.Attributes,
	}
	if r.Has {
		l.usage = &usage{int64(r.Time / time.Second), r.InputOctets, r.OutputOctets, r.InputPackets, r.OutputPackets}
	}
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(&l) // nothing of this can fail
}
