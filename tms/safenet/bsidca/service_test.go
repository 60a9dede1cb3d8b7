package bsidca

import (
	"bytes"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	operator     = "ops@example.org"
	organization = "Müller & Söhne <GmbH>"
	plantedOTP   = "planted-otp<&>81726354"
	plantedPIN   = "planted-pin&9182"
)

// service is BSIDCA, as far as it is documented.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	outcomes []string // what Connect answers, in turn; the last stays
	sessions map[string]bool
	users    []string // rows of the table
	tokens   []string
	total    int // of tokens, -1: as many as there are
	most     int // rows on a page, however many are asked for; 0: no limit
	activate string
	instead  map[string]http.HandlerFunc // what happens to an operation instead
	asked    []call
	over     chan struct{} // closed when the test is
}

// call is a request that came.
type call struct {
	operation string
	params    map[string]string
}

func newService(t *testing.T) *service {
	s := &service{sessions: map[string]bool{}, outcomes: []string{"AUTH_SUCCESS"}, total: -1, activate: "success", instead: map[string]http.HandlerFunc{}, over: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that go away are meant to
	s.StartTLS()
	t.Cleanup(func() { close(s.over); s.Close() })
	return s
}

// client is one that trusts the service.
func (s *service) client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.URL == "" {
		o.URL = s.URL + "/bsidca/BSIDCA.asmx"
	}
	o.CAs = x509.NewCertPool()
	o.CAs.AddCert(s.Certificate())
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// connected is a client with a session.
func (s *service) connected(t *testing.T, o Options) *Client {
	t.Helper()
	c := s.client(t, o)
	if err := c.Connect(t.Context(), operator, NewSecret(plantedOTP)); err != nil {
		t.Fatal(err)
	}
	return c
}

// end ends all sessions.
func (s *service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// calls are the operations that were called, in turn.
func (s *service) calls() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// parseCall reads a request as strictly as the service does.
func parseCall(r *http.Request) (call, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return call{}, err
	}
	var envelope element
	if err := xml.NewDecoder(bytes.NewReader(data)).Decode(&envelope); err != nil {
		return call{}, err
	}
	body := envelope.child("Body")
	if envelope.XMLName.Space != "http://schemas.xmlsoap.org/soap/envelope/" || body == nil || len(body.Children) != 1 {
		return call{}, fmt.Errorf("not SOAP 1.1: %s", data)
	}
	operation := body.Children[0]
	c := call{operation: operation.XMLName.Local, params: map[string]string{}}
	for _, p := range operation.Children {
		if p.XMLName.Space != namespace {
			return call{}, fmt.Errorf("%s is in namespace %q", p.XMLName.Local, p.XMLName.Space)
		}
		c.params[p.XMLName.Local] = p.Text
	}
	if action := r.Header.Get("SOAPAction"); action != `"`+operation.XMLName.Space+c.operation+`"` {
		return call{}, fmt.Errorf("SOAPAction %s", action)
	}
	if kind := r.Header.Get("Content-Type"); r.Method != http.MethodPost || kind != "text/xml; charset=utf-8" {
		return call{}, fmt.Errorf("%s of %s", r.Method, kind)
	}
	return c, nil
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	c, err := parseCall(r)
	if err != nil || r.URL.Path != "/bsidca/BSIDCA.asmx" {
		http.Error(w, fmt.Sprint("test service: ", r.URL, err), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, c)
	cookie, err := r.Cookie("ASP.NET_SessionId")
	session := err == nil && s.sessions[cookie.Value]
	instead, other := s.instead[c.operation]
	s.mu.Unlock()
	switch {
	case other && instead == nil: // silent
		<-s.over
	case other:
		instead(w, r)
	case c.operation == "Connect":
		s.connect(w, c)
	case c.operation == "PingConnection":
		answer(w, c.operation, fmt.Sprint(session))
	case !session:
		sendFault(w, "Server was unable to process request. ---> Object reference not set to an instance of an object.")
	case c.params["organization"] != organization:
		answerWithout(w, c.operation)
	default:
		s.serveOperation(w, c)
	}
}

func (s *service) connect(w http.ResponseWriter, c call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := s.outcomes[0]
	if len(s.outcomes) > 1 {
		s.outcomes = s.outcomes[1:]
	}
	if c.params["OperatorEmail"] != operator || c.params["OTP"] == "" {
		outcome = "AUTH_FAILURE"
	}
	id := "session" + strconv.Itoa(len(s.sessions))
	http.SetCookie(w, &http.Cookie{Name: "ASP.NET_SessionId", Value: id, Path: "/", HttpOnly: true, Secure: true})
	s.sessions[id] = outcome == "AUTH_SUCCESS"
	send(w, http.StatusOK, fmt.Sprintf(`<ConnectResponse xmlns="%s"><ConnectResult>%s</ConnectResult><challenge>%s</challenge></ConnectResponse>`, namespace, outcome, plantedPIN[:7]))
}

func (s *service) serveOperation(w http.ResponseWriter, c call) {
	size := c.params["pageSize"]
	if n, err := strconv.Atoi(size); err == nil && s.most != 0 {
		size = strconv.Itoa(min(n, s.most))
	}
	switch c.operation {
	case "GetUsers":
		sendTable(w, c.operation, "users", s.users, c.params["firstRecord"], size)
	case "GetTokens":
		sendTable(w, c.operation, "Named_Tokens_Table", s.tokens, c.params["startRecord"], size)
	case "GetTotalTokens":
		total := s.total
		if total < 0 {
			total = len(s.tokens)
		}
		answer(w, c.operation, strconv.Itoa(total))
	case "ActivateToken":
		answer(w, c.operation, s.activate)
	default:
		sendFault(w, "no such operation")
	}
}

// sendTable sends a page of a DataTable as .NET serializes it.
func sendTable(w http.ResponseWriter, operation, table string, rows []string, start, size string) {
	first, err1 := strconv.Atoi(start)
	count, err2 := strconv.Atoi(size)
	if err1 != nil || err2 != nil {
		sendFault(w, "Input string was not in a correct format.")
		return
	}
	first = min(first, len(rows))
	var b strings.Builder
	fmt.Fprintf(&b, `<xs:schema id="NewDataSet" xmlns="" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:msdata="urn:schemas-microsoft-com:xml-msdata">`+
		`<xs:element name="NewDataSet" msdata:IsDataSet="true" msdata:MainDataTable="%s"><xs:complexType/></xs:element></xs:schema>`, table)
	b.WriteString(`<diffgr:diffgram xmlns:msdata="urn:schemas-microsoft-com:xml-msdata" xmlns:diffgr="urn:schemas-microsoft-com:xml-diffgram-v1">`)
	if page := rows[first:min(first+count, len(rows))]; len(page) > 0 {
		b.WriteString(`<DocumentElement xmlns="">`)
		for i, row := range page {
			fmt.Fprintf(&b, `<%s diffgr:id="%s%d" msdata:rowOrder="%d">%s</%[1]s>`, table, table, i+1, i, row)
		}
		b.WriteString(`</DocumentElement>`)
	}
	b.WriteString(`</diffgr:diffgram>`)
	answer(w, operation, b.String())
}

func answer(w http.ResponseWriter, operation, result string) {
	send(w, http.StatusOK, fmt.Sprintf(`<%[1]sResponse xmlns="%[2]s"><%[1]sResult>%[3]s</%[1]sResult></%[1]sResponse>`, operation, namespace, result))
}

// answerWithout is the answer when the result is null.
func answerWithout(w http.ResponseWriter, operation string) {
	send(w, http.StatusOK, fmt.Sprintf(`<%sResponse xmlns="%s" />`, operation, namespace))
}

func sendFault(w http.ResponseWriter, text string) {
	send(w, http.StatusInternalServerError, `<soap:Fault><faultcode>soap:Server</faultcode><faultstring>`+text+`</faultstring><detail /></soap:Fault>`)
}

func send(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>%s</soap:Body></soap:Envelope>`, body)
}

// tokenRow is a row of Named_Tokens_Table.
func tokenRow(serial, state, owner, kind string) string {
	userID := ""
	if owner != "" {
		userID = "<userid>" + owner + "</userid>"
	}
	return "<serialnumber>" + serial + "</serialnumber><state>" + state + "</state><stateSetDate>2021-03-04T05:06:07.089+01:00</stateSetDate>" + userID +
		"<orgName>o</orgName><type>" + kind + "</type><container>Default</container><rented>No</rented><hardwareInit>false</hardwareInit>" +
		"<assignable>true</assignable><ice>No</ice><stateInt>7</stateInt><tokenAllowed>1</tokenAllowed>"
}

// silent stands for a service that does not answer while the test runs.
var silent http.HandlerFunc

// soon is a time in which a service on this machine that is silent has not answered.
const soon = 50 * time.Millisecond
