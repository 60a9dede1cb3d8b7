// Package mail renders and submits one message: what a user is told about their
// token. When to send, and again, is for the caller, who keeps an outbox.
//
// # Submitting
//
// A Sender hands a message to one mail server (RFC 6409): it connects, has TLS as
// configured, logs in, hands over, and leaves. Nothing is kept between two messages.
// STARTTLS is demanded, not tried, so nobody on the way can have a message in the
// clear by hiding the offer. A password is not sent without TLS, but on loopback.
// The message is made whole before the server is contacted, and all of it together
// takes the timeout at most.
//
// An error that wraps ErrRefused means the server will never take this message for
// this recipient. All others can be tried again, also those for which the
// administrator has to mend something: a login that is refused, a sender that is
// not allowed, relaying that is denied. Errors say what is wrong and how to mend
// it. They have no password and nothing of the body, even where a server repeats
// what it was sent.
//
// When the connection breaks between the last byte and the answer, nobody knows
// whether the server took the message. It is an error, and a second try has the
// same Message-ID, by which mail systems know it again.
//
// # Templates
//
// Each kind of mail has a text, whose first line is its subject, and a page:
//
//	invitation  how to come to the token, and until when
//	reminder    the same, once more, before the end
//	activated   the token is in use from now on
//	lost        the token was reported lost, and is no more
//	revoked     the token went with the right to it
//
// They are templates of Go (text/template, html/template), built in for English and
// German, as invitation.txt and invitation.html. What several share, such as the
// steps, is in layout.txt and layout.html. A file of the same name in the folder of
// the administrator takes the place of the built-in one. Loading executes every
// template with samples of all that can be there or not, so a name that is wrong is
// known when the server starts, with its file and line, and not when somebody loses
// a token.
//
// # What is in a mail
//
// With a link there is nothing that works alone for long: the link opens an
// invitation once. With a seed file the mail is as those of SafeNet's users were, but
// that the Activation Key is shown elsewhere unless the administrator wants it
// here. The HTML has one column, styles where they are used, no pictures and nothing
// that is fetched, and gives no colours to text and ground, so that it is as the
// reader's mail program is, light or dark.
//
// Values cannot change what a mail is: Render refuses control characters and those
// that change the direction of text, and links that are not http or https; in the
// HTML all is escaped. Send refuses control characters in whatever becomes a header.
package mail
