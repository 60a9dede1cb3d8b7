// Package seal keeps seeds and PINs unreadable at rest. A Keyring seals each
// value under a data key with AES-256-GCM; the Keyring itself is stored next to
// the values, sealed under a key-encryption key (KEK); and the KEK is in a key
// file, which is kept and backed up apart from the store. Who has the store or
// its backup alone can read and forge nothing.
//
// # Words
//
//	sealed value  what Keyring.Seal made of a seed or PIN
//	context       where a value belongs, such as "seed/SERIAL" or "pin/USER"
//	data key      seals values; has an id from 1 up, of which the highest is current
//	keyring       the data keys: one that seals and those that still open
//	KEK           key-encryption key; seals the keyring and nothing else
//	key file      the KEKs: first the current one, then older ones that still open
//
// # Sealed values
//
//	4 bytes   id of the data key, big endian
//	12 bytes  nonce, random
//	n bytes   ciphertext
//	16 bytes  tag
//
// The context is authenticated with the value, not stored: a value that
// somebody moved to another row, to give his PIN to another user, does not open
// there. Two things are not hidden: the length of a value, and an older value of
// the same context put back in its place; the store's own history has to show
// that.
//
// # How many values a key may seal
//
// AES-GCM breaks when one key meets one nonce twice. With random nonces of 96
// bits, NIST SP 800-38D section 8.3 therefore allows a key 2^32 values, at which
// the chance of a repetition is below 2^-32. A value is sealed when a token is
// made or imported and when a PIN is set, never at a login: with a million
// tokens and a new PIN every month for each user, one key would last 300 years.
// A Keyring counts what it seals and refuses beyond 2^32. The count is lost when
// the process ends and each node has its own, so it stops a loop gone wild and
// not a slow excess; a rotation every year or two takes care of that.
// The KEK seals a keyring at each rotation only.
//
// # Rotation
//
// Every step leaves a state from which everything opens, so that the process
// may be killed between any two of them, and the rotation begun again.
//
// Of the KEK, when somebody may have seen the key file (and of the data key too,
// if it may be somebody who has an old copy of the store):
//
//  1. WriteKeyFile(path, next, old): the keyring still opens, under the old KEK.
//  2. Marshal the keyring under the next KEK and store it.
//  3. WriteKeyFile(path, next). Opening the stored keyring with this KEK alone
//     first makes sure that step 2 was done.
//
// Of the data key:
//
//  1. OpenKeyring the stored keyring into a second Keyring, Rotate that, Marshal
//     and store it, in one compare-and-set of the store, so that of two rotations
//     at once one begins again.
//  2. Adopt it in each running Keyring. Not before it is stored: what is sealed
//     under a key that is stored nowhere is lost in a crash.
//  3. When all have it: Open and Seal again each value whose KeyID is not Current.
//  4. As in 1 and 2, with Retire of the old key instead of Rotate.
//
// Ids only rise and are not used again. So a node that meets a KeyID above its
// Current knows that another one has rotated, and has to Adopt what is stored.
//
// # Secrets
//
// A KEK and a Keyring print as [redacted] under every verb of fmt, in slog, and
// as text and JSON, also as unexported fields; package oath says how.
package seal
