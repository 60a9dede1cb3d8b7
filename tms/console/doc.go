// Package console is the web: the HTTP API that the command line speaks to the
// running server, and the status page.
//
// The API is one POST a verb below /v1/, the same words as in the audit record:
// /v1/user.add, /v1/token.unlock. The request is a JSON envelope. The answer is
// a stream of JSON lines, so that a list of a million tokens and the progress
// of a long act need no memory on either side:
//
//	{"item": ...}                any number of them, of listings
//	{"progress": {"done":1,"total":2}}   any number of them, of long acts
//	{"result": ...}              the last line, when it went well
//	{"error": {"kind":"not_found","text":"..."}}   the last line, when not
//
// Two verbs are files: the request of user.import is the CSV file, the answer of
// store.backup is the backup, unless it is an error.
//
// Client speaks it, over any connection: the server's Unix socket, or a pipe
// within the process when the command line has opened the store by itself. So
// there is one way from a command to an act, whether the server runs or not.
//
// Who calls is known from the connection (the peer's user id of the Unix
// socket), never from the request.
package console
