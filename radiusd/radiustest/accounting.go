package radiustest

import (
	"crypto/md5"
	"encoding/binary"
)

// What accounting needs (RFC 2866, RFC 2869 section 5.3).
const (
	codeAccountingRequest  = 4
	codeAccountingResponse = 5

	attrFramedIPAddress    = 8
	attrCallingStationID   = 31
	attrAcctStatusType     = 40
	attrAcctInputOctets    = 42
	attrAcctOutputOctets   = 43
	attrAcctSessionID      = 44
	attrAcctSessionTime    = 46
	attrAcctTerminateCause = 49
	attrEventTimestamp     = 55
)

// statuses are the records of a session in their order: Start, Interim-Update, Stop.
var statuses = [...]uint32{1, 3, 2}

// report is what is told of a session.
type report struct {
	name   string // of the user
	user   uint32 // the user's number
	number uint32 // of the record among all of the user, from 0; three make a session
	unix   uint64 // now, in seconds since 1970
}

// accountingRequest writes a report to b, which has room for maxRequest bytes, and returns
// its length, and the authenticator, which is of the content and no random one.
func (c *codec) accountingRequest(b []byte, identifier byte, r report) (int, authenticator) {
	session, record := r.number/uint32(len(statuses)), r.number%uint32(len(statuses))
	status := statuses[record]
	b[0], b[1] = codeAccountingRequest, identifier
	n := headerLen
	number := func(kind byte, value uint32) {
		b[n], b[n+1] = kind, 6
		binary.BigEndian.PutUint32(b[n+2:], value)
		n += 6
	}
	number(attrAcctStatusType, status)
	n += appendSessionID(b[n:], r.user, session)
	b[n], b[n+1] = attrUserName, byte(2+len(r.name))
	n += 2 + copy(b[n+2:], r.name)
	n += copy(b[n:], []byte{attrNASIPAddress, 6, 127, 0, 0, 1})
	number(attrNASPort, r.user)
	number(attrFramedIPAddress, 10<<24|r.user)
	n += copy(b[n:], "\x1f\x13"+"00-10-A4-23-19-C0") // Calling-Station-Id
	number(attrEventTimestamp, uint32(r.unix))
	if status != statuses[0] {
		number(attrAcctSessionTime, 60*record)
		number(attrAcctInputOctets, 1000*r.number)
		number(attrAcctOutputOctets, 9000*r.number)
	}
	if status == statuses[2] {
		number(attrAcctTerminateCause, 1)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	clear(b[4:headerLen])
	authenticator := md5.Sum(append(append(c.scratch, b[:n]...), c.secret...))
	copy(b[4:], authenticator[:])
	return n, authenticator
}

// appendSessionID writes an Acct-Session-Id of user and session in hex, and returns its
// length.
func appendSessionID(b []byte, user, session uint32) int {
	const digits = "0123456789abcdef"
	b[0], b[1] = attrAcctSessionID, 18
	for i := range 8 {
		shift := 28 - 4*i
		b[2+i], b[10+i] = digits[user>>shift&15], digits[session>>shift&15]
	}
	return 18
}
