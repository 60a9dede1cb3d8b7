package console

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Box seals what is given to browsers. An otp/seal.Box is one.
type Box interface {
	Seal(dst, value, context []byte) ([]byte, error)
	Open(dst, sealed, context []byte) ([]byte, error)
}

// cookiePrefix binds a cookie to this very host, all of it, and to TLS
// (RFC 6265bis section 4.1.3.2).
const cookiePrefix = "__Host-"

// maxCookie is the longest cookie that is looked at, in characters.
const maxCookie = 2048

// sealedCookie is what a cookie has in it.
type sealedCookie struct {
	Until int64           `json:"e"` // Unix seconds
	Value json.RawMessage `json:"v"`
}

// setCookie gives the browser a value to keep until an instant. Nobody else can read
// it, change it, or use it under another name. It can be brought back more than once,
// also after dropCookie: what must happen once is the store's to see to.
func (p *Pages) setCookie(w http.ResponseWriter, name string, value any, until time.Time) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("making a cookie: %w", err)
	}
	content, err := json.Marshal(sealedCookie{until.Unix(), encoded})
	if err != nil {
		return fmt.Errorf("making a cookie: %w", err)
	}
	sealed, err := p.Box.Seal(nil, content, []byte(cookiePrefix+name))
	if err != nil {
		return fmt.Errorf("making a cookie: %w", err)
	}
	setCookie(w, name, base64.RawURLEncoding.EncodeToString(sealed), int(until.Sub(p.Clock()).Seconds()))
	return nil
}

// cookie reads into value, a pointer, what setCookie made, and reports whether there
// is such a thing and its time is not over.
func (p *Pages) cookie(r *http.Request, name string, value any) bool {
	c, err := r.Cookie(cookiePrefix + name)
	if err != nil || len(c.Value) > maxCookie {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return false
	}
	content, err := p.Box.Open(nil, sealed, []byte(cookiePrefix+name))
	if err != nil {
		return false
	}
	var opened sealedCookie
	if json.Unmarshal(content, &opened) != nil || opened.Until <= p.Clock().Unix() {
		return false
	}
	return json.Unmarshal(opened.Value, value) == nil
}

// dropCookie makes the browser forget a cookie.
func (p *Pages) dropCookie(w http.ResponseWriter, name string) { setCookie(w, name, "", -1) }

func setCookie(w http.ResponseWriter, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookiePrefix + name, Value: value, Path: "/", MaxAge: seconds,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
