package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminal reports whether somebody sits there to be asked.
func (a *app) terminal() bool { return term.IsTerminal(int(a.in.Fd())) }

// ask reads a secret: from the terminal without echo, or one line of standard input.
func (a *app) ask(prompt string) (secret, error) {
	if a.terminal() {
		fmt.Fprint(a.err, prompt)
		b, err := a.readHidden()
		fmt.Fprintln(a.err)
		return newSecret(b), err
	}
	b, err := a.readLine(prompt)
	return newSecret(b), err
}

// readHidden reads a line without echo. An interrupt would end us with the terminal
// still like that.
func (a *app) readHidden() ([]byte, error) {
	fd := int(a.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	interrupted, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	defer close(done)
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, state)
			fmt.Fprintln(a.err)
			os.Exit(130) // as a shell says of SIGINT
		case <-done:
		}
	}()
	return term.ReadPassword(fd)
}

// readLine reads a line of standard input without its end.
func (a *app) readLine(prompt string) ([]byte, error) {
	if a.lines == nil {
		a.lines = bufio.NewReader(a.in)
	}
	line, err := a.lines.ReadBytes('\n')
	if err != nil && len(line) == 0 {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading standard input for %q: %w", strings.TrimSpace(prompt), err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// choose asks for a new PIN: on a terminal until it is typed the same twice, once
// otherwise.
func (a *app) choose(what string, minLength int) (secret, error) {
	for {
		pin, err := a.ask(fmt.Sprintf("New %s (at least %d characters): ", what, minLength))
		if err != nil {
			return pin, err
		}
		if short := utf8.RuneCount(pin.Bytes()) < minLength; short && !a.terminal() {
			return pin, fmt.Errorf("the new %s is too short: it must have at least %d characters", what, minLength)
		} else if short {
			fmt.Fprintf(a.err, "That is too short.\n")
			continue
		}
		if !a.terminal() {
			return pin, nil
		}
		again, err := a.ask(fmt.Sprintf("The same %s again: ", what))
		if err != nil {
			return pin, err
		}
		if again.Equal(pin.Seed) {
			return pin, nil
		}
		fmt.Fprintf(a.err, "These were two different ones. Please type both again.\n")
	}
}

// agreed asks a question that yes agrees to.
func (a *app) agreed(question string) (bool, error) {
	fmt.Fprintf(a.err, "%s Type yes to go on: ", question)
	answer, err := a.readLine(question)
	return strings.EqualFold(strings.TrimSpace(string(answer)), "yes"), err
}

// tell says something to the user that is no result.
func (a *app) tell(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }

// noArgs takes no arguments, and does not repeat what somebody gave by mistake: it may
// be a secret.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, and asks for what is secret: see `%s --help`", c.CommandPath(), c.CommandPath())
	}
	return nil
}
