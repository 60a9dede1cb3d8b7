package main

import (
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	sasOTP = "planted-otp-5829471"
	sasPIN = "planted-pin-6073"
)

// sasService is BSIDCA with two users and four tokens.
type sasService struct {
	*httptest.Server
	caFile string
	mu     sync.Mutex
	calls  []string          // operation and the text of its parameters
	result map[string]string // by operation; Connect's may have more than one
}

// newSAS begins a service. Its users and tokens are as .NET writes a DataTable.
func newSAS(t *testing.T) *sasService {
	t.Helper()
	table := func(row string, rows ...string) string {
		text := `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns=""><xs:element name="NewDataSet"/></xs:schema>` +
			`<diffgr:diffgram xmlns:diffgr="urn:schemas-microsoft-com:xml-diffgram-v1"><DocumentElement xmlns="">`
		for i, columns := range rows {
			text += fmt.Sprintf(`<%s diffgr:id="%[1]s%d">%s</%[1]s>`, row, i+1, columns)
		}
		return text + "</DocumentElement></diffgr:diffgram>"
	}
	token := func(serial, state, owner string) string {
		return "<serialnumber>" + serial + "</serialnumber><state>" + state + "</state><userid>" + owner + "</userid><type>KT</type>"
	}
	s := &sasService{result: map[string]string{
		"Connect": "AUTH_SUCCESS", "PingConnection": "true", "GetTotalTokens": "4", "ActivateToken": "success",
		"GetUsers":  table("users", "<username>alice</username><firstname>Alice</firstname><lastname>&#x202e;Liddell</lastname><email>alice@example.org</email>", "<username>bob</username>"),
		"GetTokens": table("Named_Tokens_Table", token("a1", "Active", "ALICE"), token("B2", "Active", "bob"), token("C3", "Suspended", ""), token("D4", "Active", "bob")),
	}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that go away are meant to
	s.StartTLS()
	t.Cleanup(s.Close)
	s.caFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sasService) serve(w http.ResponseWriter, r *http.Request) {
	operation, params, err := readCall(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, strings.Join(append([]string{operation}, params...), "|"))
	result, rest, _ := strings.Cut(s.result[operation], "|")
	if pages := strings.HasPrefix(operation, "Get") && operation != "GetTotalTokens"; pages && !slices.Contains(params, "0") {
		result = "" // all is on the first page
	}
	if rest != "" {
		s.result[operation] = rest
	}
	if operation == "Connect" {
		http.SetCookie(w, &http.Cookie{Name: "ASP.NET_SessionId", Value: "x", Path: "/", Secure: true})
	} else if _, err := r.Cookie("ASP.NET_SessionId"); err != nil {
		http.Error(w, "no session", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><%[1]sResponse xmlns="http://www.cryptocard.com/blackshield/">`+
		`<%[1]sResult>%[2]s</%[1]sResult><challenge>`+sasPIN+`</challenge></%[1]sResponse></soap:Body></soap:Envelope>`, operation, result)
}

// readCall is the operation that a request calls, and its parameters.
func readCall(r *http.Request) (operation string, params []string, err error) {
	var envelope struct {
		Body struct {
			Calls []struct {
				XMLName xml.Name
				Params  []struct {
					Text string `xml:",chardata"`
				} `xml:",any"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&envelope); err != nil || len(envelope.Body.Calls) != 1 {
		return "", nil, fmt.Errorf("not one call: %w", err)
	}
	call := envelope.Body.Calls[0]
	for _, p := range call.Params {
		params = append(params, p.Text)
	}
	return call.XMLName.Local, params, nil
}

// sas runs a command against the service.
func (in *installation) sas(s *sasService, stdin string, args ...string) (string, int) {
	in.Helper()
	out, status := in.try(stdin, append(append([]string{"sas"}, args...),
		"--url", s.URL+"/bsidca/BSIDCA.asmx", "--operator", "ops@example.org", "--organization", "Example", "--ca-file", s.caFile)...)
	if strings.Contains(out, sasOTP) {
		in.Errorf("countersign sas %s shows the OTP:\n%s", strings.Join(args, " "), out)
	}
	return out, status
}

func TestSASListings(t *testing.T) {
	in, s := install(t, ""), newSAS(t)
	out, status := in.sas(s, sasOTP+"\n", "users")
	if contains(t, out, "USER ", "alice Alice ", `"\u202eLiddell"`, "alice@example.org", "bob -"); status != 0 {
		t.Errorf("exit status %d", status)
	}
	out, _ = in.sas(s, sasOTP, "users", "--json")
	contains(t, out, `{"name":"bob"}`)
	out, _ = in.sas(s, sasOTP, "tokens")
	contains(t, out, "SERIAL TYPE STATE OWNER", "C3 KT Suspended -")

	// Compared with the tokens here.
	in.alice()
	in.run("", "user", "add", "carol", "--no-pin")
	in.run("", "token", "add", "--user", "carol", "--serial", "b2")
	in.run("", "token", "add", "--serial", "C3")
	out, status = in.sas(s, sasOTP, "tokens", "--match")
	contains(t, out, "HERE USER HERE", "a1 KT Active ALICE yes alice", "B2 KT Active bob yes carol",
		"C3 KT Suspended - yes -", "D4 KT Active bob no -",
		"4 tokens there: 3 here, 2 of them assigned, 1 to a user of another name than there; 1 not here")
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	out, _ = in.sas(s, sasOTP, "tokens", "--match", "--json")
	contains(t, out, `{"serial":"B2","type":"KT","state":"Active","owner":"bob","here":true,"user":"carol"}`,
		`{"serial":"D4","type":"KT","state":"Active","owner":"bob","here":false}`)
	s.result["GetTotalTokens"] = "5"
	out, status = in.sas(s, sasOTP, "tokens", "--match")
	if contains(t, out, "only 4 of 5 came"); status != 1 || strings.Contains(out, "tokens there") {
		t.Errorf("exit status %d:\n%s", status, out)
	}
}

func TestSASActivate(t *testing.T) {
	in, s := install(t, ""), newSAS(t)
	out, status := in.sas(s, sasOTP, "activate", "C3")
	if contains(t, out, "token C3: the token was activated"); status != 0 {
		t.Errorf("exit status %d", status)
	}
	s.result["ActivateToken"] = "newpinFail"
	out, status = in.sas(s, sasPIN+"\n"+sasOTP+"\n", "activate", "C3", "--new-pin-stdin", "--change-pin", "--json")
	if contains(t, out, `{"serial":"C3","result":"newpinFail"}`, "its new PIN could not be set (newpinFail)"); status != 1 || strings.Contains(out, sasPIN) {
		t.Errorf("exit status %d:\n%s", status, out)
	}
	want := []string{"Connect|ops@example.org|" + sasOTP, "ActivateToken|C3|false|Example", "Connect|ops@example.org|" + sasOTP, "ActivateToken|C3|true|" + sasPIN + "|Example"}
	if !slices.Equal(s.calls, want) {
		t.Errorf("called %q, want %q", s.calls, want)
	}
}

func TestSASOperator(t *testing.T) {
	in, s := install(t, ""), newSAS(t)
	for _, test := range []struct {
		connect, stdin string
		status, calls  int // of Connect
		words          []string
	}{
		{"AUTH_FAILURE", sasOTP, 1, 1, []string{"refused the operator (AUTH_FAILURE)", "e-mail address or OTP is wrong"}},
		{"OUTER_WINDOW_AUTH|AUTH_SUCCESS", sasOTP + "\n123456\n", 0, 2, []string{"alice"}},
		{"CHALLENGE|OUTER_WINDOW_AUTH|CHALLENGE", sasOTP + "\n1\n2\n3\n", 1, 3, []string{"it demands the answer to a challenge"}},
		{"OUTER_WINDOW_AUTH", sasOTP, 1, 1, []string{`no OTP was given, and so nothing more was sent: standard input ended before the line for "It is out of step. The next OTP:"`}},
		{"SERVER_PIN_PROVIDED", sasOTP, 1, 1, []string{"shown just once: " + sasPIN, "connect again with that one"}},
		{"AUTH_SUCCESS", "\n", 1, 0, []string{"the OTP is empty, and so nothing more was sent"}},
		{"AUTH_SUCCESS", "", 1, 0, []string{"no OTP was given", `the line for "OTP of ops@example.org:"`}},
	} {
		s.result["Connect"], s.calls = test.connect, nil
		out, status := in.sas(s, test.stdin, "users")
		contains(t, out, test.words...)
		connects := 0
		for _, call := range s.calls {
			if strings.HasPrefix(call, "Connect|") {
				connects++
			}
		}
		if status != test.status || connects != test.calls {
			t.Errorf("%s: exit status %d after %d times Connect:\n%s", test.connect, status, connects, out)
		}
	}
}

func TestSASFlags(t *testing.T) {
	in, s := install(t, ""), newSAS(t)
	contains(t, in.run("", "sas"), "Available Commands", "activate", "Seeds it does not give away")
	contains(t, in.run("", "sas", "activate", "--help"), "two lines are read", "first the token's new PIN, then the operator's OTP", "on the line before the OTP")
	url := s.URL + "/bsidca/BSIDCA.asmx"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	_ = listener.Close()
	for _, test := range []struct {
		args  []string
		words []string
	}{
		{[]string{"users"}, []string{`required flag(s) "operator", "organization", "url" not set`}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", "http://sas.example.org/x"}, []string{"--url", "must be https"}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", url}, []string{"unknown authority", "name the CA's certificate with --ca-file"}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", url, "--ca-file", in.config}, []string{"has no certificate: it must be PEM"}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", url, "--ca-file", in.dir + "/x"}, []string{"--ca-file: open "}},
		{[]string{"activate", "", "--operator", "o", "--organization", "o", "--url", url}, []string{"no token was named"}},
		{[]string{"activate", "--operator", "o", "--organization", "o", "--url", url}, []string{"no token was named: give its serial, as in `countersign sas activate 3000001`"}},
		{[]string{"activate", "1", "2", "--operator", "o", "--organization", "o", "--url", url}, []string{"2 serials were given: name one token"}},
		{[]string{"users", "--operator", "o", "--organization", "", "--url", url}, []string{"--organization is empty: name it in full"}},
		{[]string{"tokens", "--operator", " ", "--organization", "o", "--url", url}, []string{"--operator is empty"}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", "https://" + nobody}, []string{"connection refused: nothing listens there: verify the URL"}},
		{[]string{"users", "--operator", "o", "--organization", "o", "--url", "https://sas.invalid/x"}, []string{"verify the name in the URL, and the DNS of this machine"}},
		{[]string{"activate", "1", "--new-pin-stdin", "--operator", "o", "--organization", "o", "--url", url}, []string{"the new PIN is empty"}},
	} {
		out, status := in.try("\n"+sasOTP, append([]string{"sas"}, test.args...)...)
		if test.args[0] != "activate" {
			out, status = in.try(sasOTP, append([]string{"sas"}, test.args...)...)
		}
		if contains(t, out, test.words...); status == 0 || strings.Contains(out, "arg(s)") || strings.Contains(out, sasOTP) {
			t.Errorf("%v: exit status %d\n%s", test.args, status, out)
		}
	}
	if len(s.calls) != 0 {
		t.Errorf("called %q", s.calls)
	}
}
