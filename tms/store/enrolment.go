package store

import (
	"encoding/json"
	"errors"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// EncodeInvitation is an invitation as an engine seals it, in JSON. It has every
// secret in clear.
func EncodeInvitation(i *tms.Invitation) ([]byte, error) {
	text := invitationText{
		ID: i.ID[:], User: string(i.User), Token: encodeToken(&i.Token), PIN: i.PIN.Bytes(), Key: i.Key.Reveal(),
		Mail: i.Mail, Local: i.Local, By: i.By, Created: unix(i.Created), Expires: unix(i.Expires), Opened: unix(i.Opened), Reminded: i.Reminded,
		Failures: i.Failures, Mailed: i.Mailed,
	}
	for _, link := range i.Links {
		text.Links = append(text.Links, link[:])
	}
	return json.Marshal(text)
}

// ParseInvitation reads what EncodeInvitation made.
func ParseInvitation(b []byte) (tms.Invitation, error) {
	var text invitationText
	if json.Unmarshal(b, &text) != nil || len(text.ID) != len(tms.InvitationID{}) {
		return tms.Invitation{}, errors.New("damaged invitation") // never what is in it
	}
	token, err := text.Token.parse()
	if err != nil {
		return tms.Invitation{}, err
	}
	i := tms.Invitation{
		Exists: true, ID: tms.InvitationID(text.ID), User: otp.UserName(text.User), Token: token, Mail: text.Mail, Local: text.Local, By: text.By,
		Created: instant(text.Created), Expires: instant(text.Expires), Opened: instant(text.Opened), Reminded: text.Reminded,
		Failures: text.Failures, Mailed: text.Mailed,
	}
	if len(text.PIN) > 0 {
		i.PIN = otp.NewPIN(text.PIN)
	}
	if text.Key != "" {
		i.Key = tms.NewActivationKey(text.Key)
	}
	for _, link := range text.Links {
		if len(link) != len(tms.Hash{}) {
			return tms.Invitation{}, errors.New("damaged invitation")
		}
		i.Links = append(i.Links, tms.Hash(link))
	}
	return i, nil
}

// EncodeMail is a mail as an engine seals it, in JSON, but for its ID.
func EncodeMail(m *tms.Mail) ([]byte, error) {
	return json.Marshal(mailText{
		Kind: string(m.Kind), User: string(m.User), Invitation: m.Invitation[:], Serial: string(m.Serial), To: m.To,
		Link: m.Link.Reveal(), Created: unix(m.Created), Due: unix(m.Due), Tries: m.Tries, LastError: m.LastError,
	})
}

// ParseMail reads what EncodeMail made.
func ParseMail(b []byte) (tms.Mail, error) {
	var text mailText
	if json.Unmarshal(b, &text) != nil || len(text.Invitation) != len(tms.InvitationID{}) {
		return tms.Mail{}, errors.New("damaged mail")
	}
	m := tms.Mail{
		Exists: true, Kind: tms.MailKind(text.Kind), User: otp.UserName(text.User), Invitation: tms.InvitationID(text.Invitation),
		Serial: otp.Serial(text.Serial), To: text.To, Created: instant(text.Created), Due: instant(text.Due),
		Tries: text.Tries, LastError: text.LastError,
	}
	if text.Link != "" {
		m.Link = tms.NewLink(text.Link)
	}
	return m, nil
}

// The texts. Instants are Unix seconds, 0 for none; types and algorithms are the
// numbers of otp.TokenType and oath.Algorithm.

type invitationText struct {
	ID       []byte    `json:"id"`
	User     string    `json:"user"`
	Token    tokenText `json:"token"`
	PIN      []byte    `json:"pin,omitempty"`
	Key      string    `json:"key,omitempty"`
	Links    [][]byte  `json:"links,omitempty"`
	Mail     string    `json:"mail,omitempty"`
	Mailed   bool      `json:"mailed,omitempty"`
	Local    bool      `json:"local,omitempty"`
	By       string    `json:"by,omitempty"`
	Created  int64     `json:"created"`
	Expires  int64     `json:"expires"`
	Opened   int64     `json:"opened,omitempty"`
	Reminded bool      `json:"reminded,omitempty"`
	Failures int       `json:"failures,omitempty"`
}

type tokenText struct {
	Serial     string `json:"serial"`
	Type       uint8  `json:"type"`
	Algorithm  uint8  `json:"algorithm"`
	Digits     uint8  `json:"digits"`
	Period     uint32 `json:"period,omitempty"`
	T0         int64  `json:"t0,omitempty"`
	Codes      uint16 `json:"codes,omitempty"`
	ValidFrom  int64  `json:"valid_from,omitempty"`
	ValidUntil int64  `json:"valid_until,omitempty"`
	Disabled   bool   `json:"disabled,omitempty"`
	Seed       []byte `json:"seed,omitempty"`
	State      []byte `json:"state"` // of AppendState
}

type mailText struct {
	Kind       string `json:"kind"`
	User       string `json:"user"`
	Invitation []byte `json:"invitation"`
	Serial     string `json:"serial,omitempty"`
	To         string `json:"to"`
	Link       string `json:"link,omitempty"`
	Created    int64  `json:"created"`
	Due        int64  `json:"due"`
	Tries      int    `json:"tries,omitempty"`
	LastError  string `json:"last_error,omitempty"`
}

func encodeToken(t *otp.Token) tokenText {
	return tokenText{
		Serial: string(t.Serial), Type: uint8(t.Type), Algorithm: uint8(t.Algorithm), Digits: t.Digits, Period: t.Period, T0: t.T0,
		Codes: t.Codes, ValidFrom: t.ValidFrom, ValidUntil: t.ValidUntil, Disabled: t.Disabled,
		Seed: t.Seed.Bytes(), State: AppendState(nil, &t.State),
	}
}

func (t *tokenText) parse() (otp.Token, error) {
	state, err := ParseState(t.State)
	token := otp.Token{
		Serial: otp.Serial(t.Serial), Type: otp.TokenType(t.Type), Algorithm: oath.Algorithm(t.Algorithm), Digits: t.Digits,
		Period: t.Period, T0: t.T0, Codes: t.Codes, ValidFrom: t.ValidFrom, ValidUntil: t.ValidUntil, Disabled: t.Disabled, State: state,
	}
	if len(t.Seed) > 0 {
		token.Seed = oath.NewSeed(t.Seed)
	}
	return token, err
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func instant(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}
