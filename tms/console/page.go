package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"
)

// Pages is what all pages for users share: layout, languages, cookies, headers and
// limits. They need no script, no image and no style but those under /static/.
//
// A page is
//   - page/NAME.html, which defines "content", and gets a view: its own data is
//     .Page, and {{t "key" arguments...}} a text;
//   - the texts NAME.title, and those it uses, in texts/LANGUAGE.GROUP.txt for each
//     language (every file of a language is read, so a group of pages has its own);
//   - a handler that ends with p.show(w, r, status, "NAME", data), mounted by the
//     Group it belongs to.
//
// A handler that changed something answers with p.redirect to the page to show next,
// so that nothing is done twice when that is loaded again. Who a visitor is, it keeps
// by p.setCookie. What went wrong is told by a data type with the method Problem
// (see problem); what the server could not do, by p.fail.
type Pages struct {
	PagesOptions
	traffic, downloads *traffic
}

// PagesOptions are what Pages work with.
type PagesOptions struct {
	Box      Box // for cookies
	Settings func() PageSettings
	Clock    func() time.Time
	Logger   *slog.Logger
	// Limits are DefaultLimits when zero.
	Limits Limits
}

// PageSettings is what the administrator says of the pages. It may change while they
// are served.
type PageSettings struct {
	Issuer    string // whose pages these are: the company, or the service
	Language  string // "en" or "de", for browsers that ask for neither
	URL       string // as users reach the pages: "https://otp.example.com:8443"; "" as the browser says
	ClientURL string // where the token client is to be had; "" when Downloads has it
	// Fingerprint is what the token client goes by when the certificate is self-made:
	// its SHA-256 as AB:CD:..., otherwise "".
	Fingerprint string
}

// Group is some pages that belong together.
type Group interface {
	// Mount adds the routes of the pages.
	Mount(mux *http.ServeMux)
}

// NewPages makes what the groups of pages are made with.
func NewPages(o PagesOptions) *Pages {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	return &Pages{o, newTraffic(o.Limits), newTraffic(downloadLimits)}
}

// Handler serves groups of pages behind the guard: it bounds requests, refuses those
// that other sites send, and tells browsers what these pages may do.
func (p *Pages) Handler(groups ...Group) http.Handler {
	mux := http.NewServeMux()
	mountStatic(mux)
	mux.HandleFunc("/", p.missing)
	for _, g := range groups {
		g.Mount(mux)
	}
	return p.guard(mux)
}

//go:embed page/*.html
var pageFiles embed.FS

// pageTemplates are the pages by language and name.
var pageTemplates = parsePages()

// parsePages joins each page with the layout, once for each language.
func parsePages() map[string]map[string]*template.Template {
	files, err := fs.Glob(pageFiles, "page/*.html")
	if err != nil {
		panic(err)
	}
	all := map[string]map[string]*template.Template{}
	for language, texts := range languages {
		all[language] = map[string]*template.Template{}
		layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{"t": texts.text}).ParseFS(pageFiles, "page/layout.html"))
		for _, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".html")
			all[language][name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, file))
		}
	}
	return all
}

// view is what a page is made of.
type view struct {
	Language string
	Brand    string
	Name     string // of the page
	Problem  string // the key of the text that says what went wrong, "" when nothing did
	Style    string // where the style sheet is
	Page     any
}

// problem is what the data of a page has that can be shown again, with what was
// wrong with the visitor's input.
type problem interface {
	// Problem is the key of a text, "" when nothing was wrong.
	Problem() string
}

// show answers with a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	v := view{Language: p.language(r), Brand: p.Settings().Issuer, Name: name, Style: styleURL, Page: data}
	if it, ok := data.(problem); ok {
		v.Problem = it.Problem()
	}
	var page bytes.Buffer
	if err := pageTemplates[v.Language][name].Execute(&page, v); err != nil {
		p.Logger.Error("a page cannot be made", "page", name, "error", err)
		plain(w, http.StatusInternalServerError, languages[v.Language].text("failed.text"))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

// redirect sends the visitor to the page that shows what has been done.
func (p *Pages) redirect(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// fail answers that the server cannot do this at present, and tells the log why.
// What is the name of the act: "activating". The error must have no secret in it.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, what string, err error) {
	p.Logger.Error("a page failed", "act", what, "error", err)
	p.show(w, r, http.StatusServiceUnavailable, "failed", nil)
}

// missing answers what is not there.
func (p *Pages) missing(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusNotFound, "missing", nil)
}

// url is the whole URL of a path, as users reach it.
func (p *Pages) url(r *http.Request, path string) string {
	base := p.Settings().URL
	if base == "" {
		base = "https://" + r.Host
	}
	return strings.TrimRight(base, "/") + path
}

// maxField is the longest that a field of a form may be, in bytes.
const maxField = 256

// field is what was typed into a field of a form, "" when it is longer than anything
// that would be typed there.
func field(r *http.Request, name string) string {
	value := r.PostFormValue(name)
	if len(value) > maxField {
		return ""
	}
	return strings.TrimSpace(value)
}

// readForm reads the form of a request. It has answered when that cannot be read.
func (p *Pages) readForm(w http.ResponseWriter, r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		p.Logger.Debug("a form cannot be read", "error", fmt.Sprintf("%T", err)) // its text may have some of the form
		p.show(w, r, http.StatusBadRequest, "failed", nil)
		return false
	}
	return true
}
