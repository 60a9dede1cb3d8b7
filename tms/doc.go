// Package tms holds every administrative act on users and tokens: add, set,
// remove, assign, enable, disable, unlock, resync, import. The name is that of
// the product it replaces, SafeNet's Token Management System.
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
// Errors that callers branch on are sentinels: ErrNotFound, ErrExists,
// ErrForbidden, ErrInvalid. Everything else means that the store failed.
//
// Seeds and PINs go in and never come out: the views that listings give have
// none.
package tms
