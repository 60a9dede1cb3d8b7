package tables

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// SeenChunk is how many users are noted in one transaction, of some ten milliseconds
// when each is on a page of its own: so long a login may have to wait for it.
const SeenChunk = 1000

const seenColumns = 2

// seenStatement notes so many users: name and last of each.
func seenStatement(rows int) string {
	return "INSERT INTO tms_seen (name, last) VALUES " + Placeholders(seenColumns, rows) +
		" ON CONFLICT (name) DO UPDATE SET last = excluded.last WHERE excluded.last > tms_seen.last"
}

// NoteSeen implements tms.MigrationStore. More than 1000 users take several
// transactions: with an error some may be noted. What the table has already does not
// come to Do, so that what is noted again costs logins nothing.
func (s *Tables) NoteSeen(ctx context.Context, seen []tms.Seen) error {
	for i := range seen {
		if err := verifyUserName(seen[i].User); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(seen, SeenChunk) {
		if err := s.noteSeen(ctx, chunk); err != nil {
			return fmt.Errorf("noting that the TMS accepted logins of %d users: %w", len(seen), err)
		}
	}
	return nil
}

func (s *Tables) noteSeen(ctx context.Context, seen []tms.Seen) error {
	news, err := s.unseen(ctx, seen)
	if err != nil || len(news) == 0 {
		return err
	}
	return s.change(ctx, func(w Conn) error {
		return s.engine.Transaction(w, func(w Conn) error { return s.writeSeen(w, news) })
	})
}

// unseen returns what the table does not have yet, in the order of the names, the
// latest of each.
func (s *Tables) unseen(ctx context.Context, seen []tms.Seen) ([]tms.Seen, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	news := slices.Clone(seen)
	slices.SortFunc(news, func(a, b tms.Seen) int {
		return cmp.Or(cmp.Compare(a.User, b.User), b.Last.Compare(a.Last))
	})
	news = slices.CompactFunc(news, func(a, b tms.Seen) bool { return a.User == b.User })
	names := make([]otp.UserName, len(news))
	for i := range news {
		names[i] = news[i].User
	}
	known := map[otp.UserName]int64{}
	err := s.engine.Read(func(c Conn) error {
		return queryNames(c, "SELECT name, last FROM tms_seen WHERE name "+s.dialect.Among, names, func(r Row) error {
			known[otp.UserName(r.Text(0))] = r.Integer(1)
			return nil
		})
	})
	return slices.DeleteFunc(news, func(n tms.Seen) bool {
		last, there := known[n.User]
		return there && last >= n.Last.Unix()
	}), err
}

func (s *Tables) writeSeen(w Conn, seen []tms.Seen) error {
	s.engine.Grew(len(seen)) // each on a page of its own, where there are many others
	in := NewInserter(w, seenStatement, seenColumns)
	for i := range seen {
		if err := in.Add(append(in.Args, string(seen[i].User), seen[i].Last.Unix())); err != nil {
			return err
		}
	}
	return in.Flush()
}

// SeenAtTMS implements tms.MigrationStore.
func (s *Tables) SeenAtTMS(ctx context.Context, f tms.Filter, each func(*tms.Seen) error) error {
	from, to := "", highest
	if f.User != "" {
		from, to = string(f.User), string(f.User)
	}
	return list(ctx, f.Limit, func() ([]tms.Seen, error) {
		seen, err := s.readSeen(from, to)
		if err != nil {
			return nil, fmt.Errorf("listing whom the TMS has seen: %w", err)
		}
		if len(seen) > 0 {
			from = following(string(seen[len(seen)-1].User))
		}
		return seen, nil
	}, each)
}

// readSeen reads a page of users from one name to another.
func (s *Tables) readSeen(from, to string) ([]tms.Seen, error) {
	var seen []tms.Seen
	err := s.engine.Read(func(c Conn) error {
		return c.Query("SELECT name, last FROM tms_seen WHERE name >= ? AND name <= ? ORDER BY name LIMIT ?", func(r Row) error {
			seen = append(seen, tms.Seen{User: otp.UserName(r.Text(0)), Last: time.Unix(r.Integer(1), 0)})
			return nil
		}, from, to, int64(ListPage))
	})
	return seen, err
}
