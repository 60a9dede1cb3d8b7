package radiusd

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

func TestTheLogLine(t *testing.T) {
	b := newBench(t, nil)
	b.store.hold = true
	b.want(pap(1, "Al\nice", passcodeAt(2)), silence)
	b.want(pap(2, "Bob", passcodeAt(2)), silence)
	b.wait(1500 * time.Microsecond)
	b.store.release()
	b.collect()
	b.wantLog(1, `msg=login user=bob verdict=accepted nas=gateway station=198.51.100.7 method=pap serial=ET1 offset=2 event=2-3 took_us=1500`)
	b.wantLog(1, `msg=login user="Al\nice" verdict=bad_user_name`)

	for i := range uint64(10) {
		b.want(pap(10+i, "carol", fmt.Sprintf("%s00000%d", testPIN, i)), reject)
	}
	b.want(pap(20, "carol", testPIN+"000009"), reject)
	b.wantLog(1, "locked_now=true")
	b.wantLog(1, "repeated=true")
}

// TestNothingSecretIsPrinted plants a passcode and a shared secret and looks for
// them in everything that could print them.
func TestNothingSecretIsPrinted(t *testing.T) {
	b := newBench(t, nil)
	passcode := passcodeAt(1)
	b.store.hold = true
	b.want(pap(1, "alice", passcode), silence)
	attempt := b.store.held[0]
	r := attempt.Waiter.(*request)
	copy(r.proof.found[:], passcode)
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{r, r.nas, &r.proof, attempt, *attempt, r.nas.NASConfig, b.server.options.NASes} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
	}
	b.server.logger.Info("planted", "nas", r.nas, "config", r.nas.NASConfig, "attempt", attempt)
	b.store.release()
	b.collect()
	printed.Write(b.log.Bytes())
	for _, word := range []string{passcode, testSecret, testPIN + codeAt(1)} {
		decimal := strings.Trim(fmt.Sprint([]byte(word)), "[]")
		for _, form := range []string{word, hex.EncodeToString([]byte(word)), decimal} {
			if strings.Contains(printed.String(), form) {
				t.Errorf("%q is printed", form)
			}
		}
	}
}

// TestTheLogLineTellsTheClient that the station does not show.
func TestTheLogLineTellsTheClient(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, office) })
	o := pap(1, "alice", "x").station("")
	for _, a := range []attr{cisco("ip:source-ip=198.51.100.9"), cisco("mdm-tlv=device-mac=00-10-a4-23-19-c0")} {
		o = o.adding(a.kind, a.value)
	}
	b.wantVerdict(o, otp.Excluded)
	b.wantLog(1, `station="" method=pap serial="" offset=0 event=1-3 took_us=0 rule=office client_ip=198.51.100.9 client_mac=00-10-A4-23-19-C0`)
	b.wantVerdict(pap(2, "alice", "x"), otp.Excluded)
	b.wantLog(1, "client_ip")
	b.wantVerdict(pap(3, "alice", "x").station("0010.a423.19c0"), otp.WrongPIN)
	b.wantLog(1, "client_mac")
}
