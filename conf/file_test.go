package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLoadWithoutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.toml")
	_, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load returned %v, want fs.ErrNotExist", err)
	}
	if strings.Count(err.Error(), path) != 1 {
		t.Errorf("%q does not name the file once", err)
	}
}

func TestParseTakesNoNAS(t *testing.T) {
	if _, err := Parse("countersign.toml", nil); err != nil {
		t.Error(err)
	}
}

func TestFaultsAreOfAllKinds(t *testing.T) {
	_, err := Parse("etc/countersign.toml", []byte("[log]\nlevel = 1\nformat = \"xml\"\ncolor = 1\n[web]\nlisten = \"127.0.0.1:9812\"\n"))
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("Parse returned %v, want Faults", err)
	}
	var got []string
	for _, f := range faults {
		if f.File != "etc/countersign.toml" || f.Problem == "" || f.Remedy == "" {
			t.Errorf("incomplete fault %+v", f)
		}
		got = append(got, f.Key)
	}
	// The default of metrics.listen collides with web.listen, and is missing
	// from the outermost table.
	if want := "metrics.listen log.level log.format log.color"; strings.Join(got, " ") != want {
		t.Errorf("faults of %v, want %s", got, want)
	}
}

func TestFaultString(t *testing.T) {
	fault := Fault{File: "a.toml", Line: 7, Key: "nas[0].name", Problem: "is bad", Remedy: "choose another"}
	if got, want := fault.String(), "a.toml:7: nas[0].name: is bad; choose another"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	fault.Key = ""
	if got, want := fault.String(), "a.toml:7: is bad; choose another"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (Faults{fault, fault}).Error(); strings.Count(got, "\n") != 1 {
		t.Errorf("two faults print as %q", got)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "gateway.secret"), "xyzzy5461xyzzy5461")
	text := `
data_dir = "data"
[store]
key_file = "../keys/countersign.key"
[[nas]]
name = "one"
addresses = "192.0.2.1"
secret_file = "gateway.secret"
[[nas]]
name = "two"
addresses = "192.0.2.2"
secret_file = "` + filepath.Join(folder, "gateway.secret") + `"
`
	config, err := Parse(filepath.Join(folder, "countersign.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []struct{ got, want string }{
		{config.DataDir, filepath.Join(folder, "data")},
		{config.Store.KeyFile, filepath.Join(filepath.Dir(folder), "keys/countersign.key")},
		{config.NAS[0].SecretFile, filepath.Join(folder, "gateway.secret")},
		{config.NAS[1].SecretFile, filepath.Join(folder, "gateway.secret")},
	} {
		if path.got != path.want {
			t.Errorf("got %q, want %q", path.got, path.want)
		}
	}
	for _, nas := range config.NAS {
		if got := string(nas.Secret.Bytes()); got != "xyzzy5461xyzzy5461" {
			t.Errorf("the secret of %s is %q", nas.Name, got)
		}
	}
}

func TestSecretFileLosesItsLineEnd(t *testing.T) {
	for text, want := range map[string]string{
		"xyzzy5461xyzzy5461":      "xyzzy5461xyzzy5461",
		"xyzzy5461xyzzy5461\n":    "xyzzy5461xyzzy5461",
		"xyzzy5461xyzzy5461\r\n":  "xyzzy5461xyzzy5461",
		" xyzzy5461xyzzy5461 \n":  " xyzzy5461xyzzy5461 ",
		"\xff\xfexyzzy5461\x01\n": "\xff\xfexyzzy5461\x01",
	} {
		path := filepath.Join(t.TempDir(), "gateway.secret")
		writeFile(t, path, text)
		got, wrong := sharedSecret.readFile(path)
		if wrong != nil || string(got) != want {
			t.Errorf("of %q got %q, %v", text, got, wrong)
		}
	}
}

func TestSecretFileIsClosedToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.secret")
	writeFile(t, path, "xyzzy5461xyzzy5461")
	for mode, closed := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o640: true, 0o660: true, 0o604: false, 0o602: false, 0o601: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, wrong := sharedSecret.readFile(path); (wrong == nil) != closed {
			t.Errorf("mode %04o: %v", mode, wrong)
		}
	}
}

func TestKeyFile(t *testing.T) {
	credentials, empty := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(credentials, "countersign.key"), "key")
	for _, test := range []struct{ configured, credentials, want string }{
		{"", "", "/srv/data/countersign.key"},
		{"", empty, "/srv/data/countersign.key"},
		{"", credentials, filepath.Join(credentials, "countersign.key")},
		{"/etc/keys/a", credentials, "/etc/keys/a"},
	} {
		config := Config{DataDir: "/srv/data", Store: Store{KeyFile: test.configured}}
		if got := config.KeyFile(test.credentials); got != test.want {
			t.Errorf("KeyFile(%q) = %q with key_file %q, want %q", test.credentials, got, test.configured, test.want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 4 << 20: "4MiB", 3 << 30: "3GiB", 1<<20 + 1: "1048577"} {
		if got := size.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if back, err := parseSize(want); err != nil || back != size {
			t.Errorf("parseSize(%q) = %d, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "4MB", "4 MiB", "1.5GiB", "4MiBMiB", "99999999999GiB", "0x10"} {
		if size, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d", text, size)
		}
	}
}

func TestNearest(t *testing.T) {
	known := keysOf(reflect.TypeFor[Config]())
	for name, want := range map[string]string{"RADIUS": "radius", "metric": "metrics", "datadir": "data_dir", "nass": "nas", "ns": "nas", "color": "", "": ""} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestDataDir(t *testing.T) {
	folder := t.TempDir()
	for text, want := range map[string]string{
		"nonsense = 1\ndata_dir = \"data\"": filepath.Join(folder, "data"),
		"nonsense = 1":                      Defaults().DataDir,
		"data_dir = 1":                      "",
		"data_dir = \"\"":                   "",
		"no TOML":                           "",
	} {
		path := filepath.Join(folder, "c.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := DataDir(path); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t; want %q", text, got, ok, want)
		}
	}
}
