package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// knownKey is the key that the source count makes.
const knownKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func knownKEK(t testing.TB) KEK {
	t.Helper()
	kek, err := NewKEK(new(count))
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func verifyKEKs(t *testing.T, got []KEK, want ...KEK) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].Equal(want[i]) {
			t.Errorf("key %d is another", i)
		}
	}
}

func TestKeyFileRoundTrip(t *testing.T) {
	one, two := knownKEK(t), newTestKEK(t)
	text := FormatKeyFile(one, two)
	if !strings.HasPrefix(string(text), "# Key-encryption keys of Countersign.") || !strings.Contains(string(text), "\ncountersign-kek-1 "+knownKey+"\n") {
		t.Errorf("key file is %s", text)
	}
	keks, err := ParseKeyFile(text)
	if err != nil {
		t.Fatal(err)
	}
	verifyKEKs(t, keks, one, two)
	if one.Equal(two) || one.Equal(KEK{}) || !(KEK{}).Equal(KEK{}) {
		t.Error("Equal is wrong")
	}
}

func TestParseKeyFileLenient(t *testing.T) {
	keks, err := ParseKeyFile([]byte("\r\n  # a comment\r\n\tcountersign-kek-1\t " + knownKey + "  \r\n\r\n#countersign-kek-1 x\r\ncountersign-kek-1 " + knownKey))
	if err != nil {
		t.Fatal(err)
	}
	verifyKEKs(t, keks, knownKEK(t), knownKEK(t))
}

func TestParseKeyFileErrors(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	for text, want := range map[string]string{
		"":                                   `it holds no key: it must have a line that begins with "countersign-kek-1"`,
		"# empty\n":                          "it holds no key",
		"#\n\ncountersign-kek-1 " + short:    "line 3: the key is not 32 bytes in base64: check that it was copied whole",
		"countersign-kek-1 " + knownKey[:43]: "line 1: the key is not",
		"countersign-kek-1 " + knownKey[:42] + "9=":     "line 1: the key is not", // stray bits
		"countersign-kek-1 !" + knownKey[1:]:            "line 1: the key is not",
		knownKey:                                        `line 1 is neither a comment nor "countersign-kek-1" and a key in base64`,
		"countersign-kek-2 " + knownKey:                 "line 1 is neither",
		"countersign-kek-1 " + knownKey + " # the best": "line 1 is neither",
		"countersign-kek-1":                             "line 1 is neither",
		"countersign-kek-1 " + knownKey + "\nx":         "line 2 is neither",
	} {
		keks, err := ParseKeyFile([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || keks != nil {
			t.Errorf("%q: %v, want %s", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), knownKey[:8]) || strings.Contains(err.Error(), "best") {
			t.Errorf("error shows the line: %v", err)
		}
	}
}

func TestCreateKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := CreateKeyFile(path, new(count)); err != nil {
		t.Fatal(err)
	}
	verifyMode(t, path, 0o600)
	err := CreateKeyFile(path, rand.Reader)
	if want := "creating key file: create " + path + ": file already exists"; !errors.Is(err, fs.ErrExist) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	keks, err := ReadKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	verifyKEKs(t, keks, knownKEK(t))
	verifyAlone(t, path)
}

func TestWriteKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	one, two := newTestKEK(t), newTestKEK(t)
	for _, keks := range [][]KEK{{one}, {two, one}, {two}} {
		if err := WriteKeyFile(path, keks...); err != nil {
			t.Fatal(err)
		}
		got, err := ReadKeyFile(path)
		if err != nil {
			t.Fatal(err)
		}
		verifyKEKs(t, got, keks...)
		verifyMode(t, path, 0o600)
		verifyAlone(t, path)
	}
	for _, keks := range [][]KEK{nil, {{}}, {one, {}}} {
		if err := WriteKeyFile(path, keks...); err == nil {
			t.Errorf("%d keys were written", len(keks))
		}
	}
	got, err := ReadKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	verifyKEKs(t, got, two)
}

func TestWriteKeyFileKeepsMode(t *testing.T) {
	for before, after := range map[fs.FileMode]fs.FileMode{0o400: 0o400, 0o600: 0o600, 0o644: 0o600, 0o666: 0o600} {
		path := filepath.Join(t.TempDir(), "kek")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, before); err != nil {
			t.Fatal(err)
		}
		if err := WriteKeyFile(path, knownKEK(t)); err != nil {
			t.Fatal(err)
		}
		verifyMode(t, path, after)
	}
}

// TestWriteKeyFileKeepsOwner says most when root runs it: an administrator
// rotates the keys of a server that runs as another user.
func TestWriteKeyFileKeepsOwner(t *testing.T) {
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
	}
	path := filepath.Join(t.TempDir(), "kek")
	if err := WriteKeyFile(path, knownKEK(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyFile(path, newTestKEK(t)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := owner(info).Uid; int(got) != uid {
		t.Errorf("owner is %d, want %d", got, uid)
	}
}

func TestKeyFileErrors(t *testing.T) {
	folder := t.TempDir()
	missing := filepath.Join(folder, "missing", "kek")
	if _, err := ReadKeyFile(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("reading: %v", err)
	}
	if err := CreateKeyFile(missing, rand.Reader); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("creating: %v", err)
	}
	if err := WriteKeyFile(missing, knownKEK(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing: %v", err)
	}
	// A folder in the place of the file: nothing may be left beside it.
	path := filepath.Join(folder, "kek")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyFile(path, knownKEK(t)); err == nil {
		t.Error("a folder was replaced")
	}
	verifyAlone(t, path)
	if _, err := ReadKeyFile(path); err == nil || !strings.HasSuffix(err.Error(), "it is no regular file") {
		t.Errorf("reading a folder: %v", err)
	}
}

func TestReadKeyFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := WriteKeyFile(path, knownKEK(t)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o604, 0o620, 0o601, 0o444, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKeyFile(path)
		if err == nil || !strings.Contains(err.Error(), "lets others than its owner at it: run chmod 0600 on it") || !strings.Contains(err.Error(), path) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(path); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestCheckAccess(t *testing.T) {
	for _, c := range []struct {
		mode fs.FileMode
		uid  uint32
		ok   bool
	}{
		{0o600, 1000, true}, {0o400, 1000, true}, {0o400, 0, true},
		{0o440, 0, true}, {0o440, 1000, false}, {0o444, 0, false}, {0o640, 0, false}, {0o460, 0, false},
		{fs.ModeDir | 0o600, 0, false}, {fs.ModeNamedPipe | 0o600, 0, false},
	} {
		if err := checkAccess(c.mode, c.uid); (err == nil) != c.ok {
			t.Errorf("mode %v of user %d: %v", c.mode, c.uid, err)
		}
	}
}

func TestReadKeyFileContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	for text, want := range map[string]string{
		"# empty":                           `reading key file "` + path + `": it holds no key`,
		strings.Repeat("#\n", maxKeyFile/2): `": it holds no key`,
		strings.Repeat("#\n", maxKeyFile):   `": it is longer than 65536 bytes, so it is no key file`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func verifyMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("mode of %s is %v, want %v", path, info.Mode(), want)
	}
}

// verifyAlone fails if there is anything beside the file at path.
func verifyAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			t.Errorf("%s was left", entry.Name())
		}
	}
}
