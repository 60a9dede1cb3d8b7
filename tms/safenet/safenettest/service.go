package safenettest

import (
	"bytes"
	"encoding/base64"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"countersign/radiusd/packet"
)

var discard = log.New(io.Discard, "", 0)

// Behaviour is what a TMS does with a request.
type Behaviour int

// The behaviours.
const (
	Honest      Behaviour = iota // it answers
	Hang                         // it does not answer until the client gives up
	Reset                        // it burns the code and resets the connection
	Closes                       // it burns the code and closes the connection
	CutOff                       // it burns the code and closes in the middle of the answer
	Garbage                      // octets of no meaning, as text/xml
	Endless                      // an answer of many megabytes
	ErrorPage                    // 500 and a page of ASP.NET
	Fault                        // 500 and a fault of SOAP
	OtherPage                    // 200 and a web page
	Elsewhere                    // 302 to another place of its own
	NotFound                     // 404
	LogIn                        // 401
	Stopped                      // 503, as IIS when the application pool is stopped
	Forged                       // accepts everybody without knowing the passcode
	UnknownCode                  // refuses everybody with a code that nobody knows
	KeepsNone                    // answers, and closes the connection
)

// A request as captured, of the user name, the UserName, both challenges and the response.
var captured = regexp.MustCompile(`^` + strings.ReplaceAll(regexp.QuoteMeta(
	`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/">`+
		`<soap:Body><Authenticate xmlns="http://tempuri.org/"><request>&lt;?xml version="1.0"?&gt;&#x000D;&#x000A;&lt;otp_authentication_request&gt;&lt;user_name&gt;@&lt;/user_name&gt;`+
		`&lt;protocol_information&gt;&lt;type&gt;MSCHAPv2&lt;/type&gt;&lt;protocol_specific&gt;&lt;Mschapv2Info&gt;&lt;UserName&gt;@&lt;/UserName&gt;`+
		`&lt;AuthenticatorChallenge&gt;@&lt;/AuthenticatorChallenge&gt;&lt;PeerChallenge&gt;@&lt;/PeerChallenge&gt;&lt;Response&gt;@&lt;/Response&gt;`+
		`&lt;/Mschapv2Info&gt;&lt;/protocol_specific&gt;&lt;/protocol_information&gt;&lt;/otp_authentication_request&gt;&#x000D;&#x000A;</request></Authenticate></soap:Body></soap:Envelope>`),
	"@", "([^<>\r\n]*)") + `$`)

// What answers are made of, as captured: of the four values, and of a code and a text.
const (
	acceptHead = `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body><AuthenticateResponse xmlns="http://tempuri.org/"><AuthenticateResult>&lt;?xml version="1.0" encoding="UTF-8"?&gt;&lt;otp_authentication_response&gt;`
	accepted   = `&lt;error_code&gt;0&lt;/error_code&gt;&lt;error_description&gt;&lt;/error_description&gt;&lt;protocol_information&gt;&lt;protocol_specific&gt;&lt;Mschapv2Response&gt;&lt;MppeRecvKey&gt;RECV&lt;/MppeRecvKey&gt;&lt;MppeSendKey&gt;SEND&lt;/MppeSendKey&gt;&lt;AuthenticatorResponse&gt;PROOF&lt;/AuthenticatorResponse&gt;&lt;MschapMppeKeys&gt;KEYS&lt;/MschapMppeKeys&gt;&lt;/Mschapv2Response&gt;&lt;/protocol_specific&gt;`
	refused    = `&lt;error_code&gt;CODE&lt;/error_code&gt;&lt;error_description&gt;TEXT&lt;/error_description&gt;&lt;protocol_information&gt;&lt;protocol_specific /&gt;`
	answerTail = `&lt;/protocol_information&gt;&lt;/otp_authentication_response&gt;</AuthenticateResult></AuthenticateResponse></soap:Body></soap:Envelope>`

	faultText = `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode><faultstring>Server was unable to read request. ---&gt; There is an error in XML document.</faultstring><detail /></soap:Fault></soap:Body></soap:Envelope>`
	errorPage = "<html>\r\n    <head>\r\n        <title>Runtime Error</title>\r\n        <style>\r\n         body {font-family:\"Verdana\";}\r\n        </style>\r\n    </head>\r\n\r\n    <body bgcolor=\"white\">\r\n            <span><H1>Server Error in '/OTPAuthentication' Application.<hr width=100% size=1 color=silver></H1>\r\n            <h2> <i>Runtime Error</i> </h2></span>\r\n    </body>\r\n</html>\r\n"
)

// request is what a request says.
type request struct {
	user      string
	userName  []byte
	challenge []byte
	response  []byte // an MS-CHAP2-Response
}

// ServeHTTP answers as IIS with the service in it.
func (tms *TMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Server"] = []string{"Microsoft-IIS/6.0"}
	header["X-Powered-By"] = []string{"ASP.NET"}
	if !strings.EqualFold(r.URL.Path, Path) {
		page(w, http.StatusNotFound, "The page cannot be found")
		return
	}
	header["X-AspNet-Version"] = []string{"2.0.50727"}
	header["Cache-Control"] = []string{"private, max-age=0"}
	body, err := io.ReadAll(r.Body)
	request, ok := read(r, body)
	if err != nil || !ok {
		send(w, http.StatusInternalServerError, faultText)
		return
	}
	behaviour, delay := tms.began(request.user)
	if delay > 0 {
		wait(r.Context(), delay)
	}
	tms.answer(w, r, request, behaviour)
}

// answer answers a request that could be read.
func (tms *TMS) answer(w http.ResponseWriter, r *http.Request, q *request, behaviour Behaviour) {
	switch behaviour {
	case Hang:
		<-r.Context().Done()
	case Reset, Closes, CutOff:
		breakOff(w, tms.verdict(q), behaviour)
	case Garbage:
		send(w, http.StatusOK, "\x00\x01\x02<<<&&& 4711")
	case Endless:
		send(w, http.StatusOK, strings.Repeat(faultText, 20000))
	case ErrorPage:
		page(w, http.StatusInternalServerError, errorPage)
	case Fault:
		send(w, http.StatusInternalServerError, faultText)
	case OtherPage:
		page(w, http.StatusOK, "<html><head><title>Welcome</title></head><body><p>This is the intranet.</p></body></html>")
	case Elsewhere:
		w.Header().Set("Location", "/elsewhere/Service.asmx?secret=1")
		page(w, http.StatusFound, "<html><head><title>Object moved</title></head></html>")
	case NotFound:
		page(w, http.StatusNotFound, "The resource cannot be found.")
	case LogIn:
		w.Header().Set("WWW-Authenticate", "Negotiate")
		page(w, http.StatusUnauthorized, "You are not authorized to view this page")
	case Stopped:
		page(w, http.StatusServiceUnavailable, "<h1>Service Unavailable</h1>")
	case Forged:
		send(w, http.StatusOK, accept(q, "never mind"))
	case UnknownCode:
		send(w, http.StatusOK, refuse(7, "The dog ate it."))
	case KeepsNone:
		w.Header().Set("Connection", "close")
		send(w, http.StatusOK, tms.verdict(q))
	default:
		send(w, http.StatusOK, tms.verdict(q))
	}
}

// read takes a request that is as those captured.
func read(r *http.Request, body []byte) (*request, bool) {
	parts := captured.FindSubmatch(body)
	if r.Method != http.MethodPost || parts == nil ||
		r.Header.Get("SOAPAction") != `"http://tempuri.org/Authenticate"` || r.Header.Get("Content-Type") != "text/xml; charset=utf-8" {
		return nil, false
	}
	q := &request{user: html.UnescapeString(html.UnescapeString(string(parts[1])))}
	var values [4][]byte
	for i := range values {
		value, err := base64.StdEncoding.DecodeString(string(parts[2+i]))
		if err != nil {
			return nil, false
		}
		values[i] = value
	}
	if len(values[1]) != 16 || len(values[2]) != 16 || len(values[3]) != 24 {
		return nil, false
	}
	q.userName, q.challenge = values[0], values[1]
	q.response = bytes.Join([][]byte{{0, 0}, values[2], make([]byte, 8), values[3]}, nil)
	return q, true
}

// verdict is the answer to a request, whose code is burned then.
func (tms *TMS) verdict(q *request) string {
	passcode, ok := tms.passcodeOf(q.user, func(passcode string) bool {
		return packet.MSCHAP2Matches(q.userName, []byte(passcode), q.challenge, q.response)
	})
	if !ok {
		return refuse(1, "OTP authentication failed. ")
	}
	return accept(q, passcode)
}

func accept(q *request, passcode string) string {
	send, recv := packet.MPPEKeys([]byte(passcode), q.response)
	proof := packet.AuthenticatorResponse(q.userName, []byte(passcode), q.challenge, q.response)
	keys := packet.LiteralMSCHAPKeys([]byte(passcode))
	encode := base64.StdEncoding.EncodeToString
	return acceptHead + strings.NewReplacer("RECV", encode(recv[:]), "SEND", encode(send[:]), "PROOF", encode(proof[:]), "KEYS", encode(keys[:])).Replace(accepted) + answerTail
}

func refuse(code int, text string) string {
	return acceptHead + strings.NewReplacer("CODE", strconv.Itoa(code), "TEXT", text).Replace(refused) + answerTail
}

func send(w http.ResponseWriter, status int, text string) {
	w.Header()["Content-Type"] = []string{"text/xml; charset=utf-8"}
	write(w, status, text)
}

func page(w http.ResponseWriter, status int, text string) {
	w.Header()["Content-Type"] = []string{"text/html; charset=utf-8"}
	write(w, status, text)
}

func write(w http.ResponseWriter, status int, text string) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// breakOff ends the connection instead of answering, or in the middle of it.
func breakOff(w http.ResponseWriter, answer string, behaviour Behaviour) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	switch tcp, ok := conn.(*net.TCPConn); {
	case behaviour == CutOff:
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: "+strconv.Itoa(len(answer))+"\r\n\r\n"+answer[:len(answer)/2])
	case behaviour == Reset && ok:
		_ = tcp.SetLinger(0)
	}
}
