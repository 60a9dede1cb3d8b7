package console

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"countersign/radiusd/accounting"
	"countersign/tms"
)

// SessionView is what a listing shows of a session. What its NAS does not tell is left out.
type SessionView struct {
	ID    accounting.Position `json:"id"`
	State string              `json:"state"` // open, stale or closed

	User       string     `json:"user"`                // of the login, or UserName where there was none
	UserName   string     `json:"user_name,omitempty"` // as the NAS has it
	NAS        string     `json:"nas"`
	Gateway    string     `json:"gateway,omitempty"` // which of several gateways under that name
	SessionID  string     `json:"session_id"`        // Acct-Session-Id
	Source     string     `json:"source"`            // the address its last record came from
	NASAddress netip.Addr `json:"nas_address,omitzero"`
	NASPort    string     `json:"nas_port,omitempty"`
	Station    string     `json:"station,omitempty"` // Calling-Station-Id
	Address    netip.Addr `json:"address,omitzero"`  // Framed-IP-Address

	Started time.Time `json:"started,omitzero"`
	Heard   time.Time `json:"heard"` // when its last record came
	Last    time.Time `json:"last"`  // when that happened which its newest record is about
	Ended   time.Time `json:"ended,omitzero"`
	Cause   string    `json:"cause,omitempty"` // why it ended, as the NAS says
	By      string    `json:"by,omitempty"`    // who ended it that had no Stop
	Begun   bool      `json:"begun"`           // a Start was among its records
	Records int       `json:"records"`

	*SessionFigures
	*SessionLogin

	// Raw has those of the texts, by their names here, that are no UTF-8, as they came.
	Raw map[string][]byte `json:"raw,omitempty"`
}

// SessionFigures are what a session has used so far, where its NAS says.
type SessionFigures struct {
	Seconds       int64  `json:"seconds"`
	InputOctets   uint64 `json:"input_octets"`  // from the client
	OutputOctets  uint64 `json:"output_octets"` // to the client
	InputPackets  uint64 `json:"input_packets"`
	OutputPackets uint64 `json:"output_packets"`
}

// SessionLogin is the login that a session belongs to, where that is known.
type SessionLogin struct {
	Event    string    `json:"event"`
	LoginAt  time.Time `json:"login_at"`
	LoginNAS string    `json:"login_nas"`
	Serial   string    `json:"serial,omitempty"` // of the token whose code was right
	Rule     string    `json:"rule,omitempty"`   // by which no code was needed
	Limit    string    `json:"session_limit,omitempty"`
}

// RecordView is an accounting record.
type RecordView struct {
	Record     accounting.Position `json:"record"`
	Received   time.Time           `json:"received"`
	NAS        string              `json:"nas"`
	Source     string              `json:"source"`     // the address it came from
	Attributes []byte              `json:"attributes"` // as received (RFC 2866 section 3)
}

func viewSession(s *accounting.Session) SessionView {
	v := SessionView{
		ID: s.ID, State: s.State.String(), User: s.Name(), UserName: s.User, NAS: s.NAS, Gateway: s.Gateway, SessionID: s.SessionID,
		Source: s.Source, NASAddress: s.NASAddress, NASPort: s.NASPort, Station: s.Station, Address: s.Address,
		Started: s.Started, Heard: s.Heard, Last: s.Last, Ended: s.Ended, Cause: s.Cause.String(), By: s.By, Begun: s.Begun, Records: s.Records,
	}
	if f := &s.Figures; f.Has {
		v.SessionFigures = &SessionFigures{int64(f.Time / time.Second), f.InputOctets, f.OutputOctets, f.InputPackets, f.OutputPackets}
	}
	if l := &s.Login; l.Event != "" {
		v.SessionLogin = &SessionLogin{l.Event, l.At, l.NAS, l.Serial, l.Rule, l.Pool}
	}
	for name, text := range v.texts() {
		if !utf8.ValidString(*text) {
			if v.Raw == nil {
				v.Raw = map[string][]byte{}
			}
			v.Raw[name] = []byte(*text)
		}
	}
	return v
}

// texts are those that came from a NAS, which may be anything.
func (v *SessionView) texts() map[string]*string {
	return map[string]*string{
		"user": &v.User, "user_name": &v.UserName, "gateway": &v.Gateway, "session_id": &v.SessionID, "nas_port": &v.NASPort, "station": &v.Station,
	}
}

// restore has the texts be again as they came.
func (v *SessionView) restore() {
	for name, text := range v.texts() {
		if raw, ok := v.Raw[name]; ok {
			*text = string(raw)
		}
	}
}

func viewRecord(e *accounting.Entry) RecordView {
	return RecordView{e.Position, e.At, e.NAS, e.Source, e.Attributes}
}

// The requests of the verbs about sessions.
type (
	sessionsRequest struct {
		User, NAS, Serial, Rule, Station string
		Address                          netip.Addr
		States                           []string
		From, To                         time.Time
		Limit                            int
	}
	// recordsRequest asks for the records of a Session, or for up to Limit of all sessions
	// that came After one.
	recordsRequest struct {
		Session string
		After   accounting.Position
		Limit   int
	}
	sessionRequest struct{ ID string }
)

// filter turns what was asked for into a Filter.
func (r *sessionsRequest) filter() (accounting.Filter, error) {
	f := accounting.Filter{
		User: r.User, NAS: r.NAS, Serial: r.Serial, Rule: r.Rule, Station: r.Station, Address: r.Address, From: r.From, To: r.To, Limit: r.Limit,
	}
	if f.Limit < 0 {
		return f, fmt.Errorf("%w: limit %d: must not be negative; 0 is all", tms.ErrInvalid, f.Limit)
	}
	for _, word := range r.States {
		state, err := accounting.ParseState(word)
		if err != nil {
			return f, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
		}
		f.States = append(f.States, state)
	}
	return f, nil
}

// mountSessions adds the verbs about sessions.
func (a *API) mountSessions(mux *http.ServeMux) {
	a.verb(mux, "session.list", listSessions)
	a.verb(mux, "session.show", showSession)
	a.verb(mux, "session.records", listRecords)
	a.verb(mux, "session.disconnect", disconnectSession)
	a.verb(mux, "session.close", closeSession)
}

func listSessions(c *call) (any, error) {
	r, err := read[sessionsRequest](c)
	if err != nil {
		return nil, err
	}
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	return nil, c.service.ListSessions(c.ctx, c.caller, f, func(s *accounting.Session) error { return c.answer.item(viewSession(s)) })
}

func showSession(c *call) (any, error) {
	r, err := read[sessionRequest](c)
	if err != nil {
		return nil, err
	}
	s, err := c.service.Session(c.ctx, c.caller, r.ID)
	return viewSession(&s), err
}

func listRecords(c *call) (any, error) {
	r, err := read[recordsRequest](c)
	if err != nil {
		return nil, err
	}
	each := func(e *accounting.Entry) error { return c.answer.item(viewRecord(e)) }
	if r.Session != "" {
		return nil, c.service.SessionRecords(c.ctx, c.caller, r.Session, each)
	}
	return c.service.AccountingRecords(c.ctx, c.caller, r.After, r.Limit, each)
}

func disconnectSession(c *call) (any, error) {
	r, err := read[sessionRequest](c)
	if err != nil {
		return nil, err
	}
	return c.service.DisconnectSession(c.ctx, c.caller, r.ID)
}

func closeSession(c *call) (any, error) {
	r, err := read[sessionRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.CloseSession(c.ctx, c.caller, r.ID)
}

// CloseSession is tms.Service.CloseSession.
func (c *Client) CloseSession(ctx context.Context, id string) error {
	_, err := ask[any](ctx, c, "session.close", sessionRequest{id}, envelope{})
	return err
}

// Sessions is tms.Service.ListSessions.
func (c *Client) Sessions(ctx context.Context, f accounting.Filter, each func(SessionView) error) error {
	r := sessionsRequest{
		User: f.User, NAS: f.NAS, Serial: f.Serial, Rule: f.Rule, Station: f.Station, Address: f.Address, From: f.From, To: f.To, Limit: f.Limit,
	}
	for _, state := range f.States {
		r.States = append(r.States, state.String())
	}
	return enumerate(ctx, c, "session.list", r, func(v SessionView) error {
		v.restore()
		return each(v)
	})
}

// Session is tms.Service.Session.
func (c *Client) Session(ctx context.Context, id string) (SessionView, error) {
	v, err := ask[SessionView](ctx, c, "session.show", sessionRequest{id}, envelope{})
	v.restore()
	return v, err
}

// SessionRecords is tms.Service.SessionRecords.
func (c *Client) SessionRecords(ctx context.Context, id string, each func(RecordView) error) error {
	return enumerate(ctx, c, "session.records", recordsRequest{Session: id}, each)
}

// AccountingRecords is tms.Service.AccountingRecords.
func (c *Client) AccountingRecords(ctx context.Context, after accounting.Position, most int, each func(RecordView) error) (accounting.Position, error) {
	return stream[accounting.Position](ctx, c, "session.records", recordsRequest{After: after, Limit: most}, each)
}

// DisconnectSession is tms.Service.DisconnectSession.
func (c *Client) DisconnectSession(ctx context.Context, id string) (tms.Disconnection, error) {
	return ask[tms.Disconnection](ctx, c, "session.disconnect", sessionRequest{id}, envelope{})
}
