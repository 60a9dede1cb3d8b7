package main

import (
	"context"
	"encoding/json"
	"time"

	"countersign/radiusd"
	"countersign/tms"
)

const (
	// seenEvery is how often it is kept what was seen of the NASes.
	seenEvery = time.Minute
	// pruneEvery is how often what is too old is removed. It is the interval, too, at which
	// retention notes the time.
	pruneEvery = time.Hour
)

// keepHouse does what is due from time to time, until ctx is done.
func (s *server) keepHouse(ctx context.Context) {
	seen := time.NewTicker(seenEvery)
	defer seen.Stop()
	for {
		select {
		case <-seen.C:
			s.keepSeen(ctx)
		case <-ctx.Done():
			s.keepSeen(context.WithoutCancel(ctx))
			return
		}
	}
}

// every calls do at once, and again each time an interval is over, until ctx is done.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// seenNote is the kind of the notes with what was seen of each NAS.
const seenNote = "nas"

// keepSeen keeps what was seen of the NASes.
func (s *server) keepSeen(ctx context.Context) {
	for _, seen := range s.radius.Seen() {
		if !seen.Last.After(s.kept[seen.Name]) {
			continue
		}
		text, err := json.Marshal(tms.NASSeen(seen))
		if err == nil {
			err = s.store.KeepNote(ctx, seenNote, seen.Name, text)
		}
		if err != nil {
			s.logger.Warn("keeping what was seen of a NAS failed", "nas", seen.Name, "error", err)
			return
		}
		s.kept[seen.Name] = seen.Last
	}
}

// recallSeen tells the RADIUS server what was seen before it.
func (s *server) recallSeen(ctx context.Context) error {
	s.kept = map[string]time.Time{}
	notes, err := s.store.Notes(ctx, seenNote)
	if err != nil {
		return err
	}
	var before []radiusd.NASSeen
	for name, text := range notes {
		var seen tms.NASSeen
		if err := json.Unmarshal(text, &seen); err != nil {
			s.logger.Warn("what was seen of a NAS cannot be read, and begins anew", "nas", name, "error", err)
			continue
		}
		before = append(before, radiusd.NASSeen(seen))
	}
	s.radius.Recall(before)
	return nil
}

// nasesSeen is what was seen of the NASes.
func (s *server) nasesSeen() []tms.NASSeen {
	all := s.radius.Seen()
	seen := make([]tms.NASSeen, len(all))
	for i := range all {
		seen[i] = tms.NASSeen(all[i])
	}
	return seen
}

// note makes the audit record of something that the server did by itself, and which of several
// did it.
func (s *server) note(ctx context.Context, verb, detail string) {
	act := tms.Act{At: s.app.clock(), Actor: "server", Verb: verb, Object: "server", Detail: detail}
	if shared := s.cluster(); shared != nil {
		act.Object += " " + shared.Node()
	}
	if err := s.store.Record(ctx, act); err != nil {
		s.logger.Error("making an audit record failed", "verb", verb, "error", err)
	}
}

// begun records the start, and signs how far the audit log has come: a store that was
// turned into the format of this Countersign has no signature yet.
func (s *server) begun(ctx context.Context) {
	s.note(ctx, "server.start", "version "+version)
	if _, err := s.store.Checkpoint(ctx); err != nil {
		s.logger.Error("signing the audit log failed", "error", err)
	}
}
