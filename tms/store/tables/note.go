package tables

import (
	"context"
	"fmt"
)

const writeNote = "INSERT INTO note (kind, name, value) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value"

// KeepNote keeps a value for another part of the server, which is the only one to use
// this kind of notes. It replaces the one of the same name.
func (s *Tables) KeepNote(ctx context.Context, kind, name string, value []byte) error {
	err := s.change(ctx, func(w Conn) error {
		s.engine.Grew(1)
		return w.Exec(writeNote, kind, name, append([]byte{}, value...))
	})
	if err != nil {
		return fmt.Errorf("writing note %q of %s: %w", name, kind, err)
	}
	return nil
}

// Notes returns all notes of a kind, by name.
func (s *Tables) Notes(ctx context.Context, kind string) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	notes := map[string][]byte{}
	err := s.engine.Read(func(c Conn) error {
		return c.Query("SELECT name, value FROM note WHERE kind = ?", func(r Row) error {
			notes[r.Text(0)] = r.Blob(1)
			return nil
		}, kind)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the notes of %s: %w", kind, err)
	}
	return notes, nil
}
