package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// keyLabel begins each line of a key file that holds a key.
const keyLabel = "countersign-kek-1"

const keyFileHeader = `# Key-encryption keys of Countersign. The seeds and PINs in the token store open
# with these keys alone: if this file is lost, all tokens are lost; who reads it
# and the store can make every code. Keep a copy of it, and keep it apart from the
# copies of the store. The first key is current; those below it are older and only
# open what was sealed under them.
`

// maxKeyFile is the longest key file in bytes, for a few hundred keys.
const maxKeyFile = 64 << 10

// ParseKeyFile reads the text of a key file: a line "countersign-kek-1 BASE64"
// for each key (32 bytes), the current one first; blank lines and lines that
// begin with # are ignored. There is one key at least. An error names the line
// and shows nothing of it.
func ParseKeyFile(text []byte) ([]KEK, error) {
	var keks []KEK
	number := 0
	for line := range bytes.Lines(text) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || fields[0] != keyLabel {
			return nil, fmt.Errorf("line %d is neither a comment nor %q and a key in base64", number, keyLabel)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(fields[1])
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("line %d: the key is not %d bytes in base64: check that it was copied whole", number, keySize)
		}
		keks = append(keks, kekOf(key))
	}
	if keks == nil {
		return nil, fmt.Errorf("it holds no key: it must have a line that begins with %q", keyLabel)
	}
	return keks, nil
}

// FormatKeyFile is the text of a key file with these keys, the current one first.
func FormatKeyFile(keks ...KEK) []byte {
	text := []byte(keyFileHeader)
	for _, kek := range keks {
		text = append(text, keyLabel+" "...)
		text = base64.StdEncoding.AppendEncode(text, kek.bytes())
		text = append(text, '\n')
	}
	return text
}

// ReadKeyFile reads a key file. It refuses one that anybody but its owner may
// read, except for mode 0440 in the hands of root, which is how systemd hands
// over credentials.
func ReadKeyFile(path string) ([]KEK, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading key file: %w", err) // err names the path
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading key file: %w", err)
	}
	if err := checkAccess(info.Mode(), owner(info).Uid); err != nil {
		return nil, fmt.Errorf("reading key file %q: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("reading key file %q: it is longer than %d bytes, so it is no key file", path, maxKeyFile)
	}
	keks, err := ParseKeyFile(text)
	if err != nil {
		return nil, fmt.Errorf("reading key file %q: %w", path, err)
	}
	return keks, nil
}

func checkAccess(mode fs.FileMode, uid uint32) error {
	if !mode.IsRegular() {
		return errors.New("it is no regular file")
	}
	perm := mode.Perm()
	if perm&0o077 == 0 || perm == 0o440 && uid == 0 {
		return nil
	}
	return fmt.Errorf("its mode %04o lets others than its owner at it: run chmod 0600 on it", perm)
}

func owner(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// CreateKeyFile makes a key file of mode 0600 with a new key. If there is a file
// already it stays as it is, and the error wraps fs.ErrExist.
func CreateKeyFile(path string, rand io.Reader) error {
	kek, err := NewKEK(rand)
	if err != nil {
		return fmt.Errorf("creating key file %q: %w", path, err)
	}
	temporary, err := writeBeside(path, FormatKeyFile(kek), nil)
	if err != nil {
		return fmt.Errorf("creating key file: %w", err)
	}
	defer os.Remove(temporary)
	err = os.Link(temporary, path) // unlike os.Rename it fails if there is a file
	if errors.Is(err, fs.ErrExist) {
		err = &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if err == nil {
		err = syncFolder(path)
	}
	if err != nil {
		return fmt.Errorf("creating key file: %w", err)
	}
	return nil
}

// WriteKeyFile replaces a key file, or makes one of mode 0600. After a crash at
// any instant there is the old file or the new one, whole. It keeps the owner of
// the old one, and its mode if ReadKeyFile does not refuse it.
func WriteKeyFile(path string, keks ...KEK) error {
	if len(keks) == 0 || slices.ContainsFunc(keks, KEK.isZero) {
		return fmt.Errorf("writing key file %q: a key is missing", path)
	}
	old, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing key file: %w", err)
	}
	temporary, err := writeBeside(path, FormatKeyFile(keks...), old)
	if err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("writing key file: %w", err)
	}
	if err := syncFolder(path); err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	return nil
}

// writeBeside writes the text durably to a new file in the folder of path, of
// mode 0600 or as accessible as old, and returns its name. With an error there
// is no such file.
func writeBeside(path string, text []byte, old fs.FileInfo) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if old != nil {
		if err := keepAccess(f, old); err != nil {
			return "", err
		}
	}
	if _, err := f.Write(text); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// keepAccess gives f the owner of the old file and, unless that was open to
// others, its mode: a server that was allowed to read the old one still is.
func keepAccess(f *os.File, old fs.FileInfo) error {
	id := owner(old)
	if err := f.Chown(int(id.Uid), int(id.Gid)); err != nil {
		return err
	}
	if checkAccess(old.Mode(), id.Uid) != nil {
		return nil
	}
	return f.Chmod(old.Mode().Perm())
}

// syncFolder makes it durable that there is a file of this name.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
