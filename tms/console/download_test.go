package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// slowLine is a visitor who has begun to load a file and takes nothing more of it.
type slowLine struct {
	*httptest.ResponseRecorder
	began, end chan struct{}
}

func (l slowLine) Write(p []byte) (int, error) {
	l.began <- struct{}{}
	<-l.end
	return len(p), nil
}

// Files that are sent slowly keep nobody from the pages, and their number is bounded.
func TestSlowDownloads(t *testing.T) {
	s := newSite(t)
	folder := t.TempDir()
	s.check(os.WriteFile(filepath.Join(folder, "etoken-linux-amd64"), []byte("a program"), 0o644))
	s.pages = NewPages(PagesOptions{
		Box: s.pages.Box, Settings: s.pages.Settings, Clock: s.now, Logger: s.pages.Logger, Limits: Limits{Requests: 4, Address: 4, PerMinute: 600},
	})
	handler := s.pages.Handler(&Downloads{Pages: s.pages, Folder: func() string { return folder }})
	began, end := make(chan struct{}), make(chan struct{})
	ask := func(path string, w http.ResponseWriter) {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = "192.0.2.1:1"
		handler.ServeHTTP(w, r)
	}
	status := func(path string) int {
		w := httptest.NewRecorder()
		ask(path, w)
		return w.Code
	}
	var all sync.WaitGroup
	for i := range downloadLimits.Address {
		answered := make(chan struct{})
		all.Go(func() {
			defer close(answered)
			ask(DownloadPath+"etoken-linux-amd64", slowLine{httptest.NewRecorder(), began, end})
		})
		select {
		case <-began:
		case <-answered:
			t.Errorf("download %d got nothing", i+1)
		}
	}
	for path, want := range map[string]int{"/nowhere": 404, DownloadPath: 200, DownloadPath + "etoken-linux-amd64": 429} {
		if got := status(path); got != want {
			t.Errorf("%s meanwhile: %d, want %d", path, got, want)
		}
	}
	close(end)
	all.Wait()
	if got := status(DownloadPath + "etoken-linux-amd64"); got != 200 || s.pages.downloads.all != 0 {
		t.Errorf("afterwards: %d, %d left over", got, s.pages.downloads.all)
	}
}

func TestDownloads(t *testing.T) {
	s := newSite(t)
	folder := filepath.Join(t.TempDir(), "clients")
	s.start(&Downloads{Pages: s.pages, Folder: func() string { return folder }})
	v := s.visitor()
	v.get(DownloadPath).wantText(s, "en", "download.none")
	s.check(os.Mkdir(folder, 0o755))
	v.get(DownloadPath).wantText(s, "en", "download.none")

	outside := filepath.Join(filepath.Dir(folder), "etoken-secret")
	for file, content := range map[string]string{
		"etoken-linux-amd64": "a program", "etoken-windows-amd64.exe": "another", "other": "private", "etoken-<b>": "hostile", "../etoken-secret": "secret",
	} {
		s.check(os.WriteFile(filepath.Join(folder, file), []byte(content), 0o644))
	}
	s.check(os.Symlink(outside, filepath.Join(folder, "etoken-link")))
	s.check(os.Mkdir(filepath.Join(folder, "etoken-folder"), 0o755))
	s.check(syscall.Mkfifo(filepath.Join(folder, "etoken-pipe"), 0o644))

	sum := sha256.Sum256([]byte("a program"))
	list := v.get(DownloadPath)
	list.want(s, 200, "etoken-linux-amd64", "etoken-windows-amd64.exe", "Windows", hex.EncodeToString(sum[:]))
	if n := strings.Count(list.body, "SHA-256"); n != 2 {
		t.Errorf("%d files, want 2:\n%s", n, list.body)
	}
	list.wantText(s, "en", "download.linux")
	list.wantText(s, "en", "download.windows")
	list.want(s, 200, "mv etoken-linux-amd64 etoken\nchmod &#43;x etoken\n</pre>", ">./etoken<", "ren etoken-windows-amd64.exe etoken.exe\n</pre>", `>.\etoken<`)
	file := v.get(DownloadPath + "etoken-linux-amd64")
	file.want(s, 200, "a program")
	if got := file.Header.Get("Content-Type") + "; " + file.Header.Get("Content-Disposition"); got != `application/octet-stream; attachment; filename="etoken-linux-amd64"` {
		t.Error(got)
	}
	for _, bad := range []string{"other", "etoken-none", "etoken-link", "etoken-folder", "etoken-pipe", "etoken-%3Cb%3E", "..%2Fetoken-secret", "etoken-%2F..%2Fother"} {
		v.get(DownloadPath+bad).want(s, 404)
	}
	// A file that changes has another checksum.
	s.check(os.WriteFile(filepath.Join(folder, "etoken-linux-amd64"), []byte("a newer program"), 0o644))
	sum = sha256.Sum256([]byte("a newer program"))
	v.get(DownloadPath).want(s, 200, hex.EncodeToString(sum[:]))
}

func TestSetupOf(t *testing.T) {
	for name, want := range map[string]string{
		"etoken-linux-arm64": "chmod +x etoken", "etoken-darwin-arm64": "xattr -d com.apple.quarantine etoken",
		"etoken-windows-arm64.exe": "ren etoken-windows-arm64.exe etoken.exe", "etoken-windows-amd64.zip": "", "etoken-1.0.tar.gz": "",
	} {
		last := ""
		if setup := setupOf(name); setup != nil {
			last = setup.Commands[len(setup.Commands)-1]
		}
		if last != want {
			t.Errorf("%s: the last command is %q, want %q", name, last, want)
		}
	}
}
