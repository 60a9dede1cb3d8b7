// Package conf reads the configuration file.
//
// The file is TOML. Its manual is the struct [Config]: each key has a field,
// and the field's comment says what the key does, in which unit, why one would
// change it; the field's tags give its name and bounds. The same in an
// administrator's words is the shipped file countersign.toml ([Sample]), which
// decodes to exactly [Defaults]; tests hold the two together.
//
// # Strict, and all at once
//
// A key that is not known is a fault, and so is a value of another type or out
// of its bounds: a setting misspelt must not silently be a default. All faults
// of a file are found in one go and come as one error, [Faults], in the order
// of lines, each as
//
//	FILE:LINE: key: what is wrong; how to mend it
//
// Only a file that is not TOML has a single fault, since nothing behind the
// place can be read. A key that is missing is reported at the line of the
// table it is missing from; the outermost table begins at line 1.
//
// # How a file becomes a Config
//
//  1. The TOML library turns the text into a tree of maps, and scanPositions
//     notes the line of each key and array element, which the library cannot
//     tell for tables that occur several times, as [[nas]] does.
//  2. The decoder walks the struct along the tree, over the defaults: types,
//     names and bounds, one key at a time.
//  3. The paths are resolved, the files of secrets are read, and certificates
//     and dictionaries are looked for.
//  4. The verifier looks at what concerns several keys: addresses used twice, a
//     NAS without a secret, a limit above another, a rule for a NAS that does
//     not say what it gets.
//  5. Each [Check] of the caller looks at what others know: this package reads
//     neither the values of rules nor LDAP filters nor dictionaries. Its faults
//     stand among the rest, with the lines of the values.
//
// [Load] also wants a NAS to serve, [Parse] does not.
//
// # What an excluded login gets
//
// Who needs no code could pass with no password at all, if nobody asked for one.
// So NAS.Excluded has no default, and a file in which an exclusion or the mode
// token-holders could let somebody pass at a NAS that does not say it has a fault
// at that NAS. Rules from elsewhere are held against
// [Config.NASesWithoutExcluded].
//
// # Files
//
// Paths are relative to the folder of the configuration file. A shared secret
// is best kept in a file of its own (secret_file) that others cannot read; a
// [Secret] is never printed, whatever it is a part of, and neither is the text
// of a line that holds one.
//
// Nothing else sets configuration: no environment variable and no flag.
//
// # Words
//
//	fault     one thing wrong in a file, with its line and how to mend it
//	key       a setting's name with its tables before it, as in radius.auth or
//	          nas[1].secret; arrays are counted from 0
//	NAS       the gateway that asks (Network Access Server)
//	rule      a table [[exclusion]] or [[reply]]: criteria, and what follows
//	criterion a list of values of which a login must have one, or none
//	bounds    the least and the greatest value of a key, both allowed
package conf
