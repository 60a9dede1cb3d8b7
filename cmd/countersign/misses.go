package main

import (
	"context"
	"time"

	"countersign/otp"
)

const (
	// missesEvery is how often several servers tell each other who has guessed at PINs and
	// passwords.
	missesEvery = 500 * time.Millisecond
	// missesAtOnce is how much of that one transaction takes.
	missesAtOnce = 1000
)

// shareMisses has this node and the others know of each other's wrong PINs, until ctx is
// done: so a guesser is slowed down as much by several servers as by one.
func (s *server) shareMisses(ctx context.Context) {
	shared := s.cluster()
	if shared == nil {
		return
	}
	var mine []otp.Miss
	every(ctx, missesEvery, func(ctx context.Context) {
		if shared.Ready() != nil {
			return
		}
		now := s.app.clock()
		mine = s.verifier.TakeMisses(mine[:0], now, missesAtOnce)
		if all, err := shared.ExchangeMisses(ctx, mine); err == nil { // else the store says so itself
			s.verifier.PutMisses(all, now)
		}
	})
}
