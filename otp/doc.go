// Package otp decides one login attempt: is this passcode, from this user, at
// this instant, right and never used before?
//
// # Words
//
//	user           the person who logs in, by UserName
//	token          what shows codes: a device or an app, by Serial
//	seed           the secret a token and the server share
//	code           the digits a token shows (the user's "eToken")
//	PIN            the user's OTP PIN, typed before the code
//	passcode       PIN and code together, as typed: "4711" + "755224"
//	factor         the moving factor of a code: a counter or a time step
//	drift          how many steps a token's clock is ahead (+) or behind (-)
//	look-ahead     how many unused counters an event token may have skipped
//	resync         finding a token's place again by two consecutive codes
//	lock-out       a token that refuses for a time after too many wrong codes
//	list of codes  codes given to the user all at once: recovery codes, codes for a day
//	NAS            the gateway that asks
//	station        the machine the user sits at (Calling-Station-Id)
//	attempt        one passcode shown once
//	verdict        what was decided: a closed set of words
//	TMS            the older server behind us that verifies codes of its own
//	order          who verifies the code of a login, the TMS or our own tokens, and who first
//	home           who verifies the codes of one user, whatever the order is
//	learned        a token that became the user's by showing the code the TMS accepted
//	active         a token that is enough by itself: not learned, or learned and proven
//	shadow         the TMS decides, and our own tokens only say what they would have
//	the same login one that comes again to this or another server, from the same NAS and station
//	miss           a passcode or password that was wrong, as servers tell each other
//
// # How an attempt is decided
//
// A Verifier hands the Attempt to the TokenStore, which finds the account of
// the user and calls Attempt.Decide with it while nobody else can change it.
// Decide is a pure function of the account, the attempt, the instant in it and
// the Policy; it changes the states of tokens in place and says which. The
// store makes those states and the event of the attempt durable in one commit
// and only then tells the Waiter. So the used code is burned before anybody
// learns that it was right, and of two attempts with one code the second finds
// it burned, however close they come.
//
// Decide goes like this:
//
//  1. No such user, a disabled user, no token that may be used, because it is
//     disabled or this is not its time: refused.
//  2. A user and source (NAS and station) that had too many wrong PINs waits:
//     refused without a look at the passcode. Nobody else waits with them. Of a
//     NAS that tells no station everybody is one source; there the passcode is
//     looked at all the same, and the right one passes.
//  3. For each token the passcode is split from the right by the token's
//     digits. What stands before the code is compared with the PIN; the code
//     is searched in the token's window: around its drift and around the
//     server's clock for a clock token, ahead of its counter for an event token,
//     among those not used of a list.
//  4. Right PIN, right unused code: accepted. The factor and all before it are
//     burned, the drift is noted, the failures of all the user's tokens are
//     forgotten.
//  5. Right PIN, used code: replayed. It does not count, because a VPN client
//     that reconnects by itself sends the old passcode again.
//  6. Right PIN, code further off, where resync looks: the place is noted, and
//     the very next code is accepted (verdict next_code until then). A lock
//     ends the same way, and by itself after a time.
//  7. Right PIN, wrong code: counts towards the lock of the tokens tried.
//  8. Wrong PIN: counts towards the wait of step 2 and not towards a lock, so
//     that strangers cannot lock a user out. Only a wrong PIN before the right
//     code counts towards the lock of that token: who holds it could else guess
//     the PIN from many stations.
//  9. The same wrong passcode again from the same source within a minute does
//     not count in 7 and 8.
//
// Before all this the caller may have found that no code is needed (Preset:
// Excluded, which only a disabled user stops), or that a user who holds no token
// at all shall pass without one (WithoutToken). What that costs to find out, such as a
// question to the directory, is asked only when it matters: then the decision
// comes back Outstanding, and the attempt is submitted once more. When the user
// repository does not answer the attempt is Doubtful: the right code is accepted,
// and nothing else is decided.
//
// A directory counts wrong passwords of a user, wherever they come from, and locks
// the account. So the Verifier keeps count of what the directory is shown: one
// question about a user at a time, no wrong password twice, and no more different
// ones than a few in half an hour, over all sources. This memory is apart from that
// of wrong PINs.
//
// With CHAP and MS-CHAP the passcode is not seen: each candidate code is put
// behind the PIN and tried. A wrong PIN and a wrong code then look the same
// (wrong_passcode) and count as in step 2, never towards a lock: who knows the
// PIN can guess at codes from many stations. PAP is the better choice. Resync
// does not look there either, for each candidate costs many hashes.
//
// A new token is nobody's until VerifyFirst has seen that it shows the right code.
// That is no attempt: who has the token becomes its holder, and then logs in.
//
// A verdict is not an error. An error means that nothing could be decided, and
// then the NAS gets no answer at all.
//
// # When there is a TMS
//
// The TMS burns codes too, and asking it takes time. So Decide never asks: an attempt
// that is for the TMS comes back Outstanding (AskTMS), with nothing recorded, the
// caller asks once and submits the attempt again with the answer.
//
// It is for the TMS where the home of the user is the TMS; else where the order begins
// with it; else, where the order is local-then-tms, if the user has no active token, or
// in shadow. A learned token is active when TMS and token have agreed about
// Policy.Agreements logins. Who belongs to the TMS counts as one who holds a token: what
// is said above of users without one is not for them. With the order local, or when the
// user's home is here, there is no TMS.
//
//  1. A user who is disabled here is refused, whatever the TMS says.
//  2. Before the TMS is asked a source that waits is refused, and what is on a list of
//     codes of ours is decided here: recovery codes, and codes for a day, are for who
//     cannot use the TMS now.
//  3. A code of a token that is the user's and may not be used here, because it was
//     disabled or reported lost or this is not its time, is refused: no_token,
//     token_expired. The TMS may have the same token and know nothing of that. With PAP
//     this is looked at before the TMS is asked, and always when it has accepted. It holds
//     for users whose home is the TMS, too: who wants the TMS to decide about a token takes
//     it from the user here.
//  4. The TMS accepted: accepted_by_tms. The code is burned on every token of ours that
//     shows it, as far off as resync looks and whatever stands before it: the TMS may know
//     another PIN, and vouches for the code. Behind our PIN, where a login looks, it is
//     an agreement, and no lock is in the way. Elsewhere the two differ, which is noted and is no
//     failure. A token that has to resync has to do so still: its counter may have been
//     turned back further than the code was ahead.
//  5. The TMS accepted what a token of ours has burned: replayed, whatever stands before
//     it. It was accepted here, while the TMS was away or had no part in it, and must not
//     pass again. The window of the TMS may be wider than ours, and an event token that is
//     used here stands still there: so this is looked for as far back as resync looks
//     ahead, of an event token among its last 10,000 codes. A new code of another token,
//     behind the right PIN, comes before that: then the likeness is chance.
//  6. The TMS refused: refused_by_tms, which makes a source wait like a wrong PIN. With
//     the order tms-then-local our own tokens decide instead, if there are any to use.
//     Otherwise they are only compared, and what they would have accepted is noted.
//  7. The TMS gave no answer: where the order has our own tokens too, and the user's
//     home is not the TMS, these may accept. Nothing else can be said: the verdict is
//     what the caller wants it to be (WhenDown), and nothing counts against user or source,
//     because the passcode may have been right at the TMS.
//  8. The TMS asked the user for more: asked_by_tms. It may have burned a code to get
//     there, so that is burned here as in 4, and a used one behind the right PIN is
//     replayed. Nothing is compared.
//
// What a user answers to a question of the TMS (Attempt.Answer) is for the TMS alone: no
// order, no home and no list of codes comes before it. It goes through 1 to 8 like a first passcode,
// but is not compared, and our own tokens never accept it.
//
// CHAP and MS-CHAP show a code only behind the PIN that we know. Where the TMS knows
// another, what it accepts by them can be neither burned here nor found used.
//
// In 2 and 7 tokens are looked at on which no failure counts. So that nobody guesses at
// codes there, wrong codes behind the right PIN are counted for the user, from wherever
// they come, in memory, at the end of a login: after some of them these tokens are not
// looked at for a time, which grows as in step 2 above. The TMS is asked all the same, and an accept forgives.
//
// # When there are several servers
//
// Servers that share a TokenStore are equal. The store burns a code by a conditional write,
// and has who lost decide once more by the account as it is now: so Decide may be called
// several times for one Submit, and what it counts in memory it counts once.
//
// A gateway may send one login to two servers, at once or one after the other. Each knows it
// by Attempt.Login, a keyed hash of the NAS, the user, the station and what was typed or
// proved, for the account has with it what was decided last (Account.Last). Before anything
// else is looked at, where the login is that one and no older than Policy.SameLoginWindow,
//
//  1. what our own tokens accepted is answered_elsewhere, to which no reply is given, for a
//     refusal could overtake the accept. With Policy.RepeatSameLogin it is accepted again, if
//     a token still shows the code as a used one; nothing is burned;
//  2. what the TMS accepted, or asked more after, is answered_elsewhere in any case, because
//     nobody has kept what the TMS gave with it;
//  3. what was refused for a wrong passcode is refused again by the same verdict, and does
//     not count. Who had to wait is decided anew.
//
// Who is disabled is refused all the same, and whatever is done to a user or a token has the
// store forget the last login. Another NAS or another station is another login: the code is
// replayed there. A refusal does not take the place of an accept that is younger than the
// window, and a repeat never makes the window longer. The age is by one clock, the store's;
// the clocks of the servers may differ by seconds, which moves the window of codes by as
// much, and lets none pass twice. Who logs in with two codes within the window at once may
// be refused for the first by a server that is late.
//
// Wrong PINs, wrong codes that count for a user, and wrong directory passwords are counted
// by each server and told to the others twice a second or so (ShareMisses, TakeMisses,
// PutMisses): they add up, and a right login forgives them everywhere. Guesses at several
// servers within that time each count where they are made. Each server for itself remembers
// the last wrong passcode of a source (step 9), the wrong passwords themselves, and
// that somebody asks the directory about a user right now.
package otp
