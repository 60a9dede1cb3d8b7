package embedded

import (
	"context"
	"fmt"
)

// KeepNote keeps a value for another part of the server, which is the only one to use
// this kind of notes. It replaces the one of the same name.
func (s *Store) KeepNote(ctx context.Context, kind, name string, value []byte) error {
	err := s.change(ctx, func() error {
		s.wal.grew(1)
		return s.db.writer.exec("INSERT OR REPLACE INTO note (kind, name, value) VALUES (?, ?, ?)", kind, name, append([]byte{}, value...))
	})
	if err != nil {
		return fmt.Errorf("writing note %q of %s: %w", name, kind, err)
	}
	return nil
}

// Notes returns all notes of a kind, by name.
func (s *Store) Notes(ctx context.Context, kind string) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	notes := map[string][]byte{}
	err := s.read(func(c *conn) error {
		return c.query("SELECT name, value FROM note WHERE kind = ?", func(r row) error {
			notes[r.text(0)] = r.blob(1)
			return nil
		}, kind)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the notes of %s: %w", kind, err)
	}
	return notes, nil
}
