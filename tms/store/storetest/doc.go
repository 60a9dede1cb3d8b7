// Package storetest is the suite that every engine of a token store must pass. It
// drives the engine through a real otp.Verifier, as the server does, and holds it
// to the laws of the house:
//
//   - burn before accept: whatever was answered is still so after the process was
//     killed in the midst of load;
//   - exactly once: of a hundred attempts with one code one is accepted;
//   - an administrator's change acts on the state the last login left, and the
//     next login sees it;
//   - what a token has shown beside the TMS is kept and compared once a code, and who
//     verifies a user's codes holds from the next login on;
//   - a user with tokens, invitation and mails is changed whole or not at all, also
//     when the process is killed;
//   - every login and act is in the journal, whole, and chained to what was before, also
//     when the process is killed, and when what is old was removed;
//   - every accounting record that was answered is in the accounting log, once, and what
//     is made of it in sessions is made of each once, also when the process is killed;
//   - a search finds what a plain look at all events finds;
//   - every revision of the rules can be listed for ever, and the logins that a
//     rule decided are counted, each once, also when the process is killed;
//   - memory is bounded: a store that is not answered takes no more.
//
// An engine's test calls Run, and Main from its TestMain, because for the crashes
// the suite starts its own test binary once more as the process that is killed.
package storetest
