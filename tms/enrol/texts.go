package enrol

import (
	"fmt"
	"strings"
	"time"

	"countersign/tms"
)

// maxMessage is the longest text that a gateway is sent in one attribute, in bytes
// (RFC 2865 section 5).
const maxMessage = 253

// texts are the words of a language. The verbs of fmt in them are told behind.
type texts struct {
	choosePIN  string // digits in words
	repeatPIN  string
	unlike     string
	weakPIN    string
	badPIN     string // least and most characters
	giveMail   string
	badMail    string
	badDomain  string // domains
	mailed     string // address, date
	invited    string // date, of who was given the link another way
	thenEnter  string // behind mailed or invited: what is to be entered
	thenLogIn  string // as thenEnter
	enter      string // what is to be entered
	passcode   string
	code       string
	keys       string // Activation Key, serial
	orNew      string
	orMail     string // as orNew, of who got no mail
	clockWrong string
	notShown   string
	date       string // as time.Format has it
	digits     []string

	notEntitled, noAddress, tooManyMails, tooManyWrong, tooManyCodes, over, impossible string
}

var english = texts{
	choosePIN:  "Choose any %s digits as OTP PIN.",
	repeatPIN:  "Enter the OTP PIN once more.",
	unlike:     "The two were not alike.",
	weakPIN:    "That is too easily guessed.",
	badPIN:     "The OTP PIN needs %d to %d characters, without spaces.",
	giveMail:   "Enter your e-mail address. What you need for your token goes there.",
	badMail:    "That is no e-mail address.",
	badDomain:  "The address has to be one of %s.",
	mailed:     "An e-mail was sent to %s on %s. Follow it",
	invited:    "You were invited to a token on %s. Use the link that you were given",
	thenEnter:  ", then enter %s.",
	thenLogIn:  ", then log in with %s.",
	enter:      "Enter %s.",
	passcode:   "your OTP PIN and the eToken",
	code:       "the eToken",
	keys:       "Activation Key: %s Token Serial: %s",
	orNew:      `Or enter "new" for a new e-mail.`,
	orMail:     `Or enter "new" to get an e-mail.`,
	clockWrong: "The clock of your device is wrong. Set it, and try the next eToken.",
	notShown:   "That was not right.",
	date:       "2 January 2006",
	digits:     strings.Fields("no one two three four five six seven eight nine ten eleven twelve"),

	notEntitled:  "You are not in a group that gets a token. Please ask your helpdesk.",
	noAddress:    "Your e-mail address is not known, so you cannot be sent a token. Please ask your helpdesk.",
	tooManyMails: "You have been sent several e-mails today. Look for the latest one, or ask your helpdesk.",
	tooManyWrong: "Too many wrong answers. Please log in again.",
	tooManyCodes: "Too many wrong eTokens. Please wait a quarter of an hour, then log in again.",
	over:         "That took too long. Please log in again.",
	impossible:   "You cannot get a token now. Please ask your helpdesk.",
}

var german = texts{
	choosePIN:  "Wählen Sie %s beliebige Ziffern als OTP-PIN.",
	repeatPIN:  "Geben Sie die OTP-PIN noch einmal ein.",
	unlike:     "Die beiden stimmten nicht überein.",
	weakPIN:    "Das ist zu leicht zu erraten.",
	badPIN:     "Die OTP-PIN braucht %d bis %d Zeichen, ohne Leerzeichen.",
	giveMail:   "Geben Sie Ihre E-Mail-Adresse ein. Dorthin geht, was Sie für Ihren Token brauchen.",
	badMail:    "Das ist keine E-Mail-Adresse.",
	badDomain:  "Möglich sind nur Adressen mit %s.",
	mailed:     "Am %[2]s ging eine E-Mail an %[1]s. Folgen Sie ihr",
	invited:    "Sie wurden am %s zu einem Token eingeladen. Benutzen Sie den Link, den Sie bekamen",
	thenEnter:  ", und geben Sie dann %s ein.",
	thenLogIn:  ", und melden Sie sich dann mit %s an.",
	enter:      "Geben Sie %s ein.",
	passcode:   "OTP-PIN und eToken",
	code:       "den eToken",
	keys:       "Activation Key: %s Token Serial: %s",
	orNew:      `Oder "neu" für eine neue E-Mail.`,
	orMail:     `Oder "neu" für eine E-Mail.`,
	clockWrong: "Die Uhr Ihres Geräts geht falsch. Stellen Sie sie, und nehmen Sie den nächsten eToken.",
	notShown:   "Das war nicht richtig.",
	date:       "02.01.2006",
	digits:     strings.Fields("keine eine zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"),

	notEntitled:  "Sie sind in keiner Gruppe, die einen Token bekommt. Bitte fragen Sie Ihren Helpdesk.",
	noAddress:    "Ihre E-Mail-Adresse ist nicht bekannt, daher kann Ihnen kein Token geschickt werden. Bitte fragen Sie Ihren Helpdesk.",
	tooManyMails: "Sie haben heute schon mehrere E-Mails bekommen. Suchen Sie die letzte, oder fragen Sie Ihren Helpdesk.",
	tooManyWrong: "Zu viele falsche Eingaben. Bitte melden Sie sich neu an.",
	tooManyCodes: "Zu viele falsche eToken. Bitte warten Sie eine Viertelstunde, und melden Sie sich dann neu an.",
	over:         "Das hat zu lange gedauert. Bitte melden Sie sich neu an.",
	impossible:   "Sie können jetzt keinen Token bekommen. Bitte fragen Sie Ihren Helpdesk.",
}

// languages are the texts by what an administrator calls their language.
var languages = map[string]*texts{"en": &english, "de": &german}

// OverMessage says in a language that a dialog took too long.
func OverMessage(language string) string { return textsOf(language).over }

// textsOf are the texts of a language, the English ones when it is not known.
func textsOf(language string) *texts {
	if t := languages[language]; t != nil {
		return t
	}
	return &english
}

// again are the words for another e-mail, in all languages: people may answer in
// their own.
var again = []string{"new", "neu"}

// digitsInWords is a number as it stands before the word for digits.
func (t *texts) digitsInWords(n int) string {
	if n < len(t.digits) {
		return t.digits[n]
	}
	return fmt.Sprint(n)
}

// domains are the first few of a list.
func (t *texts) domains(all []string) string {
	const few = 3
	var shown []string
	for _, d := range all[:min(len(all), few)] {
		shown = append(shown, "@"+shorten(d))
	}
	if len(all) > few {
		shown = append(shown, "...")
	}
	return fmt.Sprintf(t.badDomain, strings.Join(shown, ", "))
}

// news tells when an invitation was made, and where its mail went.
func (t *texts) news(i *tms.Invitation, zone *time.Location) string {
	date := i.Created.In(zone).Format(t.date)
	if !i.Mailed {
		return fmt.Sprintf(t.invited, date)
	}
	return fmt.Sprintf(t.mailed, mask(i.Mail), date)
}

// another tells how to be sent a mail, again or at all.
func (t *texts) another(i *tms.Invitation) string {
	if !i.Mailed {
		return t.orMail
	}
	return t.orNew
}

// join joins sentences, without those that do not fit any more.
func join(sentences ...string) string {
	var b strings.Builder
	for _, s := range sentences {
		space := ""
		if b.Len() > 0 {
			space = " "
		}
		if s != "" && b.Len()+len(space)+len(s) <= maxMessage {
			b.WriteString(space + s)
		}
	}
	return b.String()
}
