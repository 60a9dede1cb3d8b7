package oath

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const knownCode = "QVKYC-FM6KO-SY6F7-TR22W"

func TestParseActivationCode(t *testing.T) {
	for _, text := range []string{
		knownCode,
		"qvkycfm6kosy6f7tr22w",
		"QVKYC FM6KO SY6F7 TR22W",
		" qvkyc_fm6k0.sy6f7/tr22w\r\n",
		"QVKYC\u2013FM6KO\u2014SY6F7\u00a0TR22W",
	} {
		c, err := ParseActivationCode(text)
		if err != nil || c.Text() != knownCode {
			t.Errorf("%q is read as %q, %v", text, c.Text(), err)
		}
	}
	if c, err := ParseActivationCode("xuu75-rr0tt-y51p6-u3bmv"); err != nil || c.Text() != "XUU75-RROTT-Y5IP6-U3BMV" {
		t.Errorf("0 for O and 1 for I is read as %q, %v", c.Text(), err)
	}
}

func TestParseActivationCodeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "activation code has 0 characters, but must have 20, as 4 groups of 5",
		"QVKYC-FM6KO-SY6F7-TR22":        "has 19 characters",
		knownCode + "A":                 "has 21 characters",
		knownCode + knownCode:           "has 40 characters",
		"QVKYC-FM6KO-SY6F7-TR22A":       "checksum of group 4 is wrong",
		"QVKYC-FM6OK-SY6F7-TR22W":       "checksum of group 2 is wrong",
		"VQKYC-FM6KO-SYF67-TR22W":       "checksum of group 1 and of group 3 is wrong",
		"QVKYC-FM6KO-SY8F7-TR22W":       "character 15 is none of A-Z and 2-7",
		"QVKYC-FM6KO-SY6F7-TR22Ü":       "character 23 is none of",
		"QVKYC-FM6KO-SY6F7-TR22\u2126":  "character 23 is none of",
		"QVKYC-FM6KO-SY6F7-TR22W\x00":   "character 24 is none of",
		"\xffQVKYC-FM6KO-SY6F7-TR22W":   "character 1 is none of",
		"QVKYC-FM6KO-SY6F7-TR22W=QVKYC": "character 24 is none of",
	} {
		c, err := ParseActivationCode(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
			continue
		}
		if c != (ActivationCode{}) {
			t.Errorf("%q: a code came with the error", text)
		}
		for group := range strings.SplitSeq(text, "-") {
			if group != "" && strings.Contains(err.Error(), group) {
				t.Errorf("error repeats %q: %v", group, err)
			}
		}
	}
}

// TestChecksumFindsSwaps swaps each character with its neighbour in the group:
// the slip that a sum without weights would not find. (It does not find R2 for
// 2R and the like, which are 32 apart.)
func TestChecksumFindsSwaps(t *testing.T) {
	const known = "XUU75-RROTT-Y5IP6-U3BMV"
	for i := range len(known) - 1 {
		text := []byte(known)
		text[i], text[i+1] = text[i+1], text[i]
		if string(text) == known || text[i] == '-' || text[i+1] == '-' {
			continue
		}
		if _, err := ParseActivationCode(string(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestNewActivationCode(t *testing.T) {
	c, err := NewActivationCode(strings.NewReader("0123456789rest"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseActivationCode(c.Text())
	if err != nil || string(back.entropy.Bytes()) != "0123456789" {
		t.Errorf("new code does not read back: %v", err)
	}
	if _, err := NewActivationCode(strings.NewReader("012345678")); err == nil {
		t.Error("a code was made from 9 random bytes")
	}
	if _, err := NewActivationCode(iotest.ErrReader(io.ErrClosedPipe)); err == nil ||
		err.Error() != "reading randomness for an activation code: io: read/write on closed pipe" {
		t.Errorf("error %v", err)
	}
}

func TestActivationCodeZero(t *testing.T) {
	var c ActivationCode
	if c.Text() != "" || !c.Seed("").IsZero() {
		t.Error("the zero activation code has a text or a seed")
	}
}

func TestActivationCodeSeedLeavesEntropy(t *testing.T) {
	c, _ := ParseActivationCode(knownCode)
	first := c.Seed("a policy")
	if c.Text() != knownCode || !c.Seed("a policy").Equal(first) || c.Seed("another").Equal(first) || first.Len() != 32 {
		t.Error("deriving a seed is not a function of code and policy")
	}
}

func FuzzParseActivationCode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseActivationCode(text)
		if err != nil {
			if len(err.Error()) > 200 || c != (ActivationCode{}) {
				t.Errorf("code with error %v", err)
			}
			return
		}
		again, err := ParseActivationCode(c.Text())
		if err != nil || again.Text() != c.Text() || !again.Seed(text).Equal(c.Seed(text)) {
			t.Errorf("does not read back: %v", err)
		}
	})
}
