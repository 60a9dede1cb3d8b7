package seedfile

import (
	"bufio"
	"errors"
	"strings"
)

// LinOTP takes and hands out seeds in files of other formats: SafeNet's XML and .dat,
// PSKC, Yubico's log and OATH CSV. Of these only OATH CSV is not quite the same there:
// its fifth column is the time step of a clock token and nothing for an event token,
// whose counter is not in the file.
//
// What LinOTP has of its own is no use to anybody else: its list of tokens has no
// seeds, and in its database and its backup they are encrypted under keys of the
// server. Open says so.

// errLinOTP says why nothing can be read from what LinOTP keeps for itself.
var errLinOTP = errors.New("this is LinOTP's own list or backup of tokens, in which there are no seeds that can be read without the keys of that server: import the seed files that LinOTP got them from, or write the decrypted seeds as OATH CSV (serial, seed, type, digits, time step, hash)")

// linotpOwn reports whether a file is what LinOTP keeps for itself: a backup, or a
// table with the names of its columns.
func linotpOwn(start []byte, fields []string) bool {
	if strings.HasPrefix(strings.TrimSpace(string(start)), `{"Salt"`) {
		return true
	}
	for _, name := range fields {
		if strings.HasPrefix(columnName(name), "linotp") {
			return true
		}
	}
	return false
}

func newLinOTP(text *bufio.Reader, o Options) (parser, error) { return newOATH(text, o, true) }
