package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// Client speaks the API over connections that dial makes. Its errors wrap the
// sentinels of tms as if the act had been called directly.
type Client struct {
	http *http.Client
	// OnProgress, when set, is told how far a long act is.
	OnProgress func(Progress)
}

// NewClient makes a Client.
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, &unsent{err}
		}
		return conn, nil
	}}
	return &Client{http: &http.Client{Transport: transport}}
}

// unsent is the error of a request for which there is no connection.
type unsent struct{ error }

func (u *unsent) Unwrap() error { return u.error }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// AddUser is tms.Service.AddUser.
func (c *Client) AddUser(ctx context.Context, n tms.NewUser) (tms.UserView, error) {
	return ask[tms.UserView](ctx, c, "user.add", n, envelope{PIN: n.PIN.Bytes()})
}

// SetUser is tms.Service.SetUser.
func (c *Client) SetUser(ctx context.Context, change tms.UserChange) (tms.UserView, error) {
	return ask[tms.UserView](ctx, c, "user.set", change, envelope{PIN: change.PIN.Bytes()})
}

// RemoveUser is tms.Service.RemoveUser.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	_, err := ask[any](ctx, c, "user.remove", nameRequest{name}, envelope{})
	return err
}

// AddToken is tms.Service.AddToken.
func (c *Client) AddToken(ctx context.Context, n tms.NewToken) (tms.TokenView, error) {
	return ask[tms.TokenView](ctx, c, "token.add", n, envelope{Seed: n.Seed.Bytes()})
}

// AssignToken is tms.Service.AssignToken.
func (c *Client) AssignToken(ctx context.Context, serial, user string) (tms.TokenView, error) {
	return ask[tms.TokenView](ctx, c, "token.assign", assignRequest{serial, user}, envelope{})
}

// ChangeToken is one of the acts that need a serial only: enable, disable,
// unlock, remove.
func (c *Client) ChangeToken(ctx context.Context, act, serial string) (tms.TokenView, error) {
	return ask[tms.TokenView](ctx, c, "token."+act, serialRequest{serial}, envelope{})
}

// ResyncToken is tms.Service.ResyncToken.
func (c *Client) ResyncToken(ctx context.Context, r tms.TokenResync) (tms.TokenView, error) {
	return ask[tms.TokenView](ctx, c, "token.resync", r, envelope{})
}

// HandOverToken is tms.Service.HandOverToken.
func (c *Client) HandOverToken(ctx context.Context, h tms.HandOver) (tms.TokenView, error) {
	return ask[tms.TokenView](ctx, c, "token.hand-over", h, envelope{PIN: h.PIN.Bytes(), Seed: h.Seed.Bytes()})
}

// AddRule is tms.Service.AddRule.
func (c *Client) AddRule(ctx context.Context, n tms.NewRule) (tms.RuleView, error) {
	return ask[tms.RuleView](ctx, c, "exclusion.add", n, envelope{})
}

// RemoveRule is tms.Service.RemoveRule.
func (c *Client) RemoveRule(ctx context.Context, name string) error {
	_, err := ask[any](ctx, c, "exclusion.remove", nameRequest{name}, envelope{})
	return err
}

// Rules is tms.Service.Rules.
func (c *Client) Rules(ctx context.Context, name string, each func(tms.RuleView) error) error {
	return enumerate(ctx, c, "exclusion.list", nameRequest{name}, each)
}

// RuleReport is tms.Service.RuleReport.
func (c *Client) RuleReport(ctx context.Context, within time.Duration) (tms.RuleReport, error) {
	return ask[tms.RuleReport](ctx, c, "exclusion.report", reportRequest{within}, envelope{})
}

// Explain is tms.Service.Explain.
func (c *Client) Explain(ctx context.Context, r tms.ExplainRequest) (tms.Explanation, error) {
	return ask[tms.Explanation](ctx, c, "login.explain", explainRequest{ExplainRequest: r}, envelope{})
}

// ExplainEvent is tms.Service.ExplainEvent.
func (c *Client) ExplainEvent(ctx context.Context, event string) (tms.Explanation, error) {
	return ask[tms.Explanation](ctx, c, "login.explain", explainRequest{Event: event}, envelope{})
}

// BehindState is tms.Service.BehindState.
func (c *Client) BehindState(ctx context.Context) (tms.BehindView, error) {
	return ask[tms.BehindView](ctx, c, "tms.state", struct{}{}, envelope{})
}

// Users is tms.Service.Users.
func (c *Client) Users(ctx context.Context, f tms.Filter, each func(tms.UserView) error) error {
	return enumerate(ctx, c, "user.list", asked(f), each)
}

// Tokens is tms.Service.Tokens.
func (c *Client) Tokens(ctx context.Context, f tms.Filter, each func(tms.TokenView) error) error {
	return enumerate(ctx, c, "token.list", asked(f), each)
}

// Events is tms.Service.Events.
func (c *Client) Events(ctx context.Context, f tms.Filter, each func(EventView) error) error {
	return enumerate(ctx, c, "event.list", asked(f), each)
}

// Import is tms.Service.Import.
func (c *Client) Import(ctx context.Context, file io.Reader, noPIN bool) (int, error) {
	verb := "user.import"
	if noPIN {
		verb += "?no_pin"
	}
	var n int
	err := c.post(ctx, verb, file, nil, &n)
	return n, err
}

// Backup is tms.Service.Backup, written to w. With an error what was written is
// not a backup.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	response, err := c.open(ctx, "store.backup", http.NoBody)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") != backupType {
		return c.read("store.backup", response.Body, nil, nil)
	}
	progress := &counter{w, Progress{Total: response.ContentLength}, c.OnProgress}
	if _, err := io.Copy(progress, response.Body); err != nil {
		return fmt.Errorf("receiving the backup: %w", err)
	}
	return nil
}

// counter tells how far a copy is.
type counter struct {
	io.Writer
	Progress
	tell func(Progress)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.Done += int64(n)
	if c.tell != nil {
		c.tell(c.Progress)
	}
	return n, err
}

// RotateKeys is tms.Service.RotateKeys.
func (c *Client) RotateKeys(ctx context.Context) error {
	_, err := ask[any](ctx, c, "key.rotate", struct{}{}, envelope{})
	return err
}

// ask performs an act that has one result.
func ask[T any](ctx context.Context, c *Client, verb string, request any, e envelope) (T, error) {
	var result T
	err := c.send(ctx, verb, request, e, nil, &result)
	return result, err
}

// asked is a Filter on the wire.
func asked(f tms.Filter) listRequest {
	r := listRequest{
		User: string(f.User), Serial: string(f.Serial), Source: f.Source, Limit: f.Limit, Differing: f.Differing,
		NAS: f.NAS, Verdict: verdictWord(f.Verdict), From: f.From, To: f.To,
	}
	if f.Before != (otp.EventID{}) {
		r.Before = f.Before.String()
	}
	return r
}

// enumerate performs a listing.
func enumerate[T any](ctx context.Context, c *Client, verb string, request any, each func(T) error) error {
	return c.send(ctx, verb, request, envelope{}, items(each), nil)
}

// items gives each the items of an answer.
func items[T any](each func(T) error) func(json.RawMessage) error {
	return func(text json.RawMessage) error {
		var item T
		if err := json.Unmarshal(text, &item); err != nil {
			return err
		}
		return each(item)
	}
}

func (c *Client) send(ctx context.Context, verb string, request any, e envelope, item func(json.RawMessage) error, result any) error {
	body, err := pack(request, e)
	if err != nil {
		return err
	}
	return c.post(ctx, verb, body, item, result)
}

// pack makes the body of a request.
func pack(request any, e envelope) (io.Reader, error) {
	var err error
	if e.Request, err = json.Marshal(request); err != nil {
		return nil, err
	}
	body, err := json.Marshal(e)
	return bytes.NewReader(body), err
}

// post sends a body and reads the lines of the answer.
func (c *Client) post(ctx context.Context, verb string, body io.Reader, item func(json.RawMessage) error, result any) error {
	response, err := c.open(ctx, verb, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return c.read(verb, response.Body, item, result)
}

// open sends a body and returns the answer, unread.
func (c *Client) open(ctx context.Context, verb string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://countersign/v1/"+verb, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, doubtful(verb, fmt.Errorf("asking the server for %s: %w", verb, errors.Unwrap(err)))
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("asking the server for %s: %s; is it of another version?", verb, response.Status)
	}
	return response, nil
}

// reading are the verbs that change nothing.
var reading = []string{"user.list", "token.list", "invitation.list", "mail.list", "exclusion.list", "exclusion.report", "login.explain", "event.list", "event.watch", "audit.key", "audit.checkpoint", "audit.export", "store.backup", "token.export", "migration.status", "tms.state",
	"session.list", "session.show", "session.records", "collector.list", "nas.report", "cluster.status"}

// doubtful adds to the error of a request whose answer is missing that it may
// have been done all the same, unless it changes nothing or was never sent.
func doubtful(verb string, err error) error {
	var never *unsent
	if slices.Contains(reading, verb) || errors.As(err, &never) {
		return err
	}
	return fmt.Errorf("%w; it may have been done all the same: `countersign event list` shows what was done", err)
}

// read reads the lines of an answer.
func (c *Client) read(verb string, body io.Reader, item func(json.RawMessage) error, result any) error {
	lines := json.NewDecoder(body)
	for {
		var m message
		if err := lines.Decode(&m); err != nil {
			return doubtful(verb, fmt.Errorf("the server broke off its answer to %s: %w", verb, err))
		}
		switch {
		case m.Error != nil:
			return fromWire(m.Error)
		case m.Progress != nil && c.OnProgress != nil:
			c.OnProgress(*m.Progress)
		case m.Item != nil:
			if err := item(m.Item); err != nil {
				return err
			}
		case m.Result != nil:
			if result == nil {
				return nil
			}
			return json.Unmarshal(m.Result, result)
		}
	}
}
