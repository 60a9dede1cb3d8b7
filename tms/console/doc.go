// Package console is the web: the HTTP API that the command line speaks to the
// running server, the pages for users, and the status page.
//
// # The API
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
// Some verbs are files. The request of user.import is the CSV file. That of
// token.import has a token a line: the client reads seed files, whatever their format,
// and the server decides about each token. The answer of token.export is a seed file
// in pieces; the server encrypts it, so that no seed leaves it otherwise. The answer of
// store.backup is the backup, and that of audit.export the export, unless it is an error.
// That of event.watch is a listing without an end: events as they happen, until the server
// stops.
//
// Client speaks it, over any connection: the server's Unix socket, or a pipe
// within the process when the command line has opened the store by itself. So
// there is one way from a command to an act, whether the server runs or not.
//
// Who calls is known from the connection (the peer's user id of the Unix
// socket), never from the request.
//
// # The pages
//
// Pages has what all pages for users share, and says how to add one. A Group mounts
// those that belong together:
//
//   - Activation, /activate and /activation, leads from the link in a mail to the first
//     code, and has the same for the token client, below /api/.
//   - SelfService, /self, is where users look after what is theirs: sign in, see their
//     tokens, bring one back into step, change the OTP PIN, report a token lost, add
//     another, print recovery codes. It is what "/" leads to.
//   - Downloads, DownloadPath, has the token client.
//
// They work without script, in English and in German, on a phone and by keyboard
// alone; tests look at each of them in a browser. A page is a template in page/, what
// it says is in texts/, how it looks in static/.
//
// Nothing of a visitor is kept: a sealed cookie says whose invitation the browser has
// opened, which token was activated in it, or who is signed in. It opens at every node
// and ends by itself. A cookie is a claim only: at every request the store says whether
// the invitation, the token, the account are still there. What must happen once, the
// store sees to, too. Who has no valid link, or does not sign in, hears nothing but
// that, the same each time and whatever was wrong. All requests pass one guard, which
// bounds what any address can ask for, and refuses what other sites send.
//
// A path with a link in it is a secret for as long as the link was not used: requests
// are not logged.
package console
