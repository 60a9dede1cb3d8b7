package directory

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// sid is a security identifier in the form that Active Directory keeps it in
// (MS-DTYP section 2.4.2.2): revision, number of sub-authorities, authority
// (6 bytes, the highest first), sub-authorities (4 bytes each, the lowest first).
type sid []byte

const (
	sidHeader         = 8
	maxSubAuthorities = 15
)

func (s sid) valid() bool {
	return len(s) >= sidHeader+4 && s[0] == 1 && s[1] <= maxSubAuthorities && len(s) == sidHeader+4*int(s[1])
}

// withRID is the identifier of the same domain with another relative identifier.
func (s sid) withRID(rid uint32) (sid, bool) {
	if !s.valid() {
		return nil, false
	}
	other := append(sid(nil), s[:len(s)-4]...)
	return binary.LittleEndian.AppendUint32(other, rid), true
}

// String is the identifier as S-1-5-21-..., of one that is valid.
func (s sid) String() string {
	if !s.valid() {
		return "no SID"
	}
	var authority [8]byte
	copy(authority[2:], s[2:sidHeader])
	var text strings.Builder
	fmt.Fprintf(&text, "S-1-%d", binary.BigEndian.Uint64(authority[:]))
	for i := sidHeader; i < len(s); i += 4 {
		fmt.Fprintf(&text, "-%d", binary.LittleEndian.Uint32(s[i:]))
	}
	return text.String()
}
