package exclusions

import (
	"strings"
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	const layout = "Mon 2006-01-02 15:04:05 -0700" // the day of the week is for the reader
	for _, c := range []struct {
		window  string
		in, out string // instants with "; " between them
	}{
		{"Mon-Fri 08:00-18:00", "Mon 2026-01-05 08:00:00 +0000; Fri 2026-01-09 17:59:59 +0000",
			"Mon 2026-01-05 07:59:59 +0000; Mon 2026-01-05 18:00:00 +0000; Sat 2026-01-10 09:00:00 +0000"},
		{"mon-FRI 08:00-18:00 Europe/Berlin", "Mon 2026-01-05 07:00:00 +0000; Mon 2026-01-05 08:00:00 +0100; Mon 2026-07-06 06:00:00 +0000",
			"Mon 2026-01-05 06:59:59 +0000; Mon 2026-01-05 17:00:00 +0000; Mon 2026-07-06 16:00:00 +0000"},
		{"08:00-18:00", "Sun 2026-01-04 08:00:00 +0000; Wed 2026-01-07 12:00:00 +0000", "Sun 2026-01-04 19:00:00 +0000"},
		{"daily 08:00-18:00 UTC", "Sun 2026-01-04 08:00:00 +0000; Wed 2026-01-07 12:00:00 +0000", "Sun 2026-01-04 19:00:00 +0000"},
		{"Mon,Wed,Friday 00:00-24:00", "Mon 2026-01-05 00:00:00 +0000; Wed 2026-01-07 23:59:59 +0000; Fri 2026-01-09 12:00:00 +0000",
			"Tue 2026-01-06 00:00:00 +0000; Thu 2026-01-08 12:00:00 +0000; Sun 2026-01-04 23:59:59 +0000"},
		{"Sat-Sun", "Sat 2026-01-10 00:00:00 +0000; Sun 2026-01-11 23:59:59 +0000", "Fri 2026-01-09 23:59:59 +0000; Mon 2026-01-12 00:00:00 +0000"},
		{"Sat-Sun Pacific/Kiritimati", "Fri 2026-01-09 10:00:00 +0000", "Fri 2026-01-09 09:59:59 +0000; Sun 2026-01-11 10:00:00 +0000"},
		{"Fri-Mon 09:00-10:00", "Fri 2026-01-09 09:00:00 +0000; Sun 2026-01-11 09:00:00 +0000; Mon 2026-01-12 09:59:00 +0000",
			"Tue 2026-01-06 09:00:00 +0000; Thu 2026-01-08 09:00:00 +0000"},
		{"Tue,Sat-Sun 09:00-10:00", "Tue 2026-01-06 09:00:00 +0000; Sun 2026-01-11 09:00:00 +0000", "Mon 2026-01-05 09:00:00 +0000"},
		{"Wed-Wed 09:00-10:00", "Wed 2026-01-07 09:00:00 +0000", "Tue 2026-01-06 09:00:00 +0000; Thu 2026-01-08 09:00:00 +0000"},
		// Over midnight, of the day it begins on.
		{"Fri 22:00-06:00", "Fri 2026-01-09 22:00:00 +0000; Sat 2026-01-10 05:59:59 +0000",
			"Fri 2026-01-09 05:00:00 +0000; Fri 2026-01-09 21:59:59 +0000; Sat 2026-01-10 06:00:00 +0000; Sat 2026-01-10 22:00:00 +0000"},
		{"Sat 22:00-06:00", "Sun 2026-01-11 00:00:00 +0000", "Sat 2026-01-10 00:00:00 +0000; Mon 2026-01-12 00:00:00 +0000"},
		{"22:00-06:00", "Sat 2026-01-10 05:59:59 +0000; Sun 2026-01-11 23:00:00 +0000", "Sun 2026-01-11 12:00:00 +0000"},
		{"Fri 22:00-00:00", "Fri 2026-01-09 23:59:59 +0000", "Sat 2026-01-10 00:00:00 +0000; Fri 2026-01-09 00:00:00 +0000"},
		{"Fri 22:00-24:00", "Fri 2026-01-09 23:59:59 +0000", "Sat 2026-01-10 00:00:00 +0000; Fri 2026-01-09 00:00:00 +0000"},
		// Summer time in Berlin begins on 2026-03-29, when 02:00 becomes 03:00, and
		// ends on 2026-10-25, when 03:00 becomes 02:00.
		{"Sun 02:30-03:30 Europe/Berlin", "Sun 2026-03-29 01:00:00 +0000; Sun 2026-03-29 01:29:59 +0000",
			"Sun 2026-03-29 00:59:59 +0000; Sun 2026-03-29 01:30:00 +0000"},
		{"Sun 02:00-03:00 Europe/Berlin", "Sun 2026-10-25 00:00:00 +0000; Sun 2026-10-25 01:59:59 +0000; Sun 2026-10-25 00:30:00 +0000",
			"Sat 2026-10-24 23:59:59 +0000; Sun 2026-10-25 02:00:00 +0000; Sun 2026-03-29 00:59:59 +0000; Sun 2026-03-29 01:00:00 +0000"},
		{"Sat 22:00-04:00 Europe/Berlin", "Sun 2026-03-29 01:59:59 +0000; Sun 2026-10-25 02:59:59 +0000",
			"Sun 2026-03-29 02:00:00 +0000; Sun 2026-10-25 03:00:00 +0000"},
	} {
		l := list(t, []Criterion{with(Times, c.window)})
		check := func(instants string, want bool) {
			for text := range strings.SplitSeq(instants, "; ") {
				at, err := time.Parse(layout, text)
				if err != nil {
					t.Fatal(err)
				}
				if rule, _ := l.Decide(&Login{At: at}); (rule == 0) != want {
					t.Errorf("%s in %q: %t", text, c.window, !want)
				}
			}
		}
		check(c.in, true)
		check(c.out, false)
	}
}

func TestWindowsOfTheUsualTimeZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rules := named([]Criterion{with(Times, "08:00-09:00")}, []Criterion{with(Times, "08:00-09:00 UTC")})
	l := listWith(t, Options{Location: berlin}, rules...)
	for hour, want := range map[int]int{7: 0, 8: 1} {
		if rule, _ := l.Decide(&Login{At: time.Date(2026, 1, 5, hour, 0, 0, 0, time.UTC)}); rule != want {
			t.Errorf("at %d UTC rule %d, want %d", hour, rule, want)
		}
	}
}

func TestWindowsThatAreRefused(t *testing.T) {
	for value, want := range map[string]string{
		"Mo 08:00-18:00":                       `"Mo" is neither a day nor hours`,
		"Mon-Fry 08:00-18:00":                  `"Mon-Fry" is neither a day`,
		"Mon, Tue 08:00-18:00":                 `"" is neither a day`,
		"Mon-Tue-Wed 08:00-18:00":              `"Mon-Tue-Wed" is neither a day`,
		"Europe/Berlin":                        `"Europe/Berlin" is neither a day`,
		"8:00-18:00":                           `"8:00-18:00" are no hours`,
		"08:00":                                `"08:00" are no hours`,
		"08:00-":                               `are no hours`,
		"08:00-18:60":                          `are no hours`,
		"08:00-24:01":                          `are no hours`,
		"24:00-08:00":                          `are no hours`,
		"0a:00-08:00":                          `are no hours`,
		"08:00-18h00":                          `are no hours`,
		"08:00–18:00":                          `are no hours`,
		"-1:00-08:00":                          `are no hours`,
		"08:00-08:00":                          `has no length`,
		"Mon 08:00-18:00 Europe/Entenhausen":   `there is no time zone "Europe/Entenhausen"`,
		"Mon 08:00-18:00 Local":                `there is no time zone "Local"`,
		"Mon 08:00-18:00 ../../etc/passwd":     `there is no time zone`,
		"Mon 08:00-18:00 Europe / Berlin":      `more than days, hours and a time zone`,
		"Mon 08:00-12:00 13:00-18:00":          `there is no time zone "13:00-18:00"`,
		"daily 08:00-18:00 Europe/Berlin, UTC": `more than days`,
		"\t":                                   `is empty`,
	} {
		_, faults := Compile(named([]Criterion{with(Times, value)}), Options{})
		if len(faults) != 1 || !strings.Contains(faults[0].Problem, want) || faults[0].Remedy == "" {
			t.Errorf("%q: faults %v, want %s", value, faults, want)
		}
	}
}
