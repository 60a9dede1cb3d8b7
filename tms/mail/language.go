package mail

import (
	"fmt"
	"time"
)

// languages are those that mails are built in for.
var languages = map[string]func(time.Time) string{"en": englishDate, "de": germanDate}

// englishDate is as Friday, 3 April 2026 at 14:30 CEST. It is empty for no time.
func englishDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("Monday, 2 January 2006 at 15:04 MST")
}

var (
	germanDays   = [...]string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"}
	germanMonths = [...]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"}
	germanZones  = map[string]string{"CET": "MEZ", "CEST": "MESZ"}
)

// germanDate is as Freitag, 3. April 2026, 14:30 Uhr (MESZ). It is empty for no time.
func germanDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	zone, _ := t.Zone()
	if german := germanZones[zone]; german != "" {
		zone = german
	}
	return fmt.Sprintf("%s, %d. %s %d, %s Uhr (%s)", germanDays[t.Weekday()], t.Day(), germanMonths[t.Month()-1], t.Year(), t.Format("15:04"), zone)
}
