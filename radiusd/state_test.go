package radiusd

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// glass is a Sealer that seals nothing. It is as long as a real one.
type glass struct{}

var sealing = make([]byte, 28)

func (glass) Seal(dst, value, _ []byte) ([]byte, error) {
	return append(append(dst, sealing...), value...), nil
}

func (glass) Open(dst, sealed, _ []byte) ([]byte, error) {
	if !bytes.HasPrefix(sealed, sealing) {
		return nil, errDisk
	}
	return append(dst, sealed[len(sealing):]...), nil
}

// stateOf seals a dialog for eve at the gateway, and openState opens a State.
func stateOf(tb testing.TB, s Sealer, d *dialog) string {
	r := requestOf(tb, s)
	if err := r.seal(d); err != nil {
		tb.Fatal(err)
	}
	return string(r.state)
}

func requestOf(tb testing.TB, s Sealer) *request {
	b := newBench(tb, func(o *Options) { o.States = s })
	r := b.auth.pool.make()
	r.nas, r.packet.UserName = &nas{NASConfig: testNAS(nil)}, []byte("eve")
	return r
}

// fullDialog tells everything there is to tell, as long as it can be.
func fullDialog() *dialog {
	d := &dialog{
		kind: enrolmentDialog, depth: 255, begun: epoch.Unix(), expires: epoch.Add(4 * time.Hour).Unix(),
		station: bytes.Repeat([]byte("s"), packet.MaxValue), kept: bytes.Repeat([]byte("e"), maxKept),
	}
	v6 := netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	d.facts.NASAddress, d.facts.NASIPAddress, d.facts.ClientIP = v6, v6.Next(), v6.Prev()
	d.facts.NASIdentifier = bytes.Repeat([]byte("n"), packet.MaxValue)
	for i := range exclusions.MAC(maxMACs) {
		d.facts.ClientMACs = append(d.facts.ClientMACs, 0xffffffffff00+i)
	}
	d.facts.ClientIPFrom, d.facts.MACFrom = exclusions.FramedIPAddress, exclusions.LANCOMMAC
	return d
}

// TestStatesFit, whatever there is to tell, and leave out no more than they must.
func TestStatesFit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*dialog)
		left   byte
	}{
		"everything":        {func(*dialog) {}, withoutNAS | withoutStation},
		"a short station":   {func(d *dialog) { d.station = []byte("198.51.100.7") }, withoutNAS},
		"a short NAS":       {func(d *dialog) { d.facts.NASIdentifier, d.facts.NASIPAddress = []byte("vpn"), netip.Addr{} }, withoutNAS | withoutStation},
		"few MACs":          {func(d *dialog) { d.facts.NASIdentifier, d.facts.ClientMACs = nil, d.facts.ClientMACs[:1] }, withoutStation},
		"no enrolment":      {func(d *dialog) { d.kept, d.station, d.facts.NASIdentifier = nil, []byte("a"), []byte("b") }, 0},
		"an ordinary login": {ordinary, 0},
	} {
		d := fullDialog()
		c.change(d)
		for _, s := range []Sealer{box(t, zeros{}), glass{}} {
			state := stateOf(t, s, d)
			if len(state) > packet.MaxValue || strings.ContainsFunc(state, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%s: State %q of %d characters", name, state, len(state))
			}
			r := requestOf(t, s)
			r.packet.State = []byte(state)
			got, want := r.open(), *d
			if got == nil || got.left != c.left {
				t.Fatalf("%s: %+v, want %x left out", name, got, c.left)
			}
			if want.left, want.opened = c.left, got.opened; c.left&withoutStation != 0 {
				want.station = nil
			}
			if c.left&withoutNAS != 0 {
				want.facts.NASAddress, want.facts.NASIPAddress, want.facts.NASIdentifier = netip.Addr{}, netip.Addr{}, nil
			}
			if len(got.station) == 0 {
				got.station = nil
			}
			if len(got.kept) == 0 {
				got.kept = nil
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s:\n%+v, want\n%+v", name, *got, want)
			}
		}
	}
}

func ordinary(d *dialog) {
	*d = dialog{kind: nextCodeDialog, begun: epoch.Unix(), expires: epoch.Unix() + 120, station: []byte("198.51.100.7")}
	d.facts.NASAddress, d.facts.ClientIP = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("198.51.100.7")
	d.facts.ClientIPFrom = exclusions.CallingStationID
}

// TestWhatWasLeftOut of a State is read off the packet at hand.
func TestWhatWasLeftOut(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, c *NASConfig) {
		c.TrustNASIPAddress = true
		o.Rules = rulesOf(t, rule("other", criterion(exclusions.ClientIPs, "10.0.0.0/8")))
	})
	long := strings.Repeat("n", packet.MaxValue)
	state := b.challenged(pap(1, "alice", passcodeAt(50)).adding(packet.NASIdentifier, long).adding(packet.NASIPAddress, "\x0a\x00\x00\x01"))
	b.wantVerdict(pap(2, "alice", passcodeAt(51)).station("").state(state).adding(packet.NASIdentifier, "vpn-2"), otp.Accepted)
	b.wantLog(2, "station=198.51.100.7")
	trace, err := exclusions.ParseTrace(b.store.traces[1])
	if err != nil || trace.ClientIP.String() != "198.51.100.7" || string(trace.NASIdentifier) != "vpn-2" || trace.NASIPAddress.IsValid() || trace.NASAddress.String() != "192.0.2.10" {
		t.Errorf("trace %+v, %v", trace, err)
	}

	state = b.challenged(pap(3, "bob", passcodeAt(50)).station(strings.Repeat("s", 200)))
	b.wantVerdict(pap(4, "bob", passcodeAt(51)).station("s").state(state), otp.Accepted)
	b.wantLog(1, "station=s ")
}

// TestAPlainLoginKeepsItsFacts: where nothing but the code counts they do not matter
// before the rules have changed.
func TestAPlainLoginKeepsItsFacts(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	b.server.SetRules(rulesOf(t, office))
	b.wantVerdict(pap(2, "alice", "x").station("203.0.113.1").state(state), otp.Excluded)
}

// TestJunkStates are as good as none.
func TestJunkStates(t *testing.T) {
	b := newTalkingBench(t, nil)
	good := b.challenged(pap(1, "alice", passcodeAt(50)))
	for i, state := range []string{
		"", "A", "AAAA", "====", "\x00", "a b", strings.Repeat("A", 38), strings.Repeat("A", 253), strings.Repeat("\xff", 253),
		good[:len(good)-1], good + "A", good[1:], strings.ToLower(good), good[:20] + "x" + good[21:], "\x00" + good,
	} {
		b.wantVerdict(pap(uint64(2+i), "alice", "x").station("").state(state), otp.WrongPIN)
		b.wantLog(i+1, `station=""`)
	}
}

// TestParsingDialogs: what append has not written is none.
func TestParsingDialogs(t *testing.T) {
	d := fullDialog()
	whole := d.append(nil, 0)
	if parseDialog(whole) == nil {
		t.Fatal("a whole dialog was not read")
	}
	for n := range whole {
		if parseDialog(whole[:n]) != nil {
			t.Fatalf("%d octets of %d were read", n, len(whole))
		}
	}
	for name, damaged := range map[string][]byte{
		"a longer one":     append(bytes.Clone(whole), 0),
		"no kind":          append([]byte{0}, whole[1:]...),
		"another kind":     append([]byte{4}, whole[1:]...),
		"unknown flags":    append([]byte{0x40 | 1}, whole[1:]...),
		"a late beginning": {1, 0, 5, 6, 0, 0, 1, 0},
		"a far end":        {1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 1, 0},
		"a long station":   append([]byte{1, 0, 5, 5, 254, 1}, make([]byte, 300)...),
		"a long enrolment": append([]byte{1, 0, 5, 5, 0, 65}, make([]byte, 300)...),
	} {
		if parseDialog(damaged) != nil {
			t.Errorf("%s was read", name)
		}
	}
	if parseDialog([]byte{1, 0, 5, 5, 0, 0, 1, 0}) == nil {
		t.Error("the shortest dialog was not read")
	}
}

// FuzzState opens States under a Sealer that lets everything through, and under a real
// one, which must let nothing through. What is read is written and read again the same.
func FuzzState(f *testing.F) {
	through, real := requestOf(f, glass{}), requestOf(f, box(f, zeros{}))
	f.Fuzz(func(t *testing.T, state []byte) {
		if len(state) > packet.MaxValue {
			return
		}
		if real.packet.State = state; real.open() != nil {
			t.Fatalf("State %q opened", state)
		}
		through.packet.State = state
		one, cut := through.open(), isCut(state)
		switch {
		case one != nil && cut:
			t.Fatalf("State %q opened, though it is cut", state)
		case one == nil:
			return
		}
		two := parseDialog(one.append(nil, 0))
		if two == nil {
			t.Fatalf("%+v is not read again", one)
		}
		if one.opened, two.opened = nil, nil; fmt.Sprintf("%+v", one) != fmt.Sprintf("%+v", two) {
			t.Fatalf("%+v, then %+v", one, two)
		}
		if err := through.seal(one); err == nil && len(through.state) > packet.MaxValue {
			t.Fatalf("State of %d characters", len(through.state))
		}
	})
}

// TestStateCorpus keeps the committed seeds of FuzzState.
func TestStateCorpus(t *testing.T) {
	plain := &dialog{}
	ordinary(plain)
	asking := fullDialog()
	asking.station, asking.facts = []byte("0010.a423.19c0"), exclusions.Trace{MACFrom: exclusions.CallingStationID}
	asking.facts.ClientMACs = []exclusions.MAC{0x0010a42319c0}
	inquiring := &dialog{}
	ordinary(inquiring)
	inquiring.kind, inquiring.depth, inquiring.kept = tmsDialog, 2, bytes.Repeat([]byte("d"), maxKept)
	short := stateEncoding.EncodeToString(slices.Concat([]byte{byte(len(sealing) + 8)}, sealing, []byte{1, 0, 5, 5, 0, 0, 1, 0}))
	for name, state := range map[string]string{
		"next-code": stateOf(t, glass{}, plain), "enrolment": stateOf(t, glass{}, asking), "full": stateOf(t, glass{}, fullDialog()),
		"tms":      stateOf(t, glass{}, inquiring),
		"shortest": short, "empty": "", "not-base64": "a b\x00", "cut": stateOf(t, glass{}, plain)[:60], "bare": strings.Repeat("A", 38),
	} {
		file := filepath.Join("testdata", "fuzz", "FuzzState", name)
		text := "go test fuzz v1\n[]byte(" + strconv.Quote(state) + ")\n"
		if *writeCorpus {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s is not what -write-corpus writes (%v)", file, err)
		}
	}
}
