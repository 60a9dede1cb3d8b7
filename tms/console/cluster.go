package console

import (
	"context"

	"countersign/tms"
)

// ClusterStatus is tms.Service.ClusterStatus.
func (c *Client) ClusterStatus(ctx context.Context) (tms.ClusterView, error) {
	return ask[tms.ClusterView](ctx, c, "cluster.status", struct{}{}, envelope{})
}

// ForgetNode is tms.Service.ForgetNode.
func (c *Client) ForgetNode(ctx context.Context, name string) error {
	_, err := ask[any](ctx, c, "cluster.forget", nameRequest{name}, envelope{})
	return err
}

func forgetNode(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.ForgetNode(c.ctx, c.caller, r.Name)
}
