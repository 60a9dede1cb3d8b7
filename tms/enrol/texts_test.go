package enrol

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"countersign/tms"
)

// Every text there is exists in every language, and fits with the longest figures.
func TestTexts(t *testing.T) {
	long := &tms.Invitation{Mailed: true, Mail: "someone@" + strings.Repeat("sub.", 60) + "example.com", Created: time.Date(2026, time.September, 30, 0, 0, 0, 0, time.UTC)}
	given := &tms.Invitation{Mail: long.Mail, Created: long.Created}
	for language, say := range languages {
		v := reflect.ValueOf(*say)
		for i := range v.NumField() {
			text := v.Field(i).String()
			if v.Field(i).IsZero() || len(text) > maxMessage || !utf8.ValidString(text) {
				t.Errorf("%s: %s is %q", language, v.Type().Field(i).Name, text)
			}
			english := reflect.ValueOf(*languages["en"]).Field(i)
			if v.Field(i).Kind() == reflect.String && strings.Count(text, "%") != strings.Count(english.String(), "%") {
				t.Errorf("%s: %s has other figures than in English", language, v.Type().Field(i).Name)
			}
		}
		if len(say.digits) != len(languages["en"].digits) {
			t.Errorf("%s: %d numbers", language, len(say.digits))
		}
		keys := fmt.Sprintf(say.keys, "YZQHoczZWw3cBCNo", "4F214C507612A26A")
		for _, sentences := range [][]string{
			{say.news(long, time.UTC) + fmt.Sprintf(say.thenEnter, say.passcode), keys},
			{say.news(given, time.UTC) + fmt.Sprintf(say.thenEnter, say.passcode), keys},
			{say.news(long, time.UTC) + fmt.Sprintf(say.thenLogIn, say.passcode)},
			{say.clockWrong, fmt.Sprintf(say.enter, say.passcode), keys},
			{say.domains([]string{"a." + strings.Repeat("x", 100), "b." + strings.Repeat("x", 100), "c.example", "d.example"}), ""},
		} {
			if whole := strings.TrimSpace(strings.Join(sentences, " ")); join(sentences...) != whole {
				t.Errorf("%s: %d bytes: %q", language, len(whole), whole)
			}
		}
	}
	if textsOf("fr") != &english || textsOf("de") != &german {
		t.Error("the languages are mixed up")
	}
	if english.digitsInWords(4) != "four" || german.digitsInWords(12) != "zwölf" || english.digitsInWords(13) != "13" {
		t.Error("the numbers are mixed up")
	}
}

func TestJoin(t *testing.T) {
	long := strings.Repeat("x", 240)
	if got := join("", long, "", "0123456789abcdef", "0123456789"); got != long+" 0123456789" {
		t.Errorf("%q", got)
	}
}
