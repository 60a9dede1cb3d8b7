// Package tms holds every administrative act on users, tokens and rules of
// exclusion: add, set, remove, assign, enable, disable, unlock, resync, import,
// export, hand over, explain, invite, activate, lose, revoke. The name is that of
// the product it replaces, SafeNet's Token Management System.
//
// All acts are methods of Service, and each goes through one gate first: gate
// checks that the Caller may do this and makes the audit record, an Act. An
// administrator may do everything; a user may do some acts, on what is theirs, and
// whatever is not theirs they do not find, as if it were not there. The Act then
// travels with the change into the Store, which writes both in one transaction, so
// that there is no change without its record.
//
// An act changes a user or a token by a function that the Store calls with the
// present record while no login can touch it. So an act always starts from the
// state the last login left, and two acts at once cannot undo each other.
//
// What an act needs beyond the Store it declares as an interface, and the program
// satisfies it: Keeper for the store as a whole, Directory for users who live
// elsewhere, Rulebook for the server that uses the rules, Explainer for what only
// the configuration knows.
//
// The records speak the vocabulary of package exclusions, as they speak that of
// package otp: a rule is kept and listed as it was written, and the trace of a
// login is explained with the very code that decided it. What a rule means, this
// package does not know.
//
// A token that the server creates by itself (CreateToken) has a seed that nobody
// has seen. HandOverToken gives it, or any other that was never used, the seed
// that its user is about to get.
//
// Better is an Invitation: a token that is nobody's until its first code was
// right. It is opened by a Link, once, or an ActivationKey, of which the store can
// find the hashes alone, and it ends by itself. All that belongs to a user changes
// in one transaction (Holder), together with the mails that tell of it; they wait
// in the store, and who sends them makes their text then. So a step that is done
// twice, by two nodes at once or again after a crash, is done once.
//
// A token that was lost or revoked stays its user's, disabled, until another takes its
// place (Token.Lost): a user without any is one whom some gateways let in by their
// password alone. Who has a new token and not the PIN may guess at it as often as at a
// login (Invitation.Failures).
//
// A user without the token at hand logs in with a list of codes (Codes): one
// without an end has recovery codes, one with an end temporary codes of the
// helpdesk. A user has one list of each kind at most.
//
// Behind the server there may be the TMS that knows the users' tokens so far. Who
// verifies the codes of a user follows from what the user holds (otp.Order), until it is
// said (User.Home): Cutover and Rollback say it of many, each in a change of its own.
// MigrationStatus counts how far the users are, by the functions that decide logins, and
// has no numbers when a directory is silent. MigrationStore keeps whom the TMS has let
// in. LearnToken, LearnPIN and UnlearnToken are the acts of who watches those logins:
// they give a token from stock to the user whom the TMS has let in with its code, with the
// OTP PIN that stood before it, and take it back. What is learned decides nothing until
// further logins have agreed with it (otp.State.Agreed).
//
// Of a login that did happen an Explanation tells more than its record has: how it stands
// with the user's tokens at present, what else the journal has to say (inquiry), and what
// to do next, of which there is something for each verdict (advices). Watch tells of logins
// as they happen.
//
// Of two things that others make this package uses the words and not the makers: what a
// session is (radiusd/accounting), which gateways report and the server keeps, and how the
// journal is chained, exported and verified (tms/audit). Both are leaves, which know nothing
// of users, tokens and logins, so that radiusd and tms still do not know each other.
//
// Errors that callers branch on are sentinels: ErrNotFound, ErrExists,
// ErrForbidden, ErrInvalid. Everything else means that the store failed.
//
// Seeds and PINs go in and never come out: the views that listings give have
// none. Only what was made for a user to see is given out, once: the link and key
// of a new invitation, the seed of an open one, the codes of a new list.
package tms
