package conf

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSampleIsDefaults(t *testing.T) {
	config, err := Parse("countersign.toml", []byte(Sample))
	if err != nil {
		t.Fatal(err)
	}
	if want := Defaults(); !reflect.DeepEqual(config, want) {
		t.Errorf("the sample decodes to\n%+v, the defaults are\n%+v", config, want)
	}
}

// TestSampleDescribesEveryKey finds each key in the sample, with a comment above
// it that tells the bounds and the words of the key.
func TestSampleDescribesEveryKey(t *testing.T) {
	text := uncomment(Sample)
	lines, found := strings.Split(text, "\n"), scanPositions([]byte(text))
	eachKey("", reflect.TypeFor[Config](), func(key string, tag reflect.StructTag) {
		if key == "nas[0].secret" {
			key = "nas[0].secret_file" // which describes both
		}
		line, ok := found[key]
		if !ok {
			t.Errorf("the sample does not have %s", key)
			return
		}
		var comment string
		for i := line - 2; strings.HasPrefix(lines[i], "#"); i-- {
			comment = strings.TrimPrefix(lines[i], "# ") + " " + comment
		}
		if comment == "" {
			t.Errorf("the sample does not describe %s", key)
		}
		if bounds := tag.Get("bounds"); bounds != "" && !strings.HasSuffix(comment, bounds+". ") {
			t.Errorf("the sample does not end the description of %s with its bounds, %s", key, bounds)
		}
		for _, word := range strings.Fields(tag.Get("oneof")) {
			if !strings.Contains(comment, `"`+word+`"`) {
				t.Errorf("the sample does not tell of %s that it may be %q", key, word)
			}
		}
	})
}

// eachKey calls visit with the keys of a table and the tables in it.
func eachKey(table string, of reflect.Type, visit func(key string, tag reflect.StructTag)) {
	for field := range of.Fields() {
		key, fieldType := joinKey(table, field.Tag.Get("toml")), field.Type
		if fieldType == reflect.TypeFor[[]NAS]() {
			key, fieldType = joinIndex(key, 0), fieldType.Elem()
		}
		if fieldType.Kind() == reflect.Struct && fieldType != reflect.TypeFor[Secret]() {
			eachKey(key, fieldType, visit)
		} else {
			visit(key, field.Tag)
		}
	}
}

// TestConfigIsTheManual demands a comment at each field of Config, and a name.
func TestConfigIsTheManual(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	ast.Inspect(file, func(node ast.Node) bool {
		structure, ok := node.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range structure.Fields.List {
			fields++
			name := field.Names[0].Name
			if field.Tag == nil || !strings.Contains(field.Tag.Value, `toml:"`) {
				t.Errorf("%s has no key", name)
			}
			isTable := slices.Contains([]string{"Radius", "NAS", "Login", "Store", "Web", "Metrics", "Log"}, name)
			if !isTable && field.Doc.Text() == "" {
				t.Errorf("%s has no comment", name)
			}
		}
		return true
	})
	if fields < 30 {
		t.Errorf("found only %d fields", fields)
	}
}

func TestQuickstartFile(t *testing.T) {
	for name, test := range map[string]struct {
		params                   QuickstartParams
		auth, acct, web, metrics string
	}{
		"usual ports": {QuickstartParams{}, "[127.0.0.1:1812]", "[127.0.0.1:1813]", "[127.0.0.1:8812]", "[127.0.0.1:9812]"},
		"other ports": {QuickstartParams{AuthPort: 21812, AcctPort: 21813, WebPort: 28812, MetricsPort: 29812},
			"[127.0.0.1:21812]", "[127.0.0.1:21813]", "[127.0.0.1:28812]", "[127.0.0.1:29812]"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "countersign.toml")
			text := QuickstartFile(test.params)
			writeFile(t, path, string(text))
			writeFile(t, filepath.Join(folder, "radius.secret"), "xyzzy5461xyzzy5461\n")
			config, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			want := Defaults()
			want.DataDir = folder
			want.Radius.Auth, _ = listenAddresses(strings.Trim(test.auth, "[]"))
			want.Radius.Acct, _ = listenAddresses(strings.Trim(test.acct, "[]"))
			want.Web.Listen, _ = listenAddresses(strings.Trim(test.web, "[]"))
			want.Metrics.Listen, _ = listenAddresses(strings.Trim(test.metrics, "[]"))
			nas := defaultNAS()
			nas.Name, nas.SecretFile = "loopback", filepath.Join(folder, "radius.secret")
			nas.MessageAuthenticator = MessageAuthenticatorOff
			nas.Secret = newSecret([]byte("xyzzy5461xyzzy5461"))
			four, _ := networks("127.0.0.0/8")
			six, _ := networks("::1")
			nas.Addresses = slices.Concat(four, six)
			want.NAS = []NAS{nas}
			if !reflect.DeepEqual(config, want) {
				t.Errorf("got\n%+v, want\n%+v", config, want)
			}
			if comments, sample := strings.Count(string(text), "\n# "), strings.Count(Sample, "\n# "); comments != sample {
				t.Errorf("%d lines of comment, the sample has %d", comments, sample)
			}
		})
	}
}

// writeFile writes a file that others cannot read.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
