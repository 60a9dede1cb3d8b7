package console

import (
	"context"
	"net/http"
	"time"

	"countersign/tms"
)

// watchEvery is how often the server looks for what happened.
const watchEvery = 250 * time.Millisecond

// watchRequest is tms.Watching with the verdict as a word.
type watchRequest struct {
	User, NAS, Verdict string
	Failures, Acts     bool
}

// watchEvents serves event.watch: its answer ends with the context of the request, which is over
// when the client has gone, or the server stops (http.Server.BaseContext).
func watchEvents(c *call) (any, error) {
	r, err := read[watchRequest](c)
	if err != nil {
		return nil, err
	}
	w := tms.Watching{User: r.User, NAS: r.NAS, Failures: r.Failures, Acts: r.Acts}
	if w.Verdict, err = readVerdict(r.Verdict); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	err = c.service.Watch(c.ctx, c.caller, w, ticker.C, func(e *tms.Event) error {
		return c.answer.item(ViewEvent(e))
	}, http.NewResponseController(c.answer.w).Flush)
	if c.ctx.Err() != nil {
		return nil, nil // that is its end
	}
	return nil, err
}

// Watch is tms.Service.Watch: it calls each with what happens, until ctx is done or the
// server stops, which is no error. Watching is called once it tells of everything.
func (c *Client) Watch(ctx context.Context, w tms.Watching, watching func(), each func(EventView) error) error {
	r := watchRequest{w.User, w.NAS, verdictWord(w.Verdict), w.Failures, w.Acts}
	body, err := pack(r, envelope{})
	if err != nil {
		return err
	}
	response, err := c.open(ctx, "event.watch", body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	watching()
	return c.read("event.watch", response.Body, items(each), nil)
}
