package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our packages each of them may import. The imports run
// one way; nothing but cmd knows conf, and radiusd and tms never meet.
var mayImport = map[string][]string{
	"conf":                         {},
	"otp/oath":                     {},
	"otp/seal":                     {"otp/oath"},
	"otp":                          {"otp/oath"},
	"exclusions":                   {},
	"radiusd/packet":               {},
	"radiusd":                      {"radiusd/packet", "otp", "exclusions"},
	"radiusd/accounting":           {"radiusd/packet"}, // a leaf like packet: what a session is
	"radiusd/accounting/collector": {"radiusd/accounting", "radiusd/packet"},
	"radiusd/remote":               {"radiusd/packet"},
	"radiusd/remote/remotetest":    {"radiusd/radiustest"},
	"radiusd/radiustest":           {"radiusd/packet", "otp/oath"},
	"radiusd/radiustest/bench":     {"radiusd/radiustest", "otp/oath"},
	"tms/directory":                {"exclusions"},
	"tms/directory/directorytest":  {},
	"tms":                          {"otp", "otp/oath", "exclusions", "radiusd/accounting", "tms/audit"},
	"tms/audit":                    {},
	"tms/store":                    {"otp", "otp/oath", "tms", "exclusions"},
	"tms/store/storetest":          {"otp", "otp/oath", "otp/seal", "tms", "tms/store", "tms/audit", "exclusions", "radiusd/accounting"},
	"tms/store/tables":             {"otp", "otp/oath", "otp/seal", "tms", "tms/store", "tms/audit", "exclusions", "radiusd/accounting"},
	"tms/store/embedded":           {"otp", "otp/oath", "otp/seal", "tms", "tms/store", "tms/store/tables", "tms/audit", "exclusions", "radiusd/accounting"},
	"tms/store/postgres":           {"otp", "otp/oath", "otp/seal", "tms", "tms/store", "tms/store/tables", "tms/audit", "exclusions", "radiusd/accounting"},
	"tms/store/postgrestest":       {},
	"tms/seedfile":                 {"otp", "otp/oath"},
	"tms/mail":                     {},
	"tms/mail/mailtest":            {},
	"tms/enrol":                    {"otp", "otp/oath", "tms", "tms/seedfile", "exclusions"},
	"tms/safenet":                  {"otp", "otp/oath", "radiusd/packet"}, // MS-CHAPv2 is computed there
	"tms/safenet/safenettest":      {"otp", "otp/oath", "radiusd/packet", "tms/safenet"},
	"tms/safenet/bsidca":           {"otp/oath"},
	"tms/migration":                {"otp", "otp/oath", "tms"},
	"tms/console":                  {"otp", "otp/oath", "tms", "tms/audit", "tms/enrol", "tms/seedfile", "exclusions", "radiusd/accounting"},
	"cmd/countersign":              nil, // everything
	"cmd/etoken":                   {"otp", "otp/oath", "tms/seedfile", "tms/enrol"},
}

// libraryOf says which packages may import a module: one each, but for metrics,
// which every part has, and the kernel's interface.
var libraryOf = map[string][]string{
	"layeh.com/radius":                {"radiusd/packet", "radiusd/radiustest"},
	"github.com/pquerna/otp":          {"tms/enrol"},
	"github.com/boombuler/barcode":    {"tms/enrol"},
	"github.com/BurntSushi/toml":      {"conf"},
	"github.com/prometheus":           {"radiusd", "radiusd/remote", "radiusd/accounting", "radiusd/accounting/collector", "tms/store/embedded", "tms/store/postgres", "tms/directory", "tms/enrol", "tms/audit", "tms/migration", "cmd/countersign"},
	"github.com/sony/gobreaker":       {"radiusd"},
	"gopkg.in/natefinch/lumberjack":   {"radiusd/accounting/collector"},
	"github.com/leodido/go-syslog":    {"tms/audit"},
	"github.com/gaissmai/bart":        {"radiusd"},
	"github.com/coreos/go-systemd":    {"cmd/countersign"},
	"github.com/spf13/cobra":          {"cmd/countersign", "cmd/etoken"},
	"github.com/schollz/progressbar":  {"cmd/countersign"},
	"github.com/wneessen/go-mail":     {"tms/mail"},
	"github.com/atotto/clipboard":     {"cmd/etoken"},
	"golang.org/x/crypto":             {"radiusd/packet", "cmd/etoken"},
	"golang.org/x/text":               {"otp"},
	"golang.org/x/sync":               {"tms/directory"},
	"github.com/go-ldap/ldap":         {"tms/directory"},
	"github.com/hashicorp/golang-lru": {"tms/directory"},
	"golang.org/x/sys":                {"radiusd", "radiusd/radiustest", "tms/store/embedded", "tms/audit", "cmd/countersign"},
	"golang.org/x/term":               {"cmd/countersign", "cmd/etoken"},
	"modernc.org/sqlite":              {"tms/store/embedded"},
	"github.com/jackc/pgx":            {"tms/store/postgres"},
	"github.com/pressly/goose":        {"tms/store/postgres"},
	"github.com/rogpeppe/go-internal": {},
}

// pure packages have no I/O and no clock of their own.
var pure = []string{"otp", "otp/oath", "exclusions", "radiusd/packet"}

// impure are what a pure package may not import.
var impure = []string{"os", "net", "io/fs", "syscall", "os/exec", "net/http", "database/sql", "log"}

type goPackage struct {
	Dir, ImportPath string
	Imports         []string
	Standard        bool
	GoFiles         []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-json=Dir,ImportPath,Imports,Standard,GoFiles", "countersign/...")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestArchitecture(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "countersign/")
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s is not in the table of the house", name)
			continue
		}
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, "countersign/")
			switch {
			case isOurs && allowed != nil && !slices.Contains(allowed, ours):
				t.Errorf("%s must not import %s", name, ours)
			case !isOurs && strings.Contains(imported, "."):
				checkLibrary(t, name, imported)
			case slices.Contains(pure, name) && slices.Contains(impure, imported):
				t.Errorf("%s is pure and must not import %s", name, imported)
			}
		}
		if slices.Contains(pure, name) {
			checkClock(t, p)
		}
		checkDoc(t, p)
	}
}

func checkLibrary(t *testing.T, name, imported string) {
	for module, importers := range libraryOf {
		if strings.HasPrefix(imported, module) {
			if !slices.Contains(importers, name) {
				t.Errorf("%s must not import %s: that is for %v", name, imported, importers)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which is in nobody's table", name, imported)
}

// checkClock finds a clock that was not passed in.
func checkClock(t *testing.T, p goPackage) {
	for _, file := range p.GoFiles {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After"}, s.Sel.Name) {
					t.Errorf("%s/%s uses time.%s: the instant is an argument", p.ImportPath, file, s.Sel.Name)
				}
			}
			return true
		})
	}
}

// checkDoc demands the page that tells what a package is.
func checkDoc(t *testing.T, p goPackage) {
	if !slices.Contains(p.GoFiles, "doc.go") {
		t.Errorf("%s has no doc.go", p.ImportPath)
	}
}
