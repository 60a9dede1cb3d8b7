package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"countersign/tms/store/tables"
)

// AuditFile is the chain of the journal in a store's file or in a backup. It is an
// audit.Log, and needs no key.
type AuditFile struct {
	*tables.ChainLog
	reader *auditReader
}

// auditReader reads an AuditFile.
type auditReader struct {
	path string
	mu   sync.Mutex
	conn *conn // nil when it is closed
	// still: the file has no log beside it, so it is all there is and nobody changes it.
	still bool
}

// OpenAudit opens a file, which a server may have open, to read the chain of its journal.
// Nothing is written to it.
func OpenAudit(path string) (*AuditFile, error) {
	r, err := openAuditReader(path)
	if err != nil {
		return nil, fmt.Errorf("opening %q to read its journal: %w", path, err)
	}
	return &AuditFile{tables.NewChainLog(path, dialect, r.read), r}, nil
}

func openAuditReader(path string) (*auditReader, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	r := &auditReader{path: path, still: fileSize(path+"-wal") == 0}
	parameters := "mode=ro"
	if r.still {
		parameters = "immutable=1" // or SQLite would leave an empty log beside it
	}
	var err error
	if r.conn, err = openURI(path, parameters, busyTimeout); err != nil {
		return nil, err
	}
	version, used, err := (&database{writer: r.conn}).recognize()
	switch {
	case err != nil:
	case !used:
		err = errors.New("it is empty")
	case version < chainedVersion:
		err = fmt.Errorf("it is of format %d, whose journal has no chain: the first start of this Countersign gives it one", version)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// read runs something on the connection, when nobody else does.
func (r *auditReader) read(run func(c tables.Conn) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return fs.ErrClosed
	}
	err := run(r.conn)
	if r.still && fileSize(r.path+"-wal") > 0 {
		return errors.New("a server has opened the file meanwhile: begin anew")
	}
	return err
}

// close may be called again.
func (r *auditReader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return nil
	}
	c := r.conn
	r.conn = nil
	return c.close()
}

// Close closes the file.
func (f *AuditFile) Close() error { return f.reader.close() }
