package radiusd

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"countersign/radiusd/packet"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestTheLongestPrefixCounts(t *testing.T) {
	nases := table(t, nil,
		NASConfig{Name: "all", Secret: secret, Prefixes: prefixes("0.0.0.0/0")},
		NASConfig{Name: "net", Secret: secret, Prefixes: prefixes("192.0.2.99/24", "2001:db8::/32")},
		NASConfig{Name: "host", Secret: secret, Prefixes: prefixes("192.0.2.10/32", "::ffff:198.51.100.0/120")},
	)
	for address, name := range map[string]string{
		"192.0.2.10": "host", "::ffff:192.0.2.10": "host", "192.0.2.11": "net", "203.0.113.1": "all",
		"2001:db8:1::1": "net", "2001:db9::1": "", "198.51.100.77": "host", "fe80::1%eth0": "",
	} {
		got := ""
		if n := nases.lookup(netip.MustParseAddr(address)); n != nil {
			got = n.Name
		}
		if got != name {
			t.Errorf("%s is NAS %q, want %q", address, got, name)
		}
	}
}

func TestBadNASTables(t *testing.T) {
	good := NASConfig{Name: "a", Secret: secret, Prefixes: prefixes("192.0.2.1/32")}
	for fault, other := range map[string]NASConfig{
		"two of this name": good,
		"no shared secret": {Name: "b", Prefixes: prefixes("192.0.2.2/32")},
		"no addresses":     {Name: "b", Secret: secret},
		"is empty":         {Name: "b", Secret: secret, Prefixes: []netip.Prefix{{}}},
		`belongs to NAS "a" too`: {
			Name: "b", Secret: secret, Prefixes: prefixes("192.0.2.1/32")},
	} {
		_, err := NewNASTable([]NASConfig{good, other}, nil)
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("error is %v, want %q", err, fault)
		}
	}
}

func TestSetNASesKeepsWhatIsInFlight(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	old := pap(1, "alice", passcodeAt(0))
	b.want(old, silence)
	changed := packet.NewSecret([]byte("the new secret"))
	b.server.SetNASes(table(t, nil, testNAS(func(n *NASConfig) { n.Secret = changed })))
	b.store.release()
	b.wantCode(b.verified(old, b.collect()), accept) // signed with the old secret
	next := pap(2, "alice", passcodeAt(1))
	next.secret = changed
	b.want(next, accept)

	b.server.SetNASes(table(t, nil))
	b.want(pap(3, "alice", passcodeAt(2)), silence)
	b.wantMetric(1, "dropped_total", "unknown_nas")
}

func TestSendersAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		go b.server.rememberSenders(t.Context())
		b.want(pap(1, "alice", "wrong").signed(), reject)
		synctest.Wait()
		b.want(pap(2, "alice", "wrong").signed(), reject)
		synctest.Wait()
		if got := b.memo.names; len(got) != 1 || got[0] != "gateway" {
			t.Errorf("remembered %q, want the gateway once", got)
		}
		b.wantLog(1, "demanded from now on")
	})
}

func TestWhatWasNotRememberedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.memo.fail = errDisk
		go b.server.rememberSenders(t.Context())
		for i := range uint64(3) {
			b.want(pap(i, "alice", "wrong").signed(), reject)
			synctest.Wait()
		}
		if got := len(b.memo.names); got != 3 {
			t.Errorf("tried %d times, want 3", got)
		}
		b.wantLog(1, "could not remember")
		b.want(pap(9, "alice", "wrong"), silence) // it is demanded all the same
	})
}

func TestRememberNeverWaits(t *testing.T) {
	b := newBench(t, nil)
	for range senderQueue + 5 { // nobody takes them
		b.server.remember(b.auth.nases.byName["gateway"])
	}
	if b.auth.nases.byName["gateway"].recorded.Load() {
		t.Error("what found no room in the queue counts as recorded")
	}
}

func TestATableInheritsByName(t *testing.T) {
	other := func(n *NASConfig) { n.Name, n.Prefixes = "other", prefixes("198.51.100.1/32") }
	b := newBench(t, nil)
	b.server.SetNASes(table(t, []string{"gateway", "other"}, testNAS(nil), testNAS(other)))
	b.wantMetric(1, "nas_message_authenticator", "gateway") // the caller knows it now
	b.wantMetric(1, "nas_message_authenticator", "other")
	b.server.SetNASes(table(t, nil, testNAS(nil)))
	b.wantMetric(1, "nas_message_authenticator", "gateway")
	b.server.SetNASes(table(t, nil, testNAS(nil), testNAS(other)))
	b.wantMetric(0, "nas_message_authenticator", "other") // it was gone, and its past with it
}
