package console

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// statusGroup is the status page as a Group of its own.
type statusGroup struct{ Status }

func (g *statusGroup) Mount(mux *http.ServeMux) { mux.HandleFunc("GET /{$}", g.page) }

// What else there is to see.
func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	folder := t.TempDir()
	for _, name := range []string{"etoken-darwin-arm64", "etoken-linux-amd64", "etoken-windows-amd64.exe"} {
		s.check(os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644))
	}
	s.start(&Downloads{Pages: s.pages, Folder: func() string { return folder }},
		&statusGroup{Status{Version: "1.2.3", Started: s.now().Add(-time.Hour), Clock: s.now, Ready: func() error { return nil }, Listening: []string{"127.0.0.1:1812"}}})
	b := newBrowser(s, "en-GB")
	for name, path := range map[string]string{"download": DownloadPath, "missing": "/nowhere", "status": "/"} {
		b.visit(path)
		b.examine(name)
	}
}
