package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// flushed is an answer that gives what the client has got.
type flushed struct {
	*httptest.ResponseRecorder
	got chan string
}

func (f *flushed) Flush() {
	f.got <- f.Body.String()
	f.Body.Reset()
}

func TestWhatHappensIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &eventStore{events: []tms.Event{login(1, otp.Accepted)}}
		mux := http.NewServeMux()
		(&API{Service: tms.NewService(tms.Options{Store: store, Clock: time.Now}), Caller: func(*http.Request) tms.Caller {
			return tms.Caller{Name: "test", Administrator: true}
		}}).Mount(mux)
		ctx, cancel := context.WithCancel(context.Background())
		body := strings.NewReader(`{"request":{"User":"Alice","Failures":true}}`)
		answer := &flushed{httptest.NewRecorder(), make(chan string)}
		done := make(chan struct{})
		go func() {
			mux.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, "POST", "/v1/event.watch", body))
			close(done)
		}()
		if got := <-answer.got; got != "" {
			t.Errorf("the client hears %q before anything has happened", got)
		}
		store.happen(login(2, otp.WrongPIN), login(3, otp.Accepted))
		before := time.Now()
		var m struct{ Item EventView }
		if got := <-answer.got; json.Unmarshal([]byte(got), &m) != nil || m.Item.ID != "2-0" || m.Item.Verdict != "wrong_pin" {
			t.Errorf("the client hears %q", got)
		}
		if waited := time.Since(before); waited > watchEvery {
			t.Errorf("it hears that after %v", waited)
		}
		cancel()
		<-done
		if got := answer.Body.String(); got != `{"result":null}`+"\n" {
			t.Error(got)
		}
	})
}

// The watch ends with the client, with the server, and with an error of the act.
func TestAWatchEnds(t *testing.T) {
	store := &eventStore{}
	service := tms.NewService(tms.Options{Store: store, Clock: time.Now})
	mux := http.NewServeMux()
	(&API{Service: service, Caller: func(*http.Request) tms.Caller { return tms.Caller{Name: "test", Administrator: true} }}).Mount(mux)
	running, stop := context.WithCancel(context.Background())
	defer stop()
	server := httptest.NewUnstartedServer(mux)
	server.Config.BaseContext = func(net.Listener) context.Context { return running }
	server.Start()
	defer server.Close()
	c := NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	defer c.Close()
	nothing := func(EventView) error { return nil }

	ctx, cancel := context.WithCancel(context.Background())
	if err := c.Watch(ctx, tms.Watching{}, cancel, nothing); err == nil || ctx.Err() == nil {
		t.Errorf("%v after the client has gone", err)
	}
	err := c.Watch(context.Background(), tms.Watching{}, server.CloseClientConnections, nothing)
	if err == nil || !strings.Contains(err.Error(), "broke off its answer to event.watch") || strings.Contains(err.Error(), "done all the same") {
		t.Errorf("%v after the server has gone", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Watch(ctx, tms.Watching{}, stop, nothing); err != nil {
		t.Errorf("%v after the server has stopped in order", err)
	}
	stranger := mount(t, service, false)
	if err := stranger.Watch(context.Background(), tms.Watching{}, func() {}, nothing); !errors.Is(err, tms.ErrForbidden) {
		t.Error(err)
	}
	var answer bytes.Buffer
	recorder := httptest.NewRecorder()
	recorder.Body = &answer
	mux.ServeHTTP(recorder, httptest.NewRequest("POST", "/v1/event.watch", strings.NewReader(`{"request":{"Verdict":"right"}}`)))
	if !strings.Contains(answer.String(), `"kind":"invalid"`) {
		t.Error(&answer)
	}
}
