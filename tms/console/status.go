package console

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed status.html
var statusFile embed.FS

var statusPage = template.Must(template.ParseFS(statusFile, "status.html"))

// Status serves what shows whether the server can do its work: /healthz and
// /readyz for machines and, with MountPage, a page for people. None of it names
// a user.
type Status struct {
	Version string
	Started time.Time
	Clock   func() time.Time
	// Ready returns why logins cannot be decided at present, nil when they can.
	Ready func() error
	// Listening are the addresses that answer RADIUS.
	Listening []string
	// TMS tells in a few words how it stands with the TMS behind the server; nil when there
	// is none.
	TMS func() string
}

// Mount adds /healthz, which answers while the process runs, and /readyz, which
// answers 503 and the reason while logins cannot be decided.
func (s *Status) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		plain(w, http.StatusOK, "ready")
	})
}

// MountPage adds the status page at /, and its style sheet. That is not for the mux
// of Pages, who have the same one.
func (s *Status) MountPage(mux *http.ServeMux) {
	mountStatic(mux)
	mux.HandleFunc("GET /{$}", s.page)
}

func (s *Status) page(w http.ResponseWriter, _ *http.Request) {
	view := struct {
		*Status
		Fault  error
		Uptime time.Duration
		Style  string
	}{s, s.Ready(), s.Clock().Sub(s.Started).Round(time.Second), styleURL}
	var page bytes.Buffer
	if err := statusPage.Execute(&page, view); err != nil {
		plain(w, http.StatusInternalServerError, "the status page cannot be made")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	if view.Fault != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = page.WriteTo(w)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
