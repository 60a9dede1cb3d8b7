package main

import (
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/radiusd/remote/remotetest"
)

// Who does not belong to the TMS is told why, also while the directory is away.
func TestExplainOutsideTheTMS(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := install(t, directory+"[tms]\notp_service_url = \"http://127.0.0.1:1/Service.asmx\"\nuser_repository = \"group:helpdesk\"\n")
	told := func(user, want string) {
		t.Helper()
		contains(t, in.run("", "explain", "--user", user, "--nas", "loopback"), "verified by "+want)
	}
	told(`EXAMPLE\Alice`, "the TMS: the order is local-then-tms ([tms]), and alice holds no active token here")
	told("bob", `the tokens here: bob does not belong to the TMS (user_repository = "group:helpdesk")`)
	told("dora", "the tokens here: no [[directory]] has dora, and such names are not shown to the TMS")
	told(`OTHER\alice`, `the tokens here: no [[directory]] has other\alice, and such names are not shown to the TMS`)
	ldap.Kill()
	told("bob", "the tokens here, as long as the directory does not say whether bob belongs to the TMS, and only an accept counts")
	told(`EXAMPLE\alice@mail.test`, `the tokens here: the directory does not answer, and example\alice@mail.test may be another name of somebody it has: such names are not shown to the TMS`)
}

// Of a login that happened its record tells who verified the code.
func TestExplainLoginsAtTheTMS(t *testing.T) {
	need(t, "radclient")
	tms := remotetest.StartFreeRADIUS(t, tmsUsers()...)
	in := install(t, "")
	in.rewrite("mode = \"token-holders\"\nexcluded = \"accept\"\n", behind("timeout = \"1s\"\n", tms))
	in.start()
	nas := in.nas(in.auth)
	told := func(wants ...string) {
		t.Helper()
		contains(t, in.run("", "explain", in.lastEvent()), wants...)
	}
	in.login(nas, "bob", "bobs-password", radius.CodeAccessAccept)
	told("bob belonged to the TMS", "verified by the TMS", "outcome accepted by the TMS (accepted_by_tms)")
	in.login(nas, "bob", "bobs-password", radius.CodeAccessReject)
	told("bob belonged to the TMS", "verified by not asked again: the TMS accepted this very passcode", "(replayed)")
	in.login(nas, "bob", "wrong", radius.CodeAccessReject)
	told("verified by the TMS", "outcome refused by the TMS (refused_by_tms)")
	in.login(nas, "bob", "wrong", radius.CodeAccessReject)
	told("verified by not asked again: the same passcode within repeat_time")
	tms.Stop()
	if code, err := exchange(nas, "bob", "another", 2*time.Second); err == nil {
		t.Errorf("%v while there is no TMS", code)
	}
	contains(t, in.run("", "event", "list", "--limit", "1"), "tms_down")
	told("bob belonged to the TMS", "verified by the TMS, which did not answer", "outcome the TMS did not answer: refused, or not answered, as when_down says (tms_down)")
}

// What SafeNet's OTP service cannot verify no directory had a part in.
func TestExplainHiddenPasswords(t *testing.T) {
	need(t, "radclient")
	in := install(t, "[tms]\notp_service_url = \"http://127.0.0.1:1/Service.asmx\"\n")
	in.start()
	in.demand("Access-Reject", `User-Name = "bob"`, `CHAP-Password = "x"`)
	contains(t, in.run("", "explain", in.lastEvent()),
		"verified by not asked: the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway",
		"outcome refused: the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway (needs_pap)")
}
