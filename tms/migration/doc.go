// Package migration learns whose tokens are whose while a TMS still verifies the codes.
//
// The tokens of the TMS were imported, and are in stock: nobody knows here whose they
// are, and nobody knows the OTP PINs. A login that the TMS has accepted tells both. The
// passcode ends with a code, so its user holds a token that shows this code now, and what
// stands before the code is the PIN. A Learner finds that token, has tms.Service give it
// to the user, and keeps the PIN. Then the login is recorded, and that is the first in
// which our own token agrees with the TMS. Only after otp.Policy.Agreements of them is
// the token active and decides by itself.
//
// # What chance does
//
// A token of six digits, of which three time steps are looked at, shows a given code by
// chance once in 333,000 times; an event token with a look-ahead of ten once in 91,000
// times. With n clock tokens in stock a login is also shown by n/333,000 others: by one
// more in every 300th login of a thousand tokens, in every third of a hundred thousand.
//
// So what one login says is not always clear, but two say nearly everything: that the
// same wrong token shows both of them happens n times in 10^11. That is why a token that
// was learned has to agree a second time before it counts, and why whose real token is
// not in stock may get another's for a while, but not one that is active. For the same
// reason nothing is taken from who has learned it before somebody else has shown it at
// two logins in a row, and who holds nothing but a token that has not proven itself is
// not cut over (tms.Service.Cutover).
//
// # Static passwords
//
// A TMS may have users whose passcode never changes. If it ends with digits, tokens in
// stock show these at n/333,000 of the logins, and a client that reconnects every two
// minutes logs in 720 times a day: of a thousand tokens that would be two, each day. But
// a one-time code does not come twice. A keyed hash of each user's last passcode is kept
// in memory, and who is accepted with the same one again teaches nothing. Within five
// minutes it may be the same login once more, or the same code where the TMS burns none
// (Repeated). Later it is a static password (Static), and what the user has learned goes
// back into stock, but for what is active or out of use. So such a password has one
// chance of n/333,000, and another after each restart, and what comes of it lasts until a
// login five minutes later. What stood before the digits stays as the user's OTP PIN,
// sealed. It counts for nothing without a token, and the next lesson replaces it.
//
// Nothing helps against who may choose a static password at the TMS, sees the codes of a
// colleague whose token is in stock or has not proven itself, and makes two of them the
// ends of two passwords that begin alike: they get that token. They can log in with it as
// themselves alone, which they could before. The colleague, from then on, is Held.
//
// # How a login is decided
//
// A candidate is a token that shows the code as the verifier would take it: in the login
// window, around the token's drift and the server's clock, or in the look-ahead, and not
// used. All lengths of codes that there are in stock are tried. Candidates are tokens in
// stock and those that were learned, whoever has them.
//
// A passcode that was not seen (CHAP, MS-CHAP, an answer to the TMS), or that comes again,
// is not looked at. Of any other:
//
//  1. A token that the user has learned shows the code: with the PIN that we have, nothing
//     is to be done. With another PIN the user has changed it at the TMS, and it is learned
//     (LearnedPIN), unless a token in stock shows the code too (Ambiguous).
//  2. Another token that is the user's shows it: that explains the code (Known).
//  3. No candidate: nothing is learned, and what was open about the user is forgotten.
//     Either that was by chance, or the user has several tokens and shows it again.
//  4. One candidate in stock: it is the user's (LearnedToken). Others that were learned by
//     other users do not matter then: that such a one is the user's after all would take
//     two chances, where one is enough to explain why it is shown.
//  5. Several in stock: it is Ambiguous. That is remembered, and decided by the next
//     login, or by elimination: as soon as all of them but one are others', the last one is
//     learned. The login is over by then, so its code is burned with that.
//  6. Only others' learned tokens show it. If one of them has not proven itself, then
//     either its user or this one shows it by chance, and nobody knows who (Conflict). The
//     next login tells: either its user shows it again, and it has proven itself, or
//     this one does, and then it is taken from the one and given to the other. What is
//     active, or is disabled, lost or not in its time, stays where it is (Held): a
//     user whose lost token was taken back would hold nothing, and some gateways let those
//     in without a code.
//
// If the user's last login showed some of the candidates too, with the same PIN, only
// those are looked at in 4 to 6: two logins in a row have shown them.
//
// Tokens are learned one login at a time, each by what is known then. So who meets a
// token that somebody else got by chance needs one login more than others. Everybody else
// has a token after the first login, as far as that was clear, and an active one after
// the second.
//
// The user of 4 or 5 may hold a learned token already, which does not show the code. If
// that is active, the user has two tokens. If not, one of the two was by chance, so the
// new one has to be shown at two logins in a row (SecondToken at the first). A user has one
// PIN for all tokens: with another one nothing is learned (OtherPIN), unless the token was
// shown twice and all the user has was learned, never active, and not disabled; then those
// go back.
//
// A token that is disabled, or not in its time, is a candidate, because the TMS may know
// better, but it is not learned (Unfit), nor is a PIN that otp.ParsePIN would refuse for
// anything but its length. Nothing is learned of a token whose clock is further off than the login window:
// an import may bring its drift (PSKC does), and a wider window for some days helps.
//
// # What is kept in memory
//
// An index has the learnable tokens with their seeds, about 350 bytes each with all that
// belongs to it. For each time step around now a table finds tokens by their code, and is
// built once, ahead of its time, in 0.4 µs a token. A login looks into five of them:
// twice the window to either side, for tokens with a small drift, and then compares what
// it found as the verifier does. That takes microseconds, and no locks are held for
// longer. With 4096 tokens at most a login builds the tables it lacks; with more it is
// not learned from (NotReady).
//
// The store is read once a minute, and as soon as somebody says that tokens have changed
// (Changed), but for no more than a thirtieth of the time: with 6.5 µs a token that is at
// once for some thousands of them, and after 20 s at most for a hundred thousand. Where
// the store differs the index is changed. What the Learner does itself it changes there
// itself, so who calls Changed leaves out the acts of Actor. The index may be behind:
// each act looks again in its transaction, and when it finds the token elsewhere
// (tms.ErrTaken) or out of use (tms.ErrInvalid) the login is looked at anew.
//
// What is open about users (Ambiguities) is in memory alone, with the PINs of their last
// logins, and so are the hashes of passcodes: 64 bits each, with a key that is made at
// the start. After a restart it takes one login more. All of it is bounded.
//
// # Who was seen
//
// Each user whom the TMS lets in is noted as seen, once a day, whether anything is learned
// or not. That is written about once a second, for all of them together.
package migration
