package main

import (
	_ "embed"

	"github.com/spf13/cobra"
)

// sizing is what `countersign help sizing` prints.
//
//go:embed sizing.txt
var sizing string

// sizingTopic is a page of the help that is no command.
func sizingTopic() *cobra.Command {
	return &cobra.Command{Use: "sizing", Short: "How much one server does, and several", Long: sizing}
}
