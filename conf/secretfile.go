package conf

import (
	"bytes"
	"fmt"
	"os"
)

// Bounds of a shared secret. RFC 2865 section 3 forbids an empty one and wants
// 16 bytes; the lower bound here refuses accidents and no old gateway.
const (
	minSecretBytes = 6
	maxSecretBytes = 256
)

// secretRemedy says how to come by a good secret.
const secretRemedy = "use at least 16 random characters, as `openssl rand -hex 16` prints them, here and in the NAS"

// readSecret makes nas.Secret the shared secret, read from SecretFile if that is
// where it is. key is that of the NAS.
func (r *report) readSecret(key string, nas *NAS) {
	inline, file := key+".secret", key+".secret_file"
	switch {
	case r.has(key): // not a table at all
	case nas.Secret.hidden != nil && nas.SecretFile != "":
		r.add(file, "there is a secret as well", "leave one of the two out")
	case nas.SecretFile != "":
		if text, wrong := readSecretFile(nas.SecretFile); wrong != nil {
			r.add(file, wrong.problem, wrong.remedy)
		} else {
			nas.Secret = newSecret(text)
		}
	case nas.Secret.hidden != nil:
		if wrong := verifySecret(nas.Secret.Bytes()); wrong != nil {
			r.add(inline, wrong.problem, wrong.remedy)
		}
	case !r.has(file):
		r.addMissing(inline, "the NAS has no shared secret", `add secret_file = "gateway.secret", a file with the secret as its only line`)
	}
}

// readSecretFile reads and verifies the one line of a file.
func readSecretFile(path string) ([]byte, *complaint) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &complaint{fmt.Sprintf("cannot read %q: %v", path, withoutPath(err)),
			"make it with the shared secret as its only line, or correct the path"}
	case !info.Mode().IsRegular():
		return nil, &complaint{fmt.Sprintf("%q is not a file", path), "name a file with the shared secret as its only line"}
	case info.Mode().Perm()&0o007 != 0:
		return nil, &complaint{fmt.Sprintf("%q is open to all accounts of this machine (mode %04o)", path, info.Mode().Perm()),
			fmt.Sprintf("take their access away: chmod o= %q", path)}
	case info.Size() > maxSecretBytes+int64(len("\r\n")):
		return nil, &complaint{fmt.Sprintf("%q has more than %d bytes", path, maxSecretBytes),
			"name a file with the shared secret as its only line"}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &complaint{fmt.Sprintf("cannot read %q: %v", path, withoutPath(err)), "let the account of the server read it"}
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(text, "\r\n\x00") {
		return nil, &complaint{fmt.Sprintf("%q has more than one line", path), "name a file with the shared secret as its only line"}
	}
	return text, verifySecret(text)
}

// verifySecret tells what is wrong with a shared secret, and nothing of it.
func verifySecret(secret []byte) *complaint {
	switch {
	case len(secret) == 0:
		return &complaint{"the shared secret is empty", secretRemedy}
	case len(secret) < minSecretBytes:
		return &complaint{fmt.Sprintf("the shared secret has less than %d bytes", minSecretBytes), secretRemedy}
	case len(secret) > maxSecretBytes:
		return &complaint{fmt.Sprintf("the shared secret has more than %d bytes", maxSecretBytes), secretRemedy}
	}
	return nil
}
