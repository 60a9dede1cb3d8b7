package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
)

//go:embed templates
var builtIn embed.FS

// kinds are the kinds of mails.
var kinds = []string{"invitation", "reminder", "activated", "lost", "revoked"}

// layout is the name of what several templates share.
const layout = "layout"

// subjectMark begins the first line of a text.
const subjectMark = "Subject: "

// Templates make mails in one language. They may be used by several goroutines.
type Templates struct {
	texts, pages map[string]executor // by kind
}

// executor is a template, of text or HTML.
type executor interface {
	Name() string // of the file it is from
	Execute(w io.Writer, data any) error
}

// view is what a template sees: the fields of Data, and in HTML the Subject.
type view struct {
	Data
	Subject string
}

// LoadTemplates loads the templates of a language, en or de. The files of a folder,
// as invitation.txt or layout.html, take the place of built-in ones; "" is no folder.
// An error about a template has its file and line.
func LoadTemplates(folder, language string) (*Templates, error) {
	if _, known := languages[language]; !known {
		return nil, fmt.Errorf("there are no mails in the language %q: choose en or de", language)
	}
	l := loader{folder, language}
	if err := l.checkFolder(); err != nil {
		return nil, err
	}
	t := &Templates{make(map[string]executor), make(map[string]executor)}
	for _, kind := range kinds {
		var err error
		if t.texts[kind], err = l.text(kind); err != nil {
			return nil, err
		}
		if t.pages[kind], err = l.page(kind); err != nil {
			return nil, err
		}
	}
	return t, t.try()
}

// try executes all templates with all samples.
func (t *Templates) try() error {
	for _, d := range samples() {
		for _, kind := range kinds {
			if _, _, _, err := t.Render(kind, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// Render makes a mail of a kind: invitation, reminder, activated, lost or revoked. The
// subject is one line; text and HTML are UTF-8. The error wraps ErrRefused when it is
// the data that cannot be in a mail.
func (t *Templates) Render(kind string, data Data) (subject, text, html string, err error) {
	if t.texts[kind] == nil {
		return "", "", "", fmt.Errorf("there is no mail of the kind %.40q", kind)
	}
	if err := data.check(); err != nil {
		return "", "", "", fmt.Errorf("rendering %s: %w: %w", kind, err, ErrRefused)
	}
	var out bytes.Buffer
	if err := t.texts[kind].Execute(&out, view{Data: data}); err != nil {
		return "", "", "", fmt.Errorf("rendering %s: %w", kind, err)
	}
	if subject, text, err = split(out.String()); err != nil {
		return "", "", "", fmt.Errorf("rendering %s: %s: %w", kind, t.texts[kind].Name(), err)
	}
	out.Reset()
	if err := t.pages[kind].Execute(&out, view{data, subject}); err != nil {
		return "", "", "", fmt.Errorf("rendering %s: %w", kind, err)
	}
	return subject, text, out.String(), nil
}

// split parts a text from its subject, and breaks its lines.
func split(whole string) (subject, text string, err error) {
	first, rest, _ := strings.Cut(strings.ReplaceAll(whole, "\r\n", "\n"), "\n")
	subject, found := strings.CutPrefix(first, subjectMark)
	if subject = strings.TrimSpace(subject); !found || subject == "" || !isText(subject) {
		return "", "", errors.New(`line 1 must be "Subject: " and the subject`)
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return "", "", errors.New("there is nothing below the subject")
	}
	return subject, wrap(rest) + "\n", nil
}

// loader reads templates from a folder or from those built in.
type loader struct{ folder, language string }

// checkFolder finds files that nobody would read.
func (l loader) checkFolder() error {
	if l.folder == "" {
		return nil
	}
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return fmt.Errorf("reading the mail templates: %w", err)
	}
	for _, entry := range entries {
		name, suffix := entry.Name(), path.Ext(entry.Name())
		if kind := strings.TrimSuffix(name, suffix); (suffix == ".txt" || suffix == ".html") && kind != layout && !slices.Contains(kinds, kind) {
			return fmt.Errorf("the mail template %q is of no kind: there are %s and %s, each as .txt and .html", filepath.Join(l.folder, name), strings.Join(kinds, ", "), layout)
		}
	}
	return nil
}

// read returns a template with the name that errors are to show.
func (l loader) read(file string) (name, content string, err error) {
	if l.folder != "" {
		name = filepath.Join(l.folder, file)
		own, err := os.ReadFile(name)
		if err == nil {
			return name, strings.TrimPrefix(string(own), "\ufeff"), nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", "", fmt.Errorf("reading a mail template: %w", err)
		}
	}
	name = path.Join("templates", l.language, file)
	shipped, err := builtIn.ReadFile(name)
	return "built-in " + name, string(shipped), err
}

func (l loader) text(kind string) (executor, error) {
	all := texttemplate.New("").Funcs(texttemplate.FuncMap{"date": languages[l.language]})
	var last *texttemplate.Template
	for _, file := range []string{layout + ".txt", kind + ".txt"} {
		name, content, err := l.read(file)
		if err != nil {
			return nil, err
		}
		if last, err = all.New(name).Parse(content); err != nil {
			return nil, fmt.Errorf("reading a mail template: %w", err)
		}
	}
	return last, nil
}

func (l loader) page(kind string) (executor, error) {
	all := htmltemplate.New("").Funcs(htmltemplate.FuncMap{"date": languages[l.language]})
	var last *htmltemplate.Template
	for _, file := range []string{layout + ".html", kind + ".html"} {
		name, content, err := l.read(file)
		if err != nil {
			return nil, err
		}
		if last, err = all.New(name).Parse(content); err != nil {
			return nil, fmt.Errorf("reading a mail template: %w", err)
		}
	}
	return last, nil
}

// WriteTemplates writes the built-in templates of a language, en or de, into a
// folder for the administrator to change. It makes the folder. It writes nothing
// when one of the files is there.
func WriteTemplates(folder, language string) error {
	entries, err := builtIn.ReadDir(path.Join("templates", language))
	if _, known := languages[language]; !known || err != nil {
		return fmt.Errorf("there are no mails in the language %q: choose en or de", language)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("writing mail templates: %w", err)
	}
	for _, entry := range entries {
		if _, err := os.Lstat(filepath.Join(folder, entry.Name())); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("writing mail templates: %s is there already: name another folder", filepath.Join(folder, entry.Name()))
		}
	}
	for _, entry := range entries {
		if err := writeTemplate(filepath.Join(folder, entry.Name()), path.Join("templates", language, entry.Name())); err != nil {
			return fmt.Errorf("writing mail templates: %w", err)
		}
	}
	return nil
}

func writeTemplate(target, source string) error {
	content, err := builtIn.ReadFile(source)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
