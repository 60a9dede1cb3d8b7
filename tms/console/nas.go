package console

import (
	"context"

	"countersign/tms"
)

func reportNASes(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.NASReports(c.ctx, c.caller, r.Name, func(n tms.NASReport) error { return c.answer.item(n) })
}

// NASReports is tms.Service.NASReports.
func (c *Client) NASReports(ctx context.Context, name string, each func(tms.NASReport) error) error {
	return enumerate(ctx, c, "nas.report", nameRequest{name}, each)
}
