package conf

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is expected of testdata anew")

// TestBad holds the faults of each testdata/bad/X.toml against X.err.
func TestBad(t *testing.T) {
	eachFile(t, "bad", ".err", func(t *testing.T, name string) string {
		config, err := Load(name)
		var faults Faults
		if !errors.As(err, &faults) {
			t.Fatalf("Load returned %v, want Faults", err)
		}
		if config != nil {
			t.Error("Load returned a Config in spite of faults")
		}
		return faults.Error() + "\n"
	})
}

// TestGood holds what each testdata/good/X.toml changes of the defaults against
// X.want.
func TestGood(t *testing.T) {
	eachFile(t, "good", ".want", func(t *testing.T, name string) string {
		config, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var changed strings.Builder
		writeChanged(&changed, "", reflect.ValueOf(*Defaults()), reflect.ValueOf(*config))
		return changed.String()
	})
}

// eachFile calls outcome with each TOML file of a copy of testdata/folder, and
// compares what it returns with the file of the same name and the extension.
func eachFile(t *testing.T, folder, extension string, outcome func(t *testing.T, name string) string) {
	source, err := filepath.Abs(filepath.Join("testdata", folder))
	if err != nil {
		t.Fatal(err)
	}
	copyFolder(t, source)
	names, err := filepath.Glob("*.toml")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(name, ".toml"), func(t *testing.T) {
			got := outcome(t, name)
			golden := filepath.Join(source, strings.TrimSuffix(name, ".toml")+extension)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// copyFolder copies source to the working directory, a new one, with the modes
// that a checkout does not keep: .secret is closed to others, .open is not.
func copyFolder(t *testing.T, source string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.CopyFS(".", os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	for pattern, mode := range map[string]os.FileMode{"*.secret": 0o640, "*.open": 0o644} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// writeChanged writes a line for each field that differs.
func writeChanged(to *strings.Builder, key string, was, is reflect.Value) {
	if was.Kind() != reflect.Struct || reflect.PointerTo(was.Type()).Implements(reflect.TypeFor[fmt.Stringer]()) {
		if !reflect.DeepEqual(was.Interface(), is.Interface()) {
			fmt.Fprintf(to, "%s = %+v\n", key, is.Interface())
		}
		return
	}
	for _, f := range fieldsOf(was.Type()) {
		field, now := joinKey(key, f.Tag.Get("toml")), is.FieldByIndex(f.Index)
		if !slices.Contains(arrays, field) {
			writeChanged(to, field, was.FieldByIndex(f.Index), now)
			continue
		}
		for i := range now.Len() {
			writeChanged(to, joinIndex(field, i), withoutKeys(f.Type.Elem()), now.Index(i))
		}
	}
}
