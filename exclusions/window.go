package exclusions

import (
	"fmt"
	"strings"
	"time"
)

// window is a time that comes again every week. See the package comment for its
// notation.
type window struct {
	days     uint8 // a bit for each time.Weekday on which it begins
	from, to int   // minutes of the day; when to is not later it is of the next day
	zone     *time.Location
}

const (
	weekDays      = 7
	everyDay      = 1<<weekDays - 1
	wholeDay      = 24 * 60
	windowExample = `write a window as "Mon-Fri 08:00-18:00 Europe/Berlin"; days and time zone may be left out`
)

// holds reports whether the window is open at an instant.
func (w *window) holds(at time.Time) bool {
	local := at.In(w.zone)
	hour, minute, _ := local.Clock()
	now, today := 60*hour+minute, local.Weekday()
	if w.from < w.to {
		return w.beginsOn(today) && w.from <= now && now < w.to
	}
	yesterday := (today + weekDays - 1) % weekDays
	return w.beginsOn(today) && w.from <= now || w.beginsOn(yesterday) && now < w.to
}

func (w *window) beginsOn(day time.Weekday) bool { return w.days>>day&1 != 0 }

// zoneFinder finds a time zone by its name.
type zoneFinder func(name string) (*time.Location, error)

// readWindow reads a time window, which is not blank. One that names no time zone
// is of this one.
func readWindow(text string, zone *time.Location, find zoneFinder) (window, *complaint) {
	w := window{days: everyDay, to: wholeDay, zone: zone}
	parts := strings.Fields(text)
	if !isHours(parts[0]) {
		var wrong *complaint
		if w.days, wrong = readDays(parts[0]); wrong != nil {
			return w, wrong
		}
		parts = parts[1:]
	}
	if len(parts) > 0 && isHours(parts[0]) {
		if wrong := w.readHours(parts[0]); wrong != nil {
			return w, wrong
		}
		parts = parts[1:]
	}
	return w, w.readZone(text, parts, find)
}

// isHours tells hours from days and time zones.
func isHours(part string) bool { return strings.Contains(part, ":") }

// readDays reads days such as Mon-Fri, Mon,Wed-Thu or daily.
func readDays(text string) (days uint8, wrong *complaint) {
	if strings.EqualFold(text, "daily") {
		return everyDay, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, isSpan := strings.Cut(part, "-")
		first, ok := readDay(from)
		last := first
		if ok && isSpan {
			last, ok = readDay(to)
		}
		if !ok {
			return 0, &complaint{fmt.Sprintf("%.64q is neither a day nor hours", part),
				`write days as "Mon", "Mon-Fri", "Mon,Wed,Fri" or "daily", without spaces, and hours as "08:00-18:00"`}
		}
		for day := first; ; day = (day + 1) % weekDays {
			days |= 1 << day
			if day == last {
				break
			}
		}
	}
	return days, nil
}

// readDay reads a day by its English name or the first three letters of it.
func readDay(text string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := day.String(); strings.EqualFold(text, name) || strings.EqualFold(text, name[:3]) {
			return day, true
		}
	}
	return 0, false
}

// readHours reads hours such as 08:00-18:00.
func (w *window) readHours(text string) *complaint {
	from, to, _ := strings.Cut(text, "-")
	var okFrom, okTo bool
	w.from, okFrom = readTimeOfDay(from)
	w.to, okTo = readTimeOfDay(to)
	switch {
	case !okFrom || !okTo || w.from == wholeDay:
		return &complaint{fmt.Sprintf("%.64q are no hours", text), `write them as "08:00-18:00", from 00:00 to 24:00`}
	case w.from == w.to:
		return &complaint{fmt.Sprintf("%q has no length", text), `write "00:00-24:00" for the whole day`}
	}
	return nil
}

// readTimeOfDay reads hours and minutes from 00:00 to 24:00 as minutes.
func readTimeOfDay(text string) (minutes int, ok bool) {
	const form = "00:00"
	if len(text) != len(form) || text[2] != ':' {
		return 0, false
	}
	for _, i := range [...]int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	number := func(i int) int { return 10*int(text[i]-'0') + int(text[i+1]-'0') }
	hour, minute := number(0), number(3)
	minutes = 60*hour + minute
	return minutes, minute < 60 && minutes <= wholeDay
}

// readZone reads what stands behind the hours: a time zone, or nothing.
func (w *window) readZone(text string, parts []string, find zoneFinder) *complaint {
	switch len(parts) {
	case 0:
		return nil
	case 1:
	default:
		return &complaint{fmt.Sprintf("%.64q has more than days, hours and a time zone", text), windowExample}
	}
	zone, err := find(parts[0])
	if err != nil || zone == time.Local {
		return &complaint{fmt.Sprintf("there is no time zone %.64q", parts[0]), `name one as "Europe/Berlin" or "UTC"`}
	}
	w.zone = zone
	return nil
}
