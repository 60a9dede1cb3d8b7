package main

import (
	"errors"
	"fmt"

	"github.com/atotto/clipboard"
)

// clipboardMissing is an error when there is no way to the clipboard.
func clipboardMissing() error {
	if clipboard.Unsupported {
		return errors.New("this computer has no program for the clipboard: install xclip (X11) or wl-clipboard (Wayland), or leave --copy out")
	}
	return nil
}

// copyText copies a text to the clipboard.
func copyText(text string) error {
	if err := clipboardMissing(); err != nil {
		return err
	}
	if err := clipboard.WriteAll(text); err != nil {
		return fmt.Errorf("the clipboard cannot be reached (%w): it needs a desktop session; leave --copy out to see the code", err)
	}
	return nil
}
