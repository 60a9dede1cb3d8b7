package safenet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"countersign/radiusd/packet"
)

// ServicePath is where the OTP Web Service is. IIS does not tell upper case from lower.
const ServicePath = "/OTPAuthentication/Service.asmx"

const (
	contentType = "text/xml; charset=utf-8"
	soapAction  = `"http://tempuri.org/Authenticate"`

	soapSpace    = "http://schemas.xmlsoap.org/soap/envelope/"
	serviceSpace = "http://tempuri.org/"

	// maxMessage is the longest request or answer in bytes. Real ones have about 1,000.
	maxMessage = 64 << 10
)

// The codes of answers that are known.
const (
	codeAccepted = 0
	codeRefused  = 1
)

const refusal = "OTP authentication failed. "

// What stands around the documents, as captured.
const (
	requestHead = `<soap:Envelope xmlns:soap="` + soapSpace + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/">` +
		`<soap:Body><Authenticate xmlns="` + serviceSpace + `"><request>`
	requestTail = `</request></Authenticate></soap:Body></soap:Envelope>`

	answerHead = `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="` + soapSpace + `"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">` +
		`<soap:Body><AuthenticateResponse xmlns="` + serviceSpace + `"><AuthenticateResult>`
	answerTail = `</AuthenticateResult></AuthenticateResponse></soap:Body></soap:Envelope>`
)

// login is what a request says: who logs in, and the MS-CHAPv2 proof of a passcode.
type login struct {
	user      string // as the TMS calls the user
	userName  []byte // as it went into the hash
	challenge [16]byte
	peer      [16]byte
	response  [24]byte
}

// joined is the proof as the functions of packet take it.
func (l *login) joined() []byte {
	joined := packet.JoinMSCHAP2Response(l.peer, l.response)
	return joined[:]
}

// write returns the request.
func (l *login) write() []byte {
	document := "<?xml version=\"1.0\"?>\r\n<otp_authentication_request><user_name>" + escaped.Replace(l.user) +
		"</user_name><protocol_information><type>MSCHAPv2</type><protocol_specific><Mschapv2Info>" +
		octets("UserName", l.userName) + octets("AuthenticatorChallenge", l.challenge[:]) +
		octets("PeerChallenge", l.peer[:]) + octets("Response", l.response[:]) +
		"</Mschapv2Info></protocol_specific></protocol_information></otp_authentication_request>\r\n"
	return []byte(requestHead + escaped.Replace(document) + requestTail)
}

func octets(name string, value []byte) string {
	return "<" + name + ">" + base64.StdEncoding.EncodeToString(value) + "</" + name + ">"
}

// parseRequest reads a request. Its errors repeat nothing of it but the type.
func parseRequest(message []byte) (*login, error) {
	document, err := open(message, "Authenticate", "request")
	if err != nil {
		return nil, err
	}
	request, err := parseElement([]byte(document), true)
	if err != nil {
		return nil, fmt.Errorf("the document in request: %w", err)
	}
	if request.XMLName.Local != "otp_authentication_request" {
		return nil, errors.New("there is no otp_authentication_request")
	}
	kind, err := request.text("", "protocol_information", "type")
	if err != nil {
		return nil, err
	}
	if kind != "MSCHAPv2" {
		return nil, fmt.Errorf("the type %.20q is not known: only MSCHAPv2 is", kind)
	}
	return readLogin(request)
}

func readLogin(request *element) (l *login, err error) {
	l = new(login)
	if l.user, err = request.text("", "user_name"); err != nil {
		return nil, err
	}
	info, err := request.at("", "protocol_information", "protocol_specific", "Mschapv2Info")
	if err != nil {
		return nil, err
	}
	if l.userName, err = info.octets("UserName"); err != nil {
		return nil, err
	}
	return l, errors.Join(
		info.exactly("AuthenticatorChallenge", l.challenge[:]),
		info.exactly("PeerChallenge", l.peer[:]),
		info.exactly("Response", l.response[:]))
}

// success is what an accept has for the peer and the gateway.
type success struct {
	recvKey, sendKey      [16]byte
	authenticatorResponse [20]byte
	mschapKeys            [32]byte
}

// newSuccess computes what the owner of the passcode gets.
func newSuccess(l *login, passcode []byte) *success {
	s := new(success)
	s.sendKey, s.recvKey = packet.MPPEKeys(passcode, l.joined())
	s.authenticatorResponse = packet.AuthenticatorResponse(l.userName, passcode, l.challenge[:], l.joined())
	s.mschapKeys = packet.LiteralMSCHAPKeys(passcode)
	return s
}

// outcome is what an answer says.
type outcome struct {
	code        int
	description string
	success     *success // of an accept
}

// write returns the answer.
func (o *outcome) write() []byte {
	specific := "<protocol_specific />"
	if s := o.success; s != nil {
		specific = "<protocol_specific><Mschapv2Response>" +
			octets("MppeRecvKey", s.recvKey[:]) + octets("MppeSendKey", s.sendKey[:]) +
			octets("AuthenticatorResponse", s.authenticatorResponse[:]) + octets("MschapMppeKeys", s.mschapKeys[:]) +
			"</Mschapv2Response></protocol_specific>"
	}
	document := `<?xml version="1.0" encoding="UTF-8"?><otp_authentication_response><error_code>` + strconv.Itoa(o.code) +
		"</error_code><error_description>" + escaped.Replace(o.description) +
		"</error_description><protocol_information>" + specific + "</protocol_information></otp_authentication_response>"
	return []byte(answerHead + escaped.Replace(document) + answerTail)
}

// parseAnswer reads an answer. Its errors repeat nothing of it.
func parseAnswer(message []byte) (*outcome, error) {
	document, err := open(message, "AuthenticateResponse", "AuthenticateResult")
	if err != nil {
		return nil, err
	}
	answer, err := parseElement([]byte(document), true)
	if err != nil {
		return nil, fmt.Errorf("the document in AuthenticateResult: %w", err)
	}
	if answer.XMLName.Local != "otp_authentication_response" {
		return nil, errors.New("there is no otp_authentication_response")
	}
	o := new(outcome)
	code, err := answer.text("", "error_code")
	if err != nil {
		return nil, err
	}
	if o.code, err = strconv.Atoi(strings.TrimSpace(code)); err != nil {
		return nil, errors.New("its error_code is no number")
	}
	if o.description, err = answer.text("", "error_description"); err != nil {
		return nil, err
	}
	if o.code == codeAccepted {
		o.success, err = readSuccess(answer)
	}
	return o, err
}

func readSuccess(answer *element) (*success, error) {
	e, err := answer.at("", "protocol_information", "protocol_specific", "Mschapv2Response")
	if err != nil {
		return nil, err
	}
	s := new(success)
	return s, errors.Join(
		e.exactly("MppeRecvKey", s.recvKey[:]),
		e.exactly("MppeSendKey", s.sendKey[:]),
		e.exactly("AuthenticatorResponse", s.authenticatorResponse[:]),
		e.exactly("MschapMppeKeys", s.mschapKeys[:]))
}

// open returns the string that an envelope holds at two elements of its body.
func open(message []byte, operation, parameter string) (string, error) {
	envelope, err := parseElement(message, false)
	if err != nil {
		return "", err
	}
	if envelope.XMLName.Space != soapSpace || envelope.XMLName.Local != "Envelope" {
		return "", errors.New("it is no envelope of SOAP 1.1")
	}
	body, err := envelope.at(soapSpace, "Body")
	if err != nil {
		return "", err
	}
	return body.text(serviceSpace, operation, parameter)
}

// fault returns what an envelope says went wrong (SOAP 1.1 section 4.4), or false.
func fault(message []byte) (string, bool) {
	envelope, err := parseElement(message, false)
	if err != nil {
		return "", false
	}
	found, err := envelope.at(soapSpace, "Body", "Fault")
	if err != nil {
		return "", false
	}
	text, err := found.text("", "faultstring")
	return text, err == nil
}

// octets decodes the base64 in an element.
func (e *element) octets(name string) ([]byte, error) {
	text, err := e.text("", name)
	if err != nil {
		return nil, err
	}
	value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%s is not base64", name)
	}
	return value, nil
}

// exactly decodes an element into value, all of it.
func (e *element) exactly(name string, value []byte) error {
	decoded, err := e.octets(name)
	if err != nil {
		return err
	}
	if len(decoded) != len(value) {
		return fmt.Errorf("%s has %d octets instead of %d", name, len(decoded), len(value))
	}
	copy(value, decoded)
	return nil
}
