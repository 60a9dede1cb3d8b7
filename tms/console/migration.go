package console

import (
	"context"
	"net/http"

	"countersign/tms"
)

// migrationRequest asks how far the users are: counts, or the users as well.
type migrationRequest struct {
	Groups []string
	Users  bool
}

// mountMigration adds the verbs of the way from a TMS to our own tokens.
func (a *API) mountMigration(mux *http.ServeMux) {
	a.verb(mux, "user.home", setHome)
	a.verb(mux, "migration.status", reportMigration)
	a.verb(mux, "migration.cutover", func(c *call) (any, error) { return move(c, c.service.Cutover) })
	a.verb(mux, "migration.rollback", func(c *call) (any, error) { return move(c, c.service.Rollback) })
}

func setHome(c *call) (any, error) {
	change, err := read[tms.HomeChange](c)
	if err != nil {
		return nil, err
	}
	return c.service.SetHome(c.ctx, c.caller, change)
}

func reportMigration(c *call) (any, error) {
	r, err := read[migrationRequest](c)
	if err != nil {
		return nil, err
	}
	var each func(tms.UserMigration) error
	if r.Users {
		each = func(u tms.UserMigration) error { return c.answer.item(u) }
	}
	return c.service.MigrationStatus(c.ctx, c.caller, r.Groups, c.answer.progress, each)
}

// mover is Cutover or Rollback.
type mover func(ctx context.Context, c tms.Caller, m tms.Move, progress func(done, total int64), each func(tms.Moved) error) (tms.MoveReport, error)

func move(c *call, act mover) (any, error) {
	m, err := read[tms.Move](c)
	if err != nil {
		return nil, err
	}
	return act(c.ctx, c.caller, m, c.answer.progress, func(moved tms.Moved) error { return c.answer.item(moved) })
}

// SetHome is tms.Service.SetHome.
func (c *Client) SetHome(ctx context.Context, change tms.HomeChange) (tms.UserView, error) {
	return ask[tms.UserView](ctx, c, "user.home", change, envelope{})
}

// MigrationStatus is tms.Service.MigrationStatus.
func (c *Client) MigrationStatus(ctx context.Context, groups []string, each func(tms.UserMigration) error) (tms.MigrationReport, error) {
	return stream[tms.MigrationReport](ctx, c, "migration.status", migrationRequest{groups, each != nil}, each)
}

// Cutover is tms.Service.Cutover.
func (c *Client) Cutover(ctx context.Context, m tms.Move, each func(tms.Moved) error) (tms.MoveReport, error) {
	return stream[tms.MoveReport](ctx, c, "migration.cutover", m, each)
}

// Rollback is tms.Service.Rollback.
func (c *Client) Rollback(ctx context.Context, m tms.Move, each func(tms.Moved) error) (tms.MoveReport, error) {
	return stream[tms.MoveReport](ctx, c, "migration.rollback", m, each)
}

// stream performs an act that has items and then a result.
func stream[R, T any](ctx context.Context, c *Client, verb string, request any, each func(T) error) (R, error) {
	var result R
	err := c.send(ctx, verb, request, envelope{}, items(each), &result)
	return result, err
}
