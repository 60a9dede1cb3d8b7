package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// The requests and answers of the verbs of enrolment. What opens an invitation, and
// codes, stand in the answer as text: they are made to be shown, once.
type (
	codesRequest struct {
		User  string
		Count int
		Valid time.Duration
	}
	issuedAnswer struct {
		tms.Issued
		Link string `json:"link,omitempty"`
		Key  string `json:"key,omitempty"`
	}
	codesAnswer struct {
		tms.Codes
		List []string `json:"list"`
	}
)

// mountEnrolment adds the verbs of enrolment.
func (a *API) mountEnrolment(mux *http.ServeMux) {
	a.verb(mux, "invitation.add", invite)
	a.verb(mux, "invitation.list", listInvitations)
	a.verb(mux, "invitation.withdraw", withdraw)
	a.verb(mux, "token.lost", loseToken)
	a.verb(mux, "token.recovery-codes", createRecoveryCodes)
	a.verb(mux, "token.temporary-codes", createTemporaryCodes)
	a.verb(mux, "mail.list", listMails)
}

func invite(c *call) (any, error) {
	n, err := read[tms.NewInvitation](c)
	if err != nil {
		return nil, err
	}
	n.PIN = c.pin()
	return answerIssued(c.service.Invite(c.ctx, c.caller, n))
}

func answerIssued(issued tms.Issued, err error) (any, error) {
	return issuedAnswer{issued, issued.Link.Reveal(), issued.Key.Reveal()}, err
}

func listInvitations(c *call) (any, error) { return list(c, c.service.Invitations) }
func listMails(c *call) (any, error)       { return list(c, c.service.Mails) }

func withdraw(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.Withdraw(c.ctx, c.caller, r.Name)
}

func loseToken(c *call) (any, error) {
	r, err := read[serialRequest](c)
	if err != nil {
		return nil, err
	}
	return answerIssued(c.service.LoseToken(c.ctx, c.caller, r.Serial))
}

func createRecoveryCodes(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return answerCodes(c.service.CreateRecoveryCodes(c.ctx, c.caller, r.Name))
}

func createTemporaryCodes(c *call) (any, error) {
	r, err := read[codesRequest](c)
	if err != nil {
		return nil, err
	}
	return answerCodes(c.service.CreateTemporaryCodes(c.ctx, c.caller, r.User, r.Count, r.Valid))
}

func answerCodes(codes tms.Codes, err error) (any, error) { return codesAnswer{codes, codes.List}, err }

// Invite is tms.Service.Invite.
func (c *Client) Invite(ctx context.Context, n tms.NewInvitation) (tms.Issued, error) {
	return askIssued(ctx, c, "invitation.add", n, envelope{PIN: n.PIN.Bytes()})
}

func askIssued(ctx context.Context, c *Client, verb string, request any, e envelope) (tms.Issued, error) {
	answer, err := ask[issuedAnswer](ctx, c, verb, request, e)
	answer.Issued.Link, answer.Issued.Key = tms.NewLink(answer.Link), tms.NewActivationKey(answer.Key)
	return answer.Issued, err
}

// Withdraw is tms.Service.Withdraw.
func (c *Client) Withdraw(ctx context.Context, user string) error {
	_, err := ask[json.RawMessage](ctx, c, "invitation.withdraw", nameRequest{user}, envelope{})
	return err
}

// LoseToken is tms.Service.LoseToken.
func (c *Client) LoseToken(ctx context.Context, serial string) (tms.Issued, error) {
	return askIssued(ctx, c, "token.lost", serialRequest{serial}, envelope{})
}

// CreateRecoveryCodes is tms.Service.CreateRecoveryCodes.
func (c *Client) CreateRecoveryCodes(ctx context.Context, user string) (tms.Codes, error) {
	return askCodes(ctx, c, "token.recovery-codes", nameRequest{user})
}

// CreateTemporaryCodes is tms.Service.CreateTemporaryCodes.
func (c *Client) CreateTemporaryCodes(ctx context.Context, user string, count int, valid time.Duration) (tms.Codes, error) {
	return askCodes(ctx, c, "token.temporary-codes", codesRequest{user, count, valid})
}

func askCodes(ctx context.Context, c *Client, verb string, request any) (tms.Codes, error) {
	answer, err := ask[codesAnswer](ctx, c, verb, request, envelope{})
	answer.Codes.List = answer.List
	return answer.Codes, err
}

// Invitations is tms.Service.Invitations.
func (c *Client) Invitations(ctx context.Context, user otp.UserName, each func(tms.InvitationView) error) error {
	return enumerate(ctx, c, "invitation.list", asked(tms.Filter{User: user}), each)
}

// Mails is tms.Service.Mails.
func (c *Client) Mails(ctx context.Context, user otp.UserName, each func(tms.MailView) error) error {
	return enumerate(ctx, c, "mail.list", asked(tms.Filter{User: user}), each)
}
