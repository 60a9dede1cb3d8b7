package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

var testOrigin = origin{facility: 10, hostname: "radius1.example.com", process: "4711"}

// parsed encodes a message and reads it with another program's parser.
func parsed(t testing.TB, m *Message) (text string, params map[string]string, read *rfc5424.SyslogMessage) {
	t.Helper()
	text = testOrigin.encode(m)
	if len(text) > maxMessage {
		t.Errorf("a message of %d octets", len(text))
	}
	got, err := rfc5424.NewParser(rfc5424.WithCompliantMsg()).Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	read = got.(*rfc5424.SyslogMessage)
	if read.StructuredData != nil {
		params = (*read.StructuredData)[element]
	}
	return text, params, read
}

func TestSyslogMessage(t *testing.T) {
	m := &Message{
		At: time.Date(2026, 11, 22, 13, 0, 0, 123456789, time.FixedZone("", 3600)), Severity: SeverityNotice, ID: "login",
		Params: []Param{{"user", `al"ice\]`}, {"nas", "vpn"}}, Text: "refused",
	}
	text, params, _ := parsed(t, m)
	want := `<85>1 2026-11-22T12:00:00.123456Z radius1.example.com countersign 4711 login ` +
		`[countersign@32473 nas="vpn" user="al\"ice\\\]"] refused`
	if text != want {
		t.Errorf("message\n%s\nwant\n%s", text, want)
	}
	if params["user"] != m.Params[0].Value || len(params) != 2 {
		t.Errorf("params %q", params)
	}
	if got, want := string(testOrigin.appendFrame(nil, m)), "133 "+text; got != want {
		t.Errorf("frame %q", got)
	}
}

func TestSyslogMessageQuoted(t *testing.T) {
	_, params, read := parsed(t, &Message{At: noon, ID: "a b=c", Text: "zwei\nZeilen", Params: []Param{
		{"user", "a\x00b\xff"}, {"user", "Jörg"}, {"cut", "x"}, {"a name= that is] much too long for it", "y"}, {"", ""},
	}})
	want := map[string]string{
		"user": `a\x00b\xff`, "user_": "Jörg", "cut_": "x", "a_name__that_is__much_to": "y", "-": "", "quoted": "user,MSG",
	}
	for name, value := range want {
		if got, ok := params[name]; !ok || got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if len(params) != len(want) || *read.MsgID != "a_b_c" || *read.Message != `zwei\nZeilen` {
		t.Errorf("params %q, id %q, text %q", params, *read.MsgID, *read.Message)
	}
	if _, _, read := parsed(t, &Message{At: noon, ID: "login", Text: "für Jörg"}); *read.Message != "\ufefffür Jörg" || read.StructuredData != nil {
		t.Errorf("text %q", *read.Message)
	}
}

func TestSyslogMessageCut(t *testing.T) {
	m := &Message{At: noon, ID: "login", Text: "refused", Params: []Param{{"short", "s"}, {"long", strings.Repeat("ö", 5000)}, {"middle", strings.Repeat("m", 3000)}}}
	_, params, read := parsed(t, m)
	if params["cut"] != "long" || params["short"] != "s" || len(params["middle"]) != 3000 || *read.Message != "refused" ||
		len(params["long"]) != 4096 || !strings.HasPrefix(m.Params[1].Value, params["long"]) {
		t.Errorf("cut %q, long has %d bytes", params["cut"], len(params["long"]))
	}
	m.Text = strings.Repeat(`"`, 20000)
	if _, params, _ := parsed(t, m); params["cut"] != "long,middle,MSG" {
		t.Errorf("cut %q", params["cut"])
	}
	m.Params = nil
	for i := range 1000 {
		m.Params = append(m.Params, Param{fmt.Sprint("n", i), strings.Repeat("v", 100)})
	}
	if _, params, read := parsed(t, m); params["cut"] != "*,MSG" || len(*read.Message) < 100 {
		t.Errorf("cut %q of a thousand", params["cut"])
	}
}

// FuzzSyslogMessage has any values come through, or be marked.
func FuzzSyslogMessage(f *testing.F) {
	f.Add("login", "user", "alice", "accepted")
	f.Add("", "", "", "")
	f.Add("\x00", "a=\"]", "\xff\\]\"\n", "\ufeffä\u2028")
	f.Add("x", "cut", strings.Repeat("\x00", 9000), strings.Repeat("é", 9000))
	f.Fuzz(func(t *testing.T, id, name, text, message string) {
		_, params, read := parsed(t, &Message{At: noon, ID: id, Params: []Param{{name, text}}, Text: message})
		marked := params[cutParam] != "" || params[quotedParam] != ""
		if marked {
			return
		}
		if len(params) != 1 {
			t.Fatalf("params %q", params)
		}
		for _, got := range params {
			if got != text {
				t.Errorf("%q became %q", text, got)
			}
		}
		got := ""
		if read.Message != nil {
			got = *read.Message
		}
		if want := *textOf(message); got != want {
			t.Errorf("text %q became %q", want, got)
		}
	})
}
