package accounting

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// entriesOf makes records of six bytes each: kind, session and gateway, user and Class,
// when it happened, how long it took to come, and what was used.
func entriesOf(k *kit, data []byte) (entries []Entry) {
	statuses := [...]Status{Start, InterimUpdate, Stop, AccountingOn, AccountingOff, 9, 0, InterimUpdate}
	for came := 0; len(data) >= 6 && len(entries) < 100; data = data[6:] {
		happened := int(data[3]) * 10
		came = max(came, happened+int(data[4]))
		a := says{}.number(packet.AcctStatusType, int(statuses[data[0]%8]))
		if data[0]&8 == 0 {
			a = a.stamp(happened)
		} else if data[0]&16 == 0 {
			a = a.number(packet.AcctDelayTime, came-happened)
		}
		if id := data[1] & 3; id != 3 {
			a = a.text(packet.AcctSessionID, fmt.Sprint(id))
		}
		if data[1]&4 == 0 {
			a = a.text(packet.NASIdentifier, fmt.Sprintf("vpn%d", data[1]>>3&1))
		}
		if data[1]&16 == 0 {
			a = a.address(packet.NASIPAddress, fmt.Sprintf("192.0.2.%d", 1+data[1]>>5&1))
		}
		if user := data[2] & 3; user != 3 {
			a = a.text(packet.UserName, fmt.Sprintf("user%d", user))
		}
		if data[2]&4 != 0 {
			a = a.text(packet.Class, k.class(1, uint32(data[2]>>3&3), "staff"))
		}
		if data[5] > 0 {
			a = a.used(int(data[5]) * 10)
		}
		entries = append(entries, a.came(came))
	}
	return entries
}

// FuzzBook: whatever NASes tell, the counts are those of the sessions, no more than one of
// those with the same key lives, and nothing depends on which records are taken together.
func FuzzBook(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		one, all := newKit(t), newKit(t)
		for index := range uint32(4) {
			login := Login{User: fmt.Sprintf("user%d", index), Serial: "GAKT1"}
			one.logins[Position{1, index}], all.logins[Position{1, index}] = login, login
		}
		entries := entriesOf(one, data)
		before := make(map[Position]Session)
		for _, e := range entries {
			one.takes(e)
			for _, s := range one.all() {
				if old := before[s.ID]; s.Time < old.Time || s.InputOctets < old.InputOctets || s.Heard.Before(old.Heard) || s.Records < old.Records {
					t.Errorf("%+v\nbecame %+v", old, s)
				}
				before[s.ID] = s
			}
		}
		all.takes(entries...)
		if a, b := one.all(), all.all(); !reflect.DeepEqual(a, b) {
			t.Errorf("one by one %+v\ntogether %+v", a, b)
		}
		one.verify()
		all.verify()
		living := make(map[Key]int)
		for _, s := range one.all() {
			if s.State != Closed {
				living[s.Key]++
			}
			if s.Records == 0 || s.Started.IsZero() || (s.State == Closed) == s.Ended.IsZero() || s.Duration(at(1e6)) > 365*24*time.Hour {
				t.Errorf("%+v", s)
			}
		}
		for key, n := range living {
			if n > 1 {
				t.Errorf("%d sessions of %+v live", n, key)
			}
		}
	})
}
