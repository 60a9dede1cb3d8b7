package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"countersign/otp"
	"countersign/tms"
)

// The API of the token client is two POSTs of JSON: /api/activation gets an
// ActivationAnswer for an ActivationRequest, /api/activation/confirm, with the first
// code, nothing. Everything else is an ActivationError, with an HTTP status that is
// not 200. It needs no cookie: what it goes by is the Activation Key.
type (
	// ActivationRequest is what the token client sends.
	ActivationRequest struct {
		ActivationKey string `json:"activation_key"`
		PIN           string `json:"pin,omitempty"`  // to confirm, when it is needed
		Code          string `json:"code,omitempty"` // to confirm
	}
	// ActivationAnswer is the token that it is to be.
	ActivationAnswer struct {
		Serial    otp.Serial   `json:"serial"`
		User      otp.UserName `json:"user"`
		Issuer    string       `json:"issuer"`
		Digits    int          `json:"digits"`
		PINNeeded bool         `json:"pin_needed"` // an OTP PIN must be chosen
		MinPIN    int          `json:"min_pin"`    // of so many characters
		SeedFile  []byte       `json:"seed_file"`  // PSKC (RFC 6030), under the Activation Key
	}
	// ActivationError says why not.
	ActivationError struct {
		Error   string `json:"error"`   // a word: see activationWords
		Message string `json:"message"` // for the user, in the language of the request
	}
)

// activationWords are the words of an ActivationError: for the texts of the pages,
// and for what only the API has.
var activationWords = map[string]string{
	"problem.code": "wrong_code", "problem.code-form": "wrong_code", "problem.step": "out_of_step", "problem.many": "too_many",
	"problem.pin": "bad_pin", "problem.pin-weak": "weak_pin", "problem.tokens": "too_many_tokens",
	"api.key": "not_found", "failed.text": "failed", "api.mobilepass": "mobilepass", "api.json": "bad_request",
	"busy.text": "busy", "foreign.text": "foreign",
}

// apiPath is where the API is.
const apiPath = "/api/"

// giveSeedFile answers an Activation Key with the seed file.
func (a *Activation) giveSeedFile(w http.ResponseWriter, r *http.Request) {
	_, i, page, ok := a.invitationByKey(w, r)
	if !ok {
		return
	}
	if page.MobilePASS {
		a.refuse(w, r, http.StatusConflict, "api.mobilepass")
		return
	}
	file, err := a.SeedFile(r.Context(), &i)
	if err != nil {
		a.failAPI(w, r, "making a seed file", err)
		return
	}
	writeJSON(w, http.StatusOK, ActivationAnswer{
		Serial: i.Token.Serial, User: i.User, Issuer: a.Pages.Settings().Issuer, Digits: page.Digits,
		PINNeeded: page.NeedPIN, MinPIN: page.MinPIN, SeedFile: file,
	})
}

// confirm takes the first code.
func (a *Activation) confirm(w http.ResponseWriter, r *http.Request) {
	request, i, page, ok := a.invitationByKey(w, r)
	if !ok {
		return
	}
	activation := tms.Activation{User: i.User, ID: i.ID, Serial: i.Token.Serial, Code: strings.ReplaceAll(request.Code, " ", "")}
	wrong := ""
	switch {
	case page.MobilePASS:
		wrong = "api.mobilepass"
	case !isCode(activation.Code, page.Digits):
		wrong = "problem.code-form"
	case page.NeedPIN:
		policy := a.Service.EnrolmentPolicy().PIN
		activation.PIN, wrong = checkPIN(&policy, request.PIN, i.User)
	}
	var err error
	if wrong == "" {
		wrong, err = a.try(r.Context(), activation)
	}
	switch {
	case errors.Is(err, tms.ErrNotFound):
		a.refuse(w, r, http.StatusNotFound, "api.key")
	case err != nil:
		a.failAPI(w, r, "activating", err)
	case wrong == "problem.many":
		a.refuse(w, r, http.StatusTooManyRequests, wrong)
	case wrong != "":
		a.refuse(w, r, http.StatusUnprocessableEntity, wrong)
	default:
		writeJSON(w, http.StatusOK, struct{}{})
	}
}

// invitationByKey reads a request and finds what its Activation Key is of. It has
// answered when there is none.
func (a *Activation) invitationByKey(w http.ResponseWriter, r *http.Request) (request ActivationRequest, i tms.Invitation, page *activationPage, ok bool) {
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		a.refuse(w, r, http.StatusBadRequest, "api.json")
		return request, i, nil, false
	}
	i, err := a.Service.InvitationByKey(r.Context(), byLink, tms.NewActivationKey(strings.TrimSpace(request.ActivationKey)))
	if err == nil && i.Opened.IsZero() && !a.keyAlone() {
		err = tms.ErrNotFound
	}
	if err == nil {
		page, err = a.page(r, &i)
	}
	switch {
	case errors.Is(err, tms.ErrNotFound):
		a.refuse(w, r, http.StatusNotFound, "api.key")
	case err != nil:
		a.failAPI(w, r, "finding an invitation", err)
	}
	return request, i, page, err == nil
}

// keyAlone is ActivationOptions.KeyAlone.
func (a *Activation) keyAlone() bool { return a.KeyAlone == nil || a.KeyAlone() }

// strange answers what is not of the API.
func (a *Activation) strange(w http.ResponseWriter, r *http.Request) {
	a.refuse(w, r, http.StatusNotFound, "api.json")
}

// failAPI is Pages.fail for the API.
func (a *Activation) failAPI(w http.ResponseWriter, r *http.Request, what string, err error) {
	a.Pages.Logger.Error("the API of the token client failed", "act", what, "error", err)
	a.refuse(w, r, http.StatusServiceUnavailable, "failed.text")
}

func (a *Activation) refuse(w http.ResponseWriter, r *http.Request, status int, key string) {
	a.Pages.refuseAPI(w, r, status, key)
}

// refuseAPI answers with the ActivationError of a text.
func (p *Pages) refuseAPI(w http.ResponseWriter, r *http.Request, status int, key string) {
	writeJSON(w, status, ActivationError{activationWords[key], languages[p.language(r)].text(key)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is its own affair
}
