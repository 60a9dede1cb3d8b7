package exclusions

import (
	"encoding/json"
	"strings"
	"testing"
)

// checkWords checks that each number reads back from its word, and that the
// error for others names all words.
func checkWords[N interface {
	~uint8
	String() string
}](t *testing.T, parse func(string) (N, error), words []string) {
	t.Helper()
	for n, word := range words {
		if got := N(n).String(); got != word {
			t.Errorf("%d is %q, want %q", n, got, word)
		}
		if word == "" {
			continue
		}
		if got, err := parse(strings.ToUpper(word)); err != nil || got != N(n) {
			t.Errorf("%q reads as %v, %v", word, got, err)
		}
	}
	for _, wrong := range []string{"", "nonsense", words[len(words)-1] + " "} {
		_, err := parse(wrong)
		if err == nil {
			t.Errorf("%q was read", wrong)
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not name %s", err, word)
			}
		}
	}
	if got := N(len(words)).String(); !strings.HasSuffix(got, ")") {
		t.Errorf("a number without a word is %q", got)
	}
}

func TestWords(t *testing.T) {
	checkWords(t, ParseKind, kinds[:])
	checkWords(t, ParseMode, modes[:])
	checkWords(t, ParsePass, passes[:])
	checkWords(t, ParseOrigin, origins[:])
	for n, word := range sources {
		if got := Source(n).String(); got != word {
			t.Errorf("source %d is %q, want %q", n, got, word)
		}
	}
	for n, word := range standings {
		if got := Standing(n).String(); got != word {
			t.Errorf("standing %d is %q, want %q", n, got, word)
		}
	}
	if got := Source(9).String() + Standing(9).String(); got != "source(9)standing(9)" {
		t.Error(got)
	}
	_, err := ParsePass("yes")
	if want := `what an excluded login gets "yes": must be accept or directory-password`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRuleAsJSON(t *testing.T) {
	rule := Rule{Name: "printers", Criteria: []Criterion{
		{Kind: ClientMACs, Values: []string{"00-10-A4-*"}},
		{Kind: Groups, Not: true, Values: []string{"staff"}},
	}}
	const want = `{"name":"printers","criteria":[{"kind":"client_macs","values":["00-10-A4-*"]},{"kind":"groups","not":true,"values":["staff"]}]}`
	b, err := json.Marshal(rule)
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	var back Rule
	if err := json.Unmarshal(b, &back); err != nil || back.Criteria[1].Kind != Groups || !back.Criteria[1].Not {
		t.Errorf("%+v, %v", back, err)
	}
	if b, err := json.Marshal(Criterion{Kind: kindCount}); err == nil {
		t.Errorf("there is no such kind, but %s", b)
	}
	if err := json.Unmarshal([]byte(`{"kind":"mac"}`), &Criterion{}); err == nil {
		t.Error("a kind mac was read")
	}
}
