package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"countersign/tms"
)

// API serves the acts of a Service. Mount puts it on a mux.
type API struct {
	Service *tms.Service
	// Caller tells who sent a request, from its connection.
	Caller func(*http.Request) tms.Caller
}

// maxRequest bounds a request in bytes; an import file is streamed and has no
// bound.
const maxRequest = 1 << 20

// call is one request while it is served.
type call struct {
	*envelope
	ctx     context.Context
	caller  tms.Caller
	service *tms.Service
	answer  *answer
}

// Mount adds the API's routes below /v1/.
func (a *API) Mount(mux *http.ServeMux) {
	a.verb(mux, "user.add", addUser)
	a.verb(mux, "user.set", setUser)
	a.verb(mux, "user.remove", removeUser)
	a.verb(mux, "user.list", listUsers)
	a.verb(mux, "token.add", addToken)
	a.verb(mux, "token.assign", assignToken)
	a.verb(mux, "token.enable", enableToken(true))
	a.verb(mux, "token.disable", enableToken(false))
	a.verb(mux, "token.unlock", unlockToken)
	a.verb(mux, "token.resync", resyncToken)
	a.verb(mux, "token.remove", removeToken)
	a.verb(mux, "token.hand-over", handOverToken)
	a.verb(mux, "token.list", listTokens)
	a.verb(mux, "token.export", exportTokens)
	a.verb(mux, "exclusion.add", addRule)
	a.verb(mux, "exclusion.remove", removeRule)
	a.verb(mux, "exclusion.list", listRules)
	a.verb(mux, "exclusion.report", reportRules)
	a.verb(mux, "login.explain", explainLogin)
	a.verb(mux, "tms.state", func(c *call) (any, error) { return c.service.BehindState(c.ctx, c.caller) })
	a.verb(mux, "event.list", listEvents)
	a.verb(mux, "event.watch", watchEvents)
	a.verb(mux, "audit.key", auditKey)
	a.verb(mux, "audit.checkpoint", signAudit)
	a.verb(mux, "key.rotate", rotateKeys)
	a.mountEnrolment(mux)
	a.mountMigration(mux)
	a.mountSessions(mux)
	a.verb(mux, "collector.list", listCollectors)
	a.verb(mux, "nas.report", reportNASes)
	a.verb(mux, "cluster.status", func(c *call) (any, error) { return c.service.ClusterStatus(c.ctx, c.caller) })
	a.verb(mux, "cluster.forget", forgetNode)
	mux.HandleFunc("POST /v1/user.import", a.importUsers)
	mux.HandleFunc("POST /v1/token.import", a.importTokens)
	mux.HandleFunc("POST /v1/store.backup", a.backup)
	mux.HandleFunc("POST /v1/audit.export", a.exportAudit)
}

// verb adds the route of an act that takes an envelope.
func (a *API) verb(mux *http.ServeMux, verb string, act func(*call) (any, error)) {
	mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
		answer := newAnswer(w)
		var e envelope
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&e); err != nil {
			answer.end(nil, unreadable(err))
			return
		}
		answer.end(act(&call{&e, r.Context(), a.Caller(r), a.Service, answer}))
	})
}

// unreadable says why a request cannot be read.
func unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fmt.Errorf("%w: the request is too large: it may have %d bytes; make several smaller ones of it", tms.ErrInvalid, large.Limit)
	}
	return fmt.Errorf("%w: the request is not an envelope of JSON", tms.ErrInvalid)
}

// importUsers is the verb whose request is a file.
func (a *API) importUsers(w http.ResponseWriter, r *http.Request) {
	n, err := a.Service.Import(r.Context(), a.Caller(r), r.Body, r.URL.Query().Has("no_pin"))
	// A client that is still sending would miss the answer.
	_, _ = io.Copy(io.Discard, r.Body)
	newAnswer(w).end(n, err)
}

// backup is the verb whose answer is a file: the client writes it, where and as
// whom it likes, and the server needs no rights there.
func (a *API) backup(w http.ResponseWriter, r *http.Request) {
	file, length, err := a.Service.Backup(r.Context(), a.Caller(r))
	if err != nil {
		newAnswer(w).end(nil, err)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", backupType)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	_, _ = io.Copy(w, file) // the client counts the bytes
}

// backupType is the media type of a backup (RFC 6838's vnd.sqlite3).
const backupType = "application/vnd.sqlite3"

// answer writes the lines of an answer.
type answer struct {
	w       http.ResponseWriter
	encoder *json.Encoder
}

func newAnswer(w http.ResponseWriter) *answer {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &answer{w, json.NewEncoder(w)}
}

func (a *answer) item(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.encoder.Encode(message{Item: text})
}

func (a *answer) progress(done, total int64) {
	if a.encoder.Encode(message{Progress: &Progress{done, total}}) == nil {
		_ = http.NewResponseController(a.w).Flush()
	}
}

// end writes the last line. That the client is gone by then is its own affair.
func (a *answer) end(result any, err error) {
	if err == nil {
		var text []byte
		if text, err = json.Marshal(result); err == nil {
			_ = a.encoder.Encode(message{Result: text})
			return
		}
	}
	_ = a.encoder.Encode(message{Error: toWire(err)})
}

// read decodes the request of a call.
func read[T any](c *call) (T, error) {
	var request T
	if err := json.Unmarshal(c.Request, &request); err != nil {
		return request, fmt.Errorf("%w: request: %w", tms.ErrInvalid, err)
	}
	return request, nil
}

func addUser(c *call) (any, error) {
	n, err := read[tms.NewUser](c)
	if err != nil {
		return nil, err
	}
	n.PIN = c.pin()
	return c.service.AddUser(c.ctx, c.caller, n)
}

func setUser(c *call) (any, error) {
	change, err := read[tms.UserChange](c)
	if err != nil {
		return nil, err
	}
	change.PIN = c.pin()
	return c.service.SetUser(c.ctx, c.caller, change)
}

func removeUser(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.RemoveUser(c.ctx, c.caller, r.Name)
}

func addToken(c *call) (any, error) {
	n, err := read[tms.NewToken](c)
	if err != nil {
		return nil, err
	}
	n.Seed = c.seed()
	return c.service.AddToken(c.ctx, c.caller, n)
}

func assignToken(c *call) (any, error) {
	r, err := read[assignRequest](c)
	if err != nil {
		return nil, err
	}
	return c.service.AssignToken(c.ctx, c.caller, r.Serial, r.User)
}

func enableToken(enable bool) func(*call) (any, error) {
	return func(c *call) (any, error) {
		r, err := read[serialRequest](c)
		if err != nil {
			return nil, err
		}
		return c.service.EnableToken(c.ctx, c.caller, r.Serial, enable)
	}
}

func unlockToken(c *call) (any, error) {
	r, err := read[serialRequest](c)
	if err != nil {
		return nil, err
	}
	return c.service.UnlockToken(c.ctx, c.caller, r.Serial)
}

func resyncToken(c *call) (any, error) {
	r, err := read[tms.TokenResync](c)
	if err != nil {
		return nil, err
	}
	return c.service.ResyncToken(c.ctx, c.caller, r)
}

func removeToken(c *call) (any, error) {
	r, err := read[serialRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.RemoveToken(c.ctx, c.caller, r.Serial)
}

func handOverToken(c *call) (any, error) {
	h, err := read[tms.HandOver](c)
	if err != nil {
		return nil, err
	}
	h.Seed, h.PIN = c.seed(), c.pin()
	return c.service.HandOverToken(c.ctx, c.caller, h)
}

// list serves a listing.
func list[T any](c *call, listing func(context.Context, tms.Caller, tms.Filter, func(T) error) error) (any, error) {
	r, err := read[listRequest](c)
	if err != nil {
		return nil, err
	}
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	return nil, listing(c.ctx, c.caller, f, func(item T) error { return c.answer.item(item) })
}

func listUsers(c *call) (any, error)  { return list(c, c.service.Users) }
func listTokens(c *call) (any, error) { return list(c, c.service.Tokens) }

func listEvents(c *call) (any, error) {
	return list(c, func(ctx context.Context, caller tms.Caller, f tms.Filter, each func(EventView) error) error {
		return c.service.Events(ctx, caller, f, func(e *tms.Event) error { return each(ViewEvent(e)) })
	})
}

func rotateKeys(c *call) (any, error) {
	return nil, c.service.RotateKeys(c.ctx, c.caller, c.answer.progress)
}
