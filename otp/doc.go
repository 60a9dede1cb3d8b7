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
package otp
