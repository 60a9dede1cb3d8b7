package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"time"
)

//go:embed static
var staticFiles embed.FS

// styleURL changes with the style sheet, so that browsers may keep it.
var styleURL = "/static/style.css?" + digest("style.css")

// staticTypes are the files of the pages and their media types.
var staticTypes = map[string]string{
	"style.css": "text/css; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

// mountStatic adds what all pages load.
func mountStatic(mux *http.ServeMux) {
	for name, mediaType := range staticTypes {
		content := staticFile(name)
		mux.HandleFunc("GET /static/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "public, max-age=604800")
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
		})
	}
}

func staticFile(name string) []byte {
	content, err := staticFiles.ReadFile(path.Join("static", name))
	if err != nil {
		panic(err)
	}
	return content
}

func digest(name string) string {
	sum := sha256.Sum256(staticFile(name))
	return hex.EncodeToString(sum[:8])
}
