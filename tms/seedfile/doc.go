// Package seedfile reads the files in which makers and other servers hand over
// tokens, and writes the two that Countersign itself hands out.
//
// # Reading
//
// Open looks at the first bytes of a file and finds out by its content which of the
// formats it is; the name of a file says nothing. A Reader then gives one token after
// another and holds no more than one in memory, so that a file may be as long as it
// likes. Every token and every complaint knows the line where it stands.
//
// There are two kinds of errors. A Fault is about one token: a type that nobody here
// can compute, a seed that is no seed. Reading can go on behind it. Any other error is
// about the file: it was cut off, the password is wrong, it is not of the format.
// Nothing more can be read then, and nothing that was read before should be kept,
// because the file is not what its maker wrote. An importer that wants that reads the
// file twice, or imports in one transaction.
//
// A parser reads one format. It says what the file says; Reader.Next judges for all of
// them whether that is a token of ours.
//
// A serial may come twice in one file: RFC 6030 has an example where a second key of a
// device follows the first in time. That is for the importer to find.
//
// # PSKC
//
// PSKC (RFC 6030) is XML with a container of key packages. Elements are known by their
// local names in any case, so that the namespaces of the drafts, with which many makers
// still write, and the small letters of privacyIDEA are as good as what the RFC says.
// One package is read at once, of at most a mebibyte. No document type is accepted, so
// there are no entities but those of XML itself.
//
// Values may be encrypted, under a key that both sides have or under one that is
// derived from a password (PBKDF2, whose iterations are bounded). A value that is
// encrypted in CBC mode has a MAC beside it. MACPolicy says what becomes of a file with
// a wrong one, or with a value that has none though the file says that values have. A
// MAC that is wrong from the first value on means that the password is wrong, and
// mostly the key of the MACs does not even decrypt: then Open says so.
//
// The hash of a token is what the file says and SHA-1 otherwise, never what the length
// of the seed suggests. TimeDrift is our drift: how many steps the token is ahead. Time
// is how many steps had passed when the file was written, which is no use to anybody.
//
// Not read: keys that are encrypted for a certificate (RFC 6030 section 6.4); the
// signature of a container (section 7) is not looked at. OCRA and whatever else has no
// counter or clock are Faults, and so are codes that are not decimal.
//
// # The other formats
//
// The type that parses a format says how it is written, and what is made of it. Common
// to all of them:
//
// A text may be UTF-8, or UTF-16 with a byte order mark, with line ends of any kind.
// Fields of CSV are separated by commas, semicolons or tabs, as the first row has it.
// Options.AssignColumn is the name of a column where the first line has names, and
// otherwise its number; the column of the seeds is refused.
//
// A file that was cut off must not give a token that is another one. XML and the list of
// privacyIDEA have an end; of the others the last line must be whole: when it has no
// line end, and has fewer fields than it should or ends with the seed, it is an error
// of the file. Whoever knows better ends the line.
//
// Where the file does not say the hash, the formats differ: in OATH CSV and the csv of
// privacyIDEA the length of the seed says which it is, in SafeNet's XML 64 hexadecimal
// digits mean SHA-256, and elsewhere it is SHA-1. SHA-224 and SHA-384 are Faults. The
// clock tokens of SafeNet's .dat files count their steps from the year 2000.
//
// The name of a server, privacyidea or linotp, stands for every format which that server
// hands out. The users file and the table radcheck of FreeRADIUS have no serials. There a
// serial is made of the user's name: FR and the first 16 hexadecimal digits of SHA-256
// over a fixed text and the normalized name. So a second import of the file finds the
// token of the first one, and a user has one token at most. Users who have no seed, as
// most in such a file, and keys in a Yubico log that are programmed otherwise, are no
// Faults: Reader.PassedOver counts them.
//
// A Fault never shows a field that may be a seed or a password, even where columns stand
// in another order than the format has them: also a serial that could be a seed is left
// out.
//
// # Writing
//
// WritePSKC encrypts seeds with AES-256-CBC, an HMAC and PBKDF2 with SHA-256, the
// strongest that other programs read as well. WriteCSV writes no seeds.
package seedfile
