package console

import (
	"context"

	"countersign/tms"
)

// ClusterStatus is tms.Service.ClusterStatus.
func (c *Client) ClusterStatus(ctx context.Context) (tms.ClusterView, error) {
	return ask[tms.ClusterView](ctx, c, "cluster.status", struct{}{}, envelope{})
}
