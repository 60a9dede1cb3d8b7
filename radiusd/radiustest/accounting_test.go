package radiustest

import (
	"fmt"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
)

// TestAccountingLoad sends whole sessions: the records of each in their order, one after
// the other, with authenticators that the library takes.
func TestAccountingLoad(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccountingResponse))
	load := quickly(server, people("a", 20))
	load.Accounting = true
	got := run(t, load)
	if got.Accepted == 0 || got.Rejected+got.Challenged+got.Malformed+got.BadAuthenticator+got.Stale != 0 {
		t.Errorf("%+v: want records accepted and nothing else", got)
	}
	if server.twice != 0 {
		t.Errorf("%d records came while another of the user's was in flight", server.twice)
	}
	order := []rfc2866.AcctStatusType{rfc2866.AcctStatusType_Value_Start, rfc2866.AcctStatusType_Value_InterimUpdate, rfc2866.AcctStatusType_Value_Stop}
	sent := map[string]int{} // records by user
	sessions := map[string]string{}
	for _, datagram := range server.asked() {
		if !radius.IsAuthenticRequest(datagram, testSecret.Reveal()) {
			t.Fatal("a request has a wrong authenticator")
		}
		request, err := radius.Parse(datagram, testSecret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		user, session := rfc2865.UserName_GetString(request), rfc2866.AcctSessionID_GetString(request)
		n := sent[user]
		sent[user]++
		if status := rfc2866.AcctStatusType_Get(request); status != order[n%3] {
			t.Fatalf("record %d of %s is a %v, want %v", n, user, status, order[n%3])
		}
		mine := fmt.Sprintf("%s %d", user, n/3)
		if owner, known := sessions[session]; known && owner != mine {
			t.Fatalf("session %s is that of %s and of %s", session, owner, mine)
		}
		sessions[session] = mine
	}
	if len(sent) != 20 {
		t.Errorf("%d users, want 20", len(sent))
	}
}
