package main

import (
	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms/mail"
)

func (a *app) mailCommand() *cobra.Command {
	language := string(conf.English)
	templates := &cobra.Command{
		Use: "templates FOLDER", Short: "Write the built-in mail templates into a folder, to be changed there", Args: cobra.ExactArgs(1),
		Long: "Write the built-in mail templates into a folder, to be changed there. Name the folder as templates in [enrol]. What is\n" +
			"not changed may be removed again: the built-in one is used then. Nothing is overwritten.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := mail.WriteTemplates(args[0], language); err != nil {
				return err
			}
			a.say("templates written to %s", args[0])
			return nil
		},
	}
	templates.Flags().StringVar(&language, "language", language, "en or de")
	_ = templates.RegisterFlagCompletionFunc("language", cobra.FixedCompletions([]string{"en", "de"}, cobra.ShellCompDirectiveNoFileComp))
	return group("mail", "Look at mails that wait, and change how they read", a.mailListCommand(), templates)
}
