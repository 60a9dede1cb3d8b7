package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"countersign/conf"
)

// logBuffer gathers log lines, so that thousands of logins a second do not cost
// a system call each, and so that a terminal or a pipe that takes nothing more
// stops no login: then lines are dropped, and how many is said later. A line
// waits at most flushEvery; warnings and what came before them are written at
// once.
type logBuffer struct {
	w    io.Writer
	wake chan struct{}

	mu      sync.Mutex
	buf     []byte
	dropped int

	writing sync.Mutex
	spare   []byte
}

const (
	flushEvery = 100 * time.Millisecond
	flushSize  = 64 << 10
	maxLog     = 4 << 20
)

func newLogBuffer(w io.Writer) *logBuffer { return &logBuffer{w: w, wake: make(chan struct{}, 1)} }

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	if len(b.buf)+len(line) > maxLog {
		b.dropped++
	} else {
		b.buf = append(b.buf, line...)
	}
	full := len(b.buf) >= flushSize
	b.mu.Unlock()
	if full {
		b.hurry()
	}
	return len(line), nil
}

// hurry has the lines written soon.
func (b *logBuffer) hurry() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// flush writes what is there. It may block.
func (b *logBuffer) flush() {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	lines, dropped := b.buf, b.dropped
	b.buf, b.dropped = b.spare[:0], 0
	b.mu.Unlock()
	if dropped > 0 {
		lines = fmt.Appendf(lines, "%d log lines were dropped, because nobody took them\n", dropped)
	}
	if len(lines) > 0 {
		_, _ = b.w.Write(lines) // where should it be told that the log fails?
	}
	b.spare = lines
}

// run writes lines until ctx is done.
func (b *logBuffer) run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-b.wake:
		case <-ctx.Done():
			b.flush()
			return
		}
		b.flush()
	}
}

// urgent is a handler that hurries the buffer after warnings and errors.
type urgent struct {
	slog.Handler
	buffer *logBuffer
}

func (h urgent) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.buffer.hurry()
	}
	return err
}

func (h urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{h.Handler.WithAttrs(attrs), h.buffer}
}

func (h urgent) WithGroup(name string) slog.Handler {
	return urgent{h.Handler.WithGroup(name), h.buffer}
}

// newLogger is the server's logger; the level can be changed by a reload.
func newLogger(c conf.Log, w io.Writer, level *slog.LevelVar) (*slog.Logger, *logBuffer) {
	level.Set(c.Level)
	buffer := newLogBuffer(w)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(buffer, options)
	if c.Format == conf.LogJSON {
		handler = slog.NewJSONHandler(buffer, options)
	}
	return slog.New(urgent{handler, buffer}), buffer
}
