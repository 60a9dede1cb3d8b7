package safenettest

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// post sends bytes as the captured client did.
func post(t *testing.T, tms *TMS, body []byte) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, tms.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["SOAPAction"] = []string{`"http://tempuri.org/Authenticate"`}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}

func captive(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestCaptured: the captured refusal is answered byte for byte, with the captured headers.
func TestCaptured(t *testing.T) {
	tms := Start(t, Options{})
	response, answer := post(t, tms, captive(t, "refused.request.xml"))
	if !bytes.Equal(answer, captive(t, "refused.answer.xml")) {
		t.Errorf("it is\n%s", answer)
	}
	for name, want := range map[string]string{
		"Server": "Microsoft-IIS/6.0", "X-Powered-By": "ASP.NET", "X-AspNet-Version": "2.0.50727",
		"Cache-Control": "private, max-age=0", "Content-Type": "text/xml; charset=utf-8", "Content-Length": "675",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if response.Header.Get("Date") == "" || response.StatusCode != 200 {
		t.Errorf("it is %s of %q", response.Status, response.Header.Get("Date"))
	}
}

// TestAcceptIsAsCaptured, but for the values, which are of a passcode nobody knows.
func TestAcceptIsAsCaptured(t *testing.T) {
	q := &request{user: "kay", userName: []byte("kay"), challenge: make([]byte, 16), response: make([]byte, 50)}
	got, want := accept(q, "x"), string(captive(t, "accepted.answer.xml"))
	for _, name := range []string{"MppeRecvKey", "MppeSendKey", "AuthenticatorResponse", "MschapMppeKeys"} {
		got, want = without(t, got, name), without(t, want, name)
	}
	if got != want {
		t.Errorf("it is\n%s", got)
	}
}

// without takes a value out.
func without(t *testing.T, text, name string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "&lt;"+name+"&gt;")
	_, after, ok2 := strings.Cut(rest, "&lt;/"+name+"&gt;")
	if !ok || !ok2 {
		t.Fatalf("there is no %s", name)
	}
	return before + name + after
}

// TestStrict: what is not as captured gets the fault of ASP.NET, and does not count.
func TestStrict(t *testing.T) {
	tms := Start(t, Options{})
	good := string(captive(t, "accepted.request.xml"))
	for _, bad := range []string{
		"", "<a/>", good + "\n", strings.Replace(good, "&#x000D;&#x000A;", "\r\n", 1), strings.Replace(good, "&#x000D;", "", 1),
		strings.Replace(good, "MSCHAPv2", "PAP", 1), strings.Replace(good, "ZkFX", "", 1), strings.Replace(good, "&gt;kay", "&gt;<kay", 1),
	} {
		response, answer := post(t, tms, []byte(bad))
		if response.StatusCode != 500 || !bytes.Contains(answer, []byte("<soap:Fault>")) {
			t.Errorf("%.40q: it is %s\n%s", bad, response.Status, answer)
		}
	}
	if tms.Requests() != 0 {
		t.Errorf("there were %d requests", tms.Requests())
	}
}
