package mail

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// builtIns are loaded once.
var builtIns = map[string]func() (*Templates, error){
	"en": sync.OnceValues(func() (*Templates, error) { return LoadTemplates("", "en") }),
	"de": sync.OnceValues(func() (*Templates, error) { return LoadTemplates("", "de") }),
}

func load(t testing.TB, folder, language string) *Templates {
	t.Helper()
	read := builtIns[language]
	if folder != "" {
		read = func() (*Templates, error) { return LoadTemplates(folder, language) }
	}
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// cases are the mails that golden files show.
func cases() map[string]struct {
	kind string
	data Data
} {
	link := Data{
		User: "alice@corp.example.com", Serial: "4F214C507612A26A", Type: "totp", Link: "https://otp.example.com:8443/activate/0pLx2mVQ9sTz7dRk1aWc4uYhB8nEf6gJ3iOqKvXwMbs",
		ClientURL: "https://otp.example.com:8443/TMSService/ClientDownload/", SelfServiceURL: "https://otp.example.com:8443/self",
		Expires: sent.Add(72 * time.Hour), Date: sent, Issuer: "Example Ltd.",
	}
	seedFile := link
	seedFile.Link, seedFile.ActivationKey, seedFile.PIN, seedFile.SeedFile, seedFile.SeedFileName = "", "YZQHoczZWw3cBCNo", true, true, "4F214C507612A26A.pskcxml"
	elsewhere := seedFile
	elsewhere.ActivationKey, elsewhere.Link, elsewhere.PIN = "", link.Link, false
	mobilepass := link
	mobilepass.Type, mobilepass.PIN = "mobilepass", true
	told := link
	told.Link = ""
	type mail = struct {
		kind string
		data Data
	}
	return map[string]mail{
		"invitation-link": {"invitation", link}, "invitation-seed-file": {"invitation", seedFile}, "invitation-key-elsewhere": {"invitation", elsewhere},
		"invitation-mobilepass": {"invitation", mobilepass}, "reminder": {"reminder", link}, "reminder-without": {"reminder", told},
		"activated": {"activated", told}, "lost": {"lost", told}, "lost-link": {"lost", link}, "revoked": {"revoked", told},
		"invitation-least": {"invitation", Data{User: "bob"}}, "activated-least": {"activated", Data{User: "bob"}},
	}
}

// TestGolden compares whole mails. Run with -update to write them, and read them.
func TestGolden(t *testing.T) {
	for language := range languages {
		all := load(t, "", language)
		for name, c := range cases() {
			subject, text, html, err := all.Render(c.kind, c.data)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			golden(t, language+"-"+name+".txt", "Subject: "+subject+"\n\n"+text)
			golden(t, language+"-"+name+".html", html)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		t.Errorf("%s differs (%v); it is now\n%s", name, err, got)
	}
}

// TestContents verifies what a mail must have, and what it must not.
func TestContents(t *testing.T) {
	for language := range languages {
		all := load(t, "", language)
		for name, c := range cases() {
			_, text, html, _ := all.Render(c.kind, c.data)
			for part, content := range map[string]string{"text": text, "HTML": html} {
				for _, value := range []string{c.data.User, c.data.Serial} {
					if !strings.Contains(content, value) {
						t.Errorf("%s %s: no %q in the %s", language, name, value, part)
					}
				}
				invites := c.kind == "invitation" || c.kind == "reminder"
				if has := strings.Contains(content, "activate/0pLx"); has != (c.data.Link != "") {
					t.Errorf("%s %s: the link is in the %s: %v", language, name, part, has)
				}
				if has := strings.Contains(content, "YZQHoczZWw3cBCNo"); has != (c.data.ActivationKey != "") {
					t.Errorf("%s %s: the Activation Key is in the %s: %v", language, name, part, has)
				}
				if has := strings.Contains(content, "Application PIN"); has != c.data.SeedFile {
					t.Errorf("%s %s: the Application PIN is in the %s: %v", language, name, part, has)
				}
				if year := strings.Contains(content, "April 2026"); invites && year == c.data.Expires.IsZero() {
					t.Errorf("%s %s: the end is in the %s: %v", language, name, part, year)
				}
				if i := strings.IndexAny(content, "\u00a0\ufffd"); i >= 0 || strings.Contains(content, "ZgotmplZ") || strings.Contains(content, "no value") {
					t.Errorf("%s %s: the %s is broken", language, name, part)
				}
			}
			checkHTML(t, language+" "+name, html)
			for line := range strings.SplitSeq(text, "\n") {
				if len([]rune(line)) > columns && !strings.HasPrefix(line, " ") || strings.TrimRight(line, " ") != line {
					t.Errorf("%s %s: a line is too long or ends with a space: %q", language, name, line)
				}
			}
		}
	}
}

// checkHTML verifies that nothing is fetched, run or watched.
func checkHTML(t *testing.T, name, html string) {
	t.Helper()
	for _, bad := range []string{"<img", "<script", "<style", "<link", "<form", "<iframe", "url(", "@import", "src=", "onclick", "<video", "{{", "}}"} {
		if strings.Contains(html, bad) {
			t.Errorf("%s: there is %s in the HTML", name, bad)
		}
	}
	if strings.Count(html, "<div") != strings.Count(html, "</div>") || strings.Count(html, "<p") != strings.Count(html, "</p>") || !strings.HasPrefix(strings.TrimSpace(html), "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
		t.Errorf("%s: the HTML does not close what it opens", name)
	}
}

// TestOverride replaces one file, and its change is all that changes.
func TestOverride(t *testing.T) {
	folder := t.TempDir()
	own := "\ufeffSubject: Willkommen, {{.User}} & {{.Issuer}}\r\n\r\nHallo {{.User}}, bis {{date .Expires}}.\r\n{{template \"link steps\" .}}"
	write(t, folder, "invitation.txt", own)
	write(t, folder, "README.md", "notes")
	all, builtIn := load(t, folder, "de"), load(t, "", "de")
	c := cases()["invitation-link"]
	subject, text, html, err := all.Render("invitation", c.data)
	if err != nil || subject != "Willkommen, alice@corp.example.com & Example Ltd." || !strings.HasPrefix(text, "Hallo alice@corp.example.com, bis Freitag, 3. April 2026, 14:30 Uhr\n(MESZ).\nWAS ZU TUN IST\n") {
		t.Errorf("subject %q, text %q, %v", subject, text, err)
	}
	_, _, before, _ := builtIn.Render("invitation", c.data)
	if _, was, _ := strings.Cut(before, "</title>"); !strings.HasSuffix(html, was) || !strings.Contains(html, "<title>Willkommen, alice@corp.example.com &amp; Example Ltd.</title>") {
		t.Error("the HTML is not the built-in one with the subject")
	}
	if _, got, _, _ := all.Render("lost", c.data); !strings.Contains(got, "abgeschaltet") {
		t.Error("the other kinds are not the built-in ones")
	}
	write(t, folder, "layout.html", `{{define "head"}}<p>LOGO</p>{{end}}{{define "foot"}}{{end}}{{define "steps"}}{{end}}{{define "log in"}}{{end}}{{define "until"}}{{end}}{{define "not you"}}{{end}}`)
	if _, _, html, err := load(t, folder, "de").Render("revoked", c.data); err != nil || !strings.HasPrefix(html, "<p>LOGO</p>") {
		t.Errorf("the layout is not the administrator's: %v, %.100q", err, html)
	}
}

func write(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBadTemplates finds all faults when loading, with file and line.
func TestBadTemplates(t *testing.T) {
	for name, test := range map[string]struct {
		file, content string
		words         []string
	}{
		"syntax":             {"lost.txt", "Subject: x\n\ny\n{{if}}\n", []string{"lost.txt:4", "missing value for if"}},
		"syntax in HTML":     {"lost.html", "<p>\n{{.User\n", []string{"lost.html:2", "unclosed action"}},
		"unknown field":      {"lost.txt", "Subject: x\n\n{{.Name}}\n", []string{"lost.txt:3", "Name"}},
		"field in a branch":  {"invitation.html", "<p>\n\n{{if and .SeedFile (not .ActivationKey) (eq .Type \"hotp\")}}\n{{.Oops}}{{end}}", []string{"invitation.html:4", "Oops"}},
		"unknown function":   {"revoked.txt", "Subject: x\n\n{{shout .User}}\n", []string{"revoked.txt:3", "shout"}},
		"unknown part":       {"revoked.html", "<p>{{template \"nowhere\" .}}", []string{"revoked.html", "nowhere"}},
		"in the layout":      {"layout.txt", "\n\n{{define \"steps\"}}{{.Nope}}{{end}}{{define \"log in\"}}{{end}}{{define \"until\"}}{{end}}{{define \"not you\"}}{{end}}{{define \"foot\"}}{{end}}", []string{"layout.txt:3", "Nope"}},
		"no subject":         {"activated.txt", "Hello\n\ntext\n", []string{"activated.txt", "Subject: "}},
		"empty subject":      {"activated.txt", "Subject:  \n\ntext\n", []string{"activated.txt", "Subject: "}},
		"sometimes empty":    {"activated.txt", "Subject: {{.Issuer}}\n\ntext\n", []string{"activated.txt", "Subject: "}},
		"tab in the subject": {"activated.txt", "Subject: a\tb\n\ntext\n", []string{"activated.txt"}},
		"no text":            {"activated.txt", "Subject: x\n\n \n", []string{"activated.txt", "nothing below the subject"}},
		"unsafe HTML":        {"lost.html", "<p>\n<script>{{if .PIN}}'{{end}}</script>", []string{"lost.html"}},
		"wrong name":         {"invite.txt", "Subject: x\n\ny\n", []string{"invite.txt", "invitation, reminder"}},
	} {
		folder := t.TempDir()
		write(t, folder, test.file, test.content)
		_, err := LoadTemplates(folder, "en")
		if err == nil {
			t.Errorf("%s: it was loaded", name)
			continue
		}
		for _, word := range append(test.words, folder) {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: no %q in: %v", name, word, err)
			}
		}
	}
	for _, folder := range []string{filepath.Join(t.TempDir(), "none"), ""} {
		language := "en"
		if folder == "" {
			language = "fr"
		}
		if _, err := LoadTemplates(folder, language); err == nil {
			t.Errorf("folder %q and language %q were loaded", folder, language)
		}
	}
	if _, _, _, err := load(t, "", "en").Render("birthday", Data{User: "x"}); err == nil {
		t.Error("there is a mail of an unknown kind")
	}
}

func TestWriteTemplates(t *testing.T) {
	for language := range languages {
		folder := filepath.Join(t.TempDir(), "new", "mail")
		if err := WriteTemplates(folder, language); err != nil {
			t.Fatal(err)
		}
		written, builtIn := load(t, folder, language), load(t, "", language)
		for name, c := range cases() {
			subject, text, html, err := written.Render(c.kind, c.data)
			wantSubject, wantText, wantHTML, _ := builtIn.Render(c.kind, c.data)
			if err != nil || subject != wantSubject || text != wantText || html != wantHTML {
				t.Errorf("%s: what was written makes another mail: %v", name, err)
			}
		}
		entries, _ := os.ReadDir(folder)
		if len(entries) != 2*len(kinds)+2 {
			t.Errorf("%d files were written", len(entries))
		}
	}
	folder := t.TempDir()
	write(t, folder, "lost.txt", "mine")
	err := WriteTemplates(folder, "en")
	if err == nil || !strings.Contains(err.Error(), filepath.Join(folder, "lost.txt")) {
		t.Errorf("a file was there: %v", err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("there are %d files", len(entries))
	}
	if content, _ := os.ReadFile(filepath.Join(folder, "lost.txt")); string(content) != "mine" {
		t.Errorf("the file is %q", content)
	}
	if err := WriteTemplates(t.TempDir(), "../en"); err == nil {
		t.Error("a language that is none was written")
	}
}

// TestHostileData is refused, or shown as what it is.
func TestHostileData(t *testing.T) {
	all := load(t, "", "en")
	for name, set := range map[string]func(*Data){
		"header in User":    func(d *Data) { d.User = "alice\r\nBcc: eve@example.com" },
		"line in Issuer":    func(d *Data) { d.Issuer = "x\ny" },
		"bidi in User":      func(d *Data) { d.User = "alice\u202etxt" },
		"line in Serial":    func(d *Data) { d.Serial = "1\u2028" },
		"script as Link":    func(d *Data) { d.Link = "javascript:alert(1)" },
		"data as ClientURL": func(d *Data) { d.ClientURL = "data:text/html,x" },
		"path as Link":      func(d *Data) { d.Link = "/activate/x" },
		"space in Link":     func(d *Data) { d.Link = "https://example.com/ https://evil.example" },
		"quote in Link":     func(d *Data) { d.SelfServiceURL = "https://example.com/\"onclick=" },
		"no User":           func(d *Data) { d.User = "" },
		"bad UTF-8":         func(d *Data) { d.User = "\xff" },
	} {
		d := cases()["invitation-link"].data
		set(&d)
		if _, _, _, err := all.Render("invitation", d); err == nil {
			t.Errorf("%s: it was rendered", name)
		} else if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: it can be tried again: %v", name, err)
		} else if strings.Contains(err.Error(), "activate/") || strings.Contains(err.Error(), "alert") {
			t.Errorf("%s: the value is in %v", name, err)
		}
	}
	d := cases()["invitation-link"].data
	d.User = `</title><img src=x onerror=alert(1)>{{.Link}}&`
	subject, _, html, err := all.Render("invitation", d)
	if err != nil || strings.Contains(html, "<img") || !strings.Contains(html, "&lt;/title&gt;&lt;img src=x onerror=alert(1)&gt;{{.Link}}&amp;") || subject != "Set up your token for Example Ltd." {
		t.Errorf("subject %q, %v, HTML %s", subject, err, html)
	}
}

func TestDates(t *testing.T) {
	winter := time.Date(2027, 12, 24, 8, 5, 0, 0, time.FixedZone("CET", 60*60))
	for want, got := range map[string]string{
		"Tuesday, 31 March 2026 at 14:30 CEST":        englishDate(sent),
		"Dienstag, 31. März 2026, 14:30 Uhr (MESZ)":   germanDate(sent),
		"Friday, 24 December 2027 at 08:05 CET":       englishDate(winter),
		"Freitag, 24. Dezember 2027, 08:05 Uhr (MEZ)": germanDate(winter),
		"Freitag, 24. Dezember 2027, 07:05 Uhr (UTC)": germanDate(winter.UTC()),
		"": englishDate(time.Time{}) + germanDate(time.Time{}),
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 20)
	for in, want := range map[string]string{
		"a\n\n\n\nb  \n\n":              "a\n\nb\n",
		"12. " + long:                   "12. " + strings.TrimSpace(strings.Repeat("word ", 13)) + "\n    " + strings.TrimSpace(strings.Repeat("word ", 7)),
		long:                            strings.TrimSpace(strings.Repeat("word ", 14)) + "\n" + strings.TrimSpace(strings.Repeat("word ", 6)),
		"  " + long + "x":               "  " + long + "x",
		strings.Repeat("ü", 100) + " x": strings.Repeat("ü", 100) + "\nx",
		strings.Repeat("ü", 70) + " x":  strings.Repeat("ü", 70) + " x",
		strings.Repeat("ü", 70) + " xy": strings.Repeat("ü", 70) + "\nxy",
	} {
		if got := wrap(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

// FuzzRender verifies for any value that a mail stays what it is: one subject, and
// the tags of the template.
func FuzzRender(f *testing.F) {
	all := make(map[string]*Templates)
	for language := range languages {
		all[language] = load(f, "", language)
	}
	f.Fuzz(func(t *testing.T, user, issuer, link, key, file string) {
		plain := Data{User: "u", Issuer: "i", Link: "https://h/l", ActivationKey: "k", SeedFileName: "f", ClientURL: "https://h/c", SeedFile: file != ""}
		d := plain
		d.User, d.Issuer, d.Link, d.ActivationKey, d.SeedFileName = user, issuer, link, key, file
		for _, present := range []struct{ set, of *string }{{&plain.Issuer, &issuer}, {&plain.Link, &link}, {&plain.ActivationKey, &key}, {&plain.SeedFileName, &file}} {
			if *present.of == "" {
				*present.set = ""
			}
		}
		for language, templates := range all {
			for _, kind := range kinds {
				subject, text, html, err := templates.Render(kind, d)
				if err != nil {
					continue
				}
				if !isText(subject) || subject == "" || !strings.Contains(text, user) && strings.Join(strings.Fields(text), " ") == "" {
					t.Errorf("%s %s: subject %q, text %q", language, kind, subject, text)
				}
				_, _, want, err := templates.Render(kind, plain)
				if err != nil || !slices.Equal(tags(html), tags(want)) {
					t.Errorf("%s %s: a value changed the tags: %v\n%s", language, kind, err, html)
				}
			}
		}
	})
}

// tags are the names of all tags, in their order, with what opens and closes text.
func tags(html string) []string {
	var all []string
	for _, part := range strings.Split(html, "<")[1:] {
		name, rest, closed := strings.Cut(part, ">")
		word, _, _ := strings.Cut(name, " ")
		all = append(all, word)
		if !closed || strings.Contains(rest, ">") {
			all = append(all, ">")
		}
	}
	return append(all, strings.Repeat(`"`, strings.Count(html, `"`)))
}
