package remote

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"countersign/radiusd/packet"
)

// vendor encodes a Vendor-Specific.
func vendor(number uint32, rest ...byte) []byte {
	return attribute(packet.VendorSpecific, append([]byte{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}, rest...)...)
}

func TestAttributesOfAccept(t *testing.T) {
	keep := [][]byte{
		attribute(packet.ReplyMessage, 'h', 'i'), attribute(packet.Class, 1, 2), attribute(packet.FramedIPAddress, 192, 0, 2, 1),
		vendor(packet.VendorCisco, 1, 3, 'x'), vendor(311, 26, 5, 1, 'S', '='), vendor(99, 16, 4, 1, 2),
		vendor(1), vendor(4846, 0, 214, 5, 1), attribute(packet.VendorSpecific, 1, 2),
	}
	gone := [][]byte{
		attribute(packet.State, 1), attribute(packet.ProxyState, 2), attribute(packet.EAPMessage, 3),
		vendor(311, 7, 6, 0, 0, 0, 1), vendor(311, 8, 6, 0, 0, 0, 6),
	}
	hidden := [][]byte{attribute(tunnelPassword, make([]byte, 19)...), vendor(529, 214, 4, 1, 2), vendor(14823, 44, 3, 1), vendor(24757, 86, 4, 0, 1)}
	var all []byte
	want := bytes.Join(keep, nil)
	for i := range keep {
		all = append(all, keep[i]...)
		if i < len(gone) {
			all = append(all, gone[i]...)
		}
	}
	all = append(append(all, bytes.Join(hidden, nil)...), vendor(311, 26, 3, 5, 16, 3, 1, 19, 3, 1, 10, 3, 'D')...) // several in one
	want = append(want, vendor(311, 26, 3, 5, 10, 3, 'D')...)
	server := newPeer(t, always(packet.AccessAccept, all...))
	k := newKit(t, Options{}, server.address())
	for range 2 {
		if got := k.verify(pap("alice", "1"), packet.AccessAccept); !bytes.Equal(got.Attributes, want) || got.SendKey != nil || got.MSCHAPKeys != nil {
			t.Errorf("the NAS gets\n%x, not\n%x", got.Attributes, want)
		}
	}
	if n := k.metric(fmt.Sprintf("dropped_attributes_total{server=%q}", server.address())); n != 2*7 { // the key cannot be opened
		t.Errorf("%v were dropped", n)
	}
	if n := strings.Count(k.log.String(), "encrypted for us"); n != 1 {
		t.Errorf("that is said %d times", n)
	}
	server.change(always(packet.AccessReject, all...))
	if got := k.verify(pap("alice", "1"), packet.AccessReject); got.Attributes != nil || got.Dialog != nil {
		t.Errorf("of a refusal the NAS gets %x", got.Attributes)
	}
}

// TestKeys: those of a server of ours, opened.
func TestKeys(t *testing.T) {
	send, recv, legacy := [16]byte{1}, [16]byte{2}, [24]byte{3, 23: 4}
	server := newPeer(t, func(r *packet.Request) [][]byte {
		var b packet.Builder
		var s packet.Scratch
		b.Begin(packet.AccessAccept, r.Identifier, nil, packet.First)
		s.AddMPPEKeys(&b, secret(), &r.Authenticator, 5, send, recv)
		s.AddMSCHAPKeys(&b, secret(), &r.Authenticator, legacy)
		wire, err := s.Sign(secret(), &b, &r.Authenticator)
		if err != nil {
			panic(err)
		}
		return [][]byte{wire}
	})
	k := newKit(t, Options{}, server.address())
	got := k.verify(pap("alice", "1"), packet.AccessAccept)
	if !bytes.Equal(got.SendKey, send[:]) || !bytes.Equal(got.RecvKey, recv[:]) || !bytes.Equal(got.MSCHAPKeys, legacy[:]) || len(got.Attributes) != 0 {
		t.Errorf("the keys are %x, %x, %x; besides %x", got.SendKey, got.RecvKey, got.MSCHAPKeys, got.Attributes)
	}
}

// TestEncryptedAttributes: what FreeRADIUS's dictionaries, which scripts/test installs,
// say is encrypted does not go to the NAS.
func TestEncryptedAttributes(t *testing.T) {
	files, err := filepath.Glob("/usr/share/freeradius/dictionary.*")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d dictionaries in /usr/share/freeradius, %v; scripts/test installs freeradius-common", len(files), err)
	}
	vendors, checked := make(map[string]uint32), 0
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var of uint32
		for lines := bufio.NewScanner(file); lines.Scan(); {
			f := append(strings.Fields(lines.Text()), "", "", "", "")
			switch f[0] {
			case "VENDOR":
				n, _ := strconv.ParseUint(f[2], 0, 32)
				vendors[f[1]] = uint32(n)
			case "BEGIN-VENDOR":
				of = vendors[f[1]]
			case "END-VENDOR":
				of = 0
			case "ATTRIBUTE":
				if strings.Contains(lines.Text(), "encrypt=") && of != 4846 && !strings.HasSuffix(name, ".freeradius.internal") { // Lucent's types have two octets
					checked++
					number, _, _ := strings.Cut(f[2], ".")
					n, _ := strconv.ParseUint(number, 0, 8)
					if of == 0 && treatments[n] == pass || of != 0 && vendorTreatments[of][byte(n)] == pass {
						t.Errorf("%s of vendor %d goes to the NAS", f[1], of)
					}
				}
			}
		}
		_ = file.Close()
	}
	if checked < 50 {
		t.Errorf("only %d attributes were found", checked)
	}
}
