package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms/console"
)

func (a *app) sessionCloseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "close SESSION...", Short: "Have sessions count as ended whose gateway will not report it", Args: cobra.MinimumNArgs(1),
		Long: "Have sessions count as ended whose gateway will not report it, because it has lost them or is gone, so that they count for no\n" +
			"limit any more. The gateway is not asked: to end a session that goes on use `countersign session disconnect`, which closes\n" +
			"it too when the gateway does not know it. Collectors get a Stop with the cause Admin-Reset. What is heard of it\n" +
			"afterwards changes nothing.",
		Example: "  countersign session close 17-3",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				var errs []error
				for _, id := range args {
					if err := client.CloseSession(ctx, id); err != nil {
						errs = append(errs, err)
						continue
					}
					a.say("session %s counts as ended", id)
				}
				return errors.Join(errs...)
			})
		},
	}
}
