package conf

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// secretKind is a kind of secret: what faults call it, its bounds in bytes, and
// how to come by a good one.
type secretKind struct {
	noun        string
	least, most int
	remedy      string
}

// The kinds of secrets. RFC 2865 section 3 forbids an empty shared secret and
// wants 16 bytes; the lower bound here refuses accidents and no old gateway.
var (
	sharedSecret = secretKind{"shared secret", 6, 256,
		"use at least 16 random characters, as `openssl rand -hex 16` prints them, here and in the NAS"}
	bindPassword = secretKind{"password", 1, 256, "give the one of the account bind_dn"}
	mailPassword = secretKind{"password", 1, 256, "give the one of the account user"}

	databasePassword = secretKind{"password", 1, 256, "give the one of the user in dsn"}
)

// readSecret reads a secret from the file at path, if there is one. key is that
// of the secret, and with _file behind it that of the path.
func (r *report) readSecret(kind secretKind, key string, secret *Secret, path string) {
	file := key + "_file"
	switch {
	case secret.hidden != nil && path != "":
		r.add(file, key[strings.LastIndexByte(key, '.')+1:]+" is given as well", "leave one of the two out")
	case path != "":
		if text, wrong := kind.readFile(path); wrong != nil {
			r.add(file, wrong.problem, wrong.remedy)
		} else {
			*secret = newSecret(text)
		}
	case secret.hidden != nil:
		if wrong := kind.verify(secret.Bytes()); wrong != nil {
			r.add(key, wrong.problem, wrong.remedy)
		}
	}
}

// readFile reads and verifies the one line of a file.
func (k secretKind) readFile(path string) ([]byte, *complaint) {
	onlyLine := "name a file with the " + k.noun + " as its only line"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &complaint{fmt.Sprintf("cannot read %q: %v", path, withoutPath(err)),
			"make it with the " + k.noun + " as its only line, or correct the path"}
	case !info.Mode().IsRegular():
		return nil, &complaint{fmt.Sprintf("%q is not a file", path), onlyLine}
	case info.Mode().Perm()&0o007 != 0:
		return nil, &complaint{fmt.Sprintf("%q is open to all accounts of this machine (mode %04o)", path, info.Mode().Perm()),
			fmt.Sprintf("take their access away: chmod o= %q", path)}
	case info.Size() > int64(k.most+len("\r\n")):
		return nil, &complaint{fmt.Sprintf("%q has more than %d bytes", path, k.most), onlyLine}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &complaint{fmt.Sprintf("cannot read %q: %v", path, withoutPath(err)), "let the account of the server read it"}
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(text, "\r\n\x00") {
		return nil, &complaint{fmt.Sprintf("%q has more than one line", path), onlyLine}
	}
	return text, k.verify(text)
}

// verify tells what is wrong with a secret, and nothing of it.
func (k secretKind) verify(secret []byte) *complaint {
	switch {
	case len(secret) == 0:
		return &complaint{"the " + k.noun + " is empty", k.remedy}
	case len(secret) < k.least:
		return &complaint{fmt.Sprintf("the %s has less than %d bytes", k.noun, k.least), k.remedy}
	case len(secret) > k.most:
		return &complaint{fmt.Sprintf("the %s has more than %d bytes", k.noun, k.most), k.remedy}
	}
	return nil
}
