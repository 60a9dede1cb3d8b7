package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// state is what a server says of itself in its metrics.
type state struct {
	Goroutines int            `json:"goroutines"` // at most
	InFlight   int            `json:"in_flight"`  // at most
	Breaker    bool           `json:"breaker_open"`
	Dropped    map[string]int `json:"dropped,omitempty"` // packets since the start, by reason
}

// watch looks at a server's metrics at an interval. The function it returns looks for the
// last time and tells what was seen.
func (p *process) watch(ctx context.Context, every time.Duration) (result func() (state, error)) {
	var seen state
	done, ended := make(chan struct{}), make(chan error)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = seen.look(ctx, p.addr.String()) // the last look tells of errors
			case <-done:
				ended <- seen.look(ctx, p.addr.String())
				return
			}
		}
	}()
	return func() (state, error) {
		close(done)
		err := <-ended
		return seen, err
	}
}

// look reads the metrics at an address.
func (s *state) look(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("reading the server's metrics: %w", err)
	}
	defer reply.Body.Close()
	return s.read(reply.Body)
}

// read takes in a page of metrics.
func (s *state) read(page io.Reader) error {
	s.Dropped = map[string]int{}
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, _ := strconv.ParseFloat(text, 64) // a comment is none of those wanted
		family, label, _ := strings.Cut(strings.TrimSuffix(name, `"}`), "{")
		switch family {
		case "go_goroutines":
			s.Goroutines = max(s.Goroutines, int(value))
		case "countersign_radius_in_flight":
			s.InFlight = max(s.InFlight, int(value))
		case "countersign_tms_breaker_open":
			s.Breaker = value == 1
		case "countersign_radius_dropped_total":
			if value > 0 {
				s.Dropped[strings.TrimPrefix(label, `reason="`)] = int(value)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the server's metrics: %w", err)
	}
	return nil
}
