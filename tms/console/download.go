package console

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// DownloadPath is where Downloads are. The mails of SafeNet's TMS say the same.
const DownloadPath = "/TMSService/ClientDownload/"

// Downloads is the Group of pages where the token client is to be had: the files of a
// folder whose names begin with etoken-. Nothing else in it can be read, nor anything
// out of it. How many are sent at once has a bound of its own, so that those whose
// lines are slow, or who only seem to load one, keep nobody from the pages.
type Downloads struct {
	Pages *Pages
	// Folder returns the folder's path, "" when there is none.
	Folder func() string

	mu  sync.Mutex
	sum map[string]fileSum
}

// fileSum is a checksum, and the file it is of.
type fileSum struct {
	size     int64
	modified time.Time
	sha256   string
}

// clientFile is a file as the page shows it.
type clientFile struct {
	Name, System, Size, SHA256 string
	Setup                      *clientSetup // nil when the system is not known
}

// clientSetup is what a user does with a file after the download.
type clientSetup struct {
	Text     string   // the key of a text
	Commands []string // one a line
	Run      string   // how the program is called then
}

const (
	// maxClients bounds the files that are listed.
	maxClients = 100
	// downloadTime is for a file on a slow line.
	downloadTime = 30 * time.Minute
)

// Mount adds the page and its files.
func (d *Downloads) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET "+DownloadPath+"{$}", d.list)
	mux.HandleFunc("GET "+DownloadPath+"{name}", d.file)
}

// list shows the files.
func (d *Downloads) list(w http.ResponseWriter, r *http.Request) {
	files, err := d.files()
	if err != nil {
		d.Pages.Logger.Error("the folder of the token client cannot be read", "error", err)
	}
	d.Pages.show(w, r, http.StatusOK, "download", files)
}

// files are those of the folder.
func (d *Downloads) files() ([]clientFile, error) {
	folder := d.Folder()
	if folder == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	files, sums := []clientFile(nil), map[string]fileSum{}
	for _, entry := range entries {
		if !isClient(entry.Name()) || !entry.Type().IsRegular() || len(files) == maxClients {
			continue
		}
		sum, err := d.checksum(root, entry.Name())
		if err != nil {
			return nil, err
		}
		sums[entry.Name()] = sum
		files = append(files, clientFile{entry.Name(), systemOf(entry.Name()), sizeOf(sum.size), sum.sha256, setupOf(entry.Name())})
	}
	d.sum = sums
	return files, nil
}

// sizeOf is a size as people read it.
func sizeOf(bytes int64) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// checksum is that of a file. It is kept until the file changes.
func (d *Downloads) checksum(root *os.Root, name string) (fileSum, error) {
	file, info, err := openClient(root, name)
	if err != nil {
		return fileSum{}, err
	}
	defer file.Close()
	if known, ok := d.sum[name]; ok && known.size == info.Size() && known.modified.Equal(info.ModTime()) {
		return known, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fileSum{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return fileSum{info.Size(), info.ModTime(), hex.EncodeToString(hash.Sum(nil))}, nil
}

// file sends a file.
func (d *Downloads) file(w http.ResponseWriter, r *http.Request) {
	name, folder := r.PathValue("name"), d.Folder()
	if folder == "" || !isClient(name) {
		d.Pages.missing(w, r)
		return
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		d.Pages.fail(w, r, "sending a file", err)
		return
	}
	defer root.Close()
	file, info, err := openClient(root, name)
	if err != nil {
		d.Pages.missing(w, r)
		return
	}
	defer file.Close()
	control, end := http.NewResponseController(w), time.Now().Add(downloadTime)
	_, _ = control.SetReadDeadline(end), control.SetWriteDeadline(end)
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	header.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, name, info.ModTime(), file)
}

// openClient opens a regular file; anything else, as a pipe that nobody writes to,
// it does not touch.
func openClient(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is no regular file")
	}
	file, err := root.Open(name)
	return file, info, err
}

// isClient reports whether a file of that name may be listed and sent: it begins
// with etoken-, and has only letters, digits and -._ otherwise.
func isClient(name string) bool {
	rest, ok := strings.CutPrefix(name, "etoken-")
	return ok && len(name) <= maxField && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

// systems are what people call the systems that Go has names for.
var systems = []struct{ part, name string }{
	{"linux-amd64", "Linux"}, {"linux-arm64", "Linux (ARM)"}, {"darwin-arm64", "macOS (Apple silicon)"}, {"darwin-amd64", "macOS (Intel)"},
	{"windows-amd64", "Windows"}, {"windows-arm64", "Windows (ARM)"},
}

// systemOf is the system that a file is for, or its name when that does not say.
func systemOf(name string) string {
	for _, s := range systems {
		if strings.Contains(name, s.part) {
			return s.name
		}
	}
	return name
}

// setupOf is what makes a file the program etoken. Browsers leave files without the
// right to run, and macOS marks what they load.
func setupOf(name string) *clientSetup {
	program := []string{"mv " + name + " etoken", "chmod +x etoken"}
	switch {
	case strings.Contains(name, "linux-"):
		return &clientSetup{"download.linux", program, "./etoken"}
	case strings.Contains(name, "darwin-"):
		return &clientSetup{"download.macos", append(program, "xattr -d com.apple.quarantine etoken"), "./etoken"}
	case strings.Contains(name, "windows-") && strings.HasSuffix(name, ".exe"):
		return &clientSetup{"download.windows", []string{"ren " + name + " etoken.exe"}, `.\etoken`}
	}
	return nil
}
