package bsidca

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Activation is what became of a token that was to be activated. They are a closed set
// (thalesdocs.com, ActivateToken).
type Activation string

// What can become of a token.
const (
	Activated        Activation = "success"
	ActivatedPINSet  Activation = "pinSuccess"
	ActivatedNoPIN   Activation = "newpinFail"
	NotActivated     Activation = "fail"
	PasswordStays    Activation = "deletestaticFail"
	TokenNotFound    Activation = "tokenNotFound"
	TokenNotAssigned Activation = "tokenNotAssigned"
)

var activations = map[Activation]string{
	Activated:        "the token was activated",
	ActivatedPINSet:  "the token was activated and has the new PIN",
	ActivatedNoPIN:   "the token was activated, but its new PIN could not be set",
	NotActivated:     "the token was not activated, and the service does not say why",
	PasswordStays:    "the token was not activated, because its owner's static password could not be removed",
	TokenNotFound:    "the organization has no such token",
	TokenNotAssigned: "the token was not activated, because it is assigned to nobody",
}

// Meaning is the Activation in words.
func (a Activation) Meaning() string { return activations[a] }

// Succeeded reports whether all that was asked was done.
func (a Activation) Succeeded() bool { return a == Activated || a == ActivatedPINSet }

// ActivateRequest says which suspended token is activated, and how.
type ActivateRequest struct {
	Serial, Organization string
	ChangePIN            bool   // the owner has to change the PIN at the next login
	NewPIN               Secret // the zero Secret: the PIN stays
}

// Activate ends the suspension of a token. With an error it is not known whether it did,
// unless the error says otherwise.
func (c *Client) Activate(ctx context.Context, a ActivateRequest) (Activation, error) {
	r := &request{operation: "ActivateToken", params: []param{
		{name: "serial", value: a.Serial},
		{name: "changePinOnFirstUse", value: strconv.FormatBool(a.ChangePIN)},
	}}
	if !a.NewPIN.IsZero() {
		r.params = append(r.params, param{name: "newPIN", value: a.NewPIN.Reveal(), secret: true})
	}
	r.params = append(r.params, param{name: "organization", value: a.Organization})
	result, err := c.ask(ctx, r)
	if err == nil && result == nil {
		err = fmt.Errorf("calling ActivateToken: %w: it has no result", errNotAnAnswer)
	}
	if err != nil {
		return "", a.doubt(err)
	}
	became := Activation(strings.TrimSpace(result.Text))
	if became.Meaning() == "" {
		return "", a.doubt(fmt.Errorf("calling ActivateToken: the service answered %q, which is not documented", r.scrub(string(became))))
	}
	return became, nil
}

// doubt adds to an error that the token may have been activated all the same.
func (a *ActivateRequest) doubt(err error) error {
	if unsent(err) {
		return err
	}
	return fmt.Errorf("%w; whether token %s was activated is not known: look at it in the service's console before you try again", err, a.Serial)
}
