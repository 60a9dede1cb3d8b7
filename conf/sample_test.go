package conf

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
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

// arrays are the arrays of tables that the sample has as comments.
var arrays = []string{"nas", "directory", "exclusion", "reply", "order", "session_limit", "collector", "syslog"}

// TestSampleWithoutComments loads the sample with all that is a comment in it.
func TestSampleWithoutComments(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "ras-gateway.secret", "xyzzy5461xyzzy5461\n")
	writeFile(t, "headquarters.password", planted+"\n")
	writeFile(t, "billing.secret", "xyzzy5461xyzzy5461\n")
	text := uncomment(Sample, arrays...)
	text = strings.Replace(text, "\notp_service_url = \"\"\n", "\notp_service_url = \"http://tms.example.com/x\"\n", 1) // an [[order]] needs a TMS
	_, err := Parse("countersign.toml", []byte(text))
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Key != "nas[0].excluded" {
		t.Fatalf("got %v, want one fault, of nas[0].excluded", err)
	}
	text = strings.Replace(text, "\nexcluded = \"\"\n", "\nexcluded = \"directory-password\"\n", 1)
	config, err := Parse("countersign.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	nas, directory := config.NAS[0], config.Directories[0]
	nas.Name, nas.Addresses, nas.Secret, nas.SecretFile, nas.ClientIPFrom, nas.Excluded = "", nil, Secret{}, "", nil, ""
	if want := defaultNAS(); !reflect.DeepEqual(nas, want) {
		t.Errorf("the NAS of the sample has\n%+v, the defaults are\n%+v", nas, want)
	}
	if got := string(directory.BindPassword.Bytes()); got != planted {
		t.Errorf("the password of the directory is %q", got)
	}
	directory.Name, directory.Type, directory.Servers, directory.BaseDN, directory.Realms = "", "", nil, "", nil
	directory.BindDN, directory.BindPassword, directory.BindPasswordFile = "", Secret{}, ""
	if want := defaultDirectory(); !reflect.DeepEqual(directory, want) {
		t.Errorf("the directory of the sample has\n%+v, the defaults are\n%+v", directory, want)
	}
	if got, want := len(config.Exclusions[0].List()), reflect.TypeFor[Criteria]().NumField()/2; got != want {
		t.Errorf("the exclusion of the sample has %d criteria, want %d", got, want)
	}
}

// TestSampleTellsPresets finds a line for each preset in the sample.
func TestSampleTellsPresets(t *testing.T) {
	preset, _ := reflect.TypeFor[NAS]().FieldByName("Preset")
	for _, word := range (entry{tag: preset.Tag}).words() {
		if want := fmt.Sprintf("\n#     %-17q  ", word); strings.Count(Sample, want) != 1 {
			t.Errorf("the sample does not have one line %q", want)
		}
	}
}

// TestSampleDescribesEveryKey finds each key in the sample, with a comment above
// it that tells the bounds and the words of the key.
func TestSampleDescribesEveryKey(t *testing.T) {
	text := uncomment(Sample, arrays...)
	lines, found := strings.Split(text, "\n"), scanPositions([]byte(text))
	eachKey("", reflect.TypeFor[Config](), func(key string, tag reflect.StructTag) {
		key = describedAt(key)
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
		for _, word := range (entry{tag: tag}).words() {
			if !strings.Contains(comment, `"`+word+`"`) {
				t.Errorf("the sample does not tell of %s that it may be %q", key, word)
			}
		}
	})
}

// describedAt returns the key whose comment in the sample describes key too.
func describedAt(key string) string {
	switch {
	case key == "nas[0].secret", key == "directory[0].bind_password", key == "mail.password", key == "tms.radius_secret", key == "collector[0].secret", key == "store.password":
		return key + "_file"
	case key == "reply[0].name", key == "reply[0].attributes", key == "order[0].name", key == "order[0].order",
		key == "session_limit[0].name", key == "session_limit[0].max_sessions", key == "session_limit[0].max_total":
		return key
	case strings.HasPrefix(key, "session_limit[0]."):
		key = "exclusion[0]." + strings.TrimPrefix(key, "session_limit[0].")
	case strings.HasPrefix(key, "order[0]."):
		key = "exclusion[0]." + strings.TrimPrefix(key, "order[0].")
	case strings.HasPrefix(key, "reply[0]."):
		key = "exclusion[0]." + strings.TrimPrefix(key, "reply[0].")
	}
	return strings.Replace(key, "exclusion[0].not_", "exclusion[0].", 1)
}

// eachKey calls visit with the keys of a table and the tables in it.
func eachKey(table string, of reflect.Type, visit func(key string, tag reflect.StructTag)) {
	for _, field := range fieldsOf(of) {
		key, fieldType := joinKey(table, field.Tag.Get("toml")), field.Type
		if slices.Contains(arrays, key) {
			key, fieldType = joinIndex(key, 0), fieldType.Elem()
		}
		if fieldType.Kind() == reflect.Struct && fieldType != reflect.TypeFor[Secret]() && fieldType != reflect.TypeFor[time.Time]() {
			eachKey(key, fieldType, visit)
		} else {
			visit(key, field.Tag)
		}
	}
}

// TestConfigIsTheManual demands a comment at each field of Config and of its
// tables, and a name. Two fields together may have one comment.
func TestConfigIsTheManual(t *testing.T) {
	fields := 0
	for _, file := range []string{"config.go", "nas.go", "login.go", "directory.go", "exclusion.go", "enrol.go", "tms.go", "accounting.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			declared, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			structure, ok := declared.Type.(*ast.StructType)
			if !ok || slices.Contains([]string{"Attribute", "Criterion"}, declared.Name.Name) {
				return true
			}
			fields += len(structure.Fields.List)
			verifyFields(t, declared.Name.Name, structure)
			return true
		})
	}
	if fields < 100 {
		t.Errorf("found only %d fields", fields)
	}
}

// verifyFields looks at the fields of one struct.
func verifyFields(t *testing.T, structName string, structure *ast.StructType) {
	var described token.Pos // the end of the last field with a comment
	for _, field := range structure.Fields.List {
		if len(field.Names) == 0 {
			continue // embedded
		}
		name := field.Names[0].Name
		if field.Tag == nil || !strings.Contains(field.Tag.Value, `toml:"`) {
			t.Errorf("%s.%s has no key", structName, name)
		}
		isTable := structName == "Config" && name != "DataDir" // described at its type
		isPair := field.Pos() <= described+token.Pos(len("\n\t"))
		if field.Doc.Text() != "" {
			described = field.Tag.End()
		} else if !isTable && !isPair {
			t.Errorf("%s.%s has no comment", structName, name)
		}
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
