package console

import (
	"context"

	"countersign/tms"
)

func listCollectors(c *call) (any, error) {
	states, err := c.service.CollectorStates(c.ctx, c.caller)
	if err != nil {
		return nil, err
	}
	for _, state := range states {
		if err := c.answer.item(state); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Collectors is tms.Service.CollectorStates.
func (c *Client) Collectors(ctx context.Context, each func(tms.CollectorState) error) error {
	return enumerate(ctx, c, "collector.list", struct{}{}, each)
}
