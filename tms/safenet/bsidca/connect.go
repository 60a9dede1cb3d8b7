package bsidca

import (
	"context"
	"errors"
	"fmt"
)

// Outcome is how the service answers an operator who connects. They are a closed set
// (thalesdocs.com, Connect).
type Outcome string

// What the service answers.
const (
	Success           Outcome = "AUTH_SUCCESS"
	Failure           Outcome = "AUTH_FAILURE"
	Challenged        Outcome = "CHALLENGE"
	NextOTP           Outcome = "OUTER_WINDOW_AUTH"
	PINProvided       Outcome = "SERVER_PIN_PROVIDED"
	PINDue            Outcome = "USER_PIN_CHANGE"
	PINRefused        Outcome = "PIN_CHANGE_FAILED"
	PasswordDue       Outcome = "CHANGE_STATIC_PASSWORD"
	PasswordUnchanged Outcome = "STATIC_CHANGE_FAILED"
)

// meanings say what an outcome means, and what can be done about it.
var meanings = map[Outcome]string{
	Failure:           "the operator's e-mail address or OTP is wrong, or the operator may not use this service",
	Challenged:        "it demands the answer to a challenge",
	NextOTP:           "the operator's token is out of step, and it demands the next OTP",
	PINProvided:       "it has given the operator a new PIN: connect again with that one",
	PINDue:            "the operator has to choose a new PIN: do that in the service's console",
	PINRefused:        "the operator's new PIN was refused: choose one in the service's console",
	PasswordDue:       "the operator has to choose a new password: do that in the service's console",
	PasswordUnchanged: "the operator's new password was refused: choose one in the service's console",
}

// RefusedError is that the service did not begin a session.
type RefusedError struct {
	Outcome Outcome
	// Challenge is the text of the challenge when Outcome is Challenged, and the
	// operator's new PIN when it is PINProvided: who does not tell it to the operator
	// locks them out.
	Challenge Secret
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the service refused the operator (%s): %s", e.Outcome, meanings[e.Outcome])
}

// Connect begins a session as the operator with that e-mail address. The error may wrap a
// *RefusedError. When it is Challenged or NextOTP, Connect is called again with the answer
// or the next OTP, on the same Client.
func (c *Client) Connect(ctx context.Context, operator string, otp Secret) error {
	r := &request{operation: "Connect", params: []param{
		{name: "OperatorEmail", value: operator},
		{name: "OTP", value: otp.Reveal(), secret: true},
	}}
	response, err := c.call(ctx, r)
	if err != nil {
		return err
	}
	outcome := Outcome(response.text("ConnectResult"))
	switch {
	case outcome == Success && len(c.http.Jar.Cookies(c.url)) == 0:
		return errors.New("connecting: the service accepted the operator without a session cookie")
	case outcome == Success:
		return nil
	case meanings[outcome] == "":
		return fmt.Errorf("connecting: the service answered %q, which is not documented", r.scrub(string(outcome)))
	}
	return fmt.Errorf("connecting: %w", &RefusedError{Outcome: outcome, Challenge: NewSecret(response.text("challenge"))})
}

// ping asks whether there is a session.
func (c *Client) ping(ctx context.Context) (bool, error) {
	response, err := c.call(ctx, &request{operation: "PingConnection"})
	return response.text("PingConnectionResult") == "true", err
}
