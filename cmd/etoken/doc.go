// Command etoken shows one-time codes on a computer: it is the token client of
// Countersign, and what MobilePASS was to SafeNet. It needs no server but to become
// a token, and no right but to a folder of its user.
//
//	main.go         exit status
//	root.go         the tree of commands
//	terminal.go     what is asked of the user, and how
//	secret.go       what never is printed
//	token.go        a token: its codes, and its form in the store
//	header.go       the file of tokens: how it is encrypted
//	store.go        the file of tokens: opening, saving, one at a time
//	file_*.go       what systems do differently with files
//	failures.go     wrong Application PINs, and the waiting after them
//	server.go       the API of a Countersign server, and whom to trust
//	activate.go, generate.go, mobilepass.go, keeping.go
//	                the commands
//	clipboard.go    the clipboard
//
// # The store
//
// All tokens are in one file. It is encrypted with AES-256-GCM under a key that
// Argon2id (RFC 9106, the second recommended choice: 64 MiB, 3 passes, 4 lanes)
// derives from the Application PIN; the file says with which parameters, so that
// they can grow. Names and serials are in there too: who has the file learns how
// long it is. A save makes a new file beside it, syncs it and renames it, so that
// whatever happens there is the old one or the new one, whole. A lock beside the file
// keeps two etokens apart.
//
// The code of an event token is used up when it has been shown. So the counter is
// saved before the code is printed: a code may be lost, but none is shown twice. Of a
// clock token the step whose code activated it is kept, because the server has
// burned it: the next code is the first that is shown.
//
// # Becoming a token
//
// The server sends the seed under the Activation Key, and counts the token only after
// its first code. Between the two the token is saved as pending, with all that is
// needed to go on: whether the power fails, the answer is lost or the disk is full,
// either `etoken activate` completes it or nobody has it. Codes of a pending token
// are shown, for the server may have activated it.
//
// # Who is kept out
//
// A thief of the laptop or of a backup has the file and may guess Application PINs as
// fast as Argon2id lets him, a few a second on each core; four digits would fall
// within the hour. That is why an Application PIN has 6 characters at least, and
// should have more, letters among them. The waiting after wrong ones is no help
// here.
//
// Somebody at the unlocked computer has to try PINs by way of this program, and waits
// ever longer after wrong ones. He could delete the count of them, but not without
// knowing more than that; who can run programs of his own on the user's account can
// read the PIN as it is typed, and is not kept out by anything here.
//
// A look over the shoulder sees no PIN and no Activation Key as they are typed. It
// may see a code, which is good for one login within seconds, and useless without the
// OTP PIN; with --copy it sees none.
//
// Other users of the computer can see the arguments of every program. So PINs are
// never among them, and the Activation Key need not be. Folder and file are for their
// owner alone.
//
// Somebody between us and the server gets nothing: TLS is needed, with a certificate
// that the computer knows, or that has the fingerprint which the administrator told.
package main
