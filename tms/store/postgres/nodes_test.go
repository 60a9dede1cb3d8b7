package postgres

import (
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store/postgrestest"
)

// What one node changes, another knows soon: who is invited, and that there is more in the
// accounting log.
func TestOthersKnow(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	a, b := openStore(t, o.as("a")), openStore(t, o.as("b"))
	invite := func(there bool) {
		t.Helper()
		must(t, a.ChangeHolder(t.Context(), "kay", tms.Act{At: noon, Actor: "test", Verb: "user.invite", Object: "kay"}, func(h *tms.Holder) error {
			h.Invitation = tms.Invitation{}
			if there {
				h.Invitation = tms.Invitation{Exists: true, ID: tms.InvitationID{1}, User: "kay", Created: noon, Expires: noon.Add(time.Hour),
					Token: otp.Token{Serial: "T1", Type: otp.TOTP, Period: 30, Digits: 6, Seed: oath.NewSeed(testSeed("kay"))}}
			}
			return nil
		}))
		if a.Invited([]byte("kay")) != there {
			t.Error("the node itself does not know")
		}
		await(t, 5*time.Second, func() bool { return b.Invited([]byte("kay")) == there })
	}
	invite(true)
	invite(false)

	for len(b.Appended()) > 0 {
		<-b.Appended()
	}
	done := make(chan error, 1)
	if !a.AppendAccounting(noon, "ras", "192.0.2.1", []byte{40, 6, 0, 0, 0, 1}, func(err error) { done <- err }) {
		t.Fatal("not taken")
	}
	must(t, <-done)
	select {
	case <-b.Appended():
	case <-time.After(5 * time.Second):
		t.Error("the other node does not hear of it")
	}
}
