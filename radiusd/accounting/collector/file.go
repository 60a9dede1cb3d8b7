package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

const (
	mebibyte     = 1 << 20
	mostInBatch  = 1024     // records
	mostWritten  = mebibyte // octets at once, no more than the smallest file takes
	fileMode     = 0o600
	defaultMiB   = 100
	lineExpected = 1024 // octets
)

// file is the sink of a file of JSON lines. It is opened for each batch, so that it may be
// moved away at any time.
type file struct {
	path    string
	log     *lumberjack.Logger
	figures *figures
	clock   func() time.Time
	fsync   func(*os.File) error // (*os.File).Sync
}

func newFile(c *Collector) *file {
	size := (c.File.MaxSize + mebibyte - 1) / mebibyte
	if size == 0 {
		size = defaultMiB
	}
	return &file{
		path: c.File.Path, figures: c.figures, clock: c.Clock, fsync: (*os.File).Sync,
		log: &lumberjack.Logger{Filename: c.File.Path, MaxSize: int(size), MaxBackups: c.File.Keep},
	}
}

func (f *file) limit() int { return 1 }

func (f *file) most() int { return mostInBatch }

func (f *file) failed() {}

func (f *file) close() { _ = f.log.Close() }

// deliver writes the lines of records, as many as go at once, and has them on the disk
// before it returns. After an error those are done whose lines are there in full.
func (f *file) deliver(_ context.Context, batch []*item) (int, error) {
	began := f.clock()
	done, err := f.append(batch)
	if err != nil {
		f.figures.failures.Inc()
		return done, err
	}
	f.figures.latency.Observe(f.clock().Sub(began).Seconds())
	return done, nil
}

func (f *file) append(batch []*item) (int, error) {
	current, torn, err := f.open()
	if err != nil {
		return 0, err
	}
	defer current.Close()
	text, ends := render(batch, torn)
	n, failed := f.log.Write(text)
	if err := f.log.Close(); failed == nil {
		failed = err
	}
	if n == 0 && failed != nil {
		return 0, failed
	}
	if err := f.persist(current); err != nil {
		return 0, err
	}
	done := 0
	for done < len(ends) && ends[done] <= n {
		done++
	}
	return done, failed
}

// render returns the lines of records, as many as are written at once, and where each
// ends. Torn puts an end to a line before them.
func render(batch []*item, torn bool) (text []byte, ends []int) {
	b := bytes.NewBuffer(make([]byte, 0, min(lineExpected*len(batch), mostWritten)))
	if torn {
		b.WriteByte('\n')
	}
	for _, it := range batch {
		writeLine(b, &it.Entry)
		if b.Len() > mostWritten && len(ends) > 0 {
			b.Truncate(ends[len(ends)-1])
			break
		}
		ends = append(ends, b.Len())
	}
	return b.Bytes(), ends
}

// open opens the file that is there, or begins one. Its folder is not made: it may be that
// of a disk that is not mounted. Torn says that its last line has no end, because of a crash
// or a full disk.
func (f *file) open() (current *os.File, torn bool, err error) {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is no regular file: give the collector another", f.path)
	}
	current, err = os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: make the folder, or mount its disk", err)
	}
	if err != nil {
		return nil, false, err
	}
	var last [1]byte
	end, err := current.Seek(0, io.SeekEnd)
	if err == nil && end > 0 {
		_, err = current.ReadAt(last[:], end-1)
		torn = last[0] != '\n'
	}
	if err != nil {
		_ = current.Close()
		return nil, false, err
	}
	return current, torn, nil
}

// persist has what was written on the disk. It went to the file that was there before or, when
// that was renamed meanwhile, to a new one.
func (f *file) persist(before *os.File) error {
	if err := f.fsync(before); err != nil {
		return err
	}
	now, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer now.Close()
	if err := f.fsync(now); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return f.fsync(folder)
}
