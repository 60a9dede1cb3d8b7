package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

const (
	// maxMessage is how many octets a message has at most: what a server should be able to
	// take (RFC 5425 section 4.3.1).
	maxMessage = 8192
	// element is the structured data of our messages (RFC 5424 section 6.3.2). We have no
	// enterprise number; this one is nobody's (RFC 5612).
	element = "countersign@32473"
	// textName is what Text is called where names of params are listed.
	textName = "MSG"
)

// The params that say what was done to others, by their names with a comma in between.
const (
	cutParam    = "cut"    // the value is only the beginning
	quotedParam = "quoted" // it has control characters, or is not UTF-8: written as in a Go string
)

// facilities are those of RFC 5424 section 6.2.1, by their names in syslog.conf(5).
var facilities = map[string]uint8{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
	"authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
	"": 10,
}

// origin is what all our messages have in common.
type origin struct {
	facility          uint8
	hostname, process string
}

// appendFrame appends a message as it goes over TCP: its length in octets, a space, and
// the message (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
func (o *origin) appendFrame(dst []byte, m *Message) []byte {
	text := o.encode(m)
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, ' ')
	return append(dst, text...)
}

// encode makes a message of RFC 5424. In one that would be too long the longest values are
// cut, and it says which.
func (o *origin) encode(m *Message) string {
	values := m.values()
	for longest := maxMessage; longest >= 16; longest /= 2 {
		if text := o.build(m, cutValues(values, longest)); len(text) <= maxMessage {
			return text
		}
	}
	// There are too many values to say anything of them all.
	return o.build(m, cutValues([]value{{name: cutParam, text: "*"}, {name: textName, text: m.Text}}, 256))
}

// value is a param, or the text.
type value struct {
	name, text string
	quoted     bool
	cut        bool
}

// values are the params of a message under names that can be sent, and its text at the
// end.
func (m *Message) values() []value {
	taken := []string{cutParam, quotedParam, textName}
	var values []value
	for _, p := range m.Params {
		name := printable(p.Name, 24)
		for slices.Contains(taken, name) {
			name += "_"
		}
		taken = append(taken, name)
		values = append(values, quote(name, p.Value))
	}
	return append(values, quote(textName, m.Text))
}

// quote makes a value whose text can be sent.
func quote(name, text string) value {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) {
		return value{name: name, text: text}
	}
	quoted := strconv.Quote(text)
	return value{name: name, text: quoted[1 : len(quoted)-1], quoted: true}
}

// cutValues cuts values that have more bytes.
func cutValues(values []value, longest int) []value {
	values = slices.Clone(values)
	for i := range values {
		if v := &values[i]; len(v.text) > longest {
			end := longest
			for !utf8.RuneStart(v.text[end]) {
				end--
			}
			v.text, v.cut = v.text[:end], true
		}
	}
	return values
}

// build makes a message of values.
func (o *origin) build(m *Message, values []value) string {
	params := make(map[string]string)
	var message rfc5424.SyslogMessage
	for _, v := range values {
		if v.name == textName {
			message.Message = textOf(v.text)
		} else {
			params[v.name] = v.text
		}
		if v.cut {
			params[cutParam] = listed(params[cutParam], v.name)
		}
		if v.quoted {
			params[quotedParam] = listed(params[quotedParam], v.name)
		}
	}
	if len(params) > 0 {
		message.StructuredData = &map[string]map[string]string{element: params}
	}
	at, app, id := m.At.UTC().Truncate(time.Microsecond), "countersign", printable(m.ID, 32)
	message.Base = syslog.Base{Timestamp: &at, Hostname: &o.hostname, Appname: &app, ProcID: &o.process, MsgID: &id, Message: message.Message}
	message.SetVersion(1)
	message.SetPriority(o.facility<<3 | uint8(m.Severity)&7)
	text, err := message.String()
	if err != nil {
		panic(err) // priority and version are always valid
	}
	return text
}

func listed(names, name string) string {
	if names == "" {
		return name
	}
	return names + "," + name
}

// textOf is the MSG: one that is not ASCII begins with a byte order mark (RFC 5424 section
// 6.4).
func textOf(text string) *string {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		text = "\ufeff" + text
	}
	return &text
}

// printable makes a name of RFC 5424 of a text: printable ASCII without space, =, ] and ",
// so many octets at most, and - when there is nothing.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`=]"`, r) {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}
