package safenet

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"countersign/otp"
)

const (
	// DefaultNAS is the NAS of logins that come to a Handler, where HandlerOptions do not
	// say.
	DefaultNAS = "otp-service"
	// complaintPause is how long a complaint is not logged again.
	complaintPause = time.Minute
)

// HandlerOptions says what a Handler works with.
type HandlerOptions struct {
	// Verify decides an attempt and waits for that (otp.Verifier.Verify). It burns the code.
	// With an error nothing is known.
	Verify func(context.Context, *otp.Attempt) (otp.Verdict, error)
	Allow  []netip.Prefix // who may ask; nobody when empty
	NAS    string         // in attempts; "": DefaultNAS
	// MaxInFlight is how many attempts may wait for Verify at the same time; 0 is
	// DefaultMaxInFlight.
	MaxInFlight int
	Clock       func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: none
	// Done is told of every request; nil: nobody.
	Done func(Exchange)
}

// Exchange is how a request was answered.
type Exchange struct {
	Status  int         // of HTTP; 200 when there was a verdict
	Verdict otp.Verdict // otp.Undecided when there was none
	Took    time.Duration
}

// Handler is the OTP Web Service at ServicePath, answered by Verify.
type Handler struct {
	options   HandlerOptions
	slots     chan struct{} // held by attempts under way
	stranger  pause
	malformed pause
}

// NewHandler makes a Handler. How long a request may take to come is for the http.Server
// to limit.
func NewHandler(o HandlerOptions) *Handler {
	o.NAS = cmp.Or(o.NAS, DefaultNAS)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{options: o, slots: make(chan struct{}, cmp.Or(o.MaxInFlight, DefaultMaxInFlight))}
}

// rejection is the status of a request that is not decided, with what is wrong in it.
type rejection struct {
	status int
	err    error // nil: that is nobody's business
}

// write answers in a few words.
func (r *rejection) write(w http.ResponseWriter) {
	switch r.status {
	case http.StatusForbidden:
		w.Header().Set("Connection", "close")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	if r.err == nil {
		w.WriteHeader(r.status)
		return
	}
	http.Error(w, r.err.Error(), r.status)
}

// ServeHTTP answers one request. Who is not allowed is told nothing.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.options.Clock()
	answer, verdict, bad := h.serve(w, r, start)
	e := Exchange{Status: http.StatusOK, Verdict: verdict}
	if bad == nil {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "private, max-age=0")
		_, _ = w.Write(answer)
	} else {
		e.Status = bad.status
		bad.write(w)
	}
	if h.options.Done != nil {
		e.Took = h.options.Clock().Sub(start)
		h.options.Done(e)
	}
}

// serve reads a request and has it decided.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, at time.Time) ([]byte, otp.Verdict, *rejection) {
	source, allowed := h.source(r)
	if !allowed {
		h.complain(r, &h.stranger, "the OTP service is asked by an address that is not allowed; if it may ask, add it to allow in [otp_service]", nil)
		return nil, otp.Undecided, &rejection{http.StatusForbidden, nil}
	}
	l, bad := read(w, r)
	if bad != nil {
		h.complain(r, &h.malformed, "a request to the OTP service is malformed", bad.err)
		return nil, otp.Undecided, bad
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return nil, otp.Undecided, &rejection{http.StatusServiceUnavailable, errBusy}
	}
	o, verdict, err := h.decide(r.Context(), l, source, at)
	if err != nil {
		h.options.Logger.Error("a login at the OTP service could not be decided", "source", source, "error", err)
		return nil, otp.Undecided, &rejection{http.StatusServiceUnavailable, errUndecided}
	}
	return o.write(), verdict, nil
}

// source is who asks, and whether they may.
func (h *Handler) source(r *http.Request) (netip.Addr, bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	source := from.Addr().Unmap().WithZone("")
	return source, slices.ContainsFunc(h.options.Allow, func(p netip.Prefix) bool { return p.Contains(source) })
}

// What is wrong with requests.
var (
	errPath      = errors.New("the service is at " + ServicePath)
	errMethod    = errors.New("only POST is answered")
	errMedia     = errors.New("only text/xml in UTF-8 (SOAP 1.1) is read")
	errAction    = errors.New("the only SOAPAction is " + soapAction)
	errBody      = errors.New("the request did not come whole")
	errLong      = errors.New("the request is too long")
	errBusy      = errors.New("too many logins are under way")
	errUndecided = errors.New("nothing was decided")
	errNoProof   = errors.New("it was accepted without a passcode")
)

// read takes a login from a request.
func read(w http.ResponseWriter, r *http.Request) (*login, *rejection) {
	action := r.Header.Get("SOAPAction")
	switch {
	case !strings.EqualFold(r.URL.Path, ServicePath):
		return nil, &rejection{http.StatusNotFound, errPath}
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return nil, &rejection{http.StatusMethodNotAllowed, errMethod}
	case !readable(r.Header.Get("Content-Type")):
		return nil, &rejection{http.StatusUnsupportedMediaType, errMedia}
	case action != "" && strings.Trim(action, `"`) != strings.Trim(soapAction, `"`):
		return nil, &rejection{http.StatusBadRequest, errAction}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if long := new(http.MaxBytesError); errors.As(err, &long) {
		return nil, &rejection{http.StatusRequestEntityTooLarge, errLong}
	}
	if err != nil {
		return nil, &rejection{http.StatusBadRequest, errBody}
	}
	l, err := parseRequest(body)
	if err != nil {
		return nil, &rejection{http.StatusBadRequest, err}
	}
	return l, nil
}

// readable reports whether a Content-Type is that of SOAP 1.1 in an encoding that is
// UTF-8 or a part of it.
func readable(value string) bool {
	media, parameters, err := mime.ParseMediaType(value)
	return err == nil && media == "text/xml" &&
		slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, strings.ToLower(parameters["charset"]))
}

// decide makes an attempt of a login, and an answer of the verdict. Only an accept that
// has found the passcode is one: the answer proves that we know it.
func (h *Handler) decide(ctx context.Context, l *login, source netip.Addr, at time.Time) (*outcome, otp.Verdict, error) {
	proof := newProof(l)
	station := source.String()
	a := &otp.Attempt{At: at, NAS: h.options.NAS, Station: []byte(station), Method: otp.MSCHAPv2, Challenge: proof}
	user, ok := otp.AppendUserName(nil, []byte(l.user))
	if a.User = user; !ok {
		a.Preset = otp.BadUserName
	}
	verdict, err := h.options.Verify(ctx, a)
	if err == nil && verdict == otp.Undecided {
		err = errUndecided
	}
	if err != nil {
		return nil, verdict, err
	}
	o := &outcome{code: codeRefused, description: refusal}
	if verdict.Accepts() {
		if len(proof.found) == 0 {
			return nil, verdict, errNoProof
		}
		o = &outcome{code: codeAccepted, success: newSuccess(l, proof.found)}
	}
	h.emit(a, l, verdict)
	return o, verdict, nil
}

// emit logs a login that was decided, as those over RADIUS are.
func (h *Handler) emit(a *otp.Attempt, l *login, verdict otp.Verdict) {
	user := string(a.User)
	if user == "" { // it was no user name
		user = clip(l.user, otp.MaxUserName)
	}
	h.options.Logger.Info("login", "user", user, "verdict", verdict.String(), "nas", a.NAS, "station", string(a.Station),
		"method", a.Method.String(), "serial", string(a.Decision.Serial), "offset", a.Decision.Offset,
		"event", a.Event.String(), "took_us", h.options.Clock().Sub(a.At).Microseconds())
}

// complain logs what is wrong with requests, at most once a minute.
func (h *Handler) complain(r *http.Request, p *pause, message string, err error) {
	if !p.over(h.options.Clock()) {
		return
	}
	attrs := []any{"source", r.RemoteAddr}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	h.options.Logger.Warn(message, attrs...)
}

// pause lets something happen once in complaintPause.
type pause struct{ last atomic.Int64 }

func (p *pause) over(now time.Time) bool {
	last := p.last.Load()
	if last != 0 && now.UnixNano()-last < int64(complaintPause) {
		return false
	}
	return p.last.CompareAndSwap(last, now.UnixNano())
}
