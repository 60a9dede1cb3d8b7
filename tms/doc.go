// Package tms holds every administrative act on users, tokens and rules of
// exclusion: add, set, remove, assign, enable, disable, unlock, resync, import,
// hand over, explain. The name is that of the product it replaces, SafeNet's Token
// Management System.
//
// All acts are methods of Service, and each goes through one gate first: gate
// checks that the Caller may do this and makes the audit record, an Act. The
// Act then travels with the change into the Store, which writes both in one
// transaction, so that there is no change without its record.
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
// Errors that callers branch on are sentinels: ErrNotFound, ErrExists,
// ErrForbidden, ErrInvalid. Everything else means that the store failed.
//
// Seeds and PINs go in and never come out: the views that listings give have
// none.
package tms
