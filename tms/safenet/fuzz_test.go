package safenet

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzRequest: what is read can be written, and is read as the same again.
func FuzzRequest(f *testing.F) {
	f.Add(file(f, "accepted.request.xml"))
	f.Add(file(f, "refused.request.xml"))
	f.Fuzz(func(t *testing.T, message []byte) {
		l, err := parseRequest(message)
		if err != nil {
			checkError(t, err)
			return
		}
		if !writable(l.user) {
			return // a tab or a line end may come in and cannot go out
		}
		again, err := parseRequest(l.write())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%+v is read again as %+v, %v", l, again, err)
		}
	})
}

// FuzzAnswer: the same of answers; and an accept has all that belongs to it.
func FuzzAnswer(f *testing.F) {
	f.Add(file(f, "accepted.answer.xml"), 200, contentType)
	f.Add(file(f, "refused.answer.xml"), 200, contentType)
	f.Add([]byte("<html><title>Runtime Error</title>"), 500, "text/html")
	f.Fuzz(func(t *testing.T, body []byte, status int, media string) {
		response := &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {media}}}
		o, err := golden(t).read(response, body)
		if err != nil {
			checkError(t, err)
			return
		}
		if (o.code == codeAccepted) != (o.success != nil) || status != 200 {
			t.Fatalf("it is %d with %v, by status %d", o.code, o.success, status)
		}
		again, err := parseAnswer(o.write())
		if err != nil || !reflect.DeepEqual(again, o) {
			t.Fatalf("%+v is read again as %+v, %v", o, again, err)
		}
	})
}

// FuzzHandler: whatever comes, an answer is well-formed, and nobody is let in.
func FuzzHandler(f *testing.F) {
	f.Add("POST", ServicePath, contentType, soapAction, string(file(f, "accepted.request.xml")))
	f.Add("GET", ServicePath, "", "", "")
	f.Fuzz(func(t *testing.T, method, path, media, action, body string) {
		s := newServer(t)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL.Path = method, path
		r.Header.Set("Content-Type", media)
		r.Header.Set("SOAPAction", action)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != 200 {
			if len(s.events) != 0 {
				t.Fatalf("it is %d, and %v", w.Code, s.events)
			}
			return
		}
		o, err := parseAnswer(w.Body.Bytes())
		if err != nil || o.code != codeRefused || len(s.events) != 1 {
			t.Fatalf("it is %+v, %v, and %v", o, err, s.events)
		}
	})
}

// checkError demands an error of one readable line that is not long.
func checkError(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	for _, line := range strings.Split(text, "\n") { // joined
		if len(line) > 700 || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
			t.Fatalf("the error is %q", text)
		}
	}
}
